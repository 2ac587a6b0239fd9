//! `batchstep.toml`: inputs that a repository sets for everybody who runs batchstep in it.
//!
//! Anybody who can change the repository can change the file, in a pull request too. So it sets only what
//! `inputs/in_file.rs` takes, names only files in the repository, and counts after flags and variables.
//! Where it is and what it may name is in `place.rs`, how it is written in `syntax.rs`.

mod place;
mod syntax;

use std::path::Path;

use self::place::Place;
use self::syntax::{Entry, Mistake, Scalar, Sort, Value, position};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::inputs::{IN_FILE, InFile, Kind, Why, in_file};
use crate::text::shorten;

/// The file's name.
pub const FILE: &str = "batchstep.toml";
/// How alike a key and an input must be (Jaro-Winkler, 0 to 1) for the input to be suggested.
const ALIKE: f64 = 0.85;
/// The longest key or path that is quoted, in characters.
const LONGEST: usize = 100;

/// What the file sets.
#[derive(Debug, Default)]
pub struct Config {
    /// Where the file is, if there is one.
    place: Option<Place>,
    /// What it sets, in its order.
    settings: Vec<Setting>,
    /// A warning of a file in the working directory that is left alone, since that is not the root.
    overlooked: Option<String>,
}

/// What an input is set to.
#[derive(Debug)]
struct Setting {
    input: &'static str,
    /// Its values as they would be typed; one, unless it is a list.
    values: Vec<String>,
    /// The key's line, from 1.
    line: usize,
}

impl Config {
    /// Reads the file of the repository that `dir`, an absolute path, is in.
    ///
    /// # Errors
    /// Ends in exit 2 if there is a file that cannot be used.
    pub fn find(dir: &Path) -> Result<Self, Error> {
        let Some(place) = Place::of(dir) else { return Ok(Self::default()) };
        let file = place.file();
        let is_below = !place.prefix.is_empty();
        let overlooked = (is_below && dir.join(FILE).exists()).then(|| {
            format!("`{FILE}` in this directory is not read: only `{file}`, at the root of the repository, would be.")
        });
        let unread = |error: std::io::Error| Error::usage(format!("`{file}` cannot be read.")).because(error);
        let Some(bytes) = place.read().map_err(unread)? else { return Ok(Self { overlooked, ..Self::default() }) };
        let text = String::from_utf8(bytes).map_err(|error| {
            let (at, what) = (error.utf8_error().valid_up_to(), "this is not UTF-8 text".to_owned());
            located(Mistake { at, what }, &String::from_utf8_lossy(error.as_bytes()), &place)
                .hint("Save the file as UTF-8.")
        })?;
        let settings = settings(&text, &place)?;
        Ok(Self { place: Some(place), settings, overlooked })
    }

    /// Keeps only what counts for the command that is called.
    pub(crate) fn keep(&mut self, counts: impl Fn(&str) -> bool) {
        self.settings.retain(|setting| counts(setting.input));
    }

    /// Looks where the paths lead that are kept.
    ///
    /// # Errors
    /// Ends in exit 2 if one leads out of the repository.
    pub(crate) fn follow(&self) -> Result<(), Error> {
        let Some(place) = &self.place else { return Ok(()) };
        let is_path =
            |setting: &&Setting| matches!(in_file(setting.input), Some((_, InFile::Taken(Kind::Path | Kind::Paths))));
        for setting in self.settings.iter().filter(is_path) {
            for path in &setting.values {
                place.follow(path).map_err(|why| {
                    let name = setting.written(place);
                    Error::usage(format!("{name} is `{}`, which {why}.", shorten(path, LONGEST)))
                })?;
            }
        }
        Ok(())
    }

    fn setting(&self, input: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.input == input)
    }

    /// What an input is set to, as it would be typed.
    pub(crate) fn values(&self, input: &str) -> Option<&[String]> {
        self.setting(input).map(|setting| setting.values.as_slice())
    }

    /// An input and where it is set, for an error: `max-failed` in batchstep.toml line 3.
    pub(crate) fn written(&self, input: &str) -> Option<String> {
        self.place.as_ref().zip(self.setting(input)).map(|(place, setting)| setting.written(place))
    }

    /// What a log says of the file, before anything else is done.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let inputs = self.settings.iter().map(|setting| setting.input).collect();
        let read = self.place.as_ref().map(|place| Event::Configured { file: place.file(), inputs });
        read.into_iter().chain(self.overlooked.clone().map(Event::Warned))
    }

    /// The same error, and where the inputs are set that it is about.
    pub(crate) fn locate(&self, mut error: Error) -> Error {
        let is_mistake = matches!(error.exit, Exit::Usage | Exit::Invalid);
        let Some(place) = self.place.as_ref().filter(|_| is_mistake) else { return error };
        for setting in &self.settings {
            // A number or a boolean in a sentence may be anything's.
            let is_own = |value: &&str| value.parse::<f64>().is_err() && value.parse::<bool>().is_err();
            let mut words = setting.values.iter().map(String::as_str).filter(is_own).chain([setting.input]);
            if words.any(|word| error.message.contains(&format!("`{word}`"))) {
                error = error.hint(format!("It is set by {}.", setting.written(place)));
            }
        }
        error
    }
}

