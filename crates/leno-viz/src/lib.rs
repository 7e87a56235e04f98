//! Live golden signals.
