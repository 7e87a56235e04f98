//! Spans and access logs on their way to an OTLP collector.
//!
//! The data path only puts an item into a bounded queue; when the queue is full the item is dropped and counted. A task of
//! its own ([`export::run`]) gathers items into batches and sends them as a client of the collector's service, through the
//! same clusters as requests: by mutual TLS where the collector is meshed.

pub(crate) mod export;
pub(super) mod message;
pub(super) mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leno_core::model::telemetry::Collector;
use tokio::sync::{mpsc, oneshot};

/// Items that wait to be sent at most.
pub(crate) const QUEUE: usize = 2048;

/// Something for the exporter.
#[derive(Debug)]
pub(crate) enum Item {
    /// For a collector.
    Send(Arc<Collector>, What),
    /// Asks for everything before it to be sent; answered by being dropped.
    Flush(#[expect(dead_code, reason = "its drop is the answer")] oneshot::Sender<()>),
}

/// What it is.
#[derive(Debug)]
pub(crate) enum What {
    /// A span.
    Span(Box<message::Span>),
    /// A line of an access log, and the log's name.
    Log(Arc<str>, Box<message::LogRecord>),
}

/// The data path's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Item>,
    counts: Arc<Counts>,
}

/// What became of items.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Taken by a collector.
    pub(crate) sent: AtomicU64,
    /// Dropped: the queue was full, or the collector did not take them.
    pub(crate) dropped: AtomicU64,
}

/// The exporter's end of it.
#[derive(Debug)]
pub struct Pending {
    pub(crate) items: mpsc::Receiver<Item>,
    pub(crate) counts: Arc<Counts>,
}

/// A queue.
pub(super) fn queue() -> (Queue, Pending) {
    let (sender, items) = mpsc::channel(QUEUE);
    let counts = Arc::<Counts>::default();
    (Queue { sender, counts: Arc::clone(&counts) }, Pending { items, counts })
}

impl Queue {
    /// Puts an item in, or drops it.
    pub(super) fn put(&self, item: Item) {
        if self.sender.try_send(item).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Resolves once everything that was put in before is sent or given up.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Item::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// Sent and dropped so far.
    pub(super) fn counts(&self) -> [u64; 2] {
        [&self.counts.sent, &self.counts.dropped].map(|n| n.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
