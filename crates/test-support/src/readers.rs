//! How CI systems read what a step writes, by their documentation and sources. None of this is taken from the
//! product: a mistake in its encoders has to show here.

use std::collections::BTreeMap;
use std::process::Command;

/// Variables by their names.
pub type Variables = BTreeMap<String, String>;

/// A dotenv report, as GitLab's `Ci::ParseDotenvArtifactService` reads it.
///
/// # Errors
/// Why GitLab would refuse the file.
pub fn gitlab_dotenv(file: &str) -> Result<Variables, String> {
    if file.len() > 5 * 1024 {
        return Err(format!("Dotenv Artifact Too Big: {} bytes", file.len()));
    }
    let mut variables = Variables::new();
    for line in file.split_terminator('\n') {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("Invalid Format: {line:?}"))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("Validation failed: Key can contain only letters, digits and '_': {key:?}"));
        }
        variables.insert(key.to_owned(), value.to_owned());
    }
    if variables.len() > 20 {
        return Err("Dotenv files cannot have more than 20 variables".to_owned());
    }
    Ok(variables)
}

/// A file of properties, as `java.util.Properties.load(Reader)` reads it.
///
/// # Panics
/// On an escape of Unicode that Java would refuse.
pub fn properties(file: &str) -> Variables {
    let mut properties = Variables::new();
    let mut lines = file.lines();
    while let Some(first) = lines.next() {
        let mut line = first.trim_start_matches([' ', '\t', '\u{c}']).to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // A line that ends in an odd number of backslashes goes on.
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            line += lines.next().unwrap_or_default().trim_start_matches([' ', '\t', '\u{c}']);
        }
        let mut is_escaped = false;
        let end = line.find(|c: char| {
            let ends = !is_escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}');
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let (key, rest) = line.split_at(end.unwrap_or(line.len()));
        let space = [' ', '\t', '\u{c}'];
        let rest = rest.trim_start_matches(space);
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(space);
        properties.insert(unescaped(key), unescaped(value));
    }
    properties
}

fn unescaped(text: &str) -> String {
    let mut units = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            chars.next().unwrap_or_default()
        } else {
            units.extend(encoded(c));
            continue;
        };
        match c {
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                units.push(u16::from_str_radix(&digits, 16).expect("Malformed \\uxxxx encoding."));
            }
            't' => units.push(9),
            'n' => units.push(10),
            'r' => units.push(13),
            'f' => units.push(12),
            c => units.extend(encoded(c)),
        }
    }
    String::from_utf16(&units).expect("text")
}

fn encoded(c: char) -> Vec<u16> {
    c.encode_utf16(&mut [0; 2]).to_vec()
}

/// The `BATCH_*` variables that a shell exports once it has read a file of commands.
///
/// # Panics
/// If there is no shell, or it refuses the file.
pub fn shell(commands: &str) -> Variables {
    let script = format!("{commands}\nenv -0\n");
    let output = Command::new("sh").arg("-euc").arg(script).env_clear().output().expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let pairs = text.split_terminator('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| name.starts_with("BATCH_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A command to a CI system, found in a line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name: `task.setvariable`, `setParameter`.
    pub name: String,
    /// Its properties.
    pub properties: Variables,
    /// What follows them.
    pub data: String,
}

/// The command in a line, as Azure's agent finds it: anywhere in the line (Microsoft.VisualStudio.Services.Agent,
/// `Command.TryParse` and `CommandStringConvertor`, with percent signs decoded).
pub fn azure(line: &str) -> Option<Message> {
    let begin = line.find("##vso[")? + "##vso[".len();
    let end = begin + line[begin..].find(']')?;
    let (name, properties) = line[begin..end].split_once(' ').unwrap_or((&line[begin..end], ""));
    let decode = |text: &str| {
        let text = text.replace("%3B", ";").replace("%0D", "\r").replace("%0A", "\n").replace("%5D", "]");
        text.replace("%AZP25", "%")
    };
    let pairs = properties.split(';').filter_map(|pair| pair.trim().split_once('='));
    Some(Message {
        name: name.to_owned(),
        properties: pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect(),
        data: decode(&line[end + 1..]),
    })
}

/// The service message in a line, as TeamCity documents it: `##teamcity[name key='value' …]`, `|` escapes. The text of a
/// message with one value and no name is its data.
pub fn teamcity(line: &str) -> Option<Message> {
    let rest = &line[line.find("##teamcity[")? + "##teamcity[".len()..];
    let name_ends = rest.find([' ', ']'])?;
    let mut message = Message { name: rest[..name_ends].to_owned(), properties: Variables::new(), data: String::new() };
    let mut rest = rest[name_ends..].trim_start();
    while !rest.starts_with(']') {
        let (key, after) = rest.split_once('\'')?;
        let (value, after) = quoted(after)?;
        match key.trim().strip_suffix('=') {
            Some(key) => {
                message.properties.insert(key.to_owned(), value);
            }
            None => message.data = value,
        }
        rest = after.trim_start();
    }
    Some(message)
}

/// A value of TeamCity's up to the quote that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some((String::from_utf16(&units).ok()?, &text[at + 1..])),
            '|' => match chars.next()?.1 {
                'n' => units.push(10),
                'r' => units.push(13),
                'x' => units.push(0x85),
                'l' => units.push(0x2028),
                'p' => units.push(0x2029),
                '0' => {
                    chars.next().filter(|(_, x)| *x == 'x')?;
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                }
                c => units.extend(encoded(c)),
            },
            // What is not escaped ends the message, or is no message.
            '[' | ']' | '\n' | '\r' => return None,
            c => units.extend(encoded(c)),
        }
    }
    None
}

/// The marks of sections in a log, as GitLab finds them: `start` or `end`, and the name.
pub fn gitlab_sections(log: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in log.match_indices("section_") {
        let rest = &log[at + "section_".len()..];
        let Some((mark, _)) = rest.split_once("\r\u{1b}[0K") else { continue };
        let mut parts = mark.splitn(3, ':');
        let (Some(kind), Some(time), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let name = name.split('[').next().unwrap_or_default();
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if matches!(kind, "start" | "end") && time.bytes().all(|byte| byte.is_ascii_digit()) && is_name {
            found.push((kind.to_owned(), name.to_owned()));
        }
    }
    found
}
