//! The sample shop's services in one program.

fn main() {}
