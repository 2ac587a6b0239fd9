//! Addresses: what may be connected to, and how a call's path is joined to the
//! base URL. Pure decisions; nothing here connects.

use reqwest::Url;
use url::Host;

use crate::error::Error;
use crate::opaque::{LONGEST_ID, is_path};

/// Reads a base URL.
pub(super) fn base_url(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::usage(format!("`base-url` {why}.")).hint("Write it as `https://api.openai.com/v1`.");
    let url = Url::parse(text.trim()).map_err(|error| wrong(&format!("is not an address: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("is neither https nor http"));
    }
    if has_credentials(&url) {
        return Err(wrong("holds credentials, which belong in `api-key` or `headers`"));
    }
    if url.fragment().is_some() {
        return Err(wrong("ends in a fragment"));
    }
    Ok(url)
}

/// The one parameter of a base URL's query that is no secret: Azure's version of the API.
const VERSION: &str = "api-version";

/// A base URL as it may be shown: gateways take keys in the query, so of that
/// only the version of the API is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The address.
    pub url: String,
    /// Whether parts of its query are left out, so that it does not lead there.
    pub is_query_hidden: bool,
}

/// A base URL as it may be shown.
pub(super) fn shown(base: &Url) -> Shown {
    let mut url = base.clone();
    let versions: Vec<(String, String)> =
        base.query_pairs().filter(|(name, _)| is_version(name)).map(|pair| (pair.0.into(), pair.1.into())).collect();
    url.set_query(None);
    if !versions.is_empty() {
        url.query_pairs_mut().extend_pairs(&versions);
    }
    let is_nothing = |name: &str, value: &str| name.is_empty() && value.is_empty();
    let is_query_hidden = base.query_pairs().any(|(name, value)| !is_version(&name) && !is_nothing(&name, &value));
    Shown { url: url.into(), is_query_hidden }
}

/// A base URL without what may be a secret, or none where it is no address.
pub(crate) fn public_address(text: &str) -> Option<String> {
    base_url(text).ok().map(|base| shown(&base).url)
}

/// What in a base URL's query may be a secret, by its parameter's name, in every form in which a server may echo it.
pub(super) fn query_secrets(base: &Url) -> Vec<(String, String)> {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let raw = base.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).map(own);
    let decoded = base.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
    // A key may also stand alone, as the parameter's name.
    let alone = base.query_pairs().filter(|(_, value)| value.is_empty());
    let alone = alone.map(|(name, _)| (String::new(), name.into_owned()));
    raw.chain(decoded).chain(alone).filter(|(name, value)| !is_version(name) && !is_version(value)).collect()
}

fn is_version(name: &str) -> bool {
    name.eq_ignore_ascii_case(VERSION)
}

