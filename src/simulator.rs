//! The sandbox, served by this program: in the process of a run, or by `batchstep sandbox`.
//!
//! `crates/sandbox` is the simulator. A build without the feature `sandbox` has none, and says so.

#[cfg(feature = "sandbox")]
pub(crate) use with::Simulator;
#[cfg(not(feature = "sandbox"))]
pub(crate) use without::Simulator;

/// The header that every answer of a sandbox carries. A report made from such answers is stamped
/// SIMULATED, whatever the provider is called.
pub(crate) const MARK: &str = "x-batchstep-sandbox";

/// Whose API a sandbox speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// OpenAI's Files and Batches.
    #[default]
    Openai,
    /// Anthropic's Message Batches.
    Anthropic,
}

#[cfg(feature = "sandbox")]
mod with {
    use std::time::Duration;

    use batchstep_sandbox::{Fault, Options, Sandbox, script};
    use tokio::net::TcpListener;

    use super::Dialect;
    use crate::clock::Clock;
    use crate::error::Error;

    /// How long a batch of the sandbox takes where nothing is said.
    const TAKES: Duration = Duration::from_secs(3);

    /// A sandbox that is not served yet.
    pub(crate) struct Simulator {
        /// How long its batches take.
        pub takes: Duration,
        dialect: batchstep_sandbox::Dialect,
        faults: Vec<Fault>,
    }

    impl Simulator {
        /// Reads how the sandbox is to behave: how long a batch takes, and scripts of faults or `@` and their files.
        ///
        /// # Errors
        /// Ends in exit 2 if a fault is wrong or not one that this dialect has, or a file of faults cannot be read.
        pub(crate) fn new(dialect: Dialect, takes: Option<Duration>, scripts: &[String]) -> Result<Self, Error> {
            let mut faults = Vec::new();
            for fault in scripts {
                let unread =
                    |path, error| Error::usage(format!("`fault` names {path}, which cannot be read.")).because(error);
                let text = match fault.strip_prefix('@') {
                    Some(path) => std::fs::read_to_string(path).map_err(|error| unread(path, error))?,
                    None => fault.clone(),
                };
                let wrong =
                    |why| Error::usage(format!("`fault` is wrong: {why}")).hint("docs/sandbox.md lists them all.");
                faults.extend(script(&text).map_err(wrong)?);
            }
            let dialect = match dialect {
                Dialect::Openai => batchstep_sandbox::Dialect::Openai,
                Dialect::Anthropic => batchstep_sandbox::Dialect::Anthropic,
            };
            if let Some(fault) = dialect.refuses(&faults) {
                return Err(Error::usage(format!("`fault` is wrong: the dialect {dialect} does not have `{fault}`."))
                    .hint("docs/sandbox.md says which dialect has which faults."));
            }
            Ok(Self { takes: takes.unwrap_or(TAKES), dialect, faults })
        }

        /// Serves it until the future is dropped.
        pub(crate) async fn serve(self, listener: TcpListener, clock: Clock) {
            let options = Options { takes: self.takes, faults: self.faults };
            Sandbox::speaking(self.dialect, options, move || clock.now()).serve(listener).await;
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Dialect, Simulator};

        #[test]
        fn a_fault_must_be_one_that_the_dialect_has() {
            let fault = ["file late=2s".to_owned()];
            assert!(Simulator::new(Dialect::Openai, None, &fault).is_ok());
            let error = Simulator::new(Dialect::Anthropic, None, &fault).err().unwrap();
            assert_eq!(error.message, "`fault` is wrong: the dialect anthropic does not have `file late=2s`.");
        }

        #[test]
        fn the_mark_is_the_one_that_the_sandbox_sets() {
            assert_eq!(super::super::MARK, batchstep_sandbox::MARK);
        }
    }
}

// Compiled for the tests of every build: one of them looks at what it says.
#[cfg(any(test, not(feature = "sandbox")))]
mod without {
    use std::convert::Infallible;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::Dialect;
    use crate::clock::Clock;
    use crate::error::Error;

    /// A simulator that cannot be made.
    #[cfg_attr(feature = "sandbox", expect(dead_code, reason = "only a build without the sandbox uses all of it"))]
    pub(crate) struct Simulator {
        /// How long its batches take.
        pub takes: Duration,
        never: Infallible,
    }

    impl Simulator {
        /// Says that this build has no sandbox.
        ///
        /// # Errors
        /// Always ends in exit 2.
        pub(crate) fn new(_: Dialect, _: Option<Duration>, _: &[String]) -> Result<Self, Error> {
            Err(Error::usage("This batchstep was built without the sandbox.")
                .hint("Build it with the feature `sandbox`, which is on by default."))
        }

        /// Never called.
        #[cfg_attr(feature = "sandbox", expect(dead_code, reason = "only a build without the sandbox calls it"))]
        pub(crate) async fn serve(self, _: TcpListener, _: Clock) {
            match self.never {}
        }
    }
    #[cfg(test)]
    mod tests {
        use super::{Dialect, Simulator};
        use crate::error::Exit;

        #[test]
        fn a_build_without_the_sandbox_says_so() {
            let error = Simulator::new(Dialect::default(), None, &[]).err().unwrap();
            assert_eq!(error.exit, Exit::Usage);
            assert_eq!(error.message, "This batchstep was built without the sandbox.");
            assert!(error.hints.iter().any(|hint| hint.contains("feature `sandbox`")), "{:?}", error.hints);
        }
    }
}
