//! HTTP to the API of the CI system that we run on: our trust and our proxies, and nothing of the provider's.
//!
//! No redirect is followed, which would take the token along. One attempt a call; what becomes of a failure is
//! decided above.

use http::{HeaderMap, Method};
use reqwest::Proxy;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::Value;

use super::{Kind, MAX_BODY, Secrets, address, build, deepest, sensitive, trust};
use crate::error::Error;
use crate::text::shorten;
use crate::values::Secret;

/// A client for the API at this address.
///
/// # Errors
/// The address or the certificates cannot be used.
pub(crate) fn for_host(url: &str, ca_bundle: Option<&[u8]>) -> Result<reqwest::Client, Error> {
    let url = address::host_api(url)?;
    let proxy = if address::is_loopback(&url) { super::Proxy::None } else { super::Proxy::FromSystem };
    build(trust::roots(ca_bundle)?, proxy, None)
}

/// An API that is called without a library of its own.
pub(crate) struct HostClient {
    http: reqwest::Client,
    /// Paths are appended to it.
    base: String,
    /// The header with the token.
    token: Option<(&'static str, Secret)>,
    secrets: Secrets,
}

/// A reply, of any status.
pub(crate) struct HostReply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null where it is not JSON.
    pub body: Value,
}

impl HostClient {
    /// A client of the API at this address, which gets the token in this header.
    ///
    /// # Errors
    /// The address or the certificates cannot be used. The error does not repeat the address.
    pub(crate) fn new(
        url: &str,
        (header, token): (&'static str, Secret),
        ca_bundle: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let mut secrets = Secrets::default();
        secrets.add(token.clone(), Kind::Credential);
        let base = url.trim().trim_end_matches('/').to_owned();
        Ok(Self { http: for_host(url, ca_bundle)?, base, token: Some((header, token)), secrets })
    }

    /// A client of the API at this address over plain http, through a proxy of the CI system's, which authenticates
    /// the calls: no secret of ours is sent.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(crate) fn through(proxy: &str, url: &str) -> Result<Self, Error> {
        let wrong = |error| Error::usage("The HTTP client could not be set up.").because(error);
        let proxy = Proxy::http(proxy).map_err(wrong)?;
        let http = super::builder(Vec::new(), super::Proxy::None).proxy(proxy).build().map_err(wrong)?;
        Ok(Self { http, base: url.to_owned(), token: None, secrets: Secrets::default() })
    }

    /// Makes a call.
    ///
    /// # Errors
    /// Why no reply came, without our secrets.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<HostReply, String> {
        let lost = |error: reqwest::Error| shorten(&self.shown(&deepest(&error.without_url())), 200);
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some((header, token)) = &self.token {
            let value = sensitive(token.reveal()).ok_or_else(|| "the token cannot be sent".to_owned())?;
            request = request.header(HeaderName::from_static(header), value);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if read.len() + chunk.len() > MAX_BODY {
                return Err("an answer larger than 64 MiB".to_owned());
            }
            read.extend_from_slice(&chunk);
        }
        Ok(HostReply { status, headers, body: serde_json::from_slice(&read).unwrap_or_default() })
    }

    /// A text of the server's as it may be shown: without the token.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.secrets.cut_text(text)
    }
}
