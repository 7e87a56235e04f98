//! HTTP codecs of the data path, as state machines without I/O.
//!
//! Bytes go in, events and bytes to send come out: no socket, no clock, no task. So every rule and every limit is tested
//! without a network, and whoever owns the socket decides when to read and how to write.
//!
//! They are stricter than what the rest of the world sends by mistake, wherever leniency would let two parties on a
//! request's way see two different messages (RFC 9112, section 11.2).

mod fields;
pub mod h1;
pub mod h2;
mod head;
mod output;
pub mod spare;

pub use fields::{Fields, Named};
pub use head::{RequestHead, ResponseHead};
pub use output::Output;
