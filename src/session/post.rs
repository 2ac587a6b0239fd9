//! How the action's `post` reaches the provider of a run that was killed.
//!
//! `post` may find other inputs than the run had: inside a composite action
//! the runner gives it those of the step around it. So it takes nothing from
//! them but secrets, and of those only the ones that the run itself has sent to
//! this very server.

use clap::ValueEnum as _;

use crate::client;
use crate::dialects;
use crate::env::Env;
use crate::error::Error;
use crate::hosts::Unfinished;
use crate::inputs::{Connection, Unchecked};

/// The names in the state are ones that a shell keeps, in case one runs the binary.
const ADDRESS: &str = "base_url";
/// By these a secret is recognized as the one that the run had.
const KEY_CHECK: &str = "api_key_check";
const HEADERS_CHECK: &str = "headers_check";

/// The inputs by which a provider is reached, without the secrets among them;
/// `base_url` is the address that they come to.
pub(super) fn inputs_to_leave(connection: &Connection, base_url: &str) -> Vec<(&'static str, String)> {
    let provider = connection.provider.unwrap_or(dialects::Name::Openai).to_possible_value();
    let ca_file = connection.ca_file.as_ref().and_then(|path| std::path::absolute(path).ok());
    let headers: Vec<&str> = connection.headers.iter().map(|Unchecked(header)| header.as_str()).collect();
    let inputs = [
        ("provider", provider.map(|name| name.get_name().to_owned())),
        (ADDRESS, client::public_address(base_url)),
        ("organization", connection.organization.clone()),
        ("project", connection.project.clone()),
        ("ca_file", ca_file.map(|path| path.display().to_string())),
        ("allow_http", connection.allow_http.map(|allowed| allowed.to_string())),
        (KEY_CHECK, connection.api_key.as_ref().map(|Unchecked(key)| check(&[key]))),
        (HEADERS_CHECK, (!headers.is_empty()).then(|| check(&headers))),
    ];
    inputs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// How to reach the provider again. The error says that its key is not here.
pub(crate) fn recall(left: &Unfinished, env: &Env) -> (Connection, Result<(), Error>) {
    let left_input = |name: &str| left.inputs.get(name).cloned();
    let address = left_input(ADDRESS).unwrap_or_default();
    // The rest of its query may be a secret and is in no state: it counts if the whole address is here.
    let whole = env.candidates("base-url").concat();
    let whole = whole.into_iter().find(|url| client::public_address(url).as_ref() == Some(&address));
    let key = same("api-key", KEY_CHECK, left, env);
    let headers = same("headers", HEADERS_CHECK, left, env);
    let connection = Connection {
        provider: left_input("provider").and_then(|name| dialects::Name::from_str(&name, false).ok()),
        base_url: Some(whole.map_or_else(|| address.clone(), str::to_owned)),
        api_key: key.as_ref().and_then(|key| key.first()).map(|key| Unchecked((*key).to_owned())),
        organization: left_input("organization"),
        project: left_input("project"),
        headers: headers.iter().flatten().map(|header| Unchecked((*header).to_owned())).collect(),
        ca_file: left_input("ca_file").map(Into::into),
        allow_http: left_input("allow_http").map(|allowed| allowed == "true"),
    };
    let has_all = key.is_some() && headers.is_some();
    (connection, if has_all { Ok(()) } else { Err(locked_out(left, env, &address)) })
}

/// The value of an input that the run had, empty where it had none; none where it is not here.
fn same<'e>(input: &str, with: &str, left: &Unfinished, env: &'e Env) -> Option<Vec<&'e str>> {
    match left.inputs.get(with) {
        None => Some(Vec::new()),
        Some(expected) => env.candidates(input).into_iter().find(|items| check(items) == *expected),
    }
}

/// Distinguishes secrets by sixteen bits of their digest: enough to notice another
/// one, too little to find one by.
fn check(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(|item| item.as_ref().trim()).collect();
    let digest = blake3::derive_key("batchstep 2026-11 check of a secret", items.join("\n").as_bytes());
    format!("{:02x}{:02x}", digest[0], digest[1])
}

fn locked_out(left: &Unfinished, env: &Env, address: &str) -> Error {
    let batches = left.batches.iter().map(|id| format!("batch {id}"));
    let creates = left.creates.iter().map(|create| format!("the batch with the metadata batchstep_create = {create}"));
    let which: Vec<String> = batches.chain(creates).collect();
    let is_other = !env.candidates("api-key").is_empty() || !env.candidates("headers").is_empty();
    let vendor = left.inputs.get("provider").and_then(|name| dialects::Name::from_str(name, false).ok());
    let variable = dialects::choose(vendor.unwrap_or(dialects::Name::Openai)).variable("api-key");
    let variable = variable.map(|name| format!("{name} or ")).unwrap_or_default();
    let why = if is_other {
        "the key or the headers found here are not those that the run used, so they were not sent there"
    } else {
        "there is no key here"
    };
    Error::usage(format!(
        "Not cancelled at {address}, so it may still run and cost money: {}; {why}.",
        which.join(", ")
    ))
    .hint(format!(
        "Pass the key to the step through `env:` as well, as {variable}BATCHSTEP_API_KEY: this \
         reaches `post` inside composite actions too."
    ))
}

