//! Carries out a dialect's calls: the only directory that names reqwest.
//!
//! One attempt a call and no retries: those are decided above. Credentials go
//! to the base URL's own origin and nowhere else; redirects are off, but for
//! downloads, which leave the credentials behind when they change the origin.
//! Answers are read as they came. The secrets that we sent are cut out of what
//! people are shown of them, so that no header can change what an answer means.

mod address;
mod host;
mod reach;
mod redact;
mod trace;
mod trust;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Url, multipart, redirect};

use self::address::is_loopback;
pub(crate) use self::address::{Shown, is_local, is_plain_page, public_address};
pub(crate) use self::host::{HostClient, HostReply, for_host};
use self::reach::Names;
pub(crate) use self::redact::{Kind, Secrets};
pub(crate) use self::trace::Traces;
use crate::clock::{Clock, seconds};
use crate::dialects::{Body, Call, Dialect, Form, Method, Target};
use crate::error::Error;
use crate::policy::{CALL_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT, MAX_REDIRECTS, SLOWEST_UPLOAD};
use crate::requests::outgoing::Outgoing;
use crate::retry::{Failure, Refusal, retry_after};
use crate::text::shorten;
use crate::values::{Header, Secret};

/// The largest answer that is read into memory.
const MAX_BODY: usize = 64 << 20;

/// Where and how to connect.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The base URL, as `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key, sent as the dialect says.
    pub api_key: Option<Secret>,
    /// More headers, such as `openai-organization`.
    pub headers: Vec<Header>,
    /// A certificate bundle (PEM) to trust beside the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// Whether plain http may leave this machine.
    pub allow_http: bool,
}

/// A client of one server.
pub(crate) struct Client {
    base: Url,
    clock: Clock,
    /// How keys are sent and errors are read.
    dialect: &'static dyn Dialect,
    headers: HeaderMap,
    secrets: Secrets,
    traces: Traces,
    allow_http: bool,
    /// Whether an answer came from the sandbox, whatever the provider is called.
    simulated: Cell<bool>,
    /// How many seconds the server's clock is ahead of ours, by its last reply.
    ahead: Cell<i64>,
    /// How far redirects may lead.
    names: Names,
    /// For the outside world: through the proxies that the environment names.
    proxied: reqwest::Client,
    /// For loopback, which no proxy can reach.
    direct: reqwest::Client,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The body as it came; [`Client::shown_body`] is what may be printed of it.
    pub body: Bytes,
}

/// A download that has begun.
pub(crate) struct Download {
    response: reqwest::Response,
    /// Where in the file the first byte stands; zero where the server sends it all.
    pub starts_at: u64,
    /// The whole file's length, where the server says it.
    pub total: Option<u64>,
    /// What the server says that the file is: its `Content-Type`.
    pub kind: Option<String>,
}

impl Client {
    /// Prepares a client. Wrong addresses, headers and certificates are usage errors.
    pub(crate) fn new(connection: &Connection, dialect: &'static dyn Dialect, clock: Clock) -> Result<Self, Error> {
        let base = address::base_url(&connection.base_url)?;
        if base.scheme() == "http" && !is_loopback(&base) && !connection.allow_http {
            let origin = base.origin().ascii_serialization();
            return Err(Error::usage(format!("`base-url` {origin} would send the key over plain http."))
                .hint("Use https, or set `allow-http` if the network in between is yours."));
        }
        let mut headers = HeaderMap::new();
        let mut secrets = Secrets::default();
        for header in &connection.headers {
            let (name, value) = (HeaderName::try_from(&header.name), sensitive(header.value.reveal()));
            let wrong = || Error::usage(format!("`headers` has a value for `{}` that HTTP cannot carry.", header.name));
            headers.insert(name.map_err(|_| wrong())?, value.ok_or_else(wrong)?);
            secrets.add(header.value.clone(), Kind::of_header(header));
        }
        if let Some(key) = &connection.api_key {
            let (name, value) = dialect.authorization(key);
            let wrong = || Error::usage("`api-key` holds characters that HTTP cannot carry.");
            headers.insert(HeaderName::from_static(name), sensitive(&value).ok_or_else(wrong)?);
            secrets.add(key.clone(), Kind::Credential);
        }
        let parameter = |(name, value): (String, String)| Some(Header { name, value: value.parse().ok()? });
        let query: Vec<Header> = address::query_secrets(&base).into_iter().filter_map(parameter).collect();
        for parameter in &query {
            secrets.add(parameter.value.clone(), Kind::of_header(parameter));
        }
        let roots = trust::roots(connection.ca_bundle.as_deref())?;
        let names = Names::new(&base);
        Ok(Self {
            base,
            clock,
            dialect,
            headers,
            secrets,
            traces: Traces::of(connection, &query),
            allow_http: connection.allow_http,
            simulated: Cell::new(false),
            ahead: Cell::new(0),
            proxied: build(roots.clone(), Proxy::FromSystem, Some(names.clone()))?,
            direct: build(roots, Proxy::None, None)?,
            names,
        })
    }

