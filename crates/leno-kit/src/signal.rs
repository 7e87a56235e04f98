//! Signals that end a process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, caught from the moment this is made: none is lost between start-up and the first wait.
#[derive(Debug)]
pub struct Ending {
    term: Signal,
    int: Signal,
}

impl Ending {
    /// Catches both. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them; gives its name for the log.
    pub async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
