//! Leno's vocabulary and pure decisions: no I/O, no async.
