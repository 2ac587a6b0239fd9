//! GitHub's runner, as far as it reads what we write: commands in the log and
//! the file of step outputs. For tests, and written from the behaviour of its
//! source rather than with our own helpers, so that the two check each other.

use crate::effects::has_no_width;

/// A command found in a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) data: String,
}

/// Finds a command in a line as the runner does, but takes any name for a known
/// one. Characters without a width are dropped first, as its comparison does.
pub(crate) fn command(line: &str) -> Option<Command> {
    let line: String = line.chars().filter(|c| !has_no_width(*c)).collect();
    modern(&line).or_else(|| legacy(&line))
}

fn modern(line: &str) -> Option<Command> {
    let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    Some(parse(head, ',', &unescape(data, false)))
}

fn legacy(line: &str) -> Option<Command> {
    let (_, rest) = line.split_once("##[")?;
    let (head, data) = rest.split_once(']')?;
    Some(parse(head, ';', data))
}

fn parse(head: &str, separator: char, data: &str) -> Command {
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let pairs = properties.split(separator).filter_map(|pair| pair.split_once('='));
    let properties = pairs.map(|(key, value)| (key.trim().to_owned(), unescape(value, true))).collect();
    Command { name: name.to_owned(), properties, data: data.to_owned() }
}

fn unescape(text: &str, property: bool) -> String {
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    if property {
        text = text.replace("%3A", ":").replace("%2C", ",");
    }
    text.replace("%25", "%")
}

/// Reads a file of outputs; an error fails the step.
pub(crate) fn outputs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut lines = text.split_inclusive('\n');
    let mut pairs: Vec<(String, String)> = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let heredoc = line.find("<<").filter(|at| line.find('=').is_none_or(|equals| *at < equals));
        let (name, value) = match heredoc {
            Some(at) => (&line[..at], heredoc_value(&line[at + 2..], &mut lines)?),
            None => {
                let (name, value) = line.split_once('=').ok_or(format!("invalid format {line:?}"))?;
                (name, value.to_owned())
            }
        };
        pairs.retain(|(known, _)| known != name);
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

fn heredoc_value<'a>(delimiter: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<String, String> {
    let mut value = String::new();
    for line in lines {
        match line.strip_suffix('\n') {
            Some(text) if text == delimiter => {
                value.pop();
                return Ok(value);
            }
            None if line != delimiter => return Err("a value's last line has no end".to_owned()),
            None => return Ok(value),
            Some(_) => value.push_str(line),
        }
    }
    Err(format!("delimiter {delimiter:?} not found"))
}
