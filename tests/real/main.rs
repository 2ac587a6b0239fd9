//! Tests that need real time or a real process: signals, large bodies, TLS.

mod signals;