#[cfg(test)]
mod tests {
    use super::{inputs_to_leave, recall};
    use crate::env::Env;
    use crate::hosts::Unfinished;
    use crate::inputs::{Connection, Unchecked};

    const WHOLE: &str = "https://gateway.example/v1?api-version=2026-01&sig=hidden-in-the-query";

    fn connection(key: Option<&str>, headers: &[&str]) -> Connection {
        Connection {
            provider: Some(crate::dialects::Name::Compatible),
            base_url: Some(WHOLE.to_owned()),
            api_key: key.map(|key| Unchecked(key.to_owned())),
            organization: Some("org-1".to_owned()),
            project: None,
            headers: headers.iter().map(|header| Unchecked((*header).to_owned())).collect(),
            ca_file: None,
            allow_http: None,
        }
    }

    fn left(connection: &Connection) -> Unfinished {
        let inputs =
            inputs_to_leave(connection, WHOLE).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Unfinished { batches: vec!["batch_1".to_owned()], inputs, ..Unfinished::default() }
    }

    #[test]
    fn the_state_has_no_secret() {
        let text = format!(
            "{:?}",
            inputs_to_leave(&connection(Some("sk-0123456789"), &["X-Gateway: hidden-in-a-header"]), WHOLE)
        );
        assert!(text.contains("https://gateway.example/v1?api-version=2026-01") && text.contains("org-1"), "{text}");
        assert!(!text.contains("hidden") && !text.contains("sk-01"), "{text}");
    }

    #[test]
    fn the_runs_own_key_is_taken_wherever_it_is_and_no_other() {
        let run = connection(Some("sk-0123456789"), &[]);
        let left = left(&run);
        let found = |pairs: &[(&str, &str)]| {
            let github = ("GITHUB_ACTIONS", "true");
            let env: Env = pairs.iter().copied().chain([github]).collect();
            let (connection, secrets) = recall(&left, &env);
            (
                connection.base_url.unwrap(),
                connection.api_key.map(|key| key.0),
                secrets.map_err(|error| error.sentence() + &error.hints.join(" ")),
            )
        };
        let (same, other) = ("sk-0123456789", "sk-of-something-else");
        let public = "https://gateway.example/v1?api-version=2026-01";
        for env in [
            &[("INPUT_API-KEY", same)][..],
            &[("INPUT_API_KEY", same), ("INPUT_BASE-URL", "https://elsewhere.example/v1")],
            &[("INPUT_API-KEY", other), ("OPENAI_API_KEY", same)],
            &[("BATCHSTEP_API_KEY", same), ("OPENAI_API_KEY", other)],
        ] {
            assert_eq!(found(env), (public.to_owned(), Some(same.to_owned()), Ok(())), "{env:?}");
        }
        // The address counts as a whole where it is the run's.
        assert_eq!(found(&[("INPUT_API-KEY", same), ("INPUT_BASE-URL", WHOLE)]).0, WHOLE);
        for (env, why) in [
            (&[][..], "there is no key here"),
            (&[("INPUT_API-KEY", other)], "not those that the run used"),
            (&[("OPENAI_API_KEY", other)], "not those that the run used"),
        ] {
            let (_, key, secrets) = found(env);
            let sentence = secrets.unwrap_err();
            assert_eq!(key, None);
            for said in [why, "batch batch_1", "`env:`", public] {
                assert!(sentence.contains(said), "{said}: {sentence}");
            }
            assert!(!sentence.contains(other), "{sentence}");
        }
    }

    #[test]
    fn headers_are_the_runs_or_nothing_is_sent() {
        let left = left(&connection(None, &["api-key: 0123456789", "X-Two: 2"]));
        let github = ("GITHUB_ACTIONS", "true");
        let env: Env = [github, ("INPUT_HEADERS", "api-key: 0123456789\n X-Two: 2 \n")].into_iter().collect();
        let (connection, secrets) = recall(&left, &env);
        assert!(secrets.is_ok() && connection.headers.len() == 2);
        let env: Env = [github, ("INPUT_HEADERS", "api-key: another")].into_iter().collect();
        let (connection, secrets) = recall(&left, &env);
        assert!(secrets.is_err() && connection.headers.is_empty());
    }
}
