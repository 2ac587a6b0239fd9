//! A run shown through GitLab's API: a note on the merge request, a status of the commit.
//!
//! Nothing here changes a verdict: trouble is a warning, time is short, and
//! after a signal there is one try of each. A status is shown when the run begins and when it ends: GitLab refuses to
//! change one that is running but to end it. Sources: <https://docs.gitlab.com/api/notes/>,
//! <https://docs.gitlab.com/api/commits/#commit-status>.

use std::cell::Cell;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use http::Method;
use serde_json::{Value, json};

use crate::client::{HostClient, is_plain_page};
use crate::emitter::Events;
use crate::env::Env;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::formats::{markdown_comment, without_alerts};
use crate::hosts::{
    HostMark, PublishOptions, Publisher, Reach, Rest, Trouble, check_name, check_names, ended_as, in_time, is_commit,
    marker, under_way,
};
use crate::policy::{CHECK_OPENING, PUBLISHING};
use crate::report::Report;
use crate::shutdown::Shutdown;
use crate::text::first_chars;

/// GitLab takes a million characters; a note is for reading. In bytes.
const LONGEST_NOTE: usize = 100_000;
/// How many digits of a commit people read, as GitLab shows them.
const SHORT_SHA: usize = 8;
/// The longest address that a status may lead to, in characters.
const LONGEST_TARGET: usize = 255;
/// What refusals of a token have in common.
const TOKEN: &str =
    "`gitlab-token` must be an access token with the scope `api` and the role Developer of this project.";

/// What refers to something of GitLab's before a number, in our Markdown; so does a percent sign in text.
const BEFORE_NUMBERS: [&str; 5] = ["!", "&#33;", "&#36;", "&#37;", "&#38;"];
/// Shows as nothing, breaks a reference and no line.
const JOINER: char = '\u{2060}';
/// What refers to a label before its number or name; a percent sign does so to a milestone.
const BEFORE_NAMES: &str = "&#126;";

/// Shows a run on GitLab.
pub(super) struct GitLabApi {
    rest: Rest,
    shutdown: Shutdown,
    place: Place,
    options: PublishOptions,
    /// The status's name, which the note's marker is made of.
    name: String,
    /// Whether the status was refused: then there will be none.
    is_refused: Cell<bool>,
}

/// Where on GitLab a run can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The path of the merge request.
    merge_request: Option<String>,
    /// The path of the commit's statuses.
    statuses: Option<String>,
    sha: String,
    pipeline: Option<u64>,
    /// The pages of the pipeline and of the job.
    pipeline_page: Option<String>,
    job_page: Option<String>,
}

impl Place {
    /// Reads the runner's variables.
    fn find(env: &Env) -> Self {
        let number = |name: &str| env.get(name)?.parse::<u64>().ok();
        let page = |name: &str| env.get(name).filter(|page| is_plain_page(page)).map(str::to_owned);
        let sha = env.get("CI_COMMIT_SHA").unwrap_or_default();
        let project = number("CI_PROJECT_ID");
        // The merge request of a fork belongs to the project that it was forked from.
        let target = number("CI_MERGE_REQUEST_PROJECT_ID").or(project);
        let request = target.zip(number("CI_MERGE_REQUEST_IID"));
        Self {
            merge_request: request.map(|(project, iid)| format!("/projects/{project}/merge_requests/{iid}")),
            statuses: project.filter(|_| is_commit(sha)).map(|project| format!("/projects/{project}/statuses/{sha}")),
            sha: sha.to_owned(),
            pipeline: number("CI_PIPELINE_ID"),
            pipeline_page: page("CI_PIPELINE_URL"),
            job_page: page("CI_JOB_URL"),
        }
    }
}

impl GitLabApi {
    /// Finds out where a run can be shown. The error says why it cannot.
    pub(super) fn new(
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
        workspace: Option<&str>,
    ) -> Result<Self, Error> {
        let token = options.gitlab_token.clone();
        let token = token.ok_or_else(|| Error::usage("`comment` and `check-run` need a `gitlab-token`"))?;
        let url = env.get("CI_API_V4_URL").ok_or_else(|| Error::usage("CI_API_V4_URL names no API"))?;
        // The address is not repeated: it may hold a password.
        let client = HostClient::new(url, ("private-token", token), reach.ca_bundle)
            .map_err(|error| Error::usage("The API at CI_API_V4_URL cannot be used").because(error))?;
        Ok(Self {
            rest: Rest::new(client, reach.shutdown.clone()),
            shutdown: reach.shutdown.clone(),
            place: Place::find(env),
            name: check_name(&check_names(&options.requests, workspace)),
            options,
            is_refused: Cell::new(false),
        })
    }

