//! HTTP/2 (RFC 9113).
//!
//! A [`Connection`] is one end: [`Connection::receive`] takes bytes and gives events, its other functions are commands, and
//! what they make waits in an [`Output`](crate::Output) until whoever owns the socket takes it. It holds no socket, clock or task; what it
//! takes from a peer is bounded by [`limits`].

mod chunks;
mod code;
mod connection;
mod frame;
pub mod hpack;
pub mod limits;
mod message;
mod settings;
mod stream;
mod window;

pub use chunks::Chunks;
pub use code::Code;
pub use connection::{Broken, Connection, Event, Role, Windows};
pub use stream::{ById, ByStream};

#[cfg(test)]
mod tests;
