//! What the inputs about the batches mean together: their limits, what their
//! uploads say, and how long they may take.

use std::time::Duration;

use crate::dialects::{Intake, Limits, Rules, UploadForm, Vendor};
use crate::error::Error;
use crate::hosts::Host;
use crate::inputs::{Making, Work};
use crate::policy::TIMEOUT_BEYOND_WINDOW;
use crate::values::{self, Field, Header};

/// What the requests must keep to: the vendor's rules, and limits that are the user's where those are smaller.
pub(crate) fn rules(work: &Work, headers: &[Header], vendor: &Vendor) -> Result<Rules, Error> {
    for (name, limit) in [("max-requests", work.max_requests), ("max-bytes", work.max_bytes)] {
        if limit == Some(0) {
            return Err(Error::usage(format!("`{name}` is 0, which leaves no room for any request.")));
        }
    }
    let smaller = |ours: Option<u64>, theirs: Option<u64>| ours.into_iter().chain(theirs).min();
    let limits = Limits {
        max_requests: smaller(work.max_requests, vendor.limits.max_requests),
        max_bytes: smaller(work.max_bytes, vendor.limits.max_bytes),
        ..vendor.limits
    };
    Ok(Rules { endpoint: work.endpoint.clone(), headers: routes(headers, vendor), limits, ..vendor.rules() })
}

/// What an upload says beside the file.
pub(crate) fn upload_form(
    purpose: Option<&String>,
    expires_after: Option<Duration>,
    fields: &[Field],
    vendor: &Vendor,
) -> Result<UploadForm, Error> {
    let purpose = purpose.map(|purpose| purpose.trim().to_owned());
    if purpose.as_ref().is_some_and(|purpose| purpose.is_empty() || purpose.chars().any(char::is_control)) {
        return Err(Error::usage("`upload-purpose` is empty or holds control characters.")
            .hint("Leave it out for the purpose `batch`."));
    }
    let expiry = match vendor.dialect.intake() {
        Intake::File(files) => expires_after.map(|life| files.expiry_fields(life)).unwrap_or_default(),
        Intake::InCreate(_) => {
            let given = [
                ("upload-purpose", purpose.is_some()),
                ("expires-after", expires_after.is_some()),
                ("upload-fields", !fields.is_empty()),
            ];
            given
                .into_iter()
                .filter(|(_, is_given)| *is_given)
                .try_for_each(|(input, _)| Err(unknown(input, vendor)))?;
            Vec::new()
        }
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for Field { name, value } in fields {
        if expiry.iter().any(|(taken, _)| taken == name) {
            return Err(Error::usage(format!("`upload-fields` has `{name}`, which `expires-after` sets already."))
                .hint("Remove one of them."));
        }
        // A list is written by giving its field again and again.
        if !name.ends_with("[]") && pairs.iter().any(|(known, _)| known == name) {
            return Err(Error::usage(format!("`upload-fields` has the field `{name}` twice.")));
        }
        pairs.push((name.clone(), value.clone()));
    }
    Ok(UploadForm { purpose, expires_after, fields: pairs })
}

/// The error of an input that means nothing to a vendor.
pub(super) fn unknown(input: &str, vendor: &Vendor) -> Error {
    Error::usage(format!("`{input}` does not work with provider {}: its API has nothing like it.", vendor.name))
        .hint("Leave it out.")
}

/// What the upload of these batches' requests says beside the file.
pub(super) fn form(making: &Making, vendor: &Vendor) -> Result<UploadForm, Error> {
    upload_form(making.upload_purpose.as_ref(), making.expires_after, &making.upload_fields, vendor)
}

/// What else than bytes, endpoint and window changes the answers: fields of the
/// upload, and headers that route the calls.
pub(super) fn extras(form: &UploadForm, headers: &[Header], vendor: &Vendor) -> Vec<(String, String)> {
    let fields = form.fields.iter().map(|(name, value)| (format!("upload-fields {name}"), value.clone()));
    fields.chain(routing_extras(headers, vendor)).collect()
}

/// Those of them that are headers.
pub(super) fn routing_extras(headers: &[Header], vendor: &Vendor) -> Vec<(String, String)> {
    routes(headers, vendor).into_iter().map(|(name, value)| (format!("headers {name}"), value)).collect()
}

/// The headers that may change the answers.
fn routes(headers: &[Header], vendor: &Vendor) -> Vec<(String, String)> {
    let routing = vendor.dialect.routing_headers();
    let routes = headers.iter().filter(|header| routing.contains(&header.name.as_str()));
    routes.map(|header| (header.name.clone(), header.value.reveal().to_owned())).collect()
}

/// The default `timeout`: the host's limit, but never more than the completion window and half an hour.
pub(super) fn longest(host: &dyn Host, window: &str) -> Duration {
    let longest = values::window(window) + TIMEOUT_BEYOND_WINDOW;
    host.time_limit().map_or(longest, |limit| limit.min(longest))
}

/// When the job ends that a run is a step of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// Not before the run ends, as far as the user or the CI system says, or there is no job.
    AfterRun,
    /// Unknown: the job may end before the run.
    Untold,
}

