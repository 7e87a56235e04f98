//! The static table and the dynamic ones.

use std::collections::VecDeque;
use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};

use super::{DEFAULT_TABLE, Field, Name};

/// A dynamic table behind the static one.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Field>,
    /// A few bits of each, to find one without looking at the others.
    signs: VecDeque<u32>,
    /// Entries that were ever added.
    added: u64,
    /// For some signs, how many entries had been added with the last one that has it: most are found there.
    places: [u64; PLACES],
    size: usize,
    limit: usize,
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            signs: VecDeque::new(),
            added: 0,
            places: [0; PLACES],
            size: 0,
            limit: limit.min(DEFAULT_TABLE),
        }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The entry at an index of both tables.
    pub(super) fn get(&self, index: usize) -> Option<Field> {
        match index {
            0 => None,
            1..=61 => FIELDS.get(index - 1).cloned(),
            _ => self.entries.get(index - STATIC.len() - 1).cloned(),
        }
    }

    /// Adds an entry, where it is not larger than the table. Says how many have been added with it; 0 where it was not.
    pub(super) fn add(&mut self, field: Field) -> u64 {
        let size = field.size();
        self.make_room(size);
        if size <= self.limit {
            self.size += size;
            let sign = sign(field.name.as_str(), field.value.as_bytes());
            self.added += 1;
            self.places[place(sign)] = self.added;
            self.signs.push_front(sign);
            self.entries.push_front(field);
            return self.added;
        }
        0
    }

    /// The index of an entry that is still there, by what [`Table::add`] said of it.
    pub(super) fn index_of(&self, added: u64) -> Option<usize> {
        let behind = usize::try_from(self.added - added).ok().filter(|_| added > 0)?;
        (behind < self.entries.len()).then_some(behind + STATIC.len() + 1)
    }

    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.make_room(0);
    }

    fn make_room(&mut self, size: usize) {
        while self.size + size > self.limit {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.signs.pop_back();
            self.size -= oldest.size();
        }
    }

    /// The index of the same field, among those that were added.
    pub(super) fn find(&self, name: &str, value: &[u8]) -> Option<usize> {
        let sign = sign(name, value);
        let same = |n: usize| {
            let entry = self.entries.get(n);
            entry.is_some_and(|e| e.value.as_bytes() == value && e.name.as_str() == name)
        };
        // So many were added behind it.
        let likely = usize::try_from(self.added - self.places[place(sign)]).ok();
        let found = likely.filter(|n| same(*n)).or_else(|| {
            let mut others = self.signs.iter().enumerate().filter(|(_, s)| **s == sign).map(|(n, _)| n);
            others.find(|n| same(*n))
        });
        found.map(|n| n + STATIC.len() + 1)
    }

    /// The index of a field with that name; 0 where there is none.
    pub(super) fn find_name(&self, name: &str) -> usize {
        let added = || self.entries.iter().position(|e| e.name.as_str() == name).map(|n| n + STATIC.len());
        STATIC.iter().position(|e| e.name == name).or_else(added).map_or(0, |n| n + 1)
    }
}

/// Lengths and last bytes: nearly all fields of a table differ in them.
fn sign(name: &str, value: &[u8]) -> u32 {
    let last = |bytes: &[u8]| bytes.last().copied().unwrap_or(0);
    let low = |n: usize| u8::try_from(n & 0xff).unwrap_or(0);
    u32::from_le_bytes([low(name.len()), last(name.as_bytes()), low(value.len()), last(value)])
}

/// The top bits of a multiplicative hash.
const fn place(sign: u32) -> usize {
    (sign.wrapping_mul(0x9e37_79b1) >> (u32::BITS - PLACES.ilog2())) as usize
}

/// A table of 4 KiB has at most 128 entries, and mostly a dozen.
const PLACES: usize = 64;

/// An entry of RFC 7541, appendix A.
pub(super) struct Entry {
    name: &'static str,
    value: &'static str,
}

impl Entry {
    fn field(&self) -> Field {
        let name = match self.name {
            ":authority" => Name::Authority,
            ":method" => Name::Method,
            ":path" => Name::Path,
            ":scheme" => Name::Scheme,
            ":status" => Name::Status,
            name => Name::Header(HeaderName::from_static(name)),
        };
        Field { name, value: HeaderValue::from_static(self.value) }
    }
}

const fn one(name: &'static str) -> Entry {
    Entry { name, value: "" }
}

const fn is(name: &'static str, value: &'static str) -> Entry {
    Entry { name, value }
}

/// The same as fields, read once.
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| STATIC.iter().map(Entry::field).collect());

/// RFC 7541, appendix A.
pub(super) static STATIC: [Entry; 61] = [
    one(":authority"),
    is(":method", "GET"),
    is(":method", "POST"),
    is(":path", "/"),
    is(":path", "/index.html"),
    is(":scheme", "http"),
    is(":scheme", "https"),
    is(":status", "200"),
    is(":status", "204"),
    is(":status", "206"),
    is(":status", "304"),
    is(":status", "400"),
    is(":status", "404"),
    is(":status", "500"),
    one("accept-charset"),
    is("accept-encoding", "gzip, deflate"),
    one("accept-language"),
    one("accept-ranges"),
    one("accept"),
    one("access-control-allow-origin"),
    one("age"),
    one("allow"),
    one("authorization"),
    one("cache-control"),
    one("content-disposition"),
    one("content-encoding"),
    one("content-language"),
    one("content-length"),
    one("content-location"),
    one("content-range"),
    one("content-type"),
    one("cookie"),
    one("date"),
    one("etag"),
    one("expect"),
    one("expires"),
    one("from"),
    one("host"),
    one("if-match"),
    one("if-modified-since"),
    one("if-none-match"),
    one("if-range"),
    one("if-unmodified-since"),
    one("last-modified"),
    one("link"),
    one("location"),
    one("max-forwards"),
    one("proxy-authenticate"),
    one("proxy-authorization"),
    one("range"),
    one("referer"),
    one("refresh"),
    one("retry-after"),
    one("server"),
    one("set-cookie"),
    one("strict-transport-security"),
    one("transfer-encoding"),
    one("user-agent"),
    one("vary"),
    one("via"),
    one("www-authenticate"),
];
