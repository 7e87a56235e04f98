//! What failed lately, for `leno why --request-id` and `--last-failure`: `GET /leno/v1/failures` of the admin port.
//!
//! Only failures are kept, so that a request that gets through costs one comparison. Bounded in number and in bytes; no values
//! of headers, and of queries only the keys.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use leno_core::id::Direction;
use leno_core::tap::{Failures, Remembered, Tapped};

use super::Connection;
use super::record::RequestRecord;
use super::tap::{cut, peer, shown, tapped};

/// Failures that are remembered.
const CAPACITY: usize = 256;
/// Bytes of text that they may hold together.
const BYTES: usize = 256 * 1024;
/// Longest text that a client chose itself (a path has its own limit); the rest is cut.
const TEXT: usize = 256;
/// Longest words.
const WORDS: usize = 512;

/// The failures that are remembered.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Remembered>,
    bytes: usize,
    forgotten: u64,
}

impl Memory {
    /// Remembers a request, if it failed.
    pub(super) fn request(&self, record: &RequestRecord) {
        if !record.is_error() {
            return;
        }
        let mut request = tapped(record);
        for text in [&mut request.method, &mut request.authority, &mut request.request_id] {
            cut(text, TEXT);
        }
        self.keep(Remembered {
            request,
            detail: words(&record.detail),
            dialled: record.downstream_local.map(|a| a.to_string()).unwrap_or_default(),
            cluster: record.upstream_cluster.to_string(),
        });
    }

    /// Remembers a connection, if it failed.
    pub(super) fn connection(&self, c: &Connection<'_>) {
        if !c.reason.is_failure() {
            return;
        }
        let labels = c.labels;
        let at = c.start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut authority = labels.sni.to_string();
        cut(&mut authority, TEXT);
        let request = Tapped {
            at_ms: u64::try_from(at.as_millis()).unwrap_or_default(),
            inbound: labels.direction == Direction::Inbound,
            source: peer(&labels.source, labels.downstream_remote),
            destination: peer(&labels.destination, labels.upstream_addr.or(labels.downstream_local)),
            service: labels.service.as_ref().map(|s| format!("{}.{}", s.name, s.namespace)).unwrap_or_default(),
            authority,
            reason: c.reason.detail().to_owned(),
            words: c.reason.sentence().to_owned(),
            flags: c.reason.flag().to_owned(),
            latency_ms: c.duration.as_secs_f64() * 1000.0,
            secured: labels.mtls,
            request_bytes: c.received,
            response_bytes: c.sent,
            ..Tapped::default()
        };
        self.keep(Remembered {
            request,
            detail: words(c.detail),
            dialled: labels.downstream_local.map(|a| a.to_string()).unwrap_or_default(),
            cluster: labels.upstream_cluster.to_string(),
        });
    }

    /// All of them.
    pub(super) fn all(&self) -> Failures {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Failures { failures: ring.kept.iter().cloned().collect(), forgotten: ring.forgotten }
    }

    fn keep(&self, one: Remembered) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += size(&one);
        ring.kept.push_back(one);
        while ring.kept.len() > CAPACITY || ring.bytes > BYTES {
            let Some(oldest) = ring.kept.pop_front() else { break };
            ring.bytes -= size(&oldest);
            ring.forgotten += 1;
        }
    }
}

/// Bytes that a failure takes, with its texts.
fn size(one: &Remembered) -> usize {
    let r = &one.request;
    let ends =
        [&r.source, &r.destination].into_iter().flat_map(|p| [&p.namespace, &p.pod, &p.kind, &p.workload, &p.address]);
    let own = [&r.request_id, &r.service, &r.method, &r.authority, &r.path, &r.reason, &r.words, &r.flags, &r.route];
    let texts = ends.chain(own).chain([&one.detail, &one.dialled, &one.cluster]);
    size_of::<Remembered>() + texts.map(String::len).sum::<usize>()
}

/// The words of a failure name objects and addresses. Should an error ever quote a path, its query is not kept either.
fn words(detail: &str) -> String {
    let mut text = if detail.contains('?') { shown(detail) } else { detail.to_owned() };
    cut(&mut text, WORDS);
    text
}

#[cfg(test)]
mod tests {
    use leno_core::Reason;

    use super::*;

    fn record(id: &str, reason: Reason, path: String) -> RequestRecord {
        RequestRecord { request_id: id.into(), reason, path: path.into(), ..RequestRecord::new(Direction::Outbound) }
    }

    #[test]
    fn only_failures_are_remembered_and_the_oldest_make_room() {
        let memory = Memory::default();
        memory.request(&record("fine", Reason::Answered, "/".to_owned()));
        memory.request(&RequestRecord { status: 500, ..record("app", Reason::Answered, "/".to_owned()) });
        for n in 0..CAPACITY {
            memory.request(&record(&n.to_string(), Reason::RouteNotFound, "/x?token=secret".to_owned()));
        }
        let all = memory.all();
        assert_eq!((all.failures.len(), all.forgotten), (CAPACITY, 1), "the application's 500 was the oldest");
        assert_eq!(all.failures[0].request.request_id, "0");
        assert_eq!(all.failures[0].request.path, "/x?token=…");
        assert_eq!(all.failures[0].request.words, Reason::RouteNotFound.sentence());
    }

    #[test]
    fn what_clients_choose_is_bounded_in_bytes() {
        let memory = Memory::default();
        let long = "ö".repeat(100_000);
        for _ in 0..CAPACITY {
            let huge = RequestRecord {
                authority: long.clone().into(),
                method: long.clone().into(),
                detail: long.clone(),
                ..record(&long, Reason::Timeout, format!("/{long}"))
            };
            memory.request(&huge);
        }
        let all = memory.all();
        let bytes: usize = all.failures.iter().map(size).sum();
        assert!(bytes <= BYTES, "{bytes}");
        assert!(all.failures.len() > 50, "{}", all.failures.len());
        assert!(all.failures.iter().all(|f| f.request.authority.len() <= TEXT && f.detail.len() <= WORDS));
    }
}
