//! What an attempt's failure means: pure decisions, no waiting.
//!
//! [`Failure`] says what happened to one attempt; [`Failure::advice`] says
//! whether to try again, [`Failure::is_ambiguous`] whether the server may have
//! acted anyway. [`Backoff`] and [`Cadence`] say how long to wait. The
//! loop that acts on them is in `retry_loop.rs`; there is no other retry layer.

use std::time::{Duration, UNIX_EPOCH};

use crate::dialects::{ApiError, Meaning};
use crate::policy::{FIRST_BACKOFF, FIRST_POLL, LONGEST_BACKOFF, RETRY_AFTER_CAP};
use crate::text::shorten;

/// What happened to one attempt at a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// The request was never sent: no route, no name, refused connection.
    Unsent(String),
    /// The server's certificate is not trusted; nothing was sent.
    Untrusted(String),
    /// It was sent, at least in part, and no whole reply came.
    Interrupted(String),
    /// The server answered, and not with 2xx.
    Answered(Refusal),
    /// The server answered 2xx, and the body says that it failed.
    FailedInside(Refusal),
    /// The server answered 2xx with a body that is not what the API promises.
    Garbled(String),
    /// The vendor has nothing of this kind, by what is known of it; nothing was sent.
    Unsupported(&'static str),
    /// The id that the server gave cannot be part of an address; nothing was sent.
    Misnamed(String),
    /// The requests file is not what was checked; the upload was broken off.
    Changed,
    /// The failure is on our side: a disk, a path.
    Local(String),
}

/// An answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What the body says, as it came: decisions read this.
    pub error: Box<ApiError>,
    /// The same without the secrets that we sent: people are shown this.
    pub shown: Box<ApiError>,
    /// The `Retry-After` header, capped.
    pub retry_after: Option<Duration>,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Advice {
    /// Try again, not before the server's own wish if it has one.
    Again(Option<Duration>),
    /// Permanent if it lasts: a key that was just rotated, a file not yet visible.
    Lasting,
    /// Trying again cannot help.
    Stop,
}

impl Failure {
    /// Whether and how to try again.
    pub(crate) fn advice(&self) -> Advice {
        match self {
            Self::Unsent(_) | Self::Interrupted(_) | Self::Garbled(_) => Advice::Again(None),
            Self::Untrusted(_) => Advice::Lasting,
            Self::Unsupported(_) | Self::Misnamed(_) | Self::Changed | Self::Local(_) => Advice::Stop,
            Self::Answered(refusal) | Self::FailedInside(refusal) if refusal.error.is_hopeless() => Advice::Stop,
            Self::FailedInside(refusal) if refusal.error.is_transient() => Advice::Again(None),
            // Servers that answer so give no status to go by; the batch may be unknown to them.
            Self::FailedInside(_) => Advice::Lasting,
            Self::Answered(refusal) => match refusal.status {
                401 | 403 | 404 => Advice::Lasting,
                501 => Advice::Stop,
                408 | 409 | 425 | 429 | 500..=599 => Advice::Again(refusal.retry_after),
                _ => Advice::Stop,
            },
        }
    }

