//! Connections that stop being HTTP: WebSocket and other upgrades, and CONNECT.

use std::fmt;
use std::time::Duration;

use leno_core::Reason;

use super::body::Head;
use super::exchange::Exchange;
use super::h1::Upgrade;
use crate::tcp::splice::{Io, splice};

/// One side of a connection, once HTTP has left it.
pub struct Tunnel(Side);

enum Side {
    /// As soon as the client has been answered.
    Coming(Upgrade),
    Here(Box<dyn Io>),
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

impl Tunnel {
    /// The client's side. It comes to life only after a 101 or a CONNECT's 2xx.
    #[must_use]
    pub const fn of_client(upgrade: Upgrade) -> Self {
        Self(Side::Coming(upgrade))
    }

    /// The endpoint's side, after it has agreed.
    #[must_use]
    pub fn of_endpoint(io: Box<dyn Io>) -> Self {
        Self(Side::Here(io))
    }

    async fn open(self) -> Option<Box<dyn Io>> {
        match self.0 {
            Side::Coming(upgrade) => upgrade.connection().await,
            Side::Here(io) => Some(io),
        }
    }

    /// Carries bytes both ways after the answer has gone to the client, and ends the exchange when both have ended.
    pub fn join(self, endpoint: Self, mut exchange: Box<Exchange>) {
        tokio::spawn(async move {
            let (Some(mut client), Some(mut server)) = (self.open().await, endpoint.open().await) else {
                exchange.finish(Reason::UpstreamAborted);
                return;
            };
            let passed = exchange.tunnel();
            let ended = splice(&mut client, &mut server, IDLE, &*passed).await;
            exchange.say(&ended.detail);
            let reason = if ended.reason == Reason::Closed { Reason::Answered } else { ended.reason };
            exchange.finish(reason);
        });
    }
}

/// Whether the client asks to leave HTTP.
#[must_use]
pub fn is_asked(head: &Head) -> bool {
    head.method == http::Method::CONNECT
        || (head.version == http::Version::HTTP_11
            && head.headers.contains(http::header::UPGRADE)
            && super::heads::connection_names(&head.headers, "upgrade"))
}

/// A tunnel in which nothing moves is closed after this time.
const IDLE: Duration = Duration::from_secs(3600);
