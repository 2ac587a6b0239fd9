//! The body of a create: only its outer shape is checked, as the API does it.
//!
//! What is wrong with a request's `params` is found out when its turn comes. The
//! requests are taken from the body one by one, so that only one is ever parsed.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::refusal::refuse;
use crate::refusal::Refusal;
use crate::rows::Row;

/// The most requests that a batch may hold.
const MOST: usize = 100_000;
/// The largest body, in bytes: the documents say 256 MB, and not which.
const LARGEST: usize = 256_000_000;

/// The version of the API that a call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Early,
    /// The first that refuses the parameters of sampling.
    October2026,
}

impl Version {
    pub(super) fn read(header: Option<&str>) -> Result<Self, Refusal> {
        match header.unwrap_or_default() {
            "" => Err(refuse(400, "anthropic-version: header is required")),
            "2023-01-01" | "2023-06-01" => Ok(Self::Early),
            "2026-10-21" => Ok(Self::October2026),
            other => Err(refuse(400, format!("anthropic-version: \"{other}\" is not a valid version"))),
        }
    }

    /// What the Messages API would say of these params.
    fn fault(self, params: &Value) -> Option<String> {
        if let Some(missing) = ["model", "max_tokens", "messages"].iter().find(|name| params[**name].is_null()) {
            return Some(format!("{missing}: Field required"));
        }
        if params["max_tokens"].as_u64().is_none_or(|most| most == 0) {
            return Some("max_tokens: Input should be a whole number greater than or equal to 1".to_owned());
        }
        if params["messages"].as_array().is_none_or(Vec::is_empty) {
            return Some("messages: at least one message is required".to_owned());
        }
        if params["stream"] == true {
            return Some("stream: Streaming is not supported in the Message Batches API".to_owned());
        }
        let removed = ["temperature", "top_p", "top_k"].into_iter().find(|name| !params[*name].is_null());
        removed.filter(|_| self == Self::October2026).map(|name| format!("{name}: Extra inputs are not permitted"))
    }
}

/// The requests of an acceptable create.
#[derive(Debug, Default)]
pub(super) struct Create {
    /// The `params` of all requests, one after the other.
    pub(super) content: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

impl Create {
    /// Reads and checks the body.
    pub(super) fn read(body: &[u8], version: Version) -> Result<Self, Refusal> {
        if body.len() > LARGEST {
            return Err(refuse(413, "Request exceeds the maximum size"));
        }
        let mut reading = Reading { version, found: Self::default(), ids: HashSet::new(), count: None, wrong: None };
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Outer(&mut reading).deserialize(&mut json).and_then(|()| json.end());
        if let Err(error) = read {
            return Err(refuse(400, format!("The request body is not valid JSON: {error}")));
        }
        let wrong = match reading.count {
            None => Some("requests: Field required".to_owned()),
            Some(0) => Some("requests: List should have at least 1 item after validation, not 0".to_owned()),
            Some(count) if count > MOST => {
                Some(format!("requests: List should have at most {MOST} items after validation, not {count}"))
            }
            Some(_) => None,
        };
        match wrong.or(reading.wrong) {
            Some(wrong) => Err(refuse(400, wrong)),
            None => Ok(reading.found),
        }
    }
}

/// A body that is being read.
struct Reading {
    version: Version,
    found: Create,
    ids: HashSet<String>,
    /// How many requests there were; none while there is no `requests`.
    count: Option<usize>,
    /// The first thing that is wrong.
    wrong: Option<String>,
}

impl Reading {
    fn request(&mut self, request: Value) {
        let at = self.count.unwrap_or_default();
        self.count = Some(at + 1);
        if self.wrong.is_some() || at >= MOST {
            return;
        }
        self.wrong = self.take(&request).err().map(|(member, wrong)| match member {
            "" => format!("requests.{at}: {wrong}"),
            member => format!("requests.{at}.{member}: {wrong}"),
        });
    }

    /// Keeps one request, or says which of its members is wrong and how.
    fn take<'a>(&mut self, request: &'a Value) -> Result<(), (&'a str, &'static str)> {
        let members = request.as_object().ok_or(("", "Input should be an object"))?;
        if let Some(other) = members.keys().find(|name| !["custom_id", "params"].contains(&name.as_str())) {
            return Err((other, "Extra inputs are not permitted"));
        }
        let id = members.get("custom_id").ok_or(("custom_id", "Field required"))?;
        let id = id.as_str().ok_or(("custom_id", "Input should be a valid string"))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&id.len()) || !id.bytes().all(allowed) {
            return Err(("custom_id", "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"));
        }
        if !self.ids.insert(id.to_owned()) {
            return Err(("custom_id", "Each custom_id must be unique within the batch"));
        }
        let params = members.get("params").ok_or(("params", "Field required"))?;
        if !params.is_object() {
            return Err(("params", "Input should be an object"));
        }
        let from = self.found.content.len();
        self.found.content.extend_from_slice(params.to_string().as_bytes());
        let (span, wrong) = (from..self.found.content.len(), self.version.fault(params));
        self.found.rows.push(Row { custom_id: id.to_owned(), span, wrong });
        Ok(())
    }
}

/// Reads the body's object.
struct Outer<'a>(&'a mut Reading);

