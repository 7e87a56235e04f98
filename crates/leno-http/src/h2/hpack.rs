//! HPACK (RFC 7541).
//!
//! Entries of the dynamic tables are kept as what they mean, so an indexed field costs a look-up and two counted references.
//! Strings are sent plain: between sidecars bytes are cheaper than the cycles that Huffman's code takes. It is read, of
//! course.

mod huffman;
mod integer;
mod table;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use table::Table;

/// A field's name, or the pseudo-header that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `:authority`.
    Authority,
    /// `:method`.
    Method,
    /// `:path`.
    Path,
    /// `:scheme`.
    Scheme,
    /// `:status`.
    Status,
    /// `:protocol`, of extended CONNECT.
    Protocol,
    /// An ordinary field.
    Header(HeaderName),
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: Name,
    /// Value.
    pub value: HeaderValue,
}

/// A block that cannot be read. The tables of both ends do not agree any more: the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// It ends in the middle of a field.
    #[error("the header block is cut off")]
    Cut,
    /// An integer that is too large for anything.
    #[error("an integer of the header block is too large")]
    Integer,
    /// An index that no table has.
    #[error("the header block refers to an entry that does not exist")]
    Index,
    /// A field that HTTP does not allow is to be kept for later.
    #[error("the header block wants a field kept that HTTP does not allow")]
    Field,
    /// Huffman's code is broken or ends wrongly.
    #[error("a string of the header block is badly coded")]
    Huffman,
    /// A table size that was not agreed on, or not at the block's start.
    #[error("the header block changes the table's size against the rules")]
    TableSize,
}

impl Name {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
            Self::Protocol => ":protocol",
            Self::Header(name) => name.as_str(),
        }
    }

    /// `None`: not a name of HTTP/2, which has small letters only.
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            b":authority" => Self::Authority,
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":scheme" => Self::Scheme,
            b":status" => Self::Status,
            b":protocol" => Self::Protocol,
            _ if bytes.iter().any(u8::is_ascii_uppercase) => return None,
            _ => Self::Header(HeaderName::from_bytes(bytes).ok()?),
        })
    }
}

impl Field {
    /// Its size as tables and limits count it (RFC 7541, section 4.1).
    #[must_use]
    pub fn size(&self) -> usize {
        self.name.as_str().len() + self.value.len() + ENTRY
    }
}

/// Reads blocks.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest table that this end has allowed.
    allowed: usize,
}

impl Decoder {
    /// With a table of at most `allowed` bytes.
    #[must_use]
    pub fn new(allowed: usize) -> Self {
        Self { table: Table::new(allowed), allowed }
    }

    /// Reads a whole block. `each` gets every field; `None` stands for one that HTTP does not allow (a capital letter, a
    /// control character): the message is malformed, but what follows can still be read.
    ///
    /// # Errors
    /// See [`BadBlock`].
    pub fn decode(&mut self, block: &[u8], mut each: impl FnMut(Option<Field>)) -> Result<(), BadBlock> {
        let mut at = 0;
        let mut begun = false;
        while let Some(first) = block.get(at).copied() {
            if first & 0xe0 == 0x20 {
                let size = integer::read(block, &mut at, 5)?;
                if begun || size > self.allowed {
                    return Err(BadBlock::TableSize);
                }
                self.table.resize(size);
                continue;
            }
            begun = true;
            if first & 0x80 != 0 {
                let index = integer::read(block, &mut at, 7)?;
                each(Some(self.table.get(index).ok_or(BadBlock::Index)?));
                continue;
            }
            let kept = first & 0x40 != 0;
            let index = integer::read(block, &mut at, if kept { 6 } else { 4 })?;
            let name = if index > 0 {
                Some(self.table.get(index).ok_or(BadBlock::Index)?.name)
            } else {
                Name::parse(string(block, &mut at)?.as_ref())
            };
            let value = HeaderValue::from_maybe_shared(string(block, &mut at)?.into_bytes()).ok();
            let field = name.zip(value).map(|(name, mut value)| {
                // Never indexed: whoever passes it on must not index it either.
                value.set_sensitive(first & 0xf0 == 0x10);
                Field { name, value }
            });
            if kept {
                // A name that HTTP does not allow must not shift the entries behind it: the message is refused, and with it
                // the connection, since a peer that sends such things on purpose gains nothing else.
                self.table.add(field.clone().ok_or(BadBlock::Field)?);
            }
            each(field);
        }
        Ok(())
    }
}

/// Writes blocks.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// New sizes that the next block must begin with: the smallest since the last block, then the present one.
    resized: Option<(usize, usize)>,
    /// How many entries had been added with the last one of each name whose values are new each time.
    names: [u64; FRESH],
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: Table::new(DEFAULT_TABLE), resized: None, names: [0; FRESH] }
    }
}

impl Encoder {
    /// The peer allows a table of so many bytes; more than [`DEFAULT_TABLE`] is not used.
    pub fn allow(&mut self, size: usize) {
        let size = size.min(DEFAULT_TABLE);
        if size != self.table.limit() {
            self.table.resize(size);
            let smallest = self.resized.map_or(size, |(smallest, _)| smallest.min(size));
            self.resized = Some((smallest, size));
        }
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut BytesMut) {
        let Some((smallest, size)) = self.resized.take() else { return };
        if smallest < size {
            // The peer has let go of what did not fit meanwhile (RFC 7541, section 4.2).
            integer::write(out, 5, 0x20, smallest);
        }
        integer::write(out, 5, 0x20, size);
    }