    /// Whether the server may have acted although the attempt failed.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Interrupted(_) | Self::Garbled(_) => true,
            Self::FailedInside(refusal) => !refusal.error.is_hopeless(),
            Self::Answered(refusal) => matches!(refusal.status, 408 | 500..=599),
            Self::Unsent(_) | Self::Untrusted(_) | Self::Unsupported(_) => false,
            Self::Misnamed(_) | Self::Changed | Self::Local(_) => false,
        }
    }

    /// The HTTP status, if the server answered; that in the body, where the
    /// answer calls itself a success.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(refusal) => Some(refusal.status),
            Self::FailedInside(refusal) => refusal.error.status,
            _ => None,
        }
    }

    /// What the server says is wrong, if it says so.
    pub(crate) fn error(&self) -> Option<&ApiError> {
        match self {
            Self::Answered(refusal) | Self::FailedInside(refusal) => Some(&refusal.error),
            _ => None,
        }
    }

    /// Whether it says that the thing asked for does not exist, or says in a
    /// success that it failed, and not how.
    pub(crate) fn is_unknown_thing(&self) -> bool {
        match (self, self.status()) {
            (Self::FailedInside(_), None) => self.advice() == Advice::Lasting,
            (_, status) => matches!(status, Some(404 | 410)),
        }
    }

    /// What to do about it, where that is known.
    pub(crate) fn hints(&self) -> Vec<&'static str> {
        match (self, self.error().map(|error| error.meaning)) {
            (_, Some(Meaning::NeedsCredit)) => {
                vec!["Raise the organisation's budget or add credit at the provider, then run again."]
            }
            (Self::Untrusted(_), _) => {
                vec![
                    "If a proxy or a private server signs with its own authority, name that certificate with `ca-file`.",
                ]
            }
            (Self::Answered(refusal), _) => match refusal.status {
                300..=399 => vec!["Redirects are not followed with credentials: give the final address as `base-url`."],
                401 => vec!["Check `api-key`: it may be wrong, revoked or of another provider than `base-url`."],
                403 => vec![
                    "Check that the key may use files and batches, and that `organization` and `project` are right.",
                ],
                404 => {
                    vec!["Check `base-url`: most end in `/v1`. Files and batches belong to one project or workspace."]
                }
                413 => vec!["The provider takes smaller files than this one: split it, or shorten its requests."],
                _ => Vec::new(),
            },
            (Self::Unsent(_), _) => vec!["Check `base-url` and the network; HTTPS_PROXY and NO_PROXY are honoured."],
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsent(why) => write!(f, "no connection: {why}"),
            Self::Untrusted(why) => write!(f, "the server's certificate is not trusted: {why}"),
            Self::Interrupted(why) => write!(f, "no whole reply: {why}"),
            Self::Garbled(why) => write!(f, "the reply is not what the API promises: {why}"),
            Self::Unsupported(what) => write!(f, "the provider has no {what}"),
            Self::Misnamed(id) => write!(f, "the id `{}` cannot be part of an address", shorten(id, 60)),
            Self::Changed => f.write_str("the requests file changed after it was checked"),
            Self::Local(why) => f.write_str(why),
            Self::Answered(refusal) => refusal.fmt(f),
            Self::FailedInside(refusal) => {
                f.write_str("a success that says it failed")?;
                tell(&refusal.shown, f)
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        tell(&self.shown, f)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

/// The code and the sentence of an error.
fn tell(error: &ApiError, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    if let Some(code) = error.code.as_ref().or(error.kind.as_ref()) {
        write!(f, " {code}")?;
    }
    match &error.message {
        Some(message) => write!(f, ": {}", shorten(message, 300)),
        None => Ok(()),
    }
}

impl std::error::Error for Failure {}

/// Reads a `Retry-After` value: seconds, or an HTTP date (RFC 9110, 10.2.3). A date is reckoned from the
/// reply's own `Date`, since the server's clock may differ from ours; without one from `now`, counted
/// from the Unix epoch. A date that is past asks for no wait.
pub(crate) fn retry_after(value: &str, date: Option<&str>, now: Duration) -> Option<Duration> {
    let value = value.trim();
    let after = match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => http_date(value)?.saturating_sub(date.and_then(http_date).unwrap_or(now)),
    };
    Some(after.min(RETRY_AFTER_CAP))
}

/// An HTTP date in any of its three forms (RFC 9110, 5.6.7), counted from the Unix epoch.
fn http_date(value: &str) -> Option<Duration> {
    httpdate::parse_http_date(value.trim()).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// Waits between attempts before a batch exists: doubling from half a second
/// to thirty, each shortened by up to a quarter so that many runs spread out.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST_BACKOFF }
    }
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_BACKOFF);
        wait.mul_f64(1.0 - 0.25 * rng.f64())
    }
}

/// Waits between polls: from five seconds by half as much again up to the cap,
/// each a tenth longer or shorter by chance. A cap below five seconds is also the first wait.
#[derive(Clone, Debug)]
pub(crate) struct Cadence {
    next: Duration,
    cap: Duration,
}

impl Cadence {
    /// Starts anew.
    pub(crate) fn new(cap: Duration) -> Self {
        Self { next: cap.min(FIRST_POLL), cap }
    }

