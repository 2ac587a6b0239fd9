//! Reading JSON that somebody else wrote, in three ways.
//!
//! - `bounded` reads a server's answer into a value of limited size, however large the answer is.
//! - `lenient` reads the fields that are asked for, whatever their types, and skips the rest.
//! - `fast` does what `lenient` does, sooner, for lines that come by the million.

pub(crate) mod bounded;
pub(crate) mod fast;
pub(crate) mod lenient;
