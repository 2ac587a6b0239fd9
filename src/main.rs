//! The program's frame.
fn main() {}
