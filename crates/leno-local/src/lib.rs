//! A mesh on one machine: each pod a network namespace.
