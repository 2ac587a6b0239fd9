//! GitLab's API as far as a run meets it: notes of merge requests and commit statuses, with a memory.
//!
//! Written from <https://docs.gitlab.com/api/notes/>, <https://docs.gitlab.com/api/commits/#commit-status>,
//! <https://docs.gitlab.com/api/rest/#pagination> and, for what a status may become, GitLab's own
//! `app/services/ci/create_commit_status_service.rb`.

use hyper::header::HeaderMap;
use serde_json::{Value, json};

use crate::github_server::Call;
use crate::host_server::Api;

/// The token that it takes.
pub const TOKEN: &str = "glpat-0123456789abcdefghij";
/// The commit of the pipeline.
pub const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Whose token it is.
pub const ME: u64 = 41;

/// Project 5 with merge request 7.
#[derive(Default)]
pub struct GitLab {
    /// All notes, the oldest first.
    pub notes: Vec<Value>,
    /// All statuses, the oldest first.
    pub statuses: Vec<Value>,
    next_id: u64,
}

impl GitLab {
    /// A note that somebody wrote.
    pub fn note_by(&mut self, author: u64, body: &str) -> Value {
        self.next_id += 1;
        let note = json!({
            "id": self.next_id, "body": body, "system": false, "noteable_type": "MergeRequest", "noteable_iid": 7,
            "author": { "id": author, "username": format!("user{author}"), "state": "active" },
        });
        self.notes.push(note.clone());
        note
    }

    fn set_status(&mut self, wanted: &Value) -> (u16, Value, Option<u64>) {
        let state = wanted["state"].as_str().unwrap();
        assert!(["pending", "running", "success", "failed", "canceled", "skipped"].contains(&state), "{wanted}");
        for member in ["name", "description", "target_url"] {
            let fits = |text: &str| (1..=255).contains(&text.chars().count()) && !text.contains('\n');
            assert!(wanted.get(member).is_none_or(|text| text.as_str().is_some_and(fits)), "{member}: {wanted}");
        }
        assert_eq!(wanted["pipeline_id"], 123);
        // One that ended is left as it is: another one is made.
        let is_open = |status: &&mut Value| status["name"] == wanted["name"] && status["status"] == "running";
        if let Some(open) = self.statuses.iter_mut().find(is_open) {
            if state == "running" {
                let why =
                    "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")";
                return (400, json!({ "message": why }), None);
            }
            open["status"] = json!(state);
            open["description"] = wanted["description"].clone();
            open["target_url"] = wanted["target_url"].clone();
            return (201, open.clone(), None);
        }
        self.next_id += 1;
        let status = json!({
            "id": self.next_id, "sha": HEAD, "status": state, "name": wanted["name"], "ref": "main",
            "description": wanted["description"], "target_url": wanted["target_url"], "author": { "id": ME },
        });
        self.statuses.push(status.clone());
        (201, status, None)
    }
}

impl Api for GitLab {
    fn check(&self, headers: &HeaderMap) {
        assert_eq!(headers["private-token"], TOKEN);
        assert!(!headers.contains_key("authorization"));
    }

    fn act(&mut self, call: &Call) -> (u16, Value, Option<u64>) {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let parts: Vec<&str> = path.strip_prefix("/api/v4/").unwrap().split('/').collect();
        match (call.method.as_str(), &parts[..]) {
            ("GET", ["user"]) => (200, json!({ "id": ME, "username": "project_5_bot", "bot": true }), None),
            ("GET", ["projects", "5", "merge_requests", "7", "notes"]) => {
                let of =
                    |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
                assert_eq!((of("sort").unwrap().1, of("order_by").unwrap().1), ("asc", "created_at"));
                let number = |name, usual| of(name).map_or(usual, |(_, value)| value.parse().unwrap());
                let (size, page): (usize, usize) = (number("per_page", 20).min(100), number("page", 1));
                let notes: Vec<&Value> = self.notes.iter().skip((page - 1) * size).take(size).collect();
                let next = (self.notes.len() > page * size).then_some(page as u64 + 1);
                (200, json!(notes), next)
            }
            ("POST", ["projects", "5", "merge_requests", "7", "notes"]) => (201, self.note_by(ME, note(call)), None),
            ("PUT", ["projects", "5", "merge_requests", "7", "notes", id]) => {
                let id: u64 = id.parse().unwrap();
                let Some(found) = self.notes.iter_mut().find(|note| note["id"] == id) else {
                    return (404, json!({ "message": "404 Note Not Found" }), None);
                };
                assert_eq!(found["author"]["id"], ME, "only an author may change a note");
                found["body"] = json!(note(call));
                (200, found.clone(), None)
            }
            ("POST", ["projects", "5", "statuses", HEAD]) => self.set_status(&call.body),
            _ => panic!("no such call: {call:?}"),
        }
    }
}

/// A note's text. A line that begins with a slash would be carried out.
fn note(call: &Call) -> &str {
    let body = call.body["body"].as_str().unwrap();
    assert!((1..=1_000_000).contains(&body.chars().count()));
    assert!(!body.lines().any(|line| line.starts_with('/')), "{body}");
    body
}
