//! Reading JSON that somebody else wrote, in several ways.
//!
//! - `bounded` reads a server's answer into a value of limited size, however large the answer is.
//! - `lenient` reads the fields that are asked for, whatever their types, and skips the rest.
//! - `fast` does what `lenient` does, sooner, for lines that come by the million.
//! - `object` reads members of objects, whatever JSON type a server chose for them; `member` says where one is.
//! - `raw` gives members as the JSON that they are, `tree` a value with all that is in it.
//! - `damaged` does what `lenient` does for what is not JSON, as far as it can be read; `scanner` is its lower half.

pub(crate) mod bounded;
pub(crate) mod damaged;
pub(crate) mod fast;
pub(crate) mod lenient;
pub(crate) mod member;
pub(crate) mod object;
pub(crate) mod raw;
mod scanner;
pub(crate) mod tree;