    /// The scheme, host and port that the calls go to.
    pub(crate) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The base URL as it may be shown.
    pub(crate) fn shown_base_url(&self) -> Shown {
        address::shown(&self.base)
    }

    /// Whether any answer so far was the sandbox's.
    pub(crate) fn is_simulated(&self) -> bool {
        self.simulated.get()
    }

    /// How many seconds the server's clock is ahead of ours, by the `Date` of its last reply (RFC 9110, 6.6.1).
    pub(crate) fn ahead(&self) -> i64 {
        self.ahead.get()
    }

    /// What our secrets are found by in lines that stay as they are.
    pub(crate) fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// A text of the server's as it may be shown: without the secrets that we sent.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.secrets.cut_text(text)
    }

    /// A body as it may be printed: without the secrets that we sent.
    pub(crate) fn shown_body(&self, body: &[u8]) -> Vec<u8> {
        self.secrets.cut(body)
    }

    /// Whether an id of the server's holds a credential that we sent: then it cannot be used, since ids are shown.
    pub(crate) fn is_credential_in(&self, id: &str) -> bool {
        self.secrets.is_credential_in(id)
    }

    /// Sends a call and reads its whole answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply, Failure> {
        let mut request = self.request(call)?.timeout(CALL_TIMEOUT);
        if let Body::Json(json) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(json.to_string());
        }
        self.reply(request.send().await).await
    }

    /// Sends a call whose body is the requests, with its length known beforehand; `name` is that of the file, in a
    /// form. `sent` is called with each chunk. If the last chunk was not sent, nothing was.
    pub(crate) async fn stream(
        &self,
        call: &Call,
        name: &str,
        requests: Outgoing,
        sent: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<Reply, Failure> {
        let (length, changed) = (requests.length, requests.changed);
        let left = Arc::new(AtomicU64::new(length));
        let still_left = Arc::clone(&left);
        let stream = requests.stream.inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                sent(chunk.len());
                still_left.fetch_sub(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        let body = reqwest::Body::wrap_stream(stream);
        let timeout = 2 * CALL_TIMEOUT + Duration::from_secs(length / SLOWEST_UPLOAD);
        let request = self.request(call)?.timeout(timeout);
        let request = match &call.body {
            Body::Form(form) => request.multipart(multipart_form(form, name, body, length)?),
            Body::Requests => {
                let headers = [(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_LENGTH, length.to_string())];
                headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(body)
            }
            Body::Empty | Body::Json(_) => request,
        };
        let reply = self.reply(request.send().await).await;
        match reply {
            _ if changed.load(Ordering::Relaxed) => Err(Failure::Changed),
            Err(Failure::Interrupted(why)) if left.load(Ordering::Relaxed) > 0 => Err(Failure::Unsent(why)),
            reply => reply,
        }
    }

    /// Begins a download, from `offset` on if the server can.
    pub(crate) async fn download(&self, call: &Call, offset: u64) -> Result<Download, Failure> {
        let mut url = self.url(call)?;
        // A server on this machine over plain http is our own, and may send us anywhere on it.
        let mut is_bounded = self.base.scheme() == "https" || !is_loopback(&self.base);
        let mut from = self.base.clone();
        for _ in 0..=MAX_REDIRECTS {
            is_bounded |= from.scheme() == "https";
            if is_bounded && url.origin() != from.origin() && !self.names.may_follow(&url) {
                let host = shorten(url.host_str().unwrap_or_default(), 80);
                return Err(Failure::Garbled(format!("the download was redirected to {host}, an address inside")));
            }
            let mut request = self.get(&url)?;
            if offset > 0 {
                request = request.header(reqwest::header::RANGE, format!("bytes={offset}-"));
            }
            let response = idle(request.send()).await?.map_err(|error| self.failure(error))?;
            if !response.status().is_redirection() {
                return self.begin(response).await;
            }
            let target = redirected(&url, &response)?;
            from = std::mem::replace(&mut url, target);
        }
        Err(Failure::Garbled(format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn begin(&self, response: reqwest::Response) -> Result<Download, Failure> {
        let kind = header(&response, CONTENT_TYPE).map(str::to_owned);
        match response.status().as_u16() {
            206 => {
                let range = header(&response, reqwest::header::CONTENT_RANGE).and_then(content_range);
                let (starts_at, total) = range.ok_or_else(|| Failure::Garbled("206 without a Content-Range".into()))?;
                Ok(Download { response, starts_at, total, kind })
            }
            200..=299 => Ok(Download { total: response.content_length(), response, starts_at: 0, kind }),
            _ => Err(self.refusal(response).await),
        }
    }

    fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder, Failure> {
        let url = self.url(call)?;
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        Ok(self.http(&url).request(method, url).headers(self.headers.clone()))
    }

    /// A GET to wherever a download leads: with credentials only to our own origin.
    fn get(&self, url: &Url) -> Result<reqwest::RequestBuilder, Failure> {
        if url.scheme() != "https" && !(url.scheme() == "http" && (is_loopback(url) || self.allow_http)) {
            return Err(Failure::Garbled("the download was redirected to an address that is not https".into()));
        }
        let request = self.http(url).get(url.clone());
        let ours = url.origin() == self.base.origin();
        Ok(if ours { request.headers(self.headers.clone()) } else { request })
    }

    fn http(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) { &self.direct } else { &self.proxied }
    }

    fn url(&self, call: &Call) -> Result<Url, Failure> {
        match &call.target {
            Target::Path(path) => {
                let misnamed = || Failure::Misnamed(path.split('/').skip(2).collect::<Vec<_>>().join("/"));
                address::join(&self.base, path, &call.query).ok_or_else(misnamed)
            }
            Target::Url(url) => Url::parse(url).map_err(|_| Failure::Misnamed(url.clone())),
        }
    }

    async fn reply(&self, sent: reqwest::Result<reqwest::Response>) -> Result<Reply, Failure> {
        let response = sent.map_err(|error| self.failure(error))?;
        if response.headers().contains_key(crate::simulator::MARK) {
            self.simulated.set(true);
        }
        let date = header(&response, DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(theirs) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) {
            self.ahead.set(seconds(theirs) - self.clock.unix());
        }
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(Reply { body: self.body(response).await? })
    }

    async fn refusal(&self, response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        let (after, date) = (header(&response, reqwest::header::RETRY_AFTER), header(&response, DATE));
        let after = after.and_then(|after| retry_after(after, date, self.clock.now()));
        let request_id = header(&response, HeaderName::from_static(self.dialect.request_id_header()));
        let request_id = request_id.map(|id| shorten(&self.shown(id), 80));
        // The status alone says enough where the body does not arrive.
        let body = idle(self.body(response)).await.and_then(|body| body).unwrap_or_default();
        let error = Box::new(self.dialect.read_error(&body));
        let shown = Box::new(error.shown(|text| self.shown(text)));
        Failure::Answered(Refusal { status, error, shown, retry_after: after, request_id })
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::Garbled("an answer larger than 64 MiB".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn failure(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let mut why = self.shown(&deepest(&error));
        if error.is_timeout() {
            why = "timed out".to_owned();
        }
        match trust::untrusted(&error) {
            Some(why) => Failure::Untrusted(why),
            None if error.is_connect() => Failure::Unsent(why),
            None => Failure::Interrupted(why),
        }
    }
}

impl Download {
    /// The next chunk, or none at the end. A download that stands still is broken off.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let broken = |error: reqwest::Error| Failure::Interrupted(deepest(&error.without_url()));
        idle(self.response.chunk()).await?.map_err(broken)
    }
}

async fn idle<T>(step: impl Future<Output = T>) -> Result<T, Failure> {
    let late = |_| Failure::Interrupted(format!("nothing arrived for {} seconds", IDLE_TIMEOUT.as_secs()));
    tokio::time::timeout(IDLE_TIMEOUT, step).await.map_err(late)
}

fn multipart_form(form: &Form, name: &str, file: reqwest::Body, length: u64) -> Result<multipart::Form, Failure> {
    let part = multipart::Part::stream_with_length(file, length)
        .file_name(name.to_owned())
        .mime_str(form.media_type)
        .map_err(|error| Failure::Local(error.to_string()))?;
    let fields = form.fields.iter().cloned();
    let form_of = fields.fold(multipart::Form::new(), |form, (name, value)| form.text(name, value));
    Ok(form_of.part(form.file, part))
}

fn redirected(from: &Url, response: &reqwest::Response) -> Result<Url, Failure> {
    let location = header(response, reqwest::header::LOCATION);
    let target = location.and_then(|location| from.join(location).ok());
    target.ok_or_else(|| Failure::Garbled("a redirect without an address".into()))
}

fn header(response: &reqwest::Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Reads `bytes 5-9/10` as where it starts and how long the whole is.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Whether a client's calls go through the proxy that the system names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxy {
    FromSystem,
    None,
}

fn build(roots: Vec<Certificate>, proxy: Proxy, names: Option<Names>) -> Result<reqwest::Client, Error> {
    let builder = builder(roots, proxy);
    let builder = names.into_iter().fold(builder, |builder, names| builder.dns_resolver(Arc::new(names)));
    builder.build().map_err(|error| Error::usage("The HTTP client could not be set up.").because(error))
}

fn builder(roots: Vec<Certificate>, proxy: Proxy) -> reqwest::ClientBuilder {
    trust::install();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("batchstep/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .tls_certs_merge(roots);
    if proxy == Proxy::FromSystem { builder } else { builder.no_proxy() }
}

/// The innermost cause: reqwest's own sentences only say that something failed.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Client, Clock, Connection, content_range};
    use crate::dialects::{Name, choose};
    use crate::error::{Error, Exit};

    fn client(connection: &Connection) -> Result<Client, Error> {
        let clock = Clock::starting_at(std::time::Duration::ZERO);
        Client::new(connection, choose(Name::Openai).dialect, clock)
    }

    fn connection(base_url: &str) -> Connection {
        Connection {
            base_url: base_url.to_owned(),
            api_key: "sk-0123456789".parse().ok(),
            headers: vec!["x-team: secret team".parse().unwrap(), "x-short: abc".parse().unwrap()],
            ca_bundle: None,
            allow_http: false,
        }
    }

    #[test]
    fn secrets_are_cut_out_wherever_they_are_echoed() {
        let client = client(&connection("http://127.0.0.1:9/v1")).unwrap();
        let echoed = b"key sk-0123456789, twice sk-0123456789sk-0123456789, header secret team, short abc";
        let expected = "key ***, twice ******, header ***, short abc";
        assert_eq!(String::from_utf8(client.secrets.cut(echoed)).unwrap(), expected);
    }

    #[test]
    fn the_query_of_the_base_url_is_cut_out_but_for_the_version() {
        let url = "http://127.0.0.1:9/v1?api-version=2024-10-21&subscription=gateway%2Dkey-1&x=short";
        let client = client(&connection(url)).unwrap();
        assert_eq!(client.shown("gateway-key-1, gateway%2Dkey-1, short, 2024-10-21"), "***, ***, short, 2024-10-21");
        let shown = client.shown_base_url();
        assert_eq!((shown.url.as_str(), shown.is_query_hidden), ("http://127.0.0.1:9/v1?api-version=2024-10-21", true));
    }

    #[test]
    fn a_key_does_not_leave_over_plain_http_unless_allowed() {
        let away = connection("http://192.0.2.1/v1");
        let refused = client(&away).err().unwrap();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.message.contains("plain http"), "{refused}");
        assert!(client(&Connection { allow_http: true, ..away }).is_ok());
    }

    #[test]
    fn a_certificate_file_must_hold_one() {
        let wrong = Connection { ca_bundle: Some(b"no pem".to_vec()), ..connection("https://x.example/v1") };
        assert_eq!(client(&wrong).err().unwrap().message, "`ca-file` holds no certificate.");
    }

    #[test]
    fn a_range_says_where_it_starts() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("5-9/10"), None);
    }
}
