//! Cuts our own secrets out of what people are shown of a server's answers.
//!
//! A server may echo what it was sent, in an error or in a good answer, and in
//! any of the ways in which JSON can write a string. What it echoed must reach
//! no log, report or output. Answers are parsed before anything is cut out of
//! them: a header's value may equal a word of the protocol.

use memchr::memmem;
use serde_json::Value;

use crate::values::{Header, Secret};

/// What stands in a secret's place.
const CUT: &str = "***";
/// Shorter ones would be found by chance everywhere, and are no secrets.
const SHORTEST: usize = 8;

/// What a secret is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whoever knows it can act for the user.
    Credential,
    /// A header's value that names something: a team, a model, a stage. Ids of
    /// files and batches may hold it with good reason.
    Name,
}

impl Kind {
    /// What a header's value is: a name if it is made of letters alone, as
    /// `staging`, or if the header selects a version or a route.
    pub(crate) fn of_header(header: &Header) -> Self {
        let is_word = header.value.reveal().chars().all(|c| c.is_alphabetic() || "-_ ".contains(c));
        let selects = SELECTING.iter().any(|part| header.name.to_ascii_lowercase().contains(part));
        if is_word || selects { Self::Name } else { Self::Credential }
    }
}

/// Parts of the names of headers that select something.
const SELECTING: [&str; 7] = ["model", "version", "beta", "provider", "organization", "project", "region"];

/// The secrets that are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Vec<(Secret, Kind)>);

impl Secrets {
    /// Adds a secret, if it is long enough to be one.
    pub(crate) fn add(&mut self, secret: Secret, kind: Kind) {
        if secret.reveal().len() >= SHORTEST {
            self.0.push((secret, kind));
        }
    }

    /// Cuts all out of a text.
    pub(crate) fn cut_text(&self, text: &str) -> String {
        self.values().fold(text.to_owned(), |text, secret| text.replace(secret, CUT))
    }

    /// Whether an id holds a credential.
    pub(crate) fn is_credential_in(&self, id: &str) -> bool {
        self.0.iter().any(|(secret, kind)| *kind == Kind::Credential && id.contains(secret.reveal()))
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(secret, _)| secret.reveal())
    }

    /// Cuts all out of a body, which stays byte for byte as it is but for them.
    /// Only where JSON writes one in a roundabout way, all of it is written anew.
    pub(crate) fn cut(&self, body: &[u8]) -> Vec<u8> {
        let body = self.values().fold(body.to_vec(), |body, secret| without(&body, secret.as_bytes()));
        if memchr::memchr(b'\\', &body).is_none() {
            return body;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return body };
        if self.cut_value(&mut value) { value.to_string().into_bytes() } else { body }
    }

    /// Cuts all out of every string in a value, names included; tells whether there were any.
    fn cut_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => {
                let clean = self.cut_text(text);
                let found = clean != *text;
                *text = clean;
                found
            }
            Value::Array(items) => items.iter_mut().fold(false, |found, item| self.cut_value(item) | found),
            Value::Object(members) => {
                let mut found = false;
                for (name, mut member) in std::mem::take(members) {
                    let clean = self.cut_text(&name);
                    found |= self.cut_value(&mut member) | (clean != name);
                    members.insert(clean, member);
                }
                found
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

fn without(body: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(body.len());
    let mut from = 0;
    for at in memmem::find_iter(body, secret) {
        clean.extend_from_slice(&body[from..at]);
        clean.extend_from_slice(CUT.as_bytes());
        from = at + secret.len();
    }
    clean.extend_from_slice(&body[from..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::{Kind, Secrets};

    fn secrets(texts: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        texts.iter().for_each(|text| secrets.add(text.parse().unwrap(), Kind::Credential));
        secrets
    }

    #[test]
    fn a_body_without_secrets_stays_as_it_is() {
        for body in [&b"{\"b\": \"a\\n\",  \"a\":1}"[..], b"not \xff JSON \\", b""] {
            assert_eq!(secrets(&["sk-12345678"]).cut(body), body);
        }
    }

    #[test]
    fn secrets_are_cut_out_however_json_writes_them() {
        let secrets = secrets(&["sk-a/b\"c-12345", "other-secret", "short"]);
        let cut = |body: &str| String::from_utf8(secrets.cut(body.as_bytes())).unwrap();
        assert_eq!(cut("other-secretother-secret, short"), "******, short");
        assert_eq!(cut(r#"{"z": "other-secret"}"#), r#"{"z": "***"}"#);
        assert_eq!(cut(r#"{"z": ["sk-a\/b\"c-12345!"]}"#), r#"{"z":["***!"]}"#);
        assert_eq!(cut(r#"{"\u006fther-secret": {"a": "\n\u006fther-secret"}}"#), r#"{"***":{"a":"\n***"}}"#);
    }

    #[test]
    fn only_a_credential_makes_an_id_unusable() {
        let mut secrets = secrets(&["sk-0123456789"]);
        for header in ["X-Client: batchstep", "X-Stage: batch_ready", "x-litellm-model: gpt-4o-mini"] {
            let header: super::Header = header.parse().unwrap();
            secrets.add(header.value.clone(), Kind::of_header(&header));
        }
        assert!(secrets.is_credential_in("batch_sk-0123456789"));
        for fine in ["batchstep-1.jsonl", "batch_ready_1", "batch_gpt-4o-mini_7"] {
            assert!(!secrets.is_credential_in(fine), "{fine}");
        }
        let gateway: super::Header = "X-Gateway: t0ken-0815".parse().unwrap();
        assert_eq!(Kind::of_header(&gateway), Kind::Credential);
    }
}
