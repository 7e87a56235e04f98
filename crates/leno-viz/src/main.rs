//! The live window of golden signals.

fn main() {}