    /// Shows that the run begins, if a status is asked for.
    async fn open(&self, report: &Report, events: &Events<'_>) {
        if !self.options.check_run {
            return;
        }
        let status = self.status("running", &under_way(report), self.place.pipeline_page.as_deref());
        match in_time(&self.shutdown, CHECK_OPENING, self.put_status(&status)).await {
            Some(Ok(id)) => {
                let on = format!("commit {}", first_chars(&self.place.sha, SHORT_SHA));
                events.emit(Event::CheckOpened { id, name: self.name.clone(), on });
            }
            Some(Err(trouble)) => {
                self.is_refused.set(matches!(trouble, Trouble::Refused(..)));
                events.emit(Event::Warned(warning("The status could not be shown", &trouble)));
            }
            None => events.emit(Event::Warned("The status could not be shown in time.".to_owned())),
        }
    }

    async fn end(&self, report: &Report, events: &Events<'_>) {
        let both = async { tokio::join!(self.conclude(report, events), self.comment(report, events)) };
        if in_time(&self.shutdown, PUBLISHING, both).await.is_none() {
            let late = "GitLab does not show how this run ended: it did not answer in time.";
            events.emit(Event::Warned(late.to_owned()));
        }
    }

    async fn conclude(&self, report: &Report, events: &Events<'_>) {
        if !self.options.check_run || self.is_refused.get() {
            return;
        }
        let Some(state) = state(report) else { return };
        let batch_page = report.batches.iter().find_map(|batch| batch.url.as_deref());
        let page = batch_page.filter(|page| is_plain_page(page)).or(self.place.pipeline_page.as_deref());
        if let Err(trouble) = self.put_status(&self.status(state, &ended_as(report), page)).await {
            events.emit(Event::Warned(warning("The status could not be concluded", &trouble)));
        }
    }

    fn status(&self, state: &str, description: &str, page: Option<&str>) -> Value {
        let mut status = json!({ "state": state, "name": self.name, "description": description });
        if let Some(page) = page.filter(|page| page.len() <= LONGEST_TARGET) {
            status["target_url"] = json!(page);
        }
        if let Some(pipeline) = self.place.pipeline {
            status["pipeline_id"] = json!(pipeline);
        }
        status
    }