/// Reads the array of requests.
struct Requests<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Outer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Outer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `requests`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "requests" {
                map.next_value_seed(Requests(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
                self.0.wrong.get_or_insert(format!("{name}: Extra inputs are not permitted"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Requests<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Requests<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.count = Some(0);
        while let Some(request) = items.next_element_seed(Whole)? {
            self.0.request(request);
        }
        Ok(())
    }
}

/// Reads one value.
struct Whole;

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Create, MOST, Version};

    fn params() -> Value {
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    }

    fn refused(body: &Value) -> String {
        let refusal = Create::read(body.to_string().as_bytes(), Version::Early).unwrap_err();
        assert_eq!((refusal.status, refusal.kind), (400, "invalid_request_error"));
        refusal.message
    }

    fn one(request: Value) -> Value {
        json!({"requests": [request]})
    }

    #[test]
    fn a_good_create_is_taken() {
        let body = json!({"requests": [{"custom_id": "a_-Z9", "params": params()}, {"custom_id": "b", "params": {}}]});
        let create = Create::read(body.to_string().as_bytes(), Version::Early).unwrap();
        let read = |at: usize| serde_json::from_slice::<Value>(&create.content[create.rows[at].span.clone()]).unwrap();
        assert_eq!((read(0), read(1)), (params(), json!({})));
        assert_eq!((create.rows[0].custom_id.as_str(), create.rows[0].wrong.as_deref()), ("a_-Z9", None));
        assert_eq!(create.rows[1].wrong.as_deref(), Some("model: Field required"), "found out later");
    }

    #[test]
    fn the_outer_shape_is_checked() {
        let good = || json!({"custom_id": "a", "params": params()});
        for (body, said) in [
            (json!({}), "requests: Field required"),
            (json!({"requests": []}), "requests: List should have at least 1 item"),
            (json!({"requests": [good()], "metadata": {}}), "metadata: Extra inputs are not permitted"),
            (json!({"requests": [good(), good()]}), "requests.1.custom_id: Each custom_id must be unique"),
            (one(json!({"params": {}})), "requests.0.custom_id: Field required"),
            (one(json!({"custom_id": "a b", "params": {}})), "requests.0.custom_id: String should match pattern"),
            (one(json!({"custom_id": "x".repeat(65), "params": {}})), "requests.0.custom_id: String should match"),
            (one(json!({"custom_id": "", "params": {}})), "requests.0.custom_id: String should match"),
            (one(json!({"custom_id": 7, "params": {}})), "requests.0.custom_id: Input should be a valid string"),
            (one(json!({"custom_id": "a"})), "requests.0.params: Field required"),
            (one(json!({"custom_id": "a", "params": []})), "requests.0.params: Input should be an object"),
            (one(json!({"custom_id": "a", "params": {}, "method": "POST"})), "requests.0.method: Extra inputs"),
            (one(json!(1)), "requests.0: Input should be an object"),
            (json!({"requests": {}}), "The request body is not valid JSON"),
        ] {
            let message = refused(&body);
            assert!(message.starts_with(said), "{message}");
        }
        let cut = one(good()).to_string();
        assert_eq!(Create::read(&cut.as_bytes()[..cut.len() - 1], Version::Early).unwrap_err().status, 400);
    }

    #[test]
    fn a_batch_can_be_too_large() {
        let requests = |count: usize| {
            let lines: Vec<String> = (0..count).map(|i| format!(r#"{{"custom_id":"r{i}","params":{{}}}}"#)).collect();
            format!(r#"{{"requests":[{}]}}"#, lines.join(","))
        };
        assert_eq!(Create::read(requests(MOST).as_bytes(), Version::Early).unwrap().rows.len(), MOST);
        let refusal = Create::read(requests(MOST + 1).as_bytes(), Version::Early).unwrap_err();
        assert!(refusal.message.ends_with("at most 100000 items after validation, not 100001"), "{}", refusal.message);
        let refusal = Create::read(&vec![b' '; super::LARGEST + 1], Version::Early).unwrap_err();
        assert_eq!((refusal.status, refusal.kind), (413, "request_too_large"));
    }

    #[test]
    fn params_are_wrong_in_their_turn() {
        let wrong = |version: Version, name: &str, value: Value| {
            let mut params = params();
            params[name] = value;
            version.fault(&params).unwrap_or_default()
        };
        let early = |name, value| wrong(Version::Early, name, value);
        assert_eq!(early("max_tokens", Value::Null), "max_tokens: Field required");
        assert!(early("max_tokens", json!(0)).starts_with("max_tokens: Input"));
        assert!(early("messages", json!([])).starts_with("messages: at least"));
        assert!(early("stream", json!(true)).starts_with("stream: Streaming"));
        assert_eq!(early("stream", json!(false)), "");
        for name in ["temperature", "top_p", "top_k"] {
            assert_eq!(early(name, json!(1)), "");
            let said = wrong(Version::October2026, name, json!(1));
            assert_eq!(said, format!("{name}: Extra inputs are not permitted"));
        }
    }

    #[test]
    fn a_version_is_named() {
        assert_eq!(Version::read(Some("2026-10-21")), Ok(Version::October2026));
        assert_eq!(Version::read(Some("2023-06-01")), Ok(Version::Early));
        for header in [None, Some(""), Some("2024-01-01")] {
            assert_eq!(Version::read(header).unwrap_err().status, 400, "{header:?}");
        }
    }
}
