//! GitHub's runner, as far as it reads what a step writes: commands in its log,
//! files of outputs and state, the summary.
//!
//! For tests, and written from the behaviour of actions/runner 2.336
//! (ActionCommand, FileCommandManager, ExecutionContext) rather than with our own
//! helpers, so that the two check each other. `tests/act/probe/cases.json` holds
//! it against a runner that is not ours.

/// The runner keeps this many annotations of a kind for a step.
pub const MOST_ANNOTATIONS: usize = 10;

/// What the runner takes for a command; `internal-set-repo-path` is for its own plugins only.
const COMMANDS: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// A command found in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// Its properties, in their order.
    pub properties: Vec<(String, String)>,
    /// What follows them.
    pub data: String,
}

/// Finds a command in a line, whatever its name: what is none here is none for any runner.
pub fn command(line: &str) -> Option<Command> {
    find(line, |_| true)
}

/// Finds a command in a line that the runner would carry out.
pub fn known_command(line: &str) -> Option<Command> {
    find(line, |name| COMMANDS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// The lines of a log: the runner ends them as .NET does.
pub fn lines(log: &str) -> impl Iterator<Item = &str> {
    log.split_inclusive('\n').flat_map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).split('\r')
    })
}

/// The new syntax counts at the start of a line, the old one anywhere in it.
/// Both are found by a comparison that passes over characters without a width.
fn find(line: &str, is_known: impl Fn(&str) -> bool) -> Option<Command> {
    let line: String = line.chars().filter(|c| !is_ignored(*c)).collect();
    let modern = || {
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let properties = pairs(properties.trim(), ',', &[("%3A", ":"), ("%2C", ",")]);
        is_known(name).then(|| Command { name: name.to_owned(), properties, data: unescape(data, &[]) })
    };
    let legacy = || {
        let (head, data) = line.split_once("##[")?.1.split_once(']')?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let more = [("%3B", ";"), ("%5D", "]")];
        let properties = pairs(properties, ';', &more);
        is_known(name).then(|| Command { name: name.to_owned(), properties, data: unescape(data, &more) })
    };
    modern().or_else(legacy)
}

fn pairs(text: &str, separator: char, escapes: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = text.split(separator).filter_map(|pair| pair.split_once('='));
    let whole = pairs.filter(|(key, value)| !key.is_empty() && !value.is_empty());
    whole.map(|(key, value)| (key.to_owned(), unescape(value, escapes))).collect()
}

fn unescape(text: &str, more: &[(&str, &str)]) -> String {
    let escapes = [("%0D", "\r"), ("%0A", "\n")];
    let escapes = escapes.iter().chain(more).chain(&[("%25", "%")]);
    escapes.fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// What Unicode has ignored where it is not shown, and the control characters that are no spaces.
fn is_ignored(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

/// Reads a file of outputs or state: the pairs up to the first fault, and that
/// fault in the runner's words, which fails the step. A name's last value counts.
pub fn file_command(text: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).split_inclusive('\n');
    let mut pairs: Vec<(String, String)> = Vec::new();
    while let Some(line) = lines.next() {
        match pair(line.strip_suffix('\n').unwrap_or(line), &mut lines) {
            Ok(Some((name, value))) => {
                pairs.retain(|(known, _)| *known != name);
                pairs.push((name, value));
            }
            Ok(None) => {}
            Err(fault) => return (pairs, Some(fault)),
        }
    }
    (pairs, None)
}

/// The same where a fault is one of ours.
pub fn outputs(text: &str) -> Result<Vec<(String, String)>, String> {
    let (pairs, fault) = file_command(text);
    fault.map_or(Ok(pairs), Err)
}

fn pair<'a>(line: &str, rest: &mut impl Iterator<Item = &'a str>) -> Result<Option<(String, String)>, String> {
    let heredoc = line.split_once("<<").filter(|(name, _)| !name.contains('='));
    if let Some((name, delimiter)) = heredoc {
        if name.is_empty() || delimiter.is_empty() {
            return Err(format!("Invalid format '{line}'. Name must not be empty and delimiter must not be empty"));
        }
        return Ok(Some((name.to_owned(), heredoc_value(delimiter, rest)?)));
    }
    match line.split_once('=') {
        Some((name, value)) => Ok(Some((name.to_owned(), value.to_owned()))),
        None if line.is_empty() => Ok(None),
        None => Err(format!("Invalid format '{line}'")),
    }
}

fn heredoc_value<'a>(delimiter: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<String, String> {
    let mut value = String::new();
    for line in lines {
        if line.strip_suffix('\n').unwrap_or(line) == delimiter {
            // The newline before the delimiter is none of the value's.
            value.pop();
            return Ok(value);
        }
        if !line.ends_with('\n') {
            return Err("Invalid value. EOF marker missing new line.".to_owned());
        }
        value.push_str(line);
    }
    Err(format!("Invalid value. Matching delimiter not found '{delimiter}'"))
}

/// Why the runner does not show a summary of this size; it shows all of one, or nothing.
pub fn summary_refusal(bytes: usize) -> Option<String> {
    const LIMIT: usize = 1024 * 1024;
    let (most, has) = (LIMIT / 1024, bytes / 1024);
    let refusal = "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of";
    (bytes > LIMIT).then(|| format!("{refusal} {most}k, got {has}k."))
}