/// Reads the address of the API of the CI system that we run on: a token may go
/// there. The error does not repeat the address, which may hold a password.
pub(super) fn host_api(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::usage(format!("It {why}."));
    let url = Url::parse(text.trim()).map_err(|_| wrong("is not an address"))?;
    if has_credentials(&url) {
        return Err(wrong("holds a user name or a password"));
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(wrong("is not https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(url)
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Whether a text is the address of a web page that may be shown: it holds no credentials.
pub(crate) fn is_plain_page(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && !has_credentials(&url))
}

/// Whether a base URL cannot lead away from this machine.
pub(crate) fn is_local(base_url: &str) -> bool {
    Url::parse(base_url).is_ok_and(|url| is_loopback(&url))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The longest path, in bytes: an id and the words around it.
const LONGEST_PATH: usize = LONGEST_ID + 32;

/// The address of a path below the base. Ids are opaque and may hold slashes,
/// which stay, and whatever else, which is percent-encoded. They cannot climb out
/// of the base path or begin a query.
pub(super) fn join(base: &Url, path: &str, query: &[(&'static str, String)]) -> Option<Url> {
    let path = path.strip_prefix('/').filter(|path| is_path(path) && path.len() <= LONGEST_PATH)?;
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::{base_url, host_api, is_local, is_plain_page, join, public_address, query_secrets, shown};

    fn joined(base: &str, path: &str) -> Option<String> {
        join(&base_url(base).unwrap(), path, &[]).map(String::from)
    }

    #[test]
    fn a_path_is_joined_below_the_base() {
        let expected = Some("https://x.example/v1/files".to_owned());
        assert_eq!(joined("https://x.example/v1", "/files"), expected);
        assert_eq!(joined(" https://x.example/v1/ ", "/files"), expected);
        let gateway = joined("https://x.example/a?model=m", "/batches/b").unwrap();
        assert_eq!(gateway, "https://x.example/a/batches/b?model=m");
        let listed = join(&base_url("https://x.example/v1").unwrap(), "/batches", &[("after", "a&b=c".to_owned())]);
        assert_eq!(listed.unwrap().as_str(), "https://x.example/v1/batches?after=a%26b%3Dc");
    }

    #[test]
    fn an_id_stays_where_it_belongs() {
        let base = "https://x.example/v1";
        assert_eq!(joined(base, "/files/files/abc==").unwrap(), "https://x.example/v1/files/files/abc==");
        assert_eq!(joined(base, "/files/a?b#c%2e d").unwrap(), "https://x.example/v1/files/a%3Fb%23c%252e%20d");
        let bucket = joined(base, "/files/s3://bucket/out dir/x%2Fy.jsonl/content").unwrap();
        assert_eq!(bucket, "https://x.example/v1/files/s3://bucket/out%20dir/x%252Fy.jsonl/content");
        assert_eq!(joined(base, "/files/%2e%2e/\\a/").unwrap(), "https://x.example/v1/files/%252e%252e/%5Ca/");
        for climbing in
            ["/files/..", "/files/../batches", "/files/.", "/files/.\t./x", "/files/\n..", "/files/a\\..\\b"]
        {
            assert_eq!(joined(base, climbing), None, "{climbing}");
        }
    }

    #[test]
    fn of_a_query_only_the_version_of_the_api_is_shown() {
        let seen = |text: &str| {
            let shown = shown(&base_url(text).unwrap());
            (shown.url, shown.is_query_hidden)
        };
        let azure = "https://x.example/openai?api-version=2024-10-21";
        assert_eq!(seen(azure), (azure.to_owned(), false));
        assert_eq!(seen("https://x.example/v1"), ("https://x.example/v1".to_owned(), false));
        assert_eq!(seen("https://x.example/v1?"), ("https://x.example/v1".to_owned(), false));
        let keyed = "https://x.example/openai?key=s3cret-value&api-version=2024-10-21&code";
        assert_eq!(seen(keyed), (azure.to_owned(), true));
        assert_eq!(seen("https://x.example/v1?lone-s3cret"), ("https://x.example/v1".to_owned(), true));
    }

    #[test]
    fn what_a_query_holds_beside_it_is_a_secret_in_every_form() {
        let secrets =
            query_secrets(&base_url("https://x.example?api-version=2024-10-21&sig=a%2Fb%3D12345&lone-s3cret").unwrap());
        for form in ["a%2Fb%3D12345", "a/b=12345", "lone-s3cret"] {
            assert!(secrets.iter().any(|(_, secret)| secret == form), "{form}: {secrets:?}");
        }
        assert!(!secrets.iter().any(|(_, secret)| secret.contains("2024")));
        assert_eq!(public_address("not an address"), None);
    }

    #[test]
    fn only_this_machine_is_local() {
        for local in ["http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:9/v1", "http://127.8.9.1"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["http://127.0.0.1.evil.example", "http://localhost.example", "http://10.0.0.1", "not an address"]
        {
            assert!(!is_local(remote), "{remote}");
        }
    }

    #[test]
    fn a_token_goes_to_https_or_this_machine() {
        for right in ["https://api.github.com", "https://ghes.example/api/v3/", "http://127.0.0.1:9/api/v3"] {
            assert!(host_api(right).is_ok(), "{right}");
        }
        for wrong in ["http://api.github.com", "ftp://x.example", "https://a:b@x.example", "https://x.example?q", "x"] {
            assert!(host_api(wrong).is_err(), "{wrong}");
        }
        for wrong in
            ["https://me:hunter2@ghes.example", "https://hunter2@ghes.example", "https://me:hunter2@gh es.example"]
        {
            let error = host_api(wrong).unwrap_err();
            assert!(!format!("{error:?} {}", error.sentence()).contains("hunter2"), "{error:?}");
            assert!(!is_plain_page(wrong), "{wrong}");
        }
        assert!(is_plain_page("https://github.com") && !is_plain_page("javascript:alert(1)"));
    }

    #[test]
    fn a_wrong_base_is_reported_without_what_it_holds() {
        for wrong in
            ["", "api.openai.com/v1", "ftp://x.example", "https://user:hunter2@x.example", "https://x.example#f"]
        {
            let error = base_url(wrong).unwrap_err();
            assert!(error.message.starts_with("`base-url`"), "{wrong}");
            assert!(!error.sentence().contains("hunter2"));
        }
    }
}
