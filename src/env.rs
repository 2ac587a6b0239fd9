//! The environment: read once and passed on as a value.
//!
//! This is the only file that reads it (reqwest reads the proxy variables, rustls the CA ones).
//! `variables.rs` finds inputs in it. An empty variable is an absent one.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::styled::Paint;
use crate::values::Color;

/// The variables that name a proxy. Of each pair the first that is set counts.
const PROXIES: [[&str; 2]; 3] =
    [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]];
/// The process id of the action's launcher, which sets it for the run: see `launcher.rs`.
pub const LAUNCHER: &str = "BATCHSTEP_LAUNCHER_PID";
/// What the names of variables with secrets have in them: keys and headers of vendors, tokens of CI systems.
const PRIVATE: [&str; 6] = ["API_KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "HEADERS"];
/// A snapshot of the environment.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

/// Which of standard input and standard error are terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminals {
    /// Both: somebody is there to answer and to read.
    Both,
    /// Not both.
    NotBoth,
}

impl Terminals {
    /// Looks.
    pub fn system() -> Self {
        use std::io::IsTerminal as _;
        match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            true => Self::Both,
            false => Self::NotBoth,
        }
    }
}

/// Who uses us. People and machines want other defaults of some inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Somebody at a terminal.
    Person,
    /// A CI system, a script or a pipe.
    Ci,
}

impl Env {
    /// Reads the process's environment. Variables that are not Unicode are left out.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn system() -> Self {
        let unicode = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(std::env::vars_os().filter_map(unicode).collect())
    }

    /// A variable's value, trimmed. An empty variable is an absent one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// What stands behind the prefix in names, with its value; empty variables are absent.
    pub fn with_prefix(&self, prefix: &str) -> BTreeMap<String, String> {
        let named = |name: &String| Some((name.strip_prefix(prefix)?.to_owned(), self.get(name)?.to_owned()));
        self.0.keys().filter_map(named).collect()
    }

    /// The names of all variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names of the variables that another program should not get: by their names they hold secrets, or `holds` is
    /// true of their values.
    pub(crate) fn private(&self, holds: impl Fn(&[u8]) -> bool) -> Vec<&str> {
        let is_named = |name: &str| {
            let name = name.to_ascii_uppercase().replace('-', "_");
            PRIVATE.iter().any(|word| name.contains(word))
        };
        let is_private = |(name, value): &(&String, &String)| is_named(name) || holds(value.as_bytes());
        self.0.iter().filter(is_private).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether a variable says exactly `true`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The proxy variables that name no proxy. reqwest, which reads them itself,
    /// passes over them in silence. Their values may hold a password.
    pub fn unusable_proxies(&self) -> Vec<&'static str> {
        let is_unusable = |name: &&str| self.0.get(*name).is_some_and(|value| !value.is_empty() && !is_proxy(value));
        let counting = |pair: [&'static str; 2]| pair.into_iter().find(|name| self.0.contains_key(*name));
        PROXIES.into_iter().filter_map(counting).filter(is_unusable).collect()
    }

    /// Whether lines are coloured. What the user typed counts first, then `NO_COLOR`, then `CLICOLOR_FORCE`;
    /// else they are where a terminal shows them (<https://bixense.com/clicolors>, <https://no-color.org>).
    pub fn paint(&self, color: Color, is_terminal: impl FnOnce() -> bool) -> Paint {
        let is_forced = self.get("CLICOLOR_FORCE").is_some_and(|force| force != "0");
        let is_declined = self.get("CLICOLOR") == Some("0") || self.get("TERM") == Some("dumb");
        let is_colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if self.get("NO_COLOR").is_some() => false,
            Color::Auto => is_forced || (!is_declined && is_terminal()),
        };
        if is_colored { Paint::Colored } else { Paint::Plain }
    }

    /// Whether the terminal can move its cursor, as a progress bar needs.
    pub(crate) fn can_draw(&self) -> bool {
        self.get("TERM") != Some("dumb")
    }

    /// Who uses us: somebody at a terminal, or a machine.
    pub fn setting(&self, terminals: Terminals) -> Setting {
        match (terminals, self.get("CI")) {
            (Terminals::Both, None) => Setting::Person,
            _ => Setting::Ci,
        }
    }
}

