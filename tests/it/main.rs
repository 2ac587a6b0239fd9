//! The integration tests, hermetic and on virtual time, in one binary.

mod parity;
mod scenarios;
