//! The last minutes of every proxy, in frames: what happened between two scrapes.
//!
//! Memory is bounded by time and by size whatever the mesh does. Where there is room all frames are as fine as the scrapes;
//! where it gets short old ones are joined, then the oldest dropped, and what was left out is counted. No clock in here: times
//! are milliseconds since 1970, given by the caller.

mod counts;
mod packed;
mod room;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leno_core::samples::{RequestLabels, Samples, TcpLabels};
use serde::Serialize;

pub use counts::{Connections, Requests};
use counts::{split_requests, split_tcp};
pub use packed::{Coded, Pieces};
use packed::{Packed, PackedRequests};
use room::{Room, size_of_requests, size_of_tcp};

use crate::model::Covered;

/// Frames older than this are joined when memory gets short.
const FINE: u64 = 120_000;
/// How much time a joined frame covers at most.
const COARSE: u64 = 30_000;
/// Bytes of all frames together, by account.
const BUDGET: usize = 112 << 20;
/// Bytes of the series themselves, their labels and last counts, by account; with [`BUDGET`] and what the program itself takes
/// well below 256 MiB.
const SERIES_BUDGET: usize = 64 << 20;

/// Everything that is remembered.
#[derive(Debug)]
pub struct Window {
    length: u64,
    began: u64,
    budget: usize,
    series_budget: usize,
    size: usize,
    series_size: usize,
    /// Frames older than this are joined.
    fine: u64,
    left_out: LeftOut,
    proxies: HashMap<ProxyId, Proxy>,
}

/// What did not find room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Frames that were joined with a neighbour, so that charts are coarser there.
    pub joined: u64,
    /// Frames forgotten before the window passed.
    pub dropped: u64,
    /// Requests in series that found no room: figures lack them.
    pub requests: u64,
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
    requests: HashMap<Arc<RequestLabels>, PackedRequests>,
    tcp: HashMap<Arc<TcpLabels>, Connections>,
    /// Bytes of the two above, by account.
    series_size: usize,
    frames: VecDeque<Frame>,
}

/// What happened in one span of time.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    start: u64,
    end: u64,
    requests: Packed,
    tcp: Box<[(Arc<TcpLabels>, Connections)]>,
}

impl Window {
    /// Remembers `length`. What proxies counted before `now` is not part of it.
    #[must_use]
    pub fn new(length: Duration, now: u64) -> Self {
        let length = millis(length);
        Self {
            length,
            began: now,
            budget: BUDGET,
            series_budget: SERIES_BUDGET,
            size: 0,
            series_size: 0,
            fine: length,
            left_out: LeftOut::default(),
            proxies: HashMap::new(),
        }
    }

    /// The same with other limits: bytes of frames, bytes of series.
    #[must_use]
    pub fn with_budget(mut self, frames: usize, series: usize) -> Self {
        (self.budget, self.series_budget) = (frames, series);
        self
    }

    /// Takes in what a proxy said at `now`.
    pub fn record(&mut self, samples: Samples, now: u64) {
        let id = ProxyId { namespace: samples.namespace.clone(), pod: samples.pod.clone() };
        let began = self.began;
        let proxy = self.proxies.entry(id).or_insert_with(Proxy::new);
        let others = self.series_size - proxy.series_size;
        let room = self.series_budget.saturating_sub(others);
        let (frame, left_out) = proxy.advance(samples, (began, now), room);
        self.series_size = others + proxy.series_size;
        self.left_out.requests += left_out;
        self.size += frame.as_ref().map_or(0, Frame::size);
        proxy.frames.extend(frame);
        let (saved, joined) = proxy.join(now, self.fine);
        self.size -= saved;
        self.left_out.joined += joined;
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
        let series_size = &mut self.series_size;
        self.proxies.retain(|_, p| {
            let stays = p.alive || !p.frames.is_empty();
            *series_size -= if stays { 0 } else { p.series_size };
            stays
        });
        self.make_room(now);
    }

