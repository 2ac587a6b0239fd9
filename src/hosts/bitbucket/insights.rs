//! A run shown as a report of Bitbucket's Code Insights, with annotations on faulty lines.
//!
//! Bitbucket gives each step a proxy that authenticates plain-http calls to its API, so no token is needed and none is
//! sent. Nothing here changes a verdict: trouble is a warning, time is short, and after a signal there is one try of
//! each. Sources: <https://support.atlassian.com/bitbucket-cloud/docs/code-insights/> and
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/>.

use std::cell::Cell;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use http::Method;
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use crate::client::HostClient;
use crate::emitter::Events;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::hosts::{
    Annotation, HostMark, IN_PATH, PublishOptions, Publisher, Reach, Rest, Trouble, annotations, check_name,
    check_names, digest_of, ended_as, in_time, under_way,
};
use crate::outputs;
use crate::policy::{CHECK_OPENING, PUBLISHING};
use crate::report::Report;
use crate::shutdown::Shutdown;
use crate::text::{safe, shorten};

/// The API. Over https the proxy could not authenticate the calls.
const API: &str = "http://api.bitbucket.org";
/// The proxy in a step, and in a pipe, which is a container of its own.
const STEP_PROXY: &str = "http://localhost:29418";
const PIPE_PROXY: &str = "http://host.docker.internal:29418";
/// Bitbucket takes so many annotations in a call, and of a report.
const GROUP: usize = 100;
const MOST: usize = 1_000;
/// The longest title and summary, and the longest details, in characters.
const LONGEST_LINE: usize = 450;
const LONGEST_DETAILS: usize = 2_000;
/// What all refusals have in common.
const ACCESS: &str = "Only a step of Bitbucket Pipelines may write reports, and only to its own repository.";

/// Shows a run in a report.
pub(super) struct Insights {
    rest: Rest,
    shutdown: Shutdown,
    options: PublishOptions,
    /// The report's path.
    path: String,
    name: String,
    /// The page of the pipeline.
    page: Option<String>,
    workspace: Option<String>,
    progress: Cell<Progress>,
}

/// How far the report is.
#[derive(Clone, Copy, PartialEq)]
enum Progress {
    /// There may be one of an earlier run.
    None,
    /// It says that the run is under way, if it arrived.
    Begun,
    /// Bitbucket refused it; there will be none.
    Refused,
}

/// Where the report is shown.
pub(super) struct Place<'a> {
    /// The repository, as `workspace/name`.
    pub(super) repo: &'a str,
    /// The commit.
    pub(super) sha: &'a str,
    /// The page of the pipeline.
    pub(super) page: Option<String>,
    /// The directory that the repository is checked out in.
    pub(super) workspace: Option<String>,
}

/// Where a step's variables say that the proxy is. A pipe has a directory of its own.
pub(super) fn proxy(pipe_storage: Option<&str>) -> &'static str {
    if pipe_storage.is_some() { PIPE_PROXY } else { STEP_PROXY }
}

impl Insights {
    /// A report at this place, through this proxy.
    pub(super) fn new(proxy: &str, place: Place<'_>, options: PublishOptions, reach: Reach<'_>) -> Result<Self, Error> {
        let name = check_name(&check_names(&options.requests, place.workspace.as_deref()));
        let parts: Vec<String> =
            place.repo.split('/').map(|part| utf8_percent_encode(part, IN_PATH).to_string()).collect();
        let (repo, id) = (parts.join("/"), digest_of(&name));
        Ok(Self {
            rest: Rest::new(HostClient::through(proxy, API)?, reach.shutdown.clone()),
            shutdown: reach.shutdown.clone(),
            options,
            path: format!("/2.0/repositories/{repo}/commit/{}/reports/batchstep-{id}", place.sha),
            name,
            page: place.page,
            workspace: place.workspace,
            progress: Cell::new(Progress::None),
        })
    }

    async fn open(&self, report: &Report, events: &Events<'_>) {
        let body = self.body("PENDING", &under_way(report), Vec::new());
        self.progress.set(Progress::Begun);
        match in_time(&self.shutdown, CHECK_OPENING, self.make_anew(&body)).await {
            Some(Ok(())) => {}
            Some(Err(trouble)) => {
                if matches!(trouble, Trouble::Refused(..)) {
                    self.progress.set(Progress::Refused);
                }
                events.emit(Event::Warned(warning("The report could not be shown", &trouble)));
            }
            None => events.emit(Event::Warned("The report could not be shown in time.".to_owned())),
        }
    }

