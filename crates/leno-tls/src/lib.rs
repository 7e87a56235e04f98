//! TLS connections between sidecars.
//!
//! rustls makes the handshake and keeps the secrets' schedule; the records after it are opened and sealed here (RFC 8446, section 5;
//! RFC 5246 and 5288 for foreign peers that stop at TLS 1.2). They are most of what a proxy does: here one read takes many
//! records, one write sends many, each is changed in place, and a connection at rest holds no buffer.
//!
//! From outside in: [`connect`] and [`accept`] shake hands, [`Stream`] carries bytes, `records` decides what a record means, `key`
//! protects one.

mod cipher;
mod handshake;
mod key;
mod post;
mod records;
mod stream;

pub use handshake::{Session, accept, connect};
pub use records::{Opened, Records};
pub use stream::Stream;

#[cfg(test)]
mod tests;