    fn make_room(&mut self, now: u64) {
        while self.size > self.budget && self.fine > FINE {
            self.fine = (self.fine / 2).max(FINE);
            for proxy in self.proxies.values_mut() {
                let (saved, joined) = proxy.join(now, self.fine);
                self.size -= saved;
                self.left_out.joined += joined;
            }
        }
        while self.size > self.budget {
            let oldest = self.proxies.values_mut().filter(|p| p.frames.len() > 1);
            let Some(oldest) = oldest.min_by_key(|p| p.frames[0].end) else { return };
            self.size -= oldest.frames.pop_front().map_or(0, |f| f.size());
            self.left_out.dropped += 1;
        }
        // The mesh has become smaller: what comes from now on may be fine for longer again.
        if self.size < self.budget / 2 && self.fine < self.length {
            self.fine = (self.fine * 2).min(self.length);
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

    /// Bytes kept, by account: of frames, and of series.
    #[must_use]
    pub const fn size(&self) -> (usize, usize) {
        (self.size, self.series_size)
    }

    /// What did not find room since the window began.
    #[must_use]
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

/// The frames of one proxy within a time, and how much time they cover.
#[derive(Debug)]
pub struct Span<'a> {
    /// The frames.
    pub frames: Vec<&'a Frame>,
    /// What they cover.
    pub covered: Covered,
}

impl<'a> Span<'a> {
    /// Requests by labels, each series once: what is asked of its labels is then asked once, and not for each frame.
    #[must_use]
    pub fn requests(&self) -> Vec<(&'a Arc<RequestLabels>, Pieces<'a>)> {
        let mut found: Vec<(&Arc<RequestLabels>, Pieces<'_>)> = Vec::new();
        // Frames share a series' labels; only those of a sidecar that began anew are there twice.
        let mut places: HashMap<*const RequestLabels, usize> = HashMap::new();
        for (labels, coded) in self.frames.iter().flat_map(|frame| frame.requests()) {
            let place = *places.entry(Arc::as_ptr(labels)).or_insert(found.len());
            if place == found.len() {
                found.push((labels, Pieces::default()));
            }
            found[place].1.push(coded);
        }
        found
    }

    /// Connections of all frames.
    pub fn tcp(&self) -> impl Iterator<Item = (&'a Arc<TcpLabels>, &'a Connections)> {
        self.frames.iter().flat_map(|frame| frame.tcp())
    }
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
            series_size: 0,
            frames: VecDeque::new(),
        }
    }

    /// What requests of it have in common, within the window; some several times.
    pub fn request_labels(&self) -> impl Iterator<Item = &Arc<RequestLabels>> {
        self.frames.iter().flat_map(Frame::requests).map(|(labels, _)| labels)
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
        let from_ms = match frames.first() {
            Some(first) if self.alive => first.start,
            None if self.alive => end,
            // Of what is gone, also the time in which it was gone counts.
            _ => target,
        };
        Span { frames, covered: Covered { from_ms, to_ms: end } }
    }

    /// What is new since the last scrape, and how many requests found no room. `None` for the first one of a proxy that was
    /// there before `began`: nobody knows when that happened.
    fn advance(&mut self, samples: Samples, (began, now): (u64, u64), room: usize) -> (Option<Frame>, u64) {
        let first = self.last == 0;
        let baseline = first && samples.started_ms < began;
        if self.started_ms != samples.started_ms {
            self.requests.clear();
            self.tcp.clear();
        }
        let start = if first { samples.started_ms } else { self.last };
        (self.workload, self.kind, self.alive) = (samples.workload, samples.kind, true);
        (self.started_ms, self.last) = (samples.started_ms, now);

        let mut room = Room::new(room);
        let known = std::mem::take(&mut self.requests);
        let mut requests = HashMap::new();
        for sample in samples.requests {
            let (labels, total) = split_requests(sample);
            let packed = PackedRequests::new(&total);
            let Some((labels, earlier)) = room.place(&known, labels, size_of_requests, packed.size(), total.count)
            else {
                continue;
            };
            let delta = total.since(&earlier.map(PackedRequests::get).unwrap_or_default());
            if delta != Requests::default() {
                requests.insert(Arc::clone(&labels), delta);
            }
            self.requests.insert(labels, packed);
        }
        let known = std::mem::take(&mut self.tcp);
        let mut tcp = Vec::new();
        for sample in samples.tcp {
            let (labels, total) = split_tcp(sample);
            let Some((labels, earlier)) = room.place(&known, labels, size_of_tcp, 0, 0) else { continue };
            let delta = total.since(earlier.unwrap_or(&Connections::default()));
            if delta != Connections::default() {
                tcp.push((Arc::clone(&labels), delta));
            }
            self.tcp.insert(labels, total);
        }
        self.series_size = room.used;
        let open = self.tcp.iter().map(|(labels, c)| (Arc::clone(labels), c.opened.saturating_sub(c.closed)));
        self.open = open.filter(|(_, n)| *n > 0).collect();
        let frame = Frame { start: start.min(now), end: now, requests: Packed::new(&requests), tcp: tcp.into() };
        ((!baseline).then_some(frame), room.left_out)
    }

    /// Joins frames older than `fine` that are neighbours; how much smaller that made it, and how many are gone.
    fn join(&mut self, now: u64, fine: u64) -> (usize, u64) {
        let old = self.frames.partition_point(|f| f.end + fine < now);
        let (mut at, mut saved, mut gone) = (1, 0usize, 0);
        while at < old.min(self.frames.len()) {
            let joined = self.frames[at].end - self.frames[at - 1].start;
            // What was joined as far as possible stays as it is, so each frame is copied a few times at most.
            if joined > COARSE {
                at += 1;
                continue;
            }
            let Some(next) = self.frames.remove(at) else { break };
            let before = self.frames[at - 1].size() + next.size();
            self.frames[at - 1].add(&next);
            saved += before.saturating_sub(self.frames[at - 1].size());
            gone += 1;
        }
        (saved, gone)
    }
}

impl Frame {
    /// From when to when, milliseconds since 1970.
    #[must_use]
    pub const fn times(&self) -> (u64, u64) {
        (self.start, self.end)
    }

    /// Requests that ended in it.
    pub fn requests(&self) -> impl Iterator<Item = (&Arc<RequestLabels>, Coded<'_>)> {
        self.requests.iter()
    }

    /// Connections in it.
    pub fn tcp(&self) -> impl Iterator<Item = (&Arc<TcpLabels>, &Connections)> {
        self.tcp.iter().map(|(labels, connections)| (labels, connections))
    }

    fn add(&mut self, later: &Self) {
        self.end = later.end;
        let mut requests: HashMap<_, Requests> = HashMap::new();
        for (labels, coded) in self.requests.iter().chain(later.requests.iter()) {
            requests.entry(Arc::clone(labels)).or_default().add(&coded.get());
        }
        self.requests = Packed::new(&requests);
        let mut tcp: HashMap<_, Connections> = HashMap::new();
        for (labels, connections) in self.tcp.iter().chain(&later.tcp) {
            let sum = tcp.entry(Arc::clone(labels)).or_default();
            *sum = sum.plus(connections);
        }
        self.tcp = tcp.into_iter().collect();
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.requests.size() + size_of_val(&*self.tcp)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