    /// Writes a pseudo-header.
    pub fn pseudo(&mut self, out: &mut BytesMut, name: &Name, value: &str) {
        if let Some(index) = common(name, value) {
            out.put_u8(0x80 | index);
            return;
        }
        let field = || HeaderValue::from_str(value).ok().map(|value| Field { name: name.clone(), value });
        let fresh = *name == Name::Path && value.len() > LONG_PATH;
        self.write(out, name.as_str(), value.as_bytes(), if fresh { Keep::No } else { Keep::Yes }, field);
    }

    /// Writes an ordinary field.
    pub fn field(&mut self, out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
        let text = name.as_str();
        let keep = if value.is_sensitive() {
            Keep::Never
        } else if let Some(known) = fresh(text) {
            return self.fresh(out, known, name, value);
        } else if value.len() > LONG_VALUE {
            Keep::No
        } else {
            Keep::Yes
        };
        let field = || Some(Field { name: Name::Header(name.clone()), value: value.clone() });
        self.write(out, text, value.as_bytes(), keep, field);
    }

    /// Writes a field whose value is new each time, and would push out what is not. A name that the static table does not have is kept,
    /// with the value that it has for once.
    fn fresh(&mut self, out: &mut BytesMut, known: Known, name: &HeaderName, value: &HeaderValue) {
        let (text, bytes) = (name.as_str(), value.as_bytes());
        let index = match known {
            Known::Static(index) => index,
            Known::Number(number) => match self.table.index_of(self.names[number]) {
                Some(index) => index,
                // It would take the place of too much else.
                None if text.len() + bytes.len() + ENTRY > self.table.limit() / 8 => 0,
                None => {
                    literal_field(out, (6, 0x40), 0, text, bytes);
                    // Not the value itself: it may hold all of the head that it came in.
                    if let Ok(value) = HeaderValue::from_bytes(bytes) {
                        self.names[number] = self.table.add(Field { name: Name::Header(name.clone()), value });
                    }
                    return;
                }
            },
        };
        literal_field(out, (4, 0), index, text, bytes);
    }

    fn write(
        &mut self,
        out: &mut BytesMut,
        name: &str,
        value: &[u8],
        keep: Keep,
        field: impl FnOnce() -> Option<Field>,
    ) {
        if keep != Keep::Never
            && let Some(index) = self.table.find(name, value)
        {
            integer::write(out, 7, 0x80, index);
            return;
        }
        let form = match keep {
            Keep::Yes => (6, 0x40),
            Keep::No => (4, 0),
            Keep::Never => (4, 0x10),
        };
        literal_field(out, form, self.table.find_name(name), name, value);
        if keep == Keep::Yes
            && let Some(field) = field()
        {
            self.table.add(field);
        }
    }
}

/// The entry of the static table that most messages use.
fn common(name: &Name, value: &str) -> Option<u8> {
    Some(match (name, value) {
        (Name::Method, "GET") => 2,
        (Name::Method, "POST") => 3,
        (Name::Path, "/") => 4,
        (Name::Scheme, "http") => 6,
        (Name::Scheme, "https") => 7,
        (Name::Status, "200") => 8,
        (Name::Status, "204") => 9,
        (Name::Status, "206") => 10,
        (Name::Status, "304") => 11,
        (Name::Status, "400") => 12,
        (Name::Status, "404") => 13,
        (Name::Status, "500") => 14,
        _ => return None,
    })
}

/// Where the name of a field is found.
#[derive(Clone, Copy)]
enum Known {
    /// At this index of the static table.
    Static(usize),
    /// Where the encoder has added it last, which it knows by this number.
    Number(usize),
}

/// Fields that say something new with every message.
fn fresh(name: &str) -> Option<Known> {
    Some(match name {
        "content-length" => Known::Static(28),
        "date" => Known::Static(33),
        "etag" => Known::Static(34),
        "x-request-id" => Known::Number(0),
        "traceparent" => Known::Number(1),
        "tracestate" => Known::Number(2),
        "x-b3-traceid" => Known::Number(3),
        "x-b3-spanid" => Known::Number(4),
        "grpc-timeout" => Known::Number(5),
        _ => return None,
    })
}

/// Names that [`Known::Number`] counts.
const FRESH: usize = 6;

/// Whether the next message is likely to say the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
    /// Nor may anybody else keep it.
    Never,
}

/// A field that is spelled out, but for its name where `index` stands for it.
fn literal_field(out: &mut BytesMut, (prefix, flags): (u32, u8), index: usize, name: &str, value: &[u8]) {
    integer::write(out, prefix, flags, index);
    if index == 0 {
        literal(out, name.as_bytes());
    }
    literal(out, value);
}

fn literal(out: &mut BytesMut, bytes: &[u8]) {
    integer::write(out, 7, 0, bytes.len());
    out.put_slice(bytes);
}

/// A string of a block.
enum Text<'b> {
    Plain(&'b [u8]),
    Decoded(Bytes),
}

impl Text<'_> {
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Plain(plain) => Bytes::copy_from_slice(plain),
            Self::Decoded(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Plain(plain) => plain,
            Self::Decoded(bytes) => bytes,
        }
    }
}

fn string<'b>(block: &'b [u8], at: &mut usize) -> Result<Text<'b>, BadBlock> {
    let coded = block.get(*at).ok_or(BadBlock::Cut)? & 0x80 != 0;
    let length = integer::read(block, at, 7)?;
    let end = at.checked_add(length).filter(|end| *end <= block.len()).ok_or(BadBlock::Cut)?;
    let text = &block[std::mem::replace(at, end)..end];
    if coded { huffman::decode(text).map(Text::Decoded) } else { Ok(Text::Plain(text)) }
}

/// Size of a table before anybody has said anything, and the largest that this end uses.
pub const DEFAULT_TABLE: usize = 4096;
/// What an entry counts for beside its bytes.
const ENTRY: usize = 32;
const LONG_PATH: usize = 128;
const LONG_VALUE: usize = 512;
#[cfg(test)]
mod tests;