impl Setting {
    /// The input and where it is set.
    fn written(&self, place: &Place) -> String {
        format!("`{}` in {} line {}", self.input, place.file(), self.line)
    }
}

/// What a file's text sets.
fn settings(text: &str, place: &Place) -> Result<Vec<Setting>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let here = |mistake| located(mistake, text, place);
    let mut settings: Vec<Setting> = Vec::new();
    for Entry { key, at, value } in syntax::read(text).map_err(here)? {
        let (input, kind) = match in_file(&key) {
            Some((input, InFile::Taken(kind))) => (input, kind),
            Some((input, InFile::Refused(why))) => return Err(refused(here(refusal(at, input, why)), input, why)),
            None => {
                let what = format!("`{}` is not an input", shorten(&key, LONGEST));
                return Err(unknown(here(Mistake { at, what }), &key));
            }
        };
        if let Some(earlier) = settings.iter().find(|setting| setting.input == input) {
            let what = format!("`{input}` is already set in line {}", earlier.line);
            return Err(here(Mistake { at, what }));
        }
        let values = values(input, kind, value, place).map_err(here)?;
        settings.push(Setting { input, values, line: position(text, at).0 });
    }
    // An empty list sets nothing.
    settings.retain(|setting| !setting.values.is_empty());
    Ok(settings)
}

/// The error of a mistake in a file's text.
#[cold]
fn located(Mistake { at, what }: Mistake, text: &str, place: &Place) -> Error {
    let (line, column) = position(text, at);
    Error::usage(format!("{}:{line}:{column}: {what}.", place.file()))
}

/// The values of a key, as they would be typed.
fn values(key: &str, kind: Kind, value: Value, place: &Place) -> Result<Vec<String>, Mistake> {
    let wrong = |at, found: &str| Mistake { at, what: format!("`{key}` must be {}, not {found}", kind.words()) };
    let scalars = match (kind, value) {
        (_, Value::One(scalar)) => vec![scalar],
        (Kind::List | Kind::Paths, Value::List(items, _)) => items,
        (_, Value::List(_, at)) => return Err(wrong(at, "a list")),
    };
    let text = |Scalar { text, sort, at }: Scalar| {
        let is_taken = match kind {
            Kind::Text | Kind::Path | Kind::Paths => sort == Sort::Text,
            Kind::Count => sort == Sort::Whole,
            Kind::Number => matches!(sort, Sort::Text | Sort::Whole | Sort::Real),
            Kind::Switch => sort == Sort::Switch,
            // Statuses are among the words of `retry-on`.
            Kind::List => matches!(sort, Sort::Text | Sort::Whole),
        };
        if !is_taken {
            return Err(wrong(at, found(sort)));
        }
        if text.trim().is_empty() {
            return Err(Mistake { at, what: format!("`{key}` is empty; leave it out to use the default") });
        }
        if !matches!(kind, Kind::Path | Kind::Paths) {
            return Ok(text);
        }
        let quoted = shorten(&text, LONGEST);
        place.path(&text).map_err(|why| Mistake { at, what: format!("`{key}` is `{quoted}`, which {why}") })
    };
    scalars.into_iter().map(text).collect()
}

fn found(sort: Sort) -> &'static str {
    match sort {
        Sort::Text => "text",
        Sort::Whole => "a number",
        Sort::Real => "a number with a fraction",
        Sort::Switch => "`true` or `false`",
        Sort::Time => "a date or a time",
    }
}

/// That the file may not set an input.
#[cold]
fn refusal(at: usize, input: &str, why: Why) -> Mistake {
    Mistake { at, what: format!("`{input}` cannot be set in this file, because {}", why.words()) }
}

