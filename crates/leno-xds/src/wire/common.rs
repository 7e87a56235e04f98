//! What all messages share: the trait, errors with a path, and small types.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;
use leno_core::id::{Origin, ServiceId};
use leno_core::model::route::ExportTo;
use leno_core::model::{Pattern, Protocol, StringMatch};

use crate::proto::leno as pb;

/// A part of the model and its message.
pub(super) trait Wire: Sized {
    /// The message.
    type Proto;

    fn to_wire(&self) -> Self::Proto;

    fn from_wire(proto: Self::Proto) -> Result<Self, DecodeError>;
}

/// Bytes that are not the resource they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Path of the field, such as `tables[0].http[2].matches[0].uri`; empty when the bytes are no message at all.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl DecodeError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { field: String::new(), message: message.into() }
    }

    pub(super) fn missing() -> Self {
        Self::new("is missing")
    }

    pub(super) fn unknown(what: &str, value: i32) -> Self {
        Self::new(format!("has the unknown {what} {value}; this program is older than its control plane"))
    }

    fn within(mut self, segment: &str) -> Self {
        if !self.field.is_empty() && !self.field.starts_with('[') {
            self.field.insert(0, '.');
        }
        self.field.insert_str(0, segment);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{} {}", self.field, self.message) }
    }
}

impl std::error::Error for DecodeError {}

/// Adds the field's name to an error's path.
pub(super) trait At {
    fn at(self, field: &str) -> Self;
}

impl<T> At for Result<T, DecodeError> {
    fn at(self, field: &str) -> Self {
        self.map_err(|e| e.within(field))
    }
}

/// A field that must be there.
pub(super) fn required<T: Wire>(proto: Option<T::Proto>, field: &str) -> Result<T, DecodeError> {
    proto.ok_or_else(DecodeError::missing).and_then(T::from_wire).at(field)
}

/// A field that may be absent.
pub(super) fn optional<T: Wire>(proto: Option<T::Proto>, field: &str) -> Result<Option<T>, DecodeError> {
    proto.map(T::from_wire).transpose().at(field)
}

/// A field whose absence means the default.
pub(super) fn or_default<T: Wire + Default>(proto: Option<T::Proto>, field: &str) -> Result<T, DecodeError> {
    Ok(optional(proto, field)?.unwrap_or_default())
}

/// The opposite of [`or_default`]: a default costs no bytes.
pub(super) fn unless_default<T: Wire + Default + PartialEq>(value: &T) -> Option<T::Proto> {
    (*value != T::default()).then(|| value.to_wire())
}

/// A list, with the index of a bad item in its error's path.
pub(super) fn each<P, T>(
    protos: impl IntoIterator<Item = P>,
    field: &str,
    decode: impl Fn(P) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    protos.into_iter().enumerate().map(|(i, p)| decode(p).map_err(|e| e.within(&format!("{field}[{i}]")))).collect()
}

/// A list of messages.
pub(super) fn list<T: Wire>(protos: Vec<T::Proto>, field: &str) -> Result<Vec<T>, DecodeError> {
    each(protos, field, T::from_wire)
}

pub(super) fn to_list<T: Wire>(items: &[T]) -> Vec<T::Proto> {
    items.iter().map(T::to_wire).collect()
}

pub(super) fn parse<T: FromStr<Err: fmt::Display>>(text: &str, field: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|e: T::Err| DecodeError::new(e.to_string())).at(field)
}

pub(super) fn service_id(text: &str, field: &str) -> Result<ServiceId, DecodeError> {
    parse(text, field)
}

/// A port: 1 to 65535.
pub(super) fn port(number: u32, field: &str) -> Result<u16, DecodeError> {
    match u16::try_from(number) {
        Ok(p) if p != 0 => Ok(p),
        _ => Err(DecodeError::new(format!("is {number}, not a port"))).at(field),
    }
}

pub(super) fn optional_port(number: Option<u32>, field: &str) -> Result<Option<u16>, DecodeError> {
    number.map(|n| port(n, field)).transpose()
}

/// An HTTP status: 100 to 999.
pub(super) fn status(number: u32, field: &str) -> Result<u16, DecodeError> {
    match u16::try_from(number) {
        Ok(s) if (100..1000).contains(&s) => Ok(s),
        _ => Err(DecodeError::new(format!("is {number}, not an HTTP status"))).at(field),
    }
}

