//! Requests as they end, for a person who watches: `GET /leno/v1/tap`, see [`leno_core::tap`].
//!
//! Kept only while somebody asks, and never more than [`CAPACITY`]: what a slow reader has not fetched by then is counted
//! and gone. With nobody watching, a request costs one relaxed load. Headers are read only while somebody asks for them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use leno_core::id::Direction;
use leno_core::tap::{self, Peer, Tapped, Taps};

use super::record::{PeerInfo, RequestRecord};

/// Requests that wait to be fetched.
const CAPACITY: usize = 1024;
/// A watcher that has not asked for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The requests that wait.
#[derive(Debug)]
pub(super) struct Tap {
    began: Instant,
    /// Milliseconds since `began` until which requests are kept; 0 = nobody watches.
    until: AtomicU64,
    /// The same for their headers.
    headers_until: AtomicU64,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Number of the first that waits.
    first: u64,
    waiting: VecDeque<Tapped>,
}

impl Tap {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, until: AtomicU64::new(0), headers_until: AtomicU64::new(0), ring: Mutex::default() }
    }

    /// Whether somebody watches headers.
    pub(super) fn wants_headers(&self) -> bool {
        self.headers_until.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody watches.
    pub(super) fn is_on(&self) -> bool {
        self.until.load(Ordering::Relaxed) != 0
    }

    /// Keeps a request, if somebody watches.
    pub(super) fn request(&self, record: &RequestRecord, now: Instant) {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return;
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let time = self.millis(now);
        if time > self.headers_until.load(Ordering::Relaxed) {
            self.headers_until.store(0, Ordering::Relaxed);
        }
        if time > until {
            self.until.store(0, Ordering::Relaxed);
            let gone = std::mem::take(&mut ring.waiting).len();
            ring.first += gone as u64;
            return;
        }
        if ring.waiting.len() == CAPACITY {
            ring.waiting.pop_front();
            ring.first += 1;
        }
        ring.waiting.push_back(tapped(record));
    }

    /// Those from number `from` on, and keeps on watching. Without a number: begins with what comes next. Headers are told
    /// to who asks for them, from the next request on.
    pub(super) fn fetch(&self, from: Option<u64>, headers: bool, now: Instant) -> Taps {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        self.until.store(self.millis(now + PATIENCE), Ordering::Relaxed);
        if headers {
            self.headers_until.store(self.millis(now + PATIENCE), Ordering::Relaxed);
        }
        let next = ring.first + ring.waiting.len() as u64;
        let from = from.unwrap_or(next).min(next);
        let missed = ring.first.saturating_sub(from);
        let skip = usize::try_from(from.saturating_sub(ring.first)).unwrap_or(usize::MAX);
        let mut requests: Vec<Tapped> = ring.waiting.iter().skip(skip).cloned().collect();
        if !headers {
            for request in &mut requests {
                (request.request_headers, request.response_headers) = (Vec::new(), Vec::new());
            }
        }
        // Several may watch: what one has fetched stays for the others, until it is pushed out.
        ring.waiting.shrink_to(CAPACITY);
        Taps { next, missed, requests }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A request as people are shown it.
pub(super) fn tapped(r: &RequestRecord) -> Tapped {
    let at = r.start.duration_since(UNIX_EPOCH).unwrap_or_default();
    Tapped {
        at_ms: u64::try_from(at.as_millis()).unwrap_or_default(),
        inbound: r.direction == Direction::Inbound,
        request_id: r.request_id.to_string(),
        source: peer(&r.source, r.downstream_remote),
        destination: peer(&r.destination, r.upstream_addr.or(r.downstream_local)),
        service: r.service.as_ref().map(|s| format!("{}.{}", s.name, s.namespace)).unwrap_or_default(),
        method: r.method.to_string(),
        authority: r.authority.to_string(),
        path: tap::path(&r.path),
        status: r.status,
        grpc: r.grpc_status,
        reason: r.reason.detail().to_owned(),
        words: if r.is_error() { r.reason.sentence().to_owned() } else { String::new() },
        flags: r.reason.flag().to_owned(),
        latency_ms: r.duration.as_secs_f64() * 1000.0,
        route: r.route_name.to_string(),
        secured: r.mtls,
        attempts: r.attempts,
        request_bytes: r.request_bytes,
        response_bytes: r.response_bytes,
        request_headers: r.watched.as_deref().map(|h| h.request.clone()).unwrap_or_default(),
        response_headers: r.watched.as_deref().map(|h| h.response.clone()).unwrap_or_default(),
    }
}

/// A path as it may be shown.
pub(super) fn shown(path: &str) -> String {
    tap::path(path)
}

/// Cuts a text, without breaking a character.
pub(super) fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
}

pub(super) fn peer(peer: &PeerInfo, address: Option<std::net::SocketAddr>) -> Peer {
    let address = address.map(|a| a.to_string()).unwrap_or_default();
    let Some(workload) = &peer.workload else { return Peer { address, ..Peer::default() } };
    Peer {
        namespace: workload.namespace.clone(),
        pod: workload.pod.clone(),
        kind: workload.kind.clone(),
        workload: workload.name.clone(),
        address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::Headers;

    fn record(id: usize) -> RequestRecord {
        RequestRecord {
            request_id: id.to_string().into(),
            path: "/a?key=secret&flag".into(),
            ..RequestRecord::new(Direction::Inbound)
        }
    }

    #[test]
    fn nothing_is_kept_until_somebody_asks_nor_after_they_went() {
        let now = Instant::now();
        let tap = Tap::new(now);
        tap.request(&record(1), now);
        assert!(!tap.is_on());
        let begin = tap.fetch(None, false, now);
        assert_eq!((begin.next, begin.requests.len()), (0, 0));
        tap.request(&record(2), now);
        let one = tap.fetch(Some(begin.next), false, now);
        assert_eq!((one.next, one.missed, one.requests.len()), (1, 0, 1));
        assert_eq!(one.requests[0].request_id, "2");
        let late = now + PATIENCE + Duration::from_secs(1);
        tap.request(&record(3), late);
        assert!(!tap.is_on(), "nobody has asked for long");
        let again = tap.fetch(None, false, late);
        assert_eq!((again.next, again.requests.len()), (1, 0));
    }

    #[test]
    fn a_slow_reader_misses_and_is_told_how_many() {
        let now = Instant::now();
        let tap = Tap::new(now);
        let begin = tap.fetch(None, false, now).next;
        for id in 0..CAPACITY + 7 {
            tap.request(&record(id), now);
        }
        let got = tap.fetch(Some(begin), false, now);
        assert_eq!((got.missed, got.requests.len()), (7, CAPACITY));
        assert_eq!(tap.fetch(Some(got.next), false, now).requests.len(), 0);
        // A number of before the proxy's restart is none of ours.
        assert_eq!(Tap::new(now).fetch(Some(99), false, now).next, 0);
    }

    #[test]
    fn headers_are_kept_for_who_asks_for_them() {
        let now = Instant::now();
        let tap = Tap::new(now);
        let begin = tap.fetch(None, false, now).next;
        assert!(tap.is_on() && !tap.wants_headers());
        assert_eq!(tap.fetch(None, true, now).next, begin);
        assert!(tap.wants_headers());
        let headers = Headers { request: vec![("accept".to_owned(), "*/*".to_owned())], response: Vec::new() };
        tap.request(&RequestRecord { watched: Some(Box::new(headers)), ..record(1) }, now);
        let told = |headers| tap.fetch(Some(begin), headers, now).requests[0].request_headers.len();
        assert_eq!((told(true), told(false)), (1, 0));
        // Who asked for them has gone, another still watches.
        let late = now + PATIENCE + Duration::from_secs(1);
        let _ = tap.fetch(None, false, late);
        tap.request(&record(2), late);
        assert!(tap.is_on() && !tap.wants_headers());
    }
}
