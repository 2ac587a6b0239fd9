//! Finds our own secrets in lines that a server sent and that stay as they are.

use memchr::memmem::{self, Finder};

use super::{Connection, Kind};
use crate::values::{Header, Secret};

/// Shorter ones would be found by chance, and are no secrets.
const SHORTEST: usize = 8;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    finders: Vec<Finder<'static>>,
    /// Whether JSON may write one of them with a backslash though it need not write any so.
    is_escaped: bool,
}

impl Traces {
    /// The key, the credentials in headers, and those among the parameters of the base URL's query.
    pub(super) fn of(connection: &Connection, query: &[Header]) -> Self {
        // A header that names something may hold a word of any answer, as that of the model.
        let credentials =
            connection.headers.iter().chain(query).filter(|header| Kind::of_header(header) == Kind::Credential);
        let secrets = connection.api_key.iter().chain(credentials.map(|header| &header.value));
        let mut traces = Self::default();
        for secret in secrets.map(Secret::reveal).filter(|secret| secret.len() >= SHORTEST) {
            traces.finders.push(Finder::new(secret).into_owned());
            traces.is_escaped |= secret.contains(['"', '\\', '/']);
        }
        traces
    }

    /// Whether one of them is in this JSON, however it is written there.
    pub(crate) fn are_in(&self, json: &[u8]) -> bool {
        let found = |text: &[u8]| self.finders.iter().any(|finder| finder.find(text).is_some());
        // Only characters of ASCII are in a secret that HTTP carries.
        let may_hide = self.is_escaped || memmem::find(json, b"\\u00").is_some();
        found(json) || (may_hide && !self.finders.is_empty() && found(&unescaped(json)))
    }
}

/// JSON with the escapes of characters of ASCII resolved; other escapes lose their backslash.
fn unescaped(json: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let numbered = rest.strip_prefix(b"u00").and_then(|digits| std::str::from_utf8(digits.get(..2)?).ok());
        match numbered.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[5..];
            }
            None => {
                plain.extend(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::{Connection, Traces};

    fn traces(key: &str, header: &str) -> Traces {
        let connection = Connection {
            base_url: "https://x.example".to_owned(),
            api_key: key.parse().ok(),
            headers: vec![format!("x-gateway: {header}").parse().unwrap()],
            ca_bundle: None,
            allow_http: false,
        };
        Traces::of(&connection, &[])
    }

    #[test]
    fn a_secret_is_found_however_json_writes_it() {
        let traces = traces("sk-1234/\"5", "team-0123456789abcdef");
        for json in [
            r#"{"m":"key sk-1234/\"5!"}"#,
            r#"{"m":"sk-1234\/\"5"}"#,
            r#"{"m":"\u0073k-1234/\u00225"}"#,
            r#"{"m":"\n","team-0123456789abcdef":1}"#,
            r#"{"m":"\\team-\u00301\u00323456789abcdef"#,
        ] {
            assert!(traces.are_in(json.as_bytes()), "{json}");
        }
        for json in ["", r#"{"m":"sk-1234/5"}"#, r#"{"m":"\u00"}"#, "\\", r#"{"m":"team-0123456789\u00e9"}"#] {
            assert!(!traces.are_in(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn words_are_no_secrets() {
        let line = br#"{"error":{"code":"batchstep_missing"},"model":"gpt-4.1-mini","key":"short"}"#;
        assert!(!traces("short", "batchstep").are_in(line));
    }
}
