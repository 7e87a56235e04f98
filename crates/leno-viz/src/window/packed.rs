//! A frame's requests in few bytes: most of what the window keeps is this.
//!
//! A series in a frame is a pointer to its labels, which all frames share, and some tens of bytes: counts and the buckets in
//! use, as variable-length numbers of seven bits a byte.

use std::collections::HashMap;
use std::sync::Arc;

use leno_core::samples::RequestLabels;
use leno_core::sketch::Sketch;

use super::Requests;

/// Requests by labels, packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    /// With where each ends in `bytes`.
    series: Box<[(Arc<RequestLabels>, u32)]>,
    bytes: Box<[u8]>,
}

impl Packed {
    pub(super) fn new(requests: &HashMap<Arc<RequestLabels>, Requests>) -> Self {
        let (mut series, mut bytes) = (Vec::with_capacity(requests.len()), Vec::new());
        for (labels, requests) in requests {
            write_requests(&mut bytes, requests);
            series.push((Arc::clone(labels), u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        }
        Self { series: series.into(), bytes: bytes.into() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<RequestLabels>, Coded<'_>)> {
        let mut start = 0;
        self.series.iter().map(move |(labels, end)| {
            let end = usize::try_from(*end).unwrap_or(usize::MAX);
            let coded = Coded(self.bytes.get(start..end).unwrap_or_default());
            start = end;
            (labels, coded)
        })
    }

    /// Bytes that it takes, labels apart.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.series) + self.bytes.len() + ALLOCATIONS
    }
}

/// Requests of one kind, still packed.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'a>(&'a [u8]);

impl Coded<'_> {
    /// Unpacked.
    #[must_use]
    pub fn get(self) -> Requests {
        read_requests(self.0)
    }

    /// How many requests these are, which is what comes first.
    fn count(self) -> u64 {
        read(&mut { self.0 }).unwrap_or_default()
    }
}

/// Requests of one kind in several frames, still packed.
#[derive(Clone, Debug, Default)]
pub struct Pieces<'a>(Vec<Coded<'a>>);

impl<'a> Pieces<'a> {
    pub(super) fn push(&mut self, coded: Coded<'a>) {
        self.0.push(coded);
    }

    /// Unpacked and added up.
    #[must_use]
    pub fn get(&self) -> Requests {
        let mut sum = Requests::default();
        // A place for each bucket, as a search for each takes most of the time of a large mesh's map.
        let mut buckets: Vec<u64> = Vec::new();
        for coded in &self.0 {
            let [count, tries, retries] = read_each(coded.0, |bucket, count| {
                let at = usize::from(bucket);
                buckets.resize(buckets.len().max(at + 1), 0);
                buckets[at] = buckets[at].saturating_add(count);
            });
            sum.count += count;
            sum.tries += tries;
            sum.retries += retries;
        }
        sum.sketch = Sketch::from_pairs((0..).zip(buckets));
        sum
    }

    /// How many requests these are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|coded| coded.count()).sum()
    }
}

/// The same for what is kept of one series alone.
#[derive(Clone, Debug, Default)]
pub(super) struct PackedRequests(Box<[u8]>);

impl PackedRequests {
    pub(super) fn new(requests: &Requests) -> Self {
        let mut bytes = Vec::new();
        write_requests(&mut bytes, requests);
        Self(bytes.into())
    }

    pub(super) fn get(&self) -> Requests {
        read_requests(&self.0)
    }

    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}

fn write_requests(out: &mut Vec<u8>, requests: &Requests) {
    let Requests { count, tries, retries, sketch } = requests;
    write(out, *count);
    write(out, *tries);
    write(out, *retries);
    let mut last = 0;
    for (bucket, count) in sketch.pairs() {
        // By bucket, so that steps are small.
        write(out, u64::from(bucket - last));
        write(out, *count);
        last = *bucket;
    }
}

fn read_requests(bytes: &[u8]) -> Requests {
    let mut pairs = Vec::new();
    let [count, tries, retries] = read_each(bytes, |bucket, count| pairs.push((bucket, count)));
    Requests { count, tries, retries, sketch: Sketch::from_pairs(pairs) }
}

/// Requests, tries and retries; the buckets in use go one by one to `each`.
fn read_each(mut bytes: &[u8], mut each: impl FnMut(u16, u64)) -> [u64; 3] {
    let mut next = || read(&mut bytes);
    let counts = [next(), next(), next()].map(Option::unwrap_or_default);
    let mut bucket = 0u16;
    while let (Some(step), Some(count)) = (next(), next()) {
        bucket = bucket.saturating_add(u16::try_from(step).unwrap_or(u16::MAX));
        each(bucket, count);
    }
    counts
}

fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            return Some(number);
        }
    }
    None
}

/// What two allocations take beside their content.
const ALLOCATIONS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_packed_is_what_comes_out() {
        let mut sketch = Sketch::new();
        for n in 0..1000u64 {
            sketch.record(Duration::from_micros(n * n * 7));
        }
        for requests in [
            Requests::default(),
            Requests { count: 1, tries: 0, retries: 0, sketch: Sketch::new() },
            Requests { count: 127, tries: 128, retries: 1, sketch: sketch.clone() },
            Requests { count: u64::MAX, tries: u64::MAX, retries: u64::MAX, sketch },
        ] {
            let packed = PackedRequests::new(&requests);
            assert_eq!(packed.get(), requests);
            assert_eq!(Coded(&packed.0).count(), requests.count);
        }
    }

    #[test]
    fn pieces_are_added_up() {
        let of = |millis: std::ops::Range<u64>| {
            let mut sketch = Sketch::new();
            millis.clone().for_each(|ms| sketch.record(Duration::from_millis(ms)));
            Requests { count: millis.end - millis.start, tries: 300, retries: 7, sketch }
        };
        let (mut sum, later) = (of(1..200), of(150..1000));
        let packed = [&sum, &later].map(PackedRequests::new);
        let pieces = Pieces(packed.iter().map(|p| Coded(&p.0)).collect());
        sum.add(&later);
        assert_eq!((pieces.get(), pieces.count()), (sum, 1049));
    }

    #[test]
    fn it_is_small() {
        let mut sketch = Sketch::new();
        for n in 0..25 {
            sketch.record(Duration::from_micros(1000 + n * 400));
        }
        let packed = PackedRequests::new(&Requests { count: 25, tries: 25, retries: 0, sketch });
        assert!(packed.size() < 60, "{} bytes", packed.size());
    }
}
