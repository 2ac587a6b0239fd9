//! The integration tests, hermetic and on virtual time, in one binary.

mod lab;
mod lifecycle;
mod lost_replies;
mod parity;
mod scenarios;
mod signals;
mod weather;
