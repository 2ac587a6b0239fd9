//! Hosts: the CI systems, and the terminal where there is none.

#[cfg(test)]
pub(crate) mod runner;