    /// The next wait.
    pub(crate) fn next(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let wait = self.next;
        self.next = wait.mul_f64(1.5).min(self.cap);
        wait.mul_f64(0.9 + 0.2 * rng.f64()).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::{Advice, Backoff, Cadence, Duration, Failure, RETRY_AFTER_CAP, Refusal, retry_after};
    use crate::dialects::testing;

    fn answered(status: u16) -> Failure {
        Failure::Answered(Refusal { status, ..Refusal::default() })
    }

    fn coded(status: u16, code: &str) -> Failure {
        let error = testing::error(&format!(r#"{{"error":{{"code":"{code}"}}}}"#));
        Failure::Answered(Refusal { status, error: Box::new(error), ..Refusal::default() })
    }

    /// The whole table at a glance: any change to it shows here.
    #[test]
    fn every_status_has_its_advice() {
        let with = |advice: fn(Advice) -> bool| -> Vec<u16> {
            (300..600).filter(|status| advice(answered(*status).advice())).collect()
        };
        let again: Vec<u16> = [408, 409, 425, 429].into_iter().chain((500..600).filter(|s| *s != 501)).collect();
        assert_eq!(with(|advice| matches!(advice, Advice::Again(_))), again);
        assert_eq!(with(|advice| advice == Advice::Lasting), [401, 403, 404]);
        let ambiguous: Vec<u16> = (300..600).filter(|status| answered(*status).is_ambiguous()).collect();
        assert_eq!(ambiguous, [408].into_iter().chain(500..600).collect::<Vec<u16>>());
    }

    #[test]
    fn no_waiting_refills_an_empty_account() {
        assert_eq!(coded(429, "insufficient_quota").advice(), Advice::Stop);
        assert_eq!(coded(400, "billing_hard_limit_reached").advice(), Advice::Stop);
        assert_eq!(coded(429, "rate_limit_exceeded").advice(), Advice::Again(None));
        assert!(!coded(429, "insufficient_quota").hints().is_empty());
        let error = testing::error(r#"{"error":{"type":"insufficient_quota"}}"#);
        let typed = Failure::Answered(Refusal { status: 429, error: Box::new(error), ..Refusal::default() });
        assert_eq!(typed.advice(), Advice::Stop, "the type says it where there is no code");
    }

    #[test]
    fn an_error_in_a_success_means_what_it_says() {
        let inside = |json: &str| {
            let error = Box::new(testing::error(json));
            Failure::FailedInside(Refusal { shown: error.clone(), error, ..Refusal::default() })
        };
        let quota = inside(r#"{"error":{"code":"insufficient_quota"}}"#);
        assert_eq!((quota.advice(), quota.is_ambiguous()), (Advice::Stop, false));
        let busy = inside(r#"{"error":{"message":"Overloaded"}}"#);
        assert_eq!((busy.advice(), busy.is_ambiguous()), (Advice::Again(None), true));
        let unknown = inside(r#"{"error":{"message":"batch b is unknown","type":"invalid_request_error"}}"#);
        assert_eq!((unknown.advice(), unknown.is_ambiguous()), (Advice::Lasting, true));
        assert!(unknown.is_unknown_thing() && answered(404).is_unknown_thing());
        assert!(!busy.is_unknown_thing() && !answered(403).is_unknown_thing());
        let text = "a success that says it failed invalid_request_error: batch b is unknown";
        assert_eq!(unknown.to_string(), text);
    }

    #[test]
    fn only_what_may_have_arrived_is_ambiguous() {
        assert!(Failure::Interrupted("reset".into()).is_ambiguous());
        assert!(Failure::Garbled("html".into()).is_ambiguous());
        assert!(!Failure::Unsent("refused".into()).is_ambiguous());
        assert!(!answered(429).is_ambiguous());
    }

    #[test]
    fn waits_grow_to_their_cap_and_spread() {
        let (mut rng, mut backoff) = (fastrand::Rng::with_seed(7), Backoff::default());
        for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let wait = backoff.next(&mut rng).as_secs_f64();
            assert!((expected * 0.75..=expected).contains(&wait), "{wait} for {expected}");
        }
        let mut cadence = Cadence::new(Duration::from_secs(60));
        for expected in [5.0, 7.5, 11.25, 16.875, 25.3, 37.97, 56.95, 60.0, 60.0] {
            let wait = cadence.next(&mut rng).as_secs_f64();
            assert!((expected * 0.89..=expected * 1.11).contains(&wait) && wait <= 60.0, "{wait} for {expected}");
        }
        assert!(Cadence::new(Duration::from_secs(1)).next(&mut rng) <= Duration::from_secs(1));
    }

    #[test]
    fn a_date_to_retry_after_is_reckoned_from_the_servers_clock() {
        let now = Duration::from_secs(784_111_777 + 3_600);
        let (at, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(retry_after(at, Some(before), now), Some(Duration::from_secs(30)), "our clock is an hour ahead");
        for same in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after(same, Some(before), now), Some(Duration::from_secs(30)), "{same}");
        }
        assert_eq!(retry_after(at, Some("yesterday"), now), Some(Duration::ZERO), "it is past");
        assert_eq!(retry_after(at, None, now - Duration::from_secs(3_605)), Some(Duration::from_secs(5)));
        assert_eq!(retry_after(at, None, Duration::from_secs(7)), Some(RETRY_AFTER_CAP));
    }

    #[test]
    fn retry_after_is_honoured_but_capped() {
        let seconds = |value: &str| retry_after(value, None, Duration::ZERO);
        assert_eq!(seconds("7"), Some(Duration::from_secs(7)));
        assert_eq!(seconds("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(seconds("86400"), Some(RETRY_AFTER_CAP));
        for wrong in ["-1", "soon", "NaN", "inf", "", "Sun, 06 Nov 1994"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
