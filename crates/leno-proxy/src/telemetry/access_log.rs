//! The access log: lines in Istio's format, or in one that the mesh's settings give.
//!
//! Nothing here waits: a line goes into a buffer in memory, a thread of its own writes the buffer to standard output,
//! and when that takes too long lines are dropped and counted. Which requests are kept and in what form is the
//! [`super::plan`]'s; what an operator says of a request is the [`view`]'s.

pub(super) mod layout;
pub(super) mod view;
mod writer;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use leno_core::Reason;

use super::record::TcpLabels;
use layout::Layout;
use view::View;
use writer::Writer;

/// Where lines go.
#[derive(Debug)]
pub(super) struct AccessLog {
    writer: Writer,
}

impl AccessLog {
    /// A log that writes to `sink`.
    pub(super) fn new(sink: impl std::io::Write + Send + 'static) -> Self {
        Self { writer: Writer::new(sink) }
    }

    /// Adds a line.
    pub(super) fn write(&self, layout: &Layout, view: &View<'_>) {
        self.writer.line(|out| layout.write(out, view));
    }

    /// Waits until everything is written, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        self.writer.flush(patience);
    }

    /// Lines that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.writer.dropped()
    }
}

/// An opaque connection that ended.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    pub(super) labels: &'a TcpLabels,
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) reason: Reason,
    pub(super) detail: &'a str,
}

impl<'a> Connection<'a> {
    /// One of which nothing but who and how is known.
    pub(super) const fn of(labels: &'a TcpLabels, reason: Reason) -> Self {
        Self {
            labels,
            start: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            sent: 0,
            received: 0,
            reason,
            detail: "",
        }
    }
}