/// What to do about an input that the file may not set.
#[cold]
fn refused(error: Error, input: &str, why: Why) -> Error {
    match why {
        Why::Secret => {
            let variable = input.to_ascii_uppercase().replace('-', "_");
            error
                .hint(format!("Remove it, and pass it in a variable of the CI system, such as BATCHSTEP_{variable}."))
                .hint("If anybody else could read the file, replace the secret at whoever issued it.")
        }
        _ => error.hint(format!(
            "A pull request can change the file. Remove `{input}` from it, and pass it as a flag, as an input of the \
             CI step or in a variable."
        )),
    }
}

/// What to do about a key that is not an input.
#[cold]
fn unknown(error: Error, key: &str) -> Error {
    let alike = |input: &str| strsim::jaro_winkler(input, key);
    let nearest = IN_FILE.iter().map(|(input, decided)| (alike(input), *input, *decided));
    match nearest.filter(|(alike, ..)| *alike >= ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, input, InFile::Taken(_))) => error.hint(format!("Did you mean `{input}`?")),
        Some((_, input, InFile::Refused(why))) => {
            error.hint(format!("If you mean it: {}.", refusal(0, input, why).what))
        }
        None => error.hint("`batchstep run --help` lists the inputs."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::{Config, FILE, settings};
    use crate::config::place::Place;
    use crate::error::Error;
    use crate::inputs::{IN_FILE, InFile};

    /// A repository with this file at its root, and in it a directory to work in.
    fn repository(text: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        dir
    }

    fn told(error: &Error) -> String {
        std::iter::once(&error.sentence()).chain(&error.hints).cloned().collect::<Vec<_>>().join(" ")
    }

    fn mistake(text: &str) -> String {
        told(&Config::find(repository(text.as_bytes()).path()).unwrap_err())
    }

    #[test]
    fn values_are_what_would_be_typed() {
        let text = r##"# What we repeat.
            max-failed = "2%"
            max-cost = 12.50
            retries = 1_0
            max-tokens = 0xfF
            metadata = ["team=search", 'a="b"']
            retry-on = [403, "suspect"] # both
            comment = true
            "samples" = 3
            requests = "evals/*.jsonl"
            timeout = """
2h"""
            answer-schema = 'answers.json'"##;
        let dir = repository(format!("\u{feff}{text}\r\n").as_bytes());
        let config = Config::find(&dir.path().join("a/b")).unwrap();
        for (input, values) in [
            ("max-failed", &["2%"][..]),
            ("max-cost", &["12.50"]),
            ("retries", &["10"]),
            ("max-tokens", &["255"]),
            ("metadata", &["team=search", "a=\"b\""]),
            ("retry-on", &["403", "suspect"]),
            ("comment", &["true"]),
            ("samples", &["3"]),
            ("requests", &["../../evals/*.jsonl"]),
            ("timeout", &["2h"]),
            ("answer-schema", &["../../answers.json"]),
        ] {
            assert_eq!(config.values(input).unwrap(), values, "{input}");
        }
        assert_eq!(config.written("retries").unwrap(), "`retries` in ../../batchstep.toml line 4");
        assert_eq!((config.settings.len(), config.values("csv")), (11, None));
    }

    #[test]
    fn what_the_file_cannot_hold_is_told_with_its_place() {
        for (text, expected) in [
            ("retries = \"2\"", "batchstep.toml:1:11: `retries` must be a whole number, not text."),
            (
                "\n retries = 1.5",
                "batchstep.toml:2:12: `retries` must be a whole number, not a number with a fraction.",
            ),
            ("timeout = 2", "batchstep.toml:1:11: `timeout` must be text in quotes, not a number."),
            ("max-failed = [1]", "batchstep.toml:1:14: `max-failed` must be a number or text in quotes, not a list."),
            ("csv = \"true\"", "batchstep.toml:1:7: `csv` must be `true` or `false`, not text."),
            ("metadata = [\"a=b\", true]", "batchstep.toml:1:20: `metadata` must be text in quotes or a list of such"),
            ("timeout = 2026-11-27", "batchstep.toml:1:11: `timeout` must be text in quotes, not a date or a time."),
            ("timeout = \" \"", "batchstep.toml:1:11: `timeout` is empty; leave it out to use the default."),
            ("retries = 1\nretries = 2", "batchstep.toml:2:1: `retries` is already set in line 1."),
            ("retries = 1 2", "batchstep.toml:1:11: this is not TOML: "),
            ("[run]\nretries = 1", "batchstep.toml:1:1: the file has no sections"),
            ("[[run]]", "batchstep.toml:1:1: the file has no sections"),
            ("run.retries = 1", "batchstep.toml:1:4: no key has a dot in it."),
            ("metadata = { team = 1 }", "batchstep.toml:1:12: no key takes a value in braces."),
            ("metadata = [[1]]", "batchstep.toml:1:13: no key takes a list in a list."),
            ("max_failed = 1", "batchstep.toml:1:1: `max_failed` is not an input. Did you mean `max-failed`?"),
            ("quite-new = 1", "`quite-new` is not an input. `batchstep run --help` lists the inputs."),
            ("api_key = 1", "If you mean it: `api-key` cannot be set in this file, because it holds secrets."),
            ("\"é\" = 1", "batchstep.toml:1:1: `é` is not an input."),
            ("'é' = 'é' \"", "batchstep.toml:1:11: this is not TOML: "),
            ("requests = \"/etc/x\"", "batchstep.toml:1:12: `requests` is `/etc/x`, which is not a path inside"),
        ] {
            let told = mistake(text);
            assert!(told.contains(expected), "{text}\n{told}");
        }
    }

    #[test]
    fn what_is_refused_is_told_with_the_reason_and_never_the_value() {
        for (key, decided) in IN_FILE {
            let InFile::Refused(why) = decided else { continue };
            for value in ["\"sk-secret\"", "[\"sk-secret\"]", "\"\"", "7"] {
                let told = mistake(&format!("{key} = {value}"));
                let expected = format!("`{key}` cannot be set in this file, because {}.", why.words());
                assert!(told.contains(&expected) && !told.contains("sk-secret"), "{told}");
            }
        }
        let unquoted = mistake("api-key = sk-secret");
        assert!(unquoted.contains("this is not TOML") && !unquoted.contains("sk-secret"), "{unquoted}");
    }

    #[test]
    fn what_is_not_a_short_file_of_text_is_refused() {
        let refused = |bytes: &[u8]| told(&Config::find(repository(bytes).path()).unwrap_err());
        assert!(refused(b"a\nb\xff").contains("batchstep.toml:2:2: this is not UTF-8 text. Save the file as UTF-8."));
        let longest = [&b"#"[..], &[b' '; 65_535]].concat();
        assert!(Config::find(repository(&longest).path()).is_ok());
        let longer = refused(&[&longest[..], b" "].concat());
        assert!(longer.contains("`batchstep.toml` cannot be read: it is longer than 64 KiB"), "{longer}");
    }

    #[test]
    fn a_file_below_the_root_is_overlooked_and_told_of() {
        let dir = repository(b"retries = 1");
        let (root, below) = (dir.path(), dir.path().join("a"));
        let lines = |dir: &Path| {
            Config::find(dir).unwrap().events().filter_map(|event| event.line()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(lines(root), "Inputs from batchstep.toml: retries");
        assert_eq!(lines(&below), "Inputs from ../batchstep.toml: retries");
        fs::write(below.join(FILE), "retries = 2").unwrap();
        let warning = "Warning: `batchstep.toml` in this directory is not read: only `../batchstep.toml`, at the root of \
                       the repository, would be.";
        assert_eq!(lines(&below), format!("Inputs from ../batchstep.toml: retries\n{warning}"));
        fs::remove_file(root.join(FILE)).unwrap();
        assert_eq!((lines(root).as_str(), lines(&below).as_str()), ("", warning));
        fs::write(root.join(FILE), "").unwrap();
        assert_eq!(lines(root), "batchstep.toml sets nothing that counts here");
    }

    /// What TOML and our file are made of: a random text hardly has it.
    fn pieces() -> impl Strategy<Value = String> {
        const FIXED: &str = "= [ ] [[ { } , . # \" \"\"\" ' ''' \\ \\u \\U0010FFFF true 0x 1_0 - + 1e9 inf 1979-05-27 07:32:00 é \
                             \u{feff} \0 \r .. / * ** .git requests retries metadata max-cost api-key csv answer-schema";
        let fixed: Vec<&str> = FIXED.split(' ').chain([" ", "\n", "\r\n"]).collect();
        let piece = prop_oneof![proptest::sample::select(fixed).prop_map(str::to_owned), "\\PC{0,4}"];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_panics_or_sets_what_is_not_taken(text in prop_oneof![pieces(), "(?s).{0,80}"], key in 0..IN_FILE.len()) {
            let root = std::env::temp_dir().join("no-such-repository");
            let place = Place { root, prefix: String::new() };
            let key = IN_FILE[key].0;
            for text in [format!("{key} = {text}"), format!("{key} = \"{text}\""), text] {
                for setting in settings(&text, &place).into_iter().flatten() {
                    prop_assert!(matches!(crate::inputs::in_file(setting.input), Some((_, InFile::Taken(_)))));
                    prop_assert!(!setting.values.is_empty());
                }
            }
        }
    }
}
