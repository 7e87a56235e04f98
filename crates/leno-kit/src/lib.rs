//! Process kit: what every Leno process needs and none should write twice.

pub mod backoff;
pub mod drain;
pub mod kernel;
pub mod log;
pub mod process;
pub mod settings;
pub mod signal;
pub mod sock;

pub use backoff::Backoff;
pub use drain::{Active, Drain, Trigger};
pub use log::LogHandle;
