//! The last minutes of every proxy, in frames: what happened between two scrapes.
//!
//! Recent frames are as fine as the scrapes; older ones are joined, and the oldest dropped, so that memory is bounded by
//! time and by size whatever the mesh does. No clock in here: times are milliseconds since 1970, given by the caller.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use leno_core::samples::{RequestLabels, RequestSample, Samples, TcpLabels, TcpSample};
use leno_core::sketch::Sketch;

/// Frames older than this are joined.
const FINE: u64 = 120_000;
/// How much time a joined frame covers at most.
const COARSE: u64 = 30_000;
/// Numbers kept in all frames together; at 16 bytes each about 64 MiB.
const BUDGET: usize = 4_000_000;

/// Everything that is remembered.
#[derive(Debug)]
pub struct Window {
    length: u64,
    began: u64,
    budget: usize,
    size: usize,
    proxies: HashMap<ProxyId, Proxy>,
}

/// A pod with a sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProxyId {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
}

/// One proxy's recent past.
#[derive(Debug)]
pub struct Proxy {
    /// Owner of the pod.
    pub workload: String,
    /// Kind of the owner.
    pub kind: String,
    /// Whether it is there, as far as the last scrape told.
    pub alive: bool,
    /// Opaque connections open at the last scrape.
    pub open: Vec<(Arc<TcpLabels>, u64)>,
    started_ms: u64,
    /// Time of the last scrape.
    last: u64,
    requests: HashMap<Arc<RequestLabels>, Requests>,
    tcp: HashMap<Arc<TcpLabels>, Connections>,
    frames: VecDeque<Frame>,
}

/// What happened in one span of time.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    start: u64,
    end: u64,
    /// Requests that ended in it.
    pub requests: HashMap<Arc<RequestLabels>, Requests>,
    /// Connections in it.
    pub tcp: HashMap<Arc<TcpLabels>, Connections>,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many.
    pub count: u64,
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

impl Window {
    /// Remembers `length`. What proxies counted before `now` is not part of it.
    #[must_use]
    pub fn new(length: Duration, now: u64) -> Self {
        Self { length: millis(length), began: now, budget: BUDGET, size: 0, proxies: HashMap::new() }
    }

    /// The same with another limit on the numbers kept.
    #[must_use]
    pub fn with_budget(mut self, budget: usize) -> Self {
        self.budget = budget;
        self
    }

    /// Takes in what a proxy said at `now`.
    pub fn record(&mut self, samples: Samples, now: u64) {
        let id = ProxyId { namespace: samples.namespace.clone(), pod: samples.pod.clone() };
        let began = self.began;
        let proxy = self.proxies.entry(id).or_insert_with(Proxy::new);
        let frame = proxy.advance(samples, began, now);
        self.size += frame.as_ref().map_or(0, Frame::size);
        proxy.frames.extend(frame);
        self.size -= proxy.join(now);
        self.trim(now);
    }

    /// The proxy does not answer any more: it stays known until its last frame is too old.
    pub fn gone(&mut self, id: &ProxyId) {
        if let Some(proxy) = self.proxies.get_mut(id) {
            proxy.alive = false;
            proxy.open.clear();
        }
    }

    /// Forgets what is older than the window, and the oldest of it when there is too much.
    pub fn trim(&mut self, now: u64) {
        let horizon = now.saturating_sub(self.length);
        for proxy in self.proxies.values_mut() {
            while proxy.frames.front().is_some_and(|f| f.end < horizon) {
                self.size -= proxy.frames.pop_front().map_or(0, |f| f.size());
            }
        }
        self.proxies.retain(|_, p| p.alive || !p.frames.is_empty());
        while self.size > self.budget {
            let oldest = self.proxies.values_mut().filter(|p| p.frames.len() > 1);
            let Some(oldest) = oldest.min_by_key(|p| p.frames[0].end) else { return };
            self.size -= oldest.frames.pop_front().map_or(0, |f| f.size());
        }
    }

    /// All proxies that are or were there within the window.
    pub fn proxies(&self) -> impl Iterator<Item = (&ProxyId, &Proxy)> {
        self.proxies.iter()
    }

    /// Whether this pod's own sidecar reports.
    #[must_use]
    pub fn knows(&self, namespace: &str, pod: &str) -> bool {
        // The map's key is owned, and a lookup is rare: once per distinct edge.
        self.proxies.contains_key(&ProxyId { namespace: namespace.to_owned(), pod: pod.to_owned() })
    }

    /// Since when there can be anything, milliseconds since 1970.
    #[must_use]
    pub const fn began(&self) -> u64 {
        self.began
    }

    /// Numbers kept.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }
}

/// The frames of one proxy within a time, and how much time they cover.
#[derive(Debug)]
pub struct Span<'a> {
    /// The frames.
    pub frames: Vec<&'a Frame>,
    /// What they cover, in seconds; never 0.
    pub seconds: f64,
}

impl Proxy {
    fn new() -> Self {
        Self {
            workload: String::new(),
            kind: String::new(),
            alive: true,
            open: Vec::new(),
            started_ms: 0,
            last: 0,
            requests: HashMap::new(),
            tcp: HashMap::new(),
            frames: VecDeque::new(),
        }
    }

    /// When it started, and when it last told something; milliseconds since 1970.
    #[must_use]
    pub const fn times(&self) -> (u64, u64) {
        (self.started_ms, self.last)
    }