    async fn end(&self, report: &Report, events: &Events<'_>) {
        if self.options.comment {
            let sentence = "`comment` is not supported on Bitbucket: `check-run` shows a report there.";
            events.emit(Event::Noticed(sentence.to_owned()));
        }
        // A skipped run has nothing to say that the log does not.
        if report.outcome == Outcome::Skipped {
            return;
        }
        match in_time(&self.shutdown, PUBLISHING, self.conclude(report)).await {
            Some(Ok(())) => {}
            Some(Err((what, trouble))) => events.emit(Event::Warned(warning(what, &trouble))),
            None => {
                let late = "Bitbucket does not show all of how this run ended: it did not answer in time.";
                events.emit(Event::Warned(late.to_owned()));
            }
        }
    }

    async fn conclude(&self, report: &Report) -> Result<(), (&'static str, Trouble)> {
        let result = match report.outcome {
            Outcome::Detached | Outcome::Pending => "PENDING",
            _ if report.exit_code == Exit::Ok.code() => "PASSED",
            _ => "FAILED",
        };
        let body = self.body(result, &details(report), data(report));
        let put = match self.progress.get() {
            Progress::None => self.make_anew(&body).await,
            Progress::Begun => self.put(&body).await,
            // Nothing is tried again.
            Progress::Refused => return Ok(()),
        };
        put.map_err(|trouble| ("The report could not be concluded", trouble))?;
        let errors = annotations(report, self.workspace.as_deref());
        let all: Vec<Value> = errors.iter().take(MOST).enumerate().map(|(at, error)| annotation(at, error)).collect();
        let path = format!("{}/annotations", self.path);
        for group in all.chunks(GROUP) {
            // They have ids, so one that is sent twice is there once.
            let sent = self.rest.again(&Method::POST, &path, Some(&json!(group))).await;
            sent.map_err(|trouble| ("The report lacks annotations", trouble))?;
        }
        Ok(())
    }

    /// Makes the report, without the annotations that an earlier run may have left in it.
    async fn make_anew(&self, body: &Value) -> Result<(), Trouble> {
        match self.rest.again(&Method::DELETE, &self.path, None).await {
            // Most often there is none.
            Ok(_) | Err(Trouble::Refused(404, _)) => self.put(body).await,
            Err(trouble) => Err(trouble),
        }
    }

    async fn put(&self, body: &Value) -> Result<(), Trouble> {
        self.rest.again(&Method::PUT, &self.path, Some(body)).await.map(drop)
    }

    fn body(&self, result: &str, details: &str, data: Vec<Value>) -> Value {
        let mut body = json!({
            "title": self.name, "details": details, "report_type": "TEST", "reporter": "batchstep",
            "result": result, "data": data,
        });
        if let Some(page) = &self.page {
            body["link"] = json!(page);
        }
        body
    }
}

impl Publisher for Insights {
    fn begin<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>> {
        self.open(report, events).map(|()| None).boxed_local()
    }

    fn finish<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, bool> {
        self.end(report, events).map(|()| true).boxed_local()
    }
}

/// What the report says: the verdict and what to do.
fn details(report: &Report) -> String {
    let hints = report.hints.iter().map(|hint| format!("\n{}", safe(hint)));
    shorten(&std::iter::once(ended_as(report)).chain(hints).collect::<String>(), LONGEST_DETAILS)
}

/// The numbers beside it, as far as they are known. A report has room for ten.
fn data(report: &Report) -> Vec<Value> {
    let outputs = outputs::of(report);
    let known = |name: &str| outputs.iter().find(|(known, value)| *known == name && !value.is_empty());
    let number = |(title, name): (&str, &str)| {
        let value: u64 = known(name)?.1.parse().ok()?;
        Some(json!({ "title": title, "type": "NUMBER", "value": value }))
    };
    let numbers = [("Requests", "total"), ("Succeeded", "succeeded"), ("Failed", "failed"), ("Missing", "missing")];
    let cost = known("cost-usd").map(|(_, usd)| json!({ "title": "Cost", "type": "TEXT", "value": format!("${usd}") }));
    numbers.into_iter().filter_map(number).chain(cost).collect()
}

