//! The check of the requests: one streaming pass that finds every fault.
//!
//! The pass also makes the digest of the bytes and the table of ids, so that
//! nothing later has to read the requests only to know what they are. What the
//! bytes are is in `source.rs`; what they must hold together is in `pass.rs`, and
//! what one line must hold is for the dialect to say.

pub(crate) mod fault;
mod foreign;
pub(crate) mod halves;
pub(crate) mod ids;
mod in_create;
pub(crate) mod lines;
mod oddities;
pub(crate) mod outgoing;
mod pass;
pub(crate) mod places;
mod ranged;
pub(crate) mod shards;
pub(crate) mod source;
pub(crate) mod survey;

pub(crate) use self::fault::Fault;

use self::ids::Ids;
use self::lines::{LONGEST_REQUEST, Lines};
use self::pass::Pass;
use self::places::Places;
use self::shards::Shard;
use self::source::Source;
use crate::dialects::Rules;
use crate::error::{Error, Exit};

/// What the check learned.
#[derive(Debug)]
pub struct Checked {
    /// Requests: the lines of all files.
    pub total: u64,
    /// Bytes that are sent.
    pub bytes: u64,
    /// The digest of these bytes.
    pub digest: blake3::Hash,
    /// The endpoint of all requests, if they have the same.
    pub endpoint: Option<String>,
    /// The model of all requests, if they name the same.
    pub model: Option<String>,
    /// Which of them go into which batch. Of no worth where there are faults.
    pub shards: Vec<Shard>,
    /// Which request an id belongs to.
    pub ids: Ids,
    /// Whether any asks for an answer of a certain form.
    pub is_structured: bool,
    /// Where each line came from.
    pub places: Places,
    /// The first thousand faults; those of the whole first, then by line.
    pub faults: Vec<Fault>,
    /// All faults.
    pub fault_count: u64,
    /// What is no fault but worth knowing.
    pub warnings: Vec<String>,
}

/// Checks the requests and finds all their faults, in one pass and bounded
/// memory: 30 bytes a request, and once the longest line. Blocks while it reads.
///
/// # Errors
/// Ends in exit 2 if the chosen endpoint does not exist, in exit 3 if the
/// requests cannot be read. Faults are no error; they are in what is returned.
pub fn check(source: &Source, rules: &Rules) -> Result<Checked, Error> {
    rules.dialect.check_endpoint(rules)?;
    let failed = |error| Error::new(Exit::Invalid, "The requests cannot be read.").because(error);
    let mut lines = Lines::new(source.open(), LONGEST_REQUEST);
    let mut pass = Pass::new(source, rules);
    while let Some(block) = lines.block().map_err(failed)? {
        if pass.is_full() {
            return Err(Error::new(Exit::Invalid, "There are more than 4,000,000,000 requests.").hint("Split them."));
        }
        pass.block(&block);
    }
    Ok(pass.finish())
}