    /// The last `window` before `now`. It ends with the last scrape, so that rates do not depend on how long ago that
    /// was, and covers less than `window` where less is known.
    #[must_use]
    pub fn span(&self, window: Duration, now: u64) -> Span<'_> {
        let end = if self.alive { self.last } else { now };
        let target = end.saturating_sub(millis(window));
        // The edge of a frame that is nearest to the one asked for: a frame counts if half of it is inside.
        let inside = |f: &&Frame| f.start + f.end >= 2 * target && f.end > target;
        let frames: Vec<_> = self.frames.iter().filter(inside).collect();
        let covered = match frames.first() {
            Some(first) if self.alive => end.saturating_sub(first.start),
            // Of what is gone, also the time in which it was gone counts.
            _ => millis(window),
        };
        Span { frames, seconds: covered.max(1) as f64 / 1000.0 }
    }

    /// What is new since the last scrape. `None` for the first one of a proxy that was there before `began`: nobody
    /// knows when that happened.
    fn advance(&mut self, samples: Samples, began: u64, now: u64) -> Option<Frame> {
        let first = self.last == 0;
        let baseline = first && samples.started_ms < began;
        if self.started_ms != samples.started_ms {
            self.requests.clear();
            self.tcp.clear();
        }
        let start = if first { samples.started_ms } else { self.last };
        (self.workload, self.kind, self.alive) = (samples.workload, samples.kind, true);
        (self.started_ms, self.last) = (samples.started_ms, now);

        let mut frame = Frame { start: start.min(now), end: now, ..Frame::default() };
        let known = std::mem::take(&mut self.requests);
        let requests = samples.requests.into_iter().map(split_requests);
        self.requests = diff(&known, requests, Requests::since, &mut frame.requests);
        let known = std::mem::take(&mut self.tcp);
        let tcp = samples.tcp.into_iter().map(split_tcp);
        self.tcp = diff(&known, tcp, Connections::since, &mut frame.tcp);
        let open = self.tcp.iter().map(|(labels, c)| (Arc::clone(labels), c.opened.saturating_sub(c.closed)));
        self.open = open.filter(|(_, n)| *n > 0).collect();
        (!baseline).then_some(frame)
    }

    /// Joins old frames that are neighbours; how much smaller that made it.
    fn join(&mut self, now: u64) -> usize {
        let old = self.frames.partition_point(|f| f.end + FINE < now);
        let (mut at, mut saved) = (1, 0);
        while at < old.min(self.frames.len()) {
            let joined = self.frames[at].end - self.frames[at - 1].start;
            // What was joined as far as possible stays as it is, so each frame is copied a few times at most.
            if joined > COARSE {
                at += 1;
                continue;
            }
            let Some(next) = self.frames.remove(at) else { break };
            let before = self.frames[at - 1].size() + next.size();
            self.frames[at - 1].add(next);
            saved += before - self.frames[at - 1].size();
        }
        saved
    }
}

impl Frame {
    /// From when to when, milliseconds since 1970.
    #[must_use]
    pub const fn times(&self) -> (u64, u64) {
        (self.start, self.end)
    }

    fn add(&mut self, later: Self) {
        self.end = later.end;
        for (labels, requests) in later.requests {
            let sum = self.requests.entry(labels).or_default();
            sum.add(&requests);
        }
        for (labels, connections) in later.tcp {
            let sum = self.tcp.entry(labels).or_default();
            *sum = sum.plus(&connections);
        }
    }

    fn size(&self) -> usize {
        let sketches: usize = self.requests.values().map(|r| r.sketch.to_pairs().len() + 4).sum();
        sketches + 4 * self.tcp.len() + 4
    }
}

impl Requests {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sketch.merge(&other.sketch);
    }

    /// What came on top of `earlier`; everything, if the count went back (the series was forgotten in between).
    fn since(&self, earlier: &Self) -> Self {
        if self.count < earlier.count {
            return self.clone();
        }
        Self { count: self.count - earlier.count, sketch: self.sketch.subtract(&earlier.sketch) }
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

    const fn since(&self, earlier: &Self) -> Self {
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

/// Fills `frame` with what is new and not nothing; the new state. A series that is missing now is forgotten, as its
/// proxy forgot it: should it come back, it starts at zero.
fn diff<L: Eq + Hash, V: Default + PartialEq>(
    known: &HashMap<Arc<L>, V>,
    now: impl Iterator<Item = (L, V)>,
    since: impl Fn(&V, &V) -> V,
    frame: &mut HashMap<Arc<L>, V>,
) -> HashMap<Arc<L>, V> {
    let mut next = HashMap::new();
    for (labels, value) in now {
        // Labels are shared with earlier frames: they are most of what a series takes.
        let (labels, delta) = match known.get_key_value(&labels) {
            Some((labels, earlier)) => (Arc::clone(labels), since(&value, earlier)),
            None => (Arc::new(labels), since(&value, &V::default())),
        };
        if delta != V::default() {
            frame.insert(Arc::clone(&labels), delta);
        }
        next.insert(labels, value);
    }
    next
}

fn split_requests(sample: RequestSample) -> (RequestLabels, Requests) {
    (sample.labels, Requests { count: sample.count, sketch: sample.sketch })
}

fn split_tcp(sample: TcpSample) -> (TcpLabels, Connections) {
    let TcpSample { labels, opened, closed, sent, received } = sample;
    (labels, Connections { opened, closed, sent, received })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