    /// Puts the status into this state; returns its id.
    async fn put_status(&self, status: &Value) -> Result<String, Trouble> {
        let Some(path) = &self.place.statuses else {
            return Err(Trouble::Refused(404, "the job's variables name no commit".to_owned()));
        };
        match self.rest.again(&Method::POST, path, Some(status)).await {
            Ok(reply) => Ok(reply.body["id"].to_string()),
            // It is in this state already: the reply to our first try was lost, or an earlier run of the name was killed.
            Err(Trouble::Refused(400, says)) if says.contains("Cannot transition status") => Ok(String::new()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn comment(&self, report: &Report, events: &Events<'_>) {
        // A skipped run has nothing to say that the log does not.
        if !self.options.comment || report.outcome == Outcome::Skipped {
            return;
        }
        let Some(request) = self.place.merge_request.as_deref() else {
            let notice = "There is no merge request to comment on: this pipeline is not a merge request's.";
            events.emit(Event::Noticed(notice.to_owned()));
            return;
        };
        if let Err(trouble) = self.put_note(request, report).await {
            events.emit(Event::Warned(warning("The comment could not be written", &trouble)));
        }
    }

    /// Writes our note anew, or the first one.
    async fn put_note(&self, request: &str, report: &Report) -> Result<(), Trouble> {
        let (marker, notes) = (marker(&self.name), format!("{request}/notes"));
        let note = json!({ "body": body(&marker, report, self.place.job_page.as_deref()) });
        if let Some(id) = self.find_note(&notes, &marker).await? {
            match self.rest.again(&Method::PUT, &format!("{notes}/{id}"), Some(&note)).await {
                Ok(_) => return Ok(()),
                // Somebody deleted it a moment ago.
                Err(Trouble::Refused(404, _)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let make = async || self.rest.once(&Method::POST, &notes, Some(&note)).await.map(drop);
        self.rest.make_one(make, async || Ok(self.find_note(&notes, &marker).await?.is_some())).await
    }

    /// Our note, if there is one: the oldest that has the mark and is our token's own. Anybody can paste a mark, and
    /// nobody's own words may be written over.
    async fn find_note(&self, notes: &str, marker: &str) -> Result<Option<u64>, Trouble> {
        let is_marked = |note: &Value| note["body"].as_str().is_some_and(|body| body.starts_with(marker));
        let marked = self.rest.pages(&format!("{notes}?sort=asc&order_by=created_at"), is_marked).await?;
        if marked.is_empty() {
            return Ok(None);
        }
        let me =
            self.rest.again(&Method::GET, "/user", None).await?.body["id"].as_u64().ok_or_else(Trouble::strange)?;
        let ours = marked.iter().find(|note| note["author"]["id"].as_u64() == Some(me));
        ours.map(|note| note["id"].as_u64().ok_or_else(Trouble::strange)).transpose()
    }
}

impl Publisher for GitLabApi {
    fn begin<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>> {
        self.open(report, events).map(|()| None).boxed_local()
    }

    fn finish<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, bool> {
        self.end(report, events).map(|()| true).boxed_local()
    }

    fn leave_comment(&mut self) {
        self.options.comment = false;
    }
}

/// How a status ends; none where there is nothing to say. A running status would hold up its pipeline, so one whose
/// batch goes on without us ends like its job.
fn state(report: &Report) -> Option<&'static str> {
    match report.outcome {
        Outcome::Skipped => None,
        Outcome::Cancelled => Some("canceled"),
        _ if report.exit_code == Exit::Ok.code() => Some("success"),
        _ => Some("failed"),
    }
}

/// The note: the short form, and the page of the job, which has the rest.
fn body(marker: &str, report: &Report, page: Option<&str>) -> String {
    let page = page.map(|page| format!("\n[The job's log]({page})\n")).unwrap_or_default();
    format!("{marker}\n{}{page}", inert(&without_alerts(&markdown_comment(report, LONGEST_NOTE))))
}

/// Markdown of which GitLab makes no more than GitHub: a line that begins with a slash would be a command to it
/// (<https://docs.gitlab.com/user/project/quick_actions/>), carried out with the token's rights. `!1`, `$1`, `%1`, `&1`
/// and `~1` would refer to a merge request, a snippet, a milestone, an epic and a label, the sign as an entity, too;
/// `%name` and `~name` to a milestone and a label (<https://docs.gitlab.com/user/markdown/#gitlab-specific-references>).
/// In code and addresses none of them does, so percent signs stay there as they are.
fn inert(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len() + 64);
    for line in markdown.split_inclusive('\n') {
        let rest = line.trim_start();
        text.push_str(&line[..line.len() - rest.len()]);
        let begin = text.len();
        if rest.starts_with('/') {
            text.push('\\');
        }
        for c in rest.chars() {
            if refers(&text[begin..], c) {
                text.push(JOINER);
            }
            text.push(c);
        }
    }
    text
}

/// Whether a line's end and the character after it begin a reference.
fn refers(line: &str, after: char) -> bool {
    if line.rfind("<code>") > line.rfind("</code>") {
        return false;
    }
    let is_percent = line.strip_suffix('%').is_some_and(is_text);
    let is_number = is_percent || BEFORE_NUMBERS.iter().any(|sign| line.ends_with(sign));
    let is_name = is_percent || line.ends_with(BEFORE_NAMES);
    (is_number && after.is_ascii_digit()) || (is_name && !after.is_whitespace())
}

/// Whether what follows this part of a line is text that may refer: not code, an address or the end of a word, such as
/// a percentage.
fn is_text(line: &str) -> bool {
    let is_code = line.matches('`').count() % 2 == 1;
    let is_address = line.rfind("](").is_some_and(|at| !line[at..].contains(')'));
    !is_code && !is_address && !line.ends_with(char::is_alphanumeric)
}

fn warning(what: &str, trouble: &Trouble) -> String {
    trouble.warning("GitLab", what, TOKEN)
}

#[cfg(test)]
mod tests {
    use super::{Place, body, inert, state};
    use crate::error::{Exit, Outcome};
    use crate::formats::samples::{self, HOSTILE, failure, set_verdict};

    #[test]
    fn a_merge_request_of_a_fork_is_its_targets() {
        let sha = "a".repeat(40);
        let of = |more: &[(&str, &str)]| {
            let own = [("CI_PROJECT_ID", "5"), ("CI_COMMIT_SHA", sha.as_str()), ("CI_PIPELINE_ID", "9")];
            Place::find(&own.iter().chain(more).copied().collect())
        };
        let own = of(&[("CI_MERGE_REQUEST_IID", "7")]);
        assert_eq!(own.merge_request.as_deref(), Some("/projects/5/merge_requests/7"));
        assert_eq!(own.statuses, Some(format!("/projects/5/statuses/{sha}")));
        let fork = of(&[("CI_MERGE_REQUEST_IID", "7"), ("CI_MERGE_REQUEST_PROJECT_ID", "3")]);
        assert_eq!(fork.merge_request.as_deref(), Some("/projects/3/merge_requests/7"));
        assert_eq!(of(&[]).merge_request, None);
        for wrong in ["../../users", "7/../8", "-7"] {
            assert_eq!(of(&[("CI_MERGE_REQUEST_IID", wrong)]).merge_request, None, "{wrong}");
        }
        let page = ("CI_JOB_URL", "https://me:secret@gitlab.example/job");
        assert_eq!(of(&[page]).job_page, None);
    }

    #[test]
    fn a_status_ends_like_its_job() {
        let ended = |outcome, exit| {
            let mut report = samples::succeeded();
            set_verdict(&mut report, outcome, exit, "It ended.");
            state(&report)
        };
        assert_eq!(ended(Outcome::Partial, Exit::Ok), Some("success"));
        assert_eq!(ended(Outcome::Detached, Exit::Ok), Some("success"));
        assert_eq!(ended(Outcome::Pending, Exit::Usage), Some("failed"));
        assert_eq!(ended(Outcome::Cancelled, Exit::Usage), Some("canceled"));
        assert_eq!(ended(Outcome::Skipped, Exit::Ok), None);
    }

    #[test]
    fn hostile_text_gives_no_command_and_forges_no_marker() {
        let commands = ["/merge", "/close\n/approve", " /label ~x", "!1 and !23", "\u{200b}/merge"];
        for text in HOSTILE.iter().copied().chain(commands) {
            let body = body("<!-- batchstep:1 -->", &samples::hostile(text), Some("https://gitlab.example/job"));
            assert_eq!(body.matches("<!--").count(), 1, "{text}");
            assert!(!body.lines().any(|line| line.trim_start().starts_with('/')), "{text}: {body}");
            assert!(!body.contains("!1") && !body.contains("[!"), "{text}: {body}");
        }
        assert_eq!(inert("a\n/merge\n  /close\nb/c !12 1!"), "a\n\\/merge\n  \\/close\nb/c !\u{2060}12 1!");
        let kept = "`%20b ~x` and [a](https://x/%201) at 2.5%, 100%";
        assert_eq!(inert(kept), kept);
        let code = "<code>&#126;&#47;out %F</code> %v";
        assert_eq!(inert(code), "<code>&#126;&#47;out %F</code> %\u{2060}v");
        assert_eq!(inert("&#36;0.32, &#126;bug"), "&#36;\u{2060}0.32, &#126;\u{2060}bug");
        assert_eq!(inert("`a` %12 %v1 %\"a b\""), "`a` %\u{2060}12 %\u{2060}v1 %\u{2060}\"a b\"");
    }

    #[test]
    fn a_note_stays_below_gitlabs_limit() {
        let mut report = samples::partial();
        report.failures = vec![failure(&"é".repeat(3_000), &"𝄞|".repeat(3_000), 1, &["x"; 9]); 50];
        report.hints = vec!["!1".repeat(50_000); 50];
        let body = body("<!-- batchstep:1 -->", &report, None);
        assert!(body.len() > 10_000 && body.chars().count() < 1_000_000, "{}", body.len());
    }
}