/// An error on a line.
fn annotation(at: usize, error: &Annotation) -> Value {
    let title = error.subject.title();
    let mut annotation = json!({
        "external_id": format!("batchstep-{at:04}"), "annotation_type": "BUG", "severity": "HIGH", "result": "FAILED",
        "summary": shorten(&format!("{title}: {}", safe(&error.message)), LONGEST_LINE - 1),
    });
    if let Some(path) = &error.path {
        annotation["path"] = json!(safe(path));
        annotation["line"] = json!(error.line.unwrap_or(1));
    }
    annotation
}

fn warning(what: &str, trouble: &Trouble) -> String {
    trouble.warning("Bitbucket", what, ACCESS)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use batchstep_test_support::bitbucket_server::{Bitbucket, HEAD};
    use batchstep_test_support::github_server::Wrong;
    use batchstep_test_support::host_server::HostServer;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{Insights, Place, Publisher as _, details, proxy};
    use crate::emitter::{Events, Shown};
    use crate::error::{Exit, Outcome};
    use crate::formats::samples::{self, HOSTILE, set_verdict};
    use crate::hosts::{PublishOptions, Reach};
    use crate::report::Report;
    use crate::shutdown;

    const SECOND: Duration = Duration::from_secs(1);

    /// Shows a run, from its beginning if `begins`, and returns what it logged and how long that took.
    async fn show(bitbucket: &HostServer<Bitbucket>, reports: &[&Report], signal: Option<u8>) -> (String, Duration) {
        let lines = RefCell::new(Vec::new());
        let events = Events::new(|event| {
            lines.borrow_mut().extend(event.line());
            Shown::Said
        });
        let (stopper, shutdown) = shutdown::channel();
        let options = PublishOptions {
            check_run: true,
            comment: true,
            requests: vec!["requests.jsonl".to_owned()],
            ..PublishOptions::default()
        };
        let page = Some("https://bitbucket.org/acme/evals/pipelines/results/42".to_owned());
        let place = Place { repo: "acme/evals", sha: HEAD, page, workspace: None };
        let reach = Reach { ca_bundle: None, shutdown: &shutdown };
        let insights = Insights::new(&bitbucket.url(), place, options, reach).unwrap();
        let began = Instant::now();
        let (ended, begun) = reports.split_last().unwrap();
        for report in begun {
            insights.begin(report, &events).await;
        }
        signal.into_iter().for_each(|signal| stopper.stop(signal));
        assert!(insights.finish(ended, &events).await);
        drop(events);
        (lines.into_inner().join("\n"), began.elapsed())
    }

    async fn bitbucket() -> HostServer<Bitbucket> {
        HostServer::new(Bitbucket::default()).await
    }

    fn only_report(bitbucket: &HostServer<Bitbucket>) -> Value {
        bitbucket.look(|bitbucket| {
            assert_eq!(bitbucket.reports.len(), 1);
            bitbucket.reports.values().next().unwrap().clone()
        })
    }

    #[test]
    fn a_pipe_reaches_the_proxy_by_another_name() {
        assert_eq!(proxy(None), "http://localhost:29418");
        assert_eq!(proxy(Some("/opt/pipe")), "http://host.docker.internal:29418");
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_goes_along_with_the_run() {
        let bitbucket = bitbucket().await;
        let (says, _) = show(&bitbucket, &[&samples::partial(), &samples::partial()], None).await;
        assert!(says.contains("`comment` is not supported on Bitbucket") && !says.contains("arning"), "{says}");
        let puts: Vec<Value> = bitbucket.calls("PUT", "").iter().map(|call| call.body["result"].clone()).collect();
        assert_eq!(puts, ["PENDING", "PASSED"]);
        let report = only_report(&bitbucket);
        assert_eq!(report["title"], "batchstep: requests.jsonl");
        assert_eq!(report["link"], "https://bitbucket.org/acme/evals/pipelines/results/42");
        let data: Vec<(&str, &Value)> = report["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| (field["title"].as_str().unwrap(), &field["value"]))
            .collect();
        let (requests, succeeded, failed, missing) = (json!(1200), json!(1187), json!(12), json!(1));
        let cost = json!("$0.3180206");
        let expected = [
            ("Requests", &requests),
            ("Succeeded", &succeeded),
            ("Failed", &failed),
            ("Missing", &missing),
            ("Cost", &cost),
        ];
        assert_eq!(data, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_annotated_in_groups_and_only_once() {
        let bitbucket = bitbucket().await;
        let mut report = samples::invalid();
        report.faults = vec![report.faults[0].clone(); 1_234];
        report.faults[3].file = "standard input".to_owned();
        // A second run of the same commit replaces the first one's.
        for count in [1_234, 120] {
            report.faults.truncate(count);
            bitbucket.goes_wrong("POST", "/annotations", Wrong::Lost(502), 1);
            let (says, _) = show(&bitbucket, &[&report], None).await;
            assert!(!says.contains("arning"), "{says}");
            assert_eq!(only_report(&bitbucket)["result"], "FAILED");
            let annotations = bitbucket.look(|bitbucket| bitbucket.annotations.clone());
            assert_eq!(annotations.len(), count.min(1_000));
            let first = &annotations["batchstep-0000"];
            assert_eq!((&first["path"], &first["line"]), (&json!("requests.jsonl"), &json!(3)));
            assert!(annotations["batchstep-0003"]["path"].is_null());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_end_has_its_result() {
        for (outcome, exit, result) in [
            (Outcome::Cancelled, Exit::Internal, "FAILED"),
            (Outcome::Detached, Exit::Ok, "PENDING"),
            (Outcome::Succeeded, Exit::Ok, "PASSED"),
        ] {
            let bitbucket = bitbucket().await;
            let mut report = samples::succeeded();
            set_verdict(&mut report, outcome, exit, "It ended.");
            show(&bitbucket, &[&report, &report], None).await;
            assert_eq!(only_report(&bitbucket)["result"], result, "{outcome:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_a_warning_and_costs_little_time() {
        for wrong in [Wrong::Status(503), Wrong::Status(401), Wrong::Status(404), Wrong::Status(429), Wrong::Stall] {
            let bitbucket = bitbucket().await;
            for method in ["PUT", "POST", "DELETE"] {
                bitbucket.goes_wrong(method, "", wrong, 99);
            }
            let (says, took) = show(&bitbucket, &[&samples::partial(), &samples::partial()], None).await;
            assert!(says.contains("Warning: The report could not be"), "{wrong:?}: {says}");
            assert!(took < 90 * SECOND, "{wrong:?}: {took:?}");
            let is_refused = matches!(wrong, Wrong::Status(401 | 404));
            assert_eq!(says.contains("could not be concluded"), !is_refused, "{wrong:?}: {says}");
        }
        // What an earlier run annotated does not stand in this one's report.
        let (stale, stalled) = (bitbucket().await, bitbucket().await);
        stale.goes_wrong("DELETE", "", Wrong::Status(403), 1);
        let (says, _) = show(&stale, &[&samples::invalid()], None).await;
        assert!(says.contains("Warning: The report could not be concluded"), "{says}");
        assert_eq!(stale.calls("PUT", "").len(), 0);
        // After a signal there is one try, and no longer than the grace.
        stalled.goes_wrong("PUT", "", Wrong::Stall, 99);
        let (_, took) = show(&stalled, &[&samples::partial()], Some(15)).await;
        assert!(took < 6 * SECOND && stalled.calls("PUT", "").len() == 1, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_proxy_is_a_warning() {
        let gone = bitbucket().await;
        gone.goes_wrong("PUT", "", Wrong::Status(502), 99);
        let (says, _) = show(&gone, &[&samples::succeeded()], None).await;
        assert!(says.contains("Bitbucket could not be reached"), "{says}");
    }

    #[tokio::test(start_paused = true)]
    async fn hostile_text_hides_nothing_and_fits() {
        for text in HOSTILE {
            let bitbucket = bitbucket().await;
            // The server checks lengths and characters.
            show(&bitbucket, &[&samples::hostile_faults(text)], None).await;
            show(&bitbucket, &[&samples::hostile(text)], None).await;
            assert!(!details(&samples::hostile(text)).contains(['\u{202e}', '\u{1b}']), "{text:?}");
        }
    }
}
