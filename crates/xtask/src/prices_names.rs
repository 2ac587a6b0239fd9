//! The names of a model, out of the rules by which genai-prices knows it, but stricter.
//!
//! Its rules take whatever starts like a model's name, and so the names of models that nobody has heard of yet, which
//! may cost something else. Ours take the name and its versions: a wrong price is worse than none.

use serde_json::Value;

use crate::tasks::Failed;

/// The versions of a model of Google's.
const GOOGLES: [&str; 6] = ["", "-###", "-latest", "-preview", "-preview-##-##", "-preview-##-####"];

/// The names and patterns that a rule stands for, each once.
pub(crate) fn names(vendor: &str, rule: &Value) -> Result<Vec<String>, Failed> {
    let (kind, operand) =
        rule.as_object().and_then(|rule| rule.iter().next()).ok_or("the rule of its names is empty")?;
    let text = operand.as_str().unwrap_or_default();
    let mut found = Vec::new();
    match kind.as_str() {
        "or" => {
            for rule in operand.as_array().into_iter().flatten() {
                found.extend(names(vendor, rule)?);
            }
        }
        // Something that starts like this, but for what the look-ahead excludes. No version of ours has that in it.
        "and" if operand[1]["regex"].as_str().is_some_and(|regex| regex.starts_with("^(?!")) => {
            found = names(vendor, &operand[0])?;
        }
        "equals" => found.push(text.to_owned()),
        "starts_with" => {
            let versions = versions(vendor, text)?;
            found.extend(versions.iter().map(|version| format!("{text}{version}")));
        }
        "regex" => found.push(pattern(text)?),
        _ => return Err(format!("{rule} is a rule that is not understood")),
    }
    let mut once: Vec<String> = Vec::new();
    for name in found {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    Ok(once)
}

/// What may follow a start of a name. An unknown start is an error, so that somebody decides.
fn versions(vendor: &str, start: &str) -> Result<&'static [&'static str], Failed> {
    Ok(match (vendor, start) {
        (_, start) if start.ends_with('@') => &["########"],
        ("anthropic", _) => &["", "-########"],
        ("google", start) if start.ends_with('-') => &["##-##", "##-####"],
        ("google", start) if start.ends_with("preview") => &["", "-##-##", "-##-####"],
        ("google", _) => &GOOGLES,
        ("openai", "gpt-5-nano-") => &["####-##-##"],
        // Fine-tuned models: what follows the colon is the user's.
        ("openai", "ft:gpt-3.5-turbo") => &[":*", "-####:*"],
        ("openai", "ft:gpt-4-0") => &["###:*"],
        ("openai", "ft:gpt-4o-mini-2024-") => &["##-##:*"],
        // The name that Azure gives to fine-tuned models.
        ("openai", "gpt-4o-mini-2024-07-18.ft-") => &["*"],
        _ => return Err(format!("which names start with `{start}` is to be decided in {}", file!())),
    })
}

/// A regular expression of digits at the end of a name as a pattern of ours.
fn pattern(regex: &str) -> Result<String, Failed> {
    let wrong = || format!("`{regex}` is a regular expression that is not understood");
    let rest = regex.strip_prefix('^').ok_or_else(wrong)?;
    // Open at the end: any number of digits. Three is how Google numbers its versions.
    let rest = match rest.strip_suffix('$') {
        Some(whole) => whole.to_owned(),
        None => format!("{}###", rest.strip_suffix("\\d").ok_or_else(wrong)?),
    };
    let pattern =
        rest.replace("\\d{8}", "########").replace("\\d{4}", "####").replace("\\d{2}", "##").replace("\\.", ".");
    if pattern.contains(|c: char| r"\^$(){}|+*?".contains(c)) { Err(wrong()) } else { Ok(pattern) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::names;

    fn of(vendor: &str, rule: Value) -> Vec<String> {
        names(vendor, &rule).unwrap()
    }

    #[test]
    fn a_start_becomes_a_name_and_its_versions() {
        let rule = json!({ "or": [{ "starts_with": "claude-x-5" }, { "regex": r"^claude-x-5\.1[-@]\d{8}$" }] });
        assert_eq!(of("anthropic", rule), ["claude-x-5", "claude-x-5-########", "claude-x-5.1[-@]########"]);
        assert_eq!(of("openai", json!({ "starts_with": "ft:gpt-4o-mini-2024-" })), ["ft:gpt-4o-mini-2024-##-##:*"]);
        let rule = json!({ "and": [{ "starts_with": "gemini-x-preview" }, { "regex": "^(?!.*-tts)" }] });
        assert_eq!(of("google", rule), ["gemini-x-preview", "gemini-x-preview-##-##", "gemini-x-preview-##-####"]);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for rule in [json!({ "contains": "gpt" }), json!({ "regex": "^gpt-(4|5)$" }), json!({ "starts_with": "gpt-9" })]
        {
            assert!(names("openai", &rule).is_err(), "{rule}");
        }
    }
}
