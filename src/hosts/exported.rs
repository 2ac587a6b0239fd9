//! Outputs as variables, and as files that CI systems read: each encoder has the rules of its reader.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::values::Encoding;

/// The outputs, in the order of the README's table.
pub(super) type Outputs = [(&'static str, String)];

/// What a dotenv file holds, the most important first: GitLab takes 20 variables of all tools together
/// (<https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv>).
const IN_DOTENV: [&str; 12] = [
    "outcome",
    "status",
    "batch-id",
    "total",
    "succeeded",
    "failed",
    "missing",
    "cost-usd",
    "detached",
    "results-file",
    "report-file",
    "batch-ids",
];
/// The longest dotenv file that GitLab takes is 5 KB.
const LONGEST_DOTENV: usize = 5_000;

/// The outputs whose values a file with this encoding cannot hold, though other files can.
pub(super) fn left_out(encoding: Encoding, outputs: &Outputs) -> Vec<&'static str> {
    if encoding != Encoding::Dotenv {
        return Vec::new();
    }
    let text = dotenv(outputs);
    let is_there = |name: &str| text.lines().any(|line| line.split('=').next() == Some(&variable(name)));
    let wanted = outputs.iter().filter(|(name, value)| IN_DOTENV.contains(name) && !value.is_empty());
    wanted.map(|(name, _)| *name).filter(|name| !is_there(name)).collect()
}

/// The outputs as a file.
pub(super) fn render(encoding: Encoding, outputs: &Outputs) -> String {
    match encoding {
        Encoding::Dotenv => dotenv(outputs),
        Encoding::Json => json(outputs),
        Encoding::Properties => properties(outputs),
    }
}

/// The variable that an output becomes: `BATCH_OUTCOME`. Never `BATCHSTEP_*`, which a later step would read as inputs.
pub(super) fn variable(output: &str) -> String {
    let name = output.strip_prefix("batch-").unwrap_or(output);
    format!("BATCH_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Whether a file's text is outputs that this program wrote.
pub(super) fn are_outputs(encoding: Encoding, text: &str) -> bool {
    match encoding {
        Encoding::Dotenv | Encoding::Properties => {
            let first = text.split('=').next();
            ["outcome", "status", "input-file-id", "batch-id", "batch-ids"]
                .iter()
                .any(|name| first == Some(&variable(name)))
        }
        Encoding::Json => match serde_json::from_str(text) {
            Ok(Value::Object(outputs)) => {
                let is_named = outputs.contains_key("outcome") || outputs.contains_key("batch-ids");
                is_named && outputs.values().all(Value::is_string)
            }
            _ => false,
        },
    }
}

/// Values are raw: GitLab removes no quotes. It refuses the whole file for one line that it cannot read, so what does
/// not fit on a line as it is, and what is empty, is left out.
fn dotenv(outputs: &Outputs) -> String {
    let mut text = String::new();
    for name in IN_DOTENV {
        let Some((_, value)) = outputs.iter().find(|(output, _)| *output == name) else { continue };
        let line = format!("{}={value}\n", variable(name));
        if is_plain(value) && text.len() + line.len() <= LONGEST_DOTENV {
            text += &line;
        }
    }
    text
}

/// Whether a reader of lines, who may cut white space off at both ends, reads a value as it is. GitLab may put the value
/// of a variable, be it secret, in place of its name after a `$`.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && !value.chars().any(|c| c.is_control() || c == '$')
}

fn json(outputs: &Outputs) -> String {
    let member = |(name, value): &(&str, String)| ((*name).to_owned(), Value::from(value.as_str()));
    let object: Map<String, Value> = outputs.iter().map(member).collect();
    format!("{:#}\n", Value::Object(object))
}

/// <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)>
fn properties(outputs: &Outputs) -> String {
    let mut text = String::new();
    for (name, value) in outputs {
        text += &variable(name);
        text.push('=');
        for (at, c) in value.chars().enumerate() {
            match c {
                '\\' => text += "\\\\",
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                ' ' if at == 0 => text += "\\ ",
                ' '..='~' => text.push(c),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
            }
        }
        text.push('\n');
    }
    text
}

/// Commands of a POSIX shell that export the outputs.
pub(super) fn shell(outputs: &Outputs) -> String {
    let line = |(name, value): &(&str, String)| {
        format!("export {}='{}'\n", variable(name), value.replace('\0', "").replace('\'', r"'\''"))
    };
    outputs.iter().map(line).collect()
}

/// `KEY=value` lines, empty values included: what has a line break does not fit and is left out.
pub(super) fn lines(outputs: &Outputs) -> String {
    let fits = |(_, value): &&(&str, String)| !value.chars().any(char::is_control);
    outputs.iter().filter(fits).map(|(name, value)| format!("{}={value}\n", variable(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use batchstep_test_support::readers;

    use super::{Encoding, are_outputs, left_out, lines, render, shell, variable};
    use crate::formats::samples::{self, HOSTILE};
    use crate::outputs;

    #[test]
    fn variables_are_named_after_outputs() {
        for (output, name) in [
            ("outcome", "BATCH_OUTCOME"),
            ("batch-id", "BATCH_ID"),
            ("batch-ids", "BATCH_IDS"),
            ("cost-usd", "BATCH_COST_USD"),
        ] {
            assert_eq!(variable(output), name);
        }
    }

    #[test]
    fn every_reader_reads_what_was_written() {
        for text in HOSTILE.iter().copied().chain([
            "$GITLAB_TOKEN",
            "a=b",
            " x ",
            "'",
            "é😀",
            "%0A",
            "line\nBATCH_OUTCOME=succeeded",
        ]) {
            let mut outputs = outputs::of(&samples::partial());
            for (name, value) in &mut outputs {
                if matches!(*name, "results-file" | "batch-id") {
                    *value = text.to_owned();
                }
            }
            let all: BTreeMap<String, String> =
                outputs.iter().map(|(name, value)| (variable(name), value.clone())).collect();
            let read = readers::properties(&render(Encoding::Properties, &outputs));
            assert_eq!(read, all, "{text:?}");
            let json: BTreeMap<String, String> = serde_json::from_str(&render(Encoding::Json, &outputs)).unwrap();
            assert!(outputs.iter().all(|(name, value)| json[*name] == *value) && json.len() == outputs.len());
            let without_nul = |(name, value): (&String, &String)| (name.clone(), value.replace('\0', ""));
            assert_eq!(readers::shell(&shell(&outputs)), all.iter().map(without_nul).collect(), "{text:?}");
            let read = readers::gitlab_dotenv(&render(Encoding::Dotenv, &outputs)).unwrap();
            assert!(read.iter().all(|(name, value)| !value.is_empty() && all[name] == *value), "{text:?}: {read:?}");
            assert_eq!(read["BATCH_OUTCOME"], "partial");
            for encoding in [Encoding::Dotenv, Encoding::Json, Encoding::Properties] {
                assert!(are_outputs(encoding, &render(encoding, &outputs)) && !are_outputs(encoding, text), "{text:?}");
            }
            for name in ["results-file", "batch-id"] {
                let is_named = left_out(Encoding::Dotenv, &outputs).contains(&name);
                assert_eq!(is_named, !read.contains_key(&variable(name)) && !text.is_empty(), "{text:?}");
            }
            assert!(!read.values().any(|value| value.contains('$')), "{read:?}");
            let lines = lines(&outputs);
            let pairs: Vec<(&str, &str)> = lines.lines().map(|line| line.split_once('=').unwrap()).collect();
            assert!(pairs.iter().all(|(name, value)| all[*name] == *value), "{text:?}: {pairs:?}");
            assert_eq!(pairs.iter().filter(|(name, _)| *name == "BATCH_OUTCOME").count(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_dotenv_file_keeps_gitlabs_limits() {
        let mut report = samples::partial();
        let ids = |count: usize| (0..count).map(|number| format!("batch_{number:032}")).collect::<Vec<_>>();
        let batch = report.batches[0].clone();
        report.batches = ids(500).into_iter().map(|id| crate::report::BatchReport { id, ..batch.clone() }).collect();
        let file = render(Encoding::Dotenv, &outputs::of(&report));
        let read = readers::gitlab_dotenv(&file).unwrap();
        assert!(file.len() <= 5_000 && read.len() <= 12, "{file}");
        assert_eq!(left_out(Encoding::Dotenv, &outputs::of(&report)), ["batch-ids"]);
        assert!(left_out(Encoding::Json, &outputs::of(&report)).is_empty());
        assert!(!read.contains_key("BATCH_IDS") && read["BATCH_TOTAL"] == "1200", "{file}");
    }
}