/// A share in percent: 0 to 100.
pub(super) fn percent(number: f64, field: &str) -> Result<f64, DecodeError> {
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(DecodeError::new(format!("is {number}, not a percentage"))).at(field)
    }
}

pub(super) fn ip_bytes(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(ip) => Bytes::copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::copy_from_slice(&ip.octets()),
    }
}

pub(super) fn ip(bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_err(|_| DecodeError::new(format!("has {} bytes, not the 4 or 16 of an IP address", bytes.len())))
}

/// Nanoseconds; saturates at 584 years.
pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn optional_nanos(d: Option<Duration>) -> Option<u64> {
    d.map(nanos)
}

impl Wire for IpNet {
    type Proto = pb::Cidr;

    fn to_wire(&self) -> pb::Cidr {
        pb::Cidr { ip: ip_bytes(self.addr()), prefix: self.prefix_len().into() }
    }

    fn from_wire(p: pb::Cidr) -> Result<Self, DecodeError> {
        let bad = || DecodeError::new(format!("has the impossible prefix length {}", p.prefix));
        Self::new(ip(&p.ip)?, u8::try_from(p.prefix).map_err(|_| bad())?).map_err(|_| bad())
    }
}

impl Wire for Origin {
    type Proto = pb::Origin;

    fn to_wire(&self) -> pb::Origin {
        let Self { kind, namespace, name, source } = self.clone();
        pb::Origin { kind, namespace, name, source }
    }

    fn from_wire(p: pb::Origin) -> Result<Self, DecodeError> {
        Ok(Self { kind: p.kind, namespace: p.namespace, name: p.name, source: p.source })
    }
}

pub(super) fn export_to(e: &ExportTo) -> Option<pb::ExportTo> {
    match e {
        ExportTo::All => None,
        ExportTo::Namespaces(namespaces) => Some(pb::ExportTo { namespaces: namespaces.clone() }),
    }
}

pub(super) fn from_export_to(p: Option<pb::ExportTo>) -> ExportTo {
    p.map_or(ExportTo::All, |p| ExportTo::Namespaces(p.namespaces))
}

impl Wire for Protocol {
    type Proto = i32;

    fn to_wire(&self) -> i32 {
        let p = match self {
            Self::Auto => pb::Protocol::Auto,
            Self::Http => pb::Protocol::Http,
            Self::Http2 => pb::Protocol::Http2,
            Self::Grpc => pb::Protocol::Grpc,
            Self::Tls => pb::Protocol::Tls,
            Self::Tcp => pb::Protocol::Tcp,
            Self::Udp => pb::Protocol::Udp,
        };
        p.into()
    }

    fn from_wire(p: i32) -> Result<Self, DecodeError> {
        Ok(match pb::Protocol::try_from(p).map_err(|_| DecodeError::unknown("protocol", p))? {
            pb::Protocol::Auto => Self::Auto,
            pb::Protocol::Http => Self::Http,
            pb::Protocol::Http2 => Self::Http2,
            pb::Protocol::Grpc => Self::Grpc,
            pb::Protocol::Tls => Self::Tls,
            pb::Protocol::Tcp => Self::Tcp,
            pb::Protocol::Udp => Self::Udp,
        })
    }
}

impl Wire for StringMatch {
    type Proto = pb::StringMatch;

    fn to_wire(&self) -> pb::StringMatch {
        use pb::string_match::Kind;
        let kind = match self {
            Self::Exact(s) => Kind::Exact(s.clone()),
            Self::Prefix(s) => Kind::Prefix(s.clone()),
            Self::Regex(p) => Kind::Regex(p.source().to_owned()),
            Self::Present => Kind::Present(pb::Empty {}),
        };
        pb::StringMatch { kind: Some(kind) }
    }

    fn from_wire(p: pb::StringMatch) -> Result<Self, DecodeError> {
        use pb::string_match::Kind;
        Ok(match p.kind.ok_or_else(DecodeError::missing)? {
            Kind::Exact(s) => Self::Exact(s),
            Kind::Prefix(s) => Self::Prefix(s),
            Kind::Regex(s) => Self::Regex(pattern(s)?),
            Kind::Present(pb::Empty {}) => Self::Present,
        })
    }
}

pub(super) fn pattern(source: String) -> Result<Pattern, DecodeError> {
    Pattern::new(source).map_err(|e| DecodeError::new(format!("is not a regular expression: {e}")))
}
