//! Connections that stop being HTTP: WebSocket and other upgrades, and CONNECT.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use leno_core::Reason;

use super::body::Head;
use super::client::RawResponse;
use super::exchange::Exchange;
use crate::tcp::splice::{Meter, splice};

/// One side of a connection, once HTTP has left it.
#[derive(Debug)]
pub struct Tunnel(OnUpgrade);

impl Tunnel {
    /// The client's side. Present on every HTTP/1 request; it comes to life only after a 101 or a CONNECT's 2xx.
    #[must_use]
    pub fn of_request(head: &mut Head) -> Option<Self> {
        head.extensions.remove::<OnUpgrade>().map(Self)
    }

    /// The endpoint's side, where it agreed.
    #[must_use]
    pub fn of_response(response: &mut RawResponse) -> Option<Self> {
        response.extensions_mut().remove::<OnUpgrade>().map(Self)
    }

    /// Carries bytes both ways after the answer has gone to the client, and ends the exchange when both have ended.
    pub fn join(self, endpoint: Self, mut exchange: Box<Exchange>) {
        tokio::spawn(async move {
            let (Ok(client), Ok(server)) = (self.0.await, endpoint.0.await) else {
                exchange.finish(Reason::UpstreamAborted);
                return;
            };
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            let ended = splice(&mut client, &mut server, IDLE, &Count(&exchange)).await;
            exchange.say(&ended.detail);
            let reason = if ended.reason == Reason::Closed { Reason::Answered } else { ended.reason };
            exchange.finish(reason);
        });
    }
}

struct Count<'e>(&'e Exchange);

impl Meter for Count<'_> {
    fn received(&self, bytes: u64) {
        self.0.add_request_bytes(bytes);
    }

    fn sent(&self, bytes: u64) {
        self.0.add_response_bytes(bytes);
    }
}

/// Whether the client asks to leave HTTP.
#[must_use]
pub fn is_asked(head: &Head) -> bool {
    head.method == http::Method::CONNECT
        || (head.version == http::Version::HTTP_11
            && head.headers.contains_key(http::header::UPGRADE)
            && super::heads::connection_names(&head.headers, "upgrade"))
}

/// A tunnel in which nothing moves is closed after this time.
const IDLE: Duration = Duration::from_secs(3600);
