//! What is counted of one series.

use leno_core::samples::{RequestLabels, RequestSample, TcpLabels, TcpSample};
use leno_core::sketch::Sketch;

/// Requests of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many.
    pub count: u64,
    /// How often they were sent to an endpoint.
    pub tries: u64,
    /// Of these, how often anew.
    pub retries: u64,
    /// Their durations.
    pub sketch: Sketch,
}

/// Opaque connections of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Opened.
    pub opened: u64,
    /// Closed.
    pub closed: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

impl Requests {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.tries += other.tries;
        self.retries += other.retries;
        self.sketch.merge(&other.sketch);
    }

    /// What came on top of `earlier`; everything, if the count went back (the series was forgotten in between).
    pub(super) fn since(&self, earlier: &Self) -> Self {
        if self.count < earlier.count {
            return self.clone();
        }
        Self {
            count: self.count - earlier.count,
            tries: self.tries.saturating_sub(earlier.tries),
            retries: self.retries.saturating_sub(earlier.retries),
            sketch: self.sketch.subtract(&earlier.sketch),
        }
    }
}

impl Connections {
    /// The sum.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            closed: self.closed + other.closed,
            sent: self.sent + other.sent,
            received: self.received + other.received,
        }
    }

    pub(super) const fn since(&self, earlier: &Self) -> Self {
        if self.opened < earlier.opened || self.sent < earlier.sent || self.received < earlier.received {
            return *self;
        }
        Self {
            opened: self.opened - earlier.opened,
            closed: self.closed.saturating_sub(earlier.closed),
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

pub(super) fn split_requests(sample: RequestSample) -> (RequestLabels, Requests) {
    let RequestSample { labels, count, tries, retries, sketch, .. } = sample;
    (labels, Requests { count, tries, retries, sketch })
}

pub(super) fn split_tcp(sample: TcpSample) -> (TcpLabels, Connections) {
    let TcpSample { labels, opened, closed, sent, received } = sample;
    (labels, Connections { opened, closed, sent, received })
}
