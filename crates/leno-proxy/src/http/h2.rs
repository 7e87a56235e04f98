//! HTTP/2 on the data path: sockets around [`leno_http::h2`].
//!
//! One task for each connection owns its socket: it reads what there is, acts on every frame of it, and sends all that is to be
//! sent as one write. A client's requests are answered in that same task, so a request crosses no channel and wakes nobody on
//! its way in; towards an endpoint a request is written under a short lock, which wakes the connection's task once for all
//! the requests that come before it gets its turn. Of many messages at once the first leave while the others are being made, so
//! that the peer is at work meanwhile.
//!
//! A client's connection is served by one core at a time. That is no loss where a proxy has one worker, and it has one unless
//! it is given more; then connections are what is spread over them.

mod body;
pub mod client;
mod core;
mod driver;
mod outgoing;
mod server;
mod stream;
mod tasks;

pub use body::{Arrived, Incoming};
pub use client::{Http2, connect};
pub use server::serve;

use leno_http::h2::{Code, Windows};

/// Why a stream ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer reset it.
    #[error("the stream was reset: {0}")]
    Reset(Code),
    /// The peer goes away and has not looked at it.
    #[error("the peer goes away and refused the stream")]
    Refused,
    /// The peer sent what is not HTTP.
    #[error("what came is not HTTP: {0}")]
    Malformed(&'static str),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Failure {
    /// What the other side of the proxy is told of it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            // Nothing can be said to be refused any more, and the end is none.
            Self::Reset(Code::REFUSED_STREAM | Code::NO_ERROR) => Code::INTERNAL_ERROR,
            Self::Reset(code) => *code,
            Self::Refused | Self::Malformed(_) | Self::Broken(_) => Code::INTERNAL_ERROR,
        }
    }
}

/// Bytes in flight of one stream at first; it becomes wider while its reader keeps up.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes in flight of one connection, half of them for streams that become wider: slow readers must not stop the others, and
/// together must not fill the memory.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Messages that leave together where many are made in one turn. Fewer would cost more writes and wake the peer more often; with
/// more the peer has nothing to do until all are made, and this end nothing after that.
const BATCH: usize = 32;
const WINDOWS: Windows = Windows { stream: STREAM_WINDOW, connection: CONNECTION_WINDOW };

#[cfg(test)]
mod tests;