/// Checks for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Checked, Fault, Rules, check};
    use crate::dialects::{Limits, Name, choose};
    use crate::requests::source::testing::source;

    /// OpenAI's rules, with limits that a test can reach.
    pub(crate) fn rules() -> Rules {
        let limits = Limits { max_requests: Some(1000), max_bytes: Some(1_000_000), max_embedding_inputs: Some(5) };
        Rules { limits, ..choose(Name::Openai).rules() }
    }

    /// What a check of these files says.
    pub(crate) fn checked(files: &[(&str, &str)], rules: &Rules) -> Checked {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        check(&source(&files).0, rules).unwrap()
    }

    /// The sentences about these files, each on a line.
    pub(crate) fn faults(files: &[(&str, &str)]) -> String {
        let checked = checked(files, &rules());
        assert_eq!(checked.fault_count, checked.faults.iter().map(Fault::count).sum::<u64>());
        checked.faults.iter().map(Fault::sentence).collect::<Vec<_>>().join("\n")
    }

    /// A request that is as it should be.
    pub(crate) fn chat(id: &str) -> String {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
        format!(r#"{{"custom_id":{id:?},"method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::{Fault, Rules, check};
    use crate::dialects::{Endpoints, Limits, Name, choose};
    use crate::error::Exit;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, checked, faults, rules};

    #[test]
    fn a_file_without_faults_is_known_by_its_parts() {
        let text = format!("{}\r\n{}", chat("a"), chat("ü"));
        let checked = checked(&[("a", &text), ("b", &chat("c"))], &rules());
        assert_eq!((checked.faults.len(), checked.warnings.len(), checked.total), (0, 0, 3));
        assert_eq!(checked.endpoint.as_deref(), Some("/v1/chat/completions"));
        assert_eq!(checked.model.as_deref(), Some("m"));
        assert_eq!((checked.ids.find("ü"), checked.ids.find("c"), checked.ids.len()), (Some(1), Some(2), 3));
        assert_eq!(checked.places.locate(3), Some(("b", 1)));
        let sent = format!("{text}\n{}", chat("c"));
        assert_eq!((checked.bytes, checked.shards[0].digest), (sent.len() as u64, blake3::hash(sent.as_bytes())));
    }

    #[test]
    fn ids_are_unique_across_files_and_compared_decoded() {
        let again = chat("x").replace(r#""x""#, r#""\u0061""#);
        assert_snapshot!(faults(&[("one", &chat("a")), ("two", &format!("{}\n{again}", chat("b")))]), @"two:2: `custom_id` is `a`; it must be unique, and one:1 has the same: change one of them");
    }

    #[test]
    fn endpoints_and_models_go_into_batches_of_their_own() {
        let responses = r#"{"custom_id":"b","method":"POST","url":"/v1/responses","body":{"model":"n","input":"x"}}"#;
        let mixed = checked(&[("one", &[&chat("a"), responses, &chat("c")].join("\n"))], &rules());
        let plan: Vec<_> = mixed.shards.iter().map(|s| (s.endpoint.as_str(), s.model.as_deref(), s.requests)).collect();
        assert_eq!(plan, [("/v1/chat/completions", Some("m"), 2), ("/v1/responses", Some("n"), 1)]);
        assert_eq!((mixed.fault_count, mixed.endpoint, mixed.model), (0, None, None));
        let lost = chat("c").replace("/v1", "");
        assert_snapshot!(faults(&[("one", &lost)]), @"one:1: `url` is `/chat/completions`; it takes no batches: write `/v1/chat/completions`");
        let chosen = Rules { endpoint: Some("/v1/responses".into()), ..rules() };
        let checked = checked(&[("one", &chat("a"))], &chosen);
        assert_snapshot!(checked.faults[0].sentence(), @"one:1: `url` is `/v1/chat/completions`; the chosen endpoint is `/v1/responses`: change one of them");
    }

    #[test]
    fn a_chosen_endpoint_is_the_batchs_where_others_than_openais_are_known() {
        let chosen = Rules { endpoint: Some("/chat/completions".into()), ..choose(Name::Compatible).rules() };
        let bare = |id: &str| {
            let line = chat(id).replace(r#""method":"POST","url":"/v1/chat/completions","#, "");
            assert!(!line.contains("method"));
            line
        };
        let responses = r#"{"custom_id":"b","method":"POST","url":"/v1/responses","body":{"model":"m","input":"x"}}"#;
        let mixed = checked(&[("one", &[&chat("a"), responses, &bare("c")].join("\n"))], &chosen);
        let plan: Vec<_> = mixed.shards.iter().map(|shard| (shard.endpoint.as_str(), shard.requests)).collect();
        assert_eq!((mixed.fault_count, plan), (0, vec![("/chat/completions", 3)]));
        assert_eq!(chosen.answers_of("/chat/completions"), None, "a line may name another");
        assert_eq!(rules().answers_of("/v1/responses"), Some("/v1/responses"));
        // What is there must still be right, and what is held must fit the endpoint.
        let known = Rules { endpoint: Some("/v1/chat/completions".into()), ..chosen.clone() };
        let wrong = [
            bare("a").replace("messages", "massages"),
            chat("b").replace("POST", "GET"),
            chat("c").replace(r#""/v1/chat/completions""#, "7"),
        ];
        assert_eq!(checked(&[("one", &wrong.join("\n"))], &known).fault_count, 3);
        // OpenAI wants all of it in each line; without a choice nobody knows where they go.
        assert_eq!(checked(&[("one", &bare("a"))], &Rules { endpoints: Endpoints::Known, ..known }).fault_count, 1);
        assert_eq!(checked(&[("one", &bare("a"))], &Rules { endpoint: None, ..chosen }).fault_count, 1);
    }

    #[test]
    fn of_requests_that_were_sent_only_the_ids_matter() {
        let lines = [r#"{"custom_id":"a","body":{}}"#, r#"{"custom_id":"b"}"#, r#"{"custom_id":"a"}"#, "{}"];
        let sent = checked(&[("one", &lines.join("\n"))], &Rules::of_sent(choose(Name::Openai).dialect));
        assert_eq!((sent.fault_count, sent.ids.find("b"), sent.total), (2, Some(1), 4));
    }

    #[test]
    fn requests_without_a_model_go_into_a_batch_of_their_own() {
        let named = |id: &str, model: &str| {
            format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/moderations","body":{{{model}"input":"x"}}}}"#)
        };
        let model = r#""model":"omni","#;
        let lines = [named("a", ""), named("b", model), named("c", ""), named("d", model)].join("\n");
        let checked = checked(&[("one", &lines)], &rules());
        let plan: Vec<_> = checked.shards.iter().map(|shard| (shard.model.as_deref(), shard.requests)).collect();
        assert_eq!((checked.fault_count, plan), (0, vec![(None, 2), (Some("omni"), 2)]));
        assert_eq!(checked.digest, blake3::hash(lines.as_bytes()));
    }

    #[test]
    fn an_unknown_endpoint_is_an_error_or_a_warning() {
        let rules = Rules { endpoint: Some("/v1/rerank".into()), ..rules() };
        let text = chat("a").replace("chat/completions", "rerank").replace("messages", "documents");
        let (source, _dir) = source(&[("a", format!("{text}\n{}", text.replace(r#""a""#, r#""b""#)).as_bytes())]);
        let error = check(&source, &rules).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert_snapshot!(error.message, @"`endpoint` is `/v1/rerank`, which takes no batches.");
        let compatible = Rules { endpoints: Endpoints::Any, ..rules };
        let checked = check(&source, &compatible).unwrap();
        assert_eq!((checked.fault_count, checked.endpoint.as_deref()), (0, Some("/v1/rerank")));
        assert_snapshot!(checked.warnings.join("\n"), @"`/v1/rerank` is not one of OpenAI's batch endpoints; the server may not support it.");
    }

    #[test]
    fn of_a_file_that_is_something_else_no_line_has_a_warning() {
        let odd = |id: &str| chat(id).replace(r#""model""#, r#""max_token":5,"model""#);
        let foreign = |id: &str| chat(id).replace("chat/completions", "rerank");
        let merge = [&odd("b"), &foreign("c"), "<<<<<<< HEAD", &odd("d"), "=======", &odd("e"), ">>>>>>> x"].join("\n");
        let rules = choose(Name::Compatible).rules();
        let alone = checked(&[("merge", &merge)], &rules);
        assert_eq!((alone.fault_count, alone.warnings.len()), (1, 0), "{:?}", alone.warnings);
        let two = [("a", &*odd("a")), ("merge", &merge), ("z", &odd("z"))];
        assert_snapshot!(checked(&two, &rules).warnings.join("\n"), @"a:1 and 1 more line: `body.max_token` is unknown to the API, which has `max_tokens`: write that if it was meant.");
        // The line with the fault that makes somebody look at the file has a warning of its own.
        let inside = odd("a").replace("POST", "GET");
        let body = foreign("a").replacen('{', &format!(r#"{{"requests":[{inside}],"#), 1).replace("POST", "GET");
        let wrapped = checked(&[("wrapped", &body)], &rules);
        assert_eq!((wrapped.fault_count, wrapped.warnings.len()), (1, 0), "{:?}", wrapped.warnings);
    }

    #[test]
    fn a_batch_has_limits_and_a_request_that_fits_in_none_is_a_fault() {
        let embed = |id: &str, input: &str| {
            format!(
                r#"{{"custom_id":"{id}","method":"POST","url":"/v1/embeddings","body":{{"model":"m","input":{input}}}}}"#
            )
        };
        let lines = [("a", r#""x""#), ("b", r#"["x","y"]"#), ("c", "[1,2,3]"), ("d", "[[1],[2]]")];
        let text = lines.map(|(id, input)| embed(id, input)).join("\n");
        let requests = |limits: Limits| -> Vec<u64> {
            checked(&[("one", &text)], &Rules { limits, ..rules() }).shards.iter().map(|shard| shard.requests).collect()
        };
        assert_eq!(requests(Limits { max_requests: Some(3), ..rules().limits }), [3, 1]);
        assert_eq!(requests(Limits { max_bytes: Some(200), ..rules().limits }), [2, 2]);
        assert_eq!(requests(Limits { max_embedding_inputs: Some(2), ..rules().limits }), [1, 1, 1, 1]);
        let limits = Limits { max_bytes: Some(95), max_embedding_inputs: Some(1), ..rules().limits };
        let tight = Rules { limits, ..rules() };
        let checked = checked(&[("one", &text), ("two", "{")], &tight);
        let sentences: Vec<_> = checked.faults.iter().map(Fault::sentence).collect();
        assert_snapshot!(sentences.join("\n"), @"
        one:2: 2 embedding inputs; a batch takes at most 1: split the request
        one:2: 96 bytes; a batch takes at most 95: split the request
        one:4: 2 embedding inputs; a batch takes at most 1: split the request
        one:4: 96 bytes; a batch takes at most 95: split the request
        two:1:1: the JSON ends too early; each line is one whole JSON object: write the whole request on one line
        ");
        assert_snapshot!(faults(&[("one", ""), ("two", "")]), @"one and 1 more: no requests at all; each line is one request: write at least one");
    }

    #[test]
    fn many_faults_are_counted_and_the_first_shown() {
        let checked = checked(&[("one", &"{}\n{\n".repeat(500))], &rules());
        assert_eq!((checked.faults.len(), checked.fault_count), (1_000, 2_500));
    }

    proptest! {
        /// A naive reading of the same lines, which holds all and parses all.
        #[test]
        fn the_check_agrees_with_a_naive_one(
            rows in prop::collection::vec((0u8..6, prop::sample::select(vec!["a", "b", "é\n", "\"", ""]), any::<bool>()), 1..8),
            cut in 0usize..8,
        ) {
            let lines: Vec<String> = rows.iter().map(|(kind, id, crlf)| {
                let good = chat(id);
                let line = match kind {
                    0 => good[..good.len() - 1].to_owned(),
                    1 => "  ".to_owned(),
                    2 => good.replace("POST", "GET"),
                    _ => good,
                };
                if *crlf { line + "\r" } else { line }
            }).collect();
            let (left, right) = lines.split_at(cut.min(lines.len()));
            let trimmed = |lines: &[String]| {
                let last = lines.iter().rposition(|line| !line.trim_ascii().is_empty());
                lines[..last.map_or(0, |last| last + 1)].to_vec()
            };
            let (left, right) = (trimmed(left), trimmed(right));
            let lines = [&left[..], &right].concat();
            let checked = checked(&[("l", &left.join("\n")), ("r", &right.join("\n"))], &rules());

            let mut ids = std::collections::HashMap::new();
            let mut faults = u64::from(lines.is_empty());
            for (index, line) in lines.iter().enumerate() {
                let Ok(row) = serde_json::from_str::<serde_json::Value>(line) else { faults += 1; continue };
                let id = row["custom_id"].as_str().unwrap().to_owned();
                faults += u64::from(id.is_empty()) + u64::from(row["method"] != "POST");
                if !id.is_empty() && *ids.entry(id).or_insert(index) != index { faults += 1; }
            }
            prop_assert_eq!((checked.total, checked.fault_count), (lines.len() as u64, faults));
            for (id, index) in ids {
                prop_assert_eq!(checked.ids.find(&id), Some(index as u32));
            }
            if let ([shard], 0) = (&checked.shards[..], checked.fault_count) {
                prop_assert_eq!(shard.digest, blake3::hash(lines.join("\n").as_bytes()));
            }
        }
    }
}
