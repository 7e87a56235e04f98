//! Consistent hashing: every proxy sends one key to the same endpoint, and few keys move when endpoints come or go.

/// A ring of endpoints (as Envoy's ring hash: each endpoint has as many points as brings the ring to its least size).
#[derive(Clone, Debug, Default)]
pub struct HashRing {
    /// `(point, endpoint's place)`, by point.
    points: Vec<(u64, u32)>,
    endpoints: usize,
}

impl HashRing {
    /// A ring of endpoints named by `keys` (their addresses), with at least `minimum_size` points (Istio's default 1024,
    /// at most 8 Mi). The order of the keys decides only their places, not where the points lie.
    #[must_use]
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>, minimum_size: u32) -> Self {
        let keys: Vec<K> = keys.into_iter().collect();
        let wanted = minimum_size.min(MAX_SIZE) as usize;
        let each = wanted.div_ceil(keys.len().max(1)).max(1);
        let mut points = Vec::with_capacity(each * keys.len());
        let mut name = String::new();
        for (place, key) in (0u32..).zip(&keys) {
            for i in 0..each {
                name.clear();
                name.push_str(key.as_ref());
                name.push('_');
                name.push_str(&i.to_string());
                points.push((hash_key(name.as_bytes()), place));
            }
        }
        points.sort_unstable();
        Self { points, endpoints: keys.len() }
    }

    /// The place of the endpoint for `hash`: the first usable one clockwise. `None` where none is usable.
    #[must_use]
    pub fn lookup(&self, hash: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(start);
        let mut refused: Vec<u32> = Vec::new();
        for (_, place) in after.iter().chain(before) {
            if refused.contains(place) {
                continue;
            }
            let index = *place as usize;
            if is_usable(index) {
                return Some(index);
            }
            refused.push(*place);
            if refused.len() == self.endpoints {
                break;
            }
        }
        None
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether it has no endpoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// A hash that is the same in every process and version: `XXH64` with seed 0.
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    let (mut hash, mut rest) = if bytes.len() >= 32 { stripes(bytes) } else { (P5, bytes) };
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*head))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        rest = tail;
    }
    if let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let word = u64::from(u32::from_le_bytes(*head));
        hash = (hash ^ word.wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        rest = tail;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// The part over whole stripes of 32 bytes; returns what is left.
fn stripes(mut bytes: &[u8]) -> (u64, &[u8]) {
    let mut lanes = [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)];
    while let Some((stripe, tail)) = bytes.split_first_chunk::<32>() {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
        bytes = tail;
    }
    let [a, b, c, d] = lanes;
    let mut hash =
        a.rotate_left(1).wrapping_add(b.rotate_left(7)).wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
    for lane in lanes {
        hash = (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
    }
    (hash, bytes)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// Envoy's greatest ring.
const MAX_SIZE: u32 = 8 * 1024 * 1024;
