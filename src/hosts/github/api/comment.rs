//! The comment on a pull request, and how it is known again: pure decisions.

use serde_json::{Value, json};

use crate::formats::markdown_comment;
use crate::report::Report;

/// GitHub takes 65,536 characters of a comment and 65,535 of a check's summary.
/// Bytes are never fewer, however it counts.
pub(super) const LONGEST_BODY: usize = 65_000;

/// Whether a comment begins with the marker. Whoever quotes one begins otherwise.
pub(super) fn is_marked(comment: &Value, marker: &str) -> bool {
    comment["body"].as_str().is_some_and(|body| body.starts_with(marker))
}

/// Whether a marked comment is our own token's. `me` is the user that the token
/// belongs to; an app's token belongs to none, and its comments are a bot's.
/// Anybody can paste a marker, and nobody's own words may be written over.
pub(super) fn is_ours(comment: &Value, me: Option<u64>) -> bool {
    let author = &comment["user"];
    match me {
        Some(me) => author["id"].as_u64() == Some(me),
        None => author["type"].as_str() == Some("Bot"),
    }
}

/// The comment: the short form, and the page of the run, which has the rest.
pub(super) fn body(marker: &str, report: &Report, page: Option<&str>) -> Value {
    let text = markdown_comment(report, LONGEST_BODY);
    // The page is made of the runner's own variables, and checked to be a plain address.
    let page = page.map(|page| format!("\n[The whole summary]({page})\n")).unwrap_or_default();
    json!({ "body": format!("{marker}\n{text}{page}") })
}

#[cfg(test)]
mod tests {
    use super::{body, is_marked, is_ours};
    use crate::formats::samples::{self, HOSTILE, failure};
    use serde_json::json;

    #[test]
    fn only_our_own_comment_is_ours() {
        let comment = |body: &str, id: u64, kind: &str| json!({ "body": body, "user": { "id": id, "type": kind } });
        let mark = "<!-- batchstep:1 -->";
        assert!(is_marked(&comment("<!-- batchstep:1 -->\nx", 1, "Bot"), mark));
        for other in ["x <!-- batchstep:1 -->", "> <!-- batchstep:1 -->", "<!-- batchstep:2 -->"] {
            assert!(!is_marked(&comment(other, 1, "Bot"), mark), "{other}");
        }
        assert!(!is_marked(&json!({ "body": null }), mark));
        let by = |id, kind, me| is_ours(&comment(mark, id, kind), me);
        assert!(by(5, "Bot", None) && !by(5, "User", None));
        assert!(by(5, "User", Some(5)) && !by(6, "User", Some(5)) && !by(6, "Bot", Some(5)));
        assert!(!is_ours(&json!({ "user": null }), None) && !is_ours(&json!({ "user": null }), Some(5)));
    }

    #[test]
    fn a_comment_stays_below_githubs_limit() {
        let mut report = samples::partial();
        report.failures = vec![failure(&"é".repeat(3_000), &"𝄞|".repeat(3_000), 1, &["x"; 9]); 50];
        report.hints = vec!["`|` ".repeat(50_000); 50];
        let body = body("<!-- batchstep:1 -->", &report, Some("https://github.com/o/r/actions/runs/1"));
        let body = body["body"].as_str().unwrap();
        assert!(body.len() > 10_000 && body.len() < 65_500, "{}", body.len());
        assert!(body.ends_with("[The whole summary](https://github.com/o/r/actions/runs/1)\n"));
    }

    #[test]
    fn hostile_text_forges_no_marker() {
        for text in HOSTILE {
            let body = body("<!-- batchstep:1 -->", &samples::hostile(text), None);
            assert_eq!(body["body"].as_str().unwrap().matches("<!--").count(), 1, "{text}");
        }
    }
}
