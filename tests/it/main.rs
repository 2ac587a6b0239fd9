//! The integration tests, hermetic and on virtual time, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod answer_files;
mod architecture;
mod attach;
mod budget;
mod cancel;
mod chance;
mod collect;
mod completions;
mod config;
mod costs;
mod contract;
mod duplicates;
mod evidence;
mod extending;
mod fuzz_seeds;
mod gateways;
mod github;
mod gitlab;
mod handed_over;
mod hints;
mod hosts;
mod imports;
mod lab;
mod judging;
mod launcher;
mod ledger;
mod ledger_in_trouble;
mod lifecycle;
mod limits;
mod lost_replies;
mod odd_ids;
mod odd_servers;
#[cfg(unix)]
mod odd_workspace;
mod only_failed;
mod optional;
mod other_files;
mod parity;
mod patterns;
mod redaction;
mod resume;
mod people;
mod scenarios;
mod shards;
mod signals;
mod way_back;
mod weather;