impl JobEnd {
    /// That of this host's job, with the `timeout` that the user chose.
    pub(super) fn of(host: &dyn Host, chosen: Option<Duration>) -> Self {
        let is_untold = chosen.is_none() && host.is_ci() && host.time_limit().is_none();
        if is_untold { Self::Untold } else { Self::AfterRun }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{extras, rules, upload_form};
    use crate::dialects::{Name, choose};
    use crate::inputs::Work;

    fn limits(name: Name, max_requests: Option<u64>, max_bytes: Option<u64>) -> Option<(Option<u64>, Option<u64>)> {
        let work = Work { requests: Vec::new(), endpoint: None, max_requests, max_bytes };
        rules(&work, &[], choose(name)).ok().map(|rules| (rules.limits.max_requests, rules.limits.max_bytes))
    }

    #[test]
    fn the_smaller_limit_counts() {
        let (openai, compatible) = (Name::Openai, Name::Compatible);
        assert_eq!(limits(openai, Some(100), Some(1_000)), Some((Some(100), Some(1_000))));
        let most = Some(u64::MAX);
        assert_eq!(limits(openai, most, most), Some((Some(50_000), Some(200_000_000))), "nobody can lift OpenAI's");
        assert_eq!(limits(compatible, most, None), Some((most, None)));
        assert_eq!(limits(compatible, Some(0), None), None);
        assert_eq!(limits(compatible, None, Some(0)), None);
    }

    #[test]
    fn headers_that_route_are_known_by_name() {
        let headers = ["X-LiteLLM-Model: gpt", "x-portkey-virtual-key: vk", "x-trace-id: 7", "OpenAI-Beta: v2"];
        let form = upload_form(None, None, &["openai-beta=field".parse().unwrap()], choose(Name::Openai)).unwrap();
        let extras = extras(&form, &headers.map(|header| header.parse().unwrap()), choose(Name::Openai));
        let pairs: Vec<(&str, &str)> = extras.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let routes = [("headers x-litellm-model", "gpt"), ("headers openai-beta", "v2")];
        assert_eq!(pairs, [&[("upload-fields openai-beta", "field")], &routes[..]].concat());
    }

    #[test]
    fn an_upload_says_everything_once() {
        let form = |purpose: Option<&str>, life: Option<Duration>, fields: &[&str]| {
            let fields: Vec<_> = fields.iter().map(|field| field.parse().unwrap()).collect();
            let purpose = purpose.map(str::to_owned);
            upload_form(purpose.as_ref(), life, &fields, choose(Name::Openai)).map_err(|error| error.message)
        };
        assert_eq!(form(None, None, &[]).unwrap().purpose, None);
        assert_eq!(form(Some("batch-api"), None, &["tags[]=a", "tags[]=b"]).unwrap().fields.len(), 2);
        assert!(form(None, None, &["expires_after[seconds]=1209600"]).is_ok());
        let day = Some(Duration::from_secs(86_400));
        assert!(form(None, day, &["expires_after[seconds]=1209600"]).unwrap_err().contains("`expires-after` sets"));
        assert!(form(None, None, &["x=1", "x=2"]).unwrap_err().contains("`x` twice"));
        assert!(form(Some(" "), None, &[]).is_err());
    }
}
