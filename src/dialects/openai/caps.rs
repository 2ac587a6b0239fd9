//! How many tokens the answers to a request may have at most, as its body says.
//!
//! Reasoning counts towards each of these limits. Source: OpenAI's API reference, "Create chat completion", "Create a
//! model response" and "Create completion".

use super::endpoints::Kind;
use crate::json::lenient::Seen;

/// The limits that a body sets, and how many answers it asks for.
#[derive(Debug, Default)]
pub(super) struct Caps<'de> {
    pub(super) n: Seen<'de>,
    pub(super) best_of: Seen<'de>,
    pub(super) max_tokens: Seen<'de>,
    pub(super) max_completion_tokens: Seen<'de>,
    pub(super) max_output_tokens: Seen<'de>,
}

impl Caps<'_> {
    /// The tokens that all answers may have together. None where no limit is set that the endpoint is known to keep.
    pub(super) fn output(&self, endpoint: &str, prompt: &Seen<'_>) -> Option<u64> {
        let answers = |seen: &Seen<'_>| whole(seen).unwrap_or(1).max(1);
        match Kind::of(endpoint) {
            Kind::Embeddings | Kind::Moderations => Some(0),
            // Whichever of the two a server goes by, the larger one is not too low.
            Kind::Chat => {
                let cap = whole(&self.max_completion_tokens).max(whole(&self.max_tokens))?;
                Some(cap.saturating_mul(answers(&self.n)))
            }
            Kind::Responses => whole(&self.max_output_tokens),
            // All that `best_of` makes is billed, and each prompt of a list is answered.
            Kind::Completions => {
                let answers = answers(&self.n).max(answers(&self.best_of)).saturating_mul(prompts(prompt));
                Some(whole(&self.max_tokens)?.saturating_mul(answers))
            }
            Kind::Other => None,
        }
    }
}

/// A number that is not negative, rounded up.
fn whole(seen: &Seen<'_>) -> Option<u64> {
    let Seen::Number(number) = seen else { return None };
    // Conversion saturates.
    number.as_u64().or_else(|| number.as_f64().filter(|number| *number >= 0.0).map(|number| number.ceil() as u64))
}

fn prompts(prompt: &Seen<'_>) -> u64 {
    match prompt {
        Seen::Array { len, of_numbers: false } => (*len).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use crate::requests::testing::{checked, rules};

    #[test]
    fn caps_are_those_of_the_endpoint_times_the_answers() {
        let (chat, completions) = ("/v1/chat/completions", "/v1/completions");
        for (url, body, cap) in [
            (chat, r#""messages":[1]"#, None),
            (chat, r#""messages":[1],"max_tokens":5"#, Some(5)),
            (chat, r#""messages":[1],"max_tokens":5,"max_completion_tokens":7,"n":3"#, Some(21)),
            (chat, r#""messages":[1],"max_completion_tokens":null"#, None),
            (chat, r#""messages":[1],"max_completion_tokens":"9""#, None),
            (chat, r#""messages":[1],"max_completion_tokens":9.5,"n":0"#, Some(10)),
            (chat, r#""messages":[1],"max_completion_tokens":-1"#, None),
            (chat, r#""messages":[1],"max_completion_tokens":1e30,"n":9"#, Some(u64::MAX)),
            (chat, r#""messages":[1],"max_output_tokens":5"#, None),
            ("/v1/responses", r#""input":"x","max_output_tokens":8,"n":2"#, Some(8)),
            ("/v1/responses", r#""input":"x","max_tokens":8"#, None),
            (completions, r#""prompt":"x","max_tokens":8,"n":2,"best_of":5"#, Some(40)),
            (completions, r#""prompt":["x","y"],"max_tokens":8"#, Some(16)),
            (completions, r#""prompt":[1,2,3],"max_tokens":8"#, Some(8)),
            (completions, r#""prompt":"x""#, None),
            ("/v1/embeddings", r#""input":["x","y"]"#, Some(0)),
            ("/v1/moderations", r#""input":"x""#, Some(0)),
            ("/v1/images/generations", r#""prompt":"x","n":2"#, None),
        ] {
            let line = format!(r#"{{"custom_id":"a","method":"POST","url":"{url}","body":{{"model":"m",{body}}}}}"#);
            let shard = &checked(&[("a", &line)], &rules()).shards[0];
            let (expected, uncapped) = (cap.unwrap_or(0), u64::from(cap.is_none()));
            assert_eq!((shard.survey.output_cap, shard.survey.uncapped), (expected, uncapped), "{line}");
        }
    }
}
