//! The command `gatelet`.

fn main() {}