/// Whether a text is the address of a proxy that our HTTP client can use: `http://user:password@host:port`, or less of it.
fn is_proxy(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_http = uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let Some(authority) = uri.authority().filter(|_| is_http) else { return false };
    let at_host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = at_host.strip_prefix(authority.host()).unwrap_or(":");
    !authority.host().is_empty()
        && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()))
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Env;

    #[test]
    fn a_person_is_whoever_has_two_terminals_and_no_ci() {
        use super::{Setting, Terminals};
        let setting = |env: &[(&str, &str)], terminals| env.iter().copied().collect::<Env>().setting(terminals);
        assert_eq!(setting(&[], Terminals::Both), Setting::Person);
        assert_eq!(setting(&[("CI", "")], Terminals::Both), Setting::Person);
        assert_eq!(setting(&[("CI", "1")], Terminals::Both), Setting::Ci);
        assert_eq!(setting(&[], Terminals::NotBoth), Setting::Ci);
    }

    #[test]
    fn colours_are_the_users_choice_then_the_environments() {
        use super::{Color, Paint};
        let paint =
            |env: &[(&str, &str)], color| env.iter().copied().collect::<Env>().paint(color, || true) == Paint::Colored;
        let piped = |env: &[(&str, &str)]| env.iter().copied().collect::<Env>().paint(Color::Auto, || false);
        let (no, force) = (("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"));
        assert!(paint(&[], Color::Auto) && paint(&[("NO_COLOR", "")], Color::Auto));
        assert!(!paint(&[no, force], Color::Auto) && paint(&[no], Color::Always) && !paint(&[force], Color::Never));
        assert!(!paint(&[("TERM", "dumb")], Color::Auto) && !paint(&[("CLICOLOR", "0")], Color::Auto));
        assert_eq!((piped(&[]), piped(&[force])), (Paint::Plain, Paint::Colored));
        assert_eq!((piped(&[no, force]), piped(&[("CLICOLOR_FORCE", "0")])), (Paint::Plain, Paint::Plain));
    }

    #[test]
    fn secrets_are_known_by_name_or_value() {
        let names = ["OPENAI_API_KEY", "INPUT_API-KEY", "INPUT_HEADERS", "BATCHSTEP_GITHUB_TOKEN", "GH_TOKEN", "OTHER"];
        let tokens = ["ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "drone_netrc_password", "CI_SECRET"];
        let values = ["PATH", "HOME", "GITHUB_OUTPUT", "INPUT_GATE"].map(|name| (name, "x"));
        let env: Env = names.iter().chain(&tokens).map(|name| (*name, "sk-1")).chain(values).collect();
        let mut private = env.private(|value| value == b"sk-1");
        private.sort_unstable();
        let mut expected = [&names[..], &tokens].concat();
        expected.sort_unstable();
        assert_eq!(private, expected);
        assert!(!env.private(|_| false).contains(&"OTHER"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_and_no_other() {
        let unusable = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Env>().unusable_proxies();
        for good in
            ["http://proxy.example:3128", "proxy:8080", "https://me:p%23ss@[::1]:80/", "10.0.0.1", "localhost", ""]
        {
            assert_eq!(unusable(&[("HTTPS_PROXY", good)]), [""; 0], "{good}");
        }
        for wrong in [
            "http://me:p#ss@proxy:3128",
            "http://me:p/ss@proxy:3128",
            "http://me:p ss@proxy:3128",
            "socks5://proxy:1080",
            "http://",
            "http://:3128",
            "http://proxy:port",
            "http://proxy:99999",
            " http://proxy:3128",
            "ftp://proxy",
            "/",
        ] {
            assert_eq!(unusable(&[("https_proxy", wrong)]), ["https_proxy"], "{wrong}");
        }
        let both = [("HTTP_PROXY", "proxy:1"), ("http_proxy", "::"), ("all_proxy", "::"), ("NO_PROXY", "::")];
        assert_eq!(unusable(&both), ["all_proxy"], "in capitals it counts first");
    }
}
