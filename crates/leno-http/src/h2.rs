//! HTTP/2 (RFC 9113).
//!
//! A [`Connection`] is one end: [`Connection::receive`] takes bytes and gives events, its other functions are commands, and
//! what they make waits in an [`Output`] until whoever owns the socket takes it. It holds no socket, clock or task; what it
//! takes from a peer is bounded by [`limits`].

mod code;
mod connection;
mod frame;
pub mod hpack;
pub mod limits;
mod message;
mod output;
mod settings;
mod stream;
mod window;

pub use code::Code;
pub use connection::{Broken, Connection, Event, Role, Windows};
pub use output::Output;
pub use stream::{ById, ByStream};

#[cfg(test)]
mod tests;
