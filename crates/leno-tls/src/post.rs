//! What rustls still knows of a connection after its handshake: new keys, and sessions to resume.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, Error};

use crate::key::unexpected;

/// Either end.
pub(crate) enum Schedule {
    /// A client keeps the sessions that it is given.
    Client(Box<KernelConnection<ClientConnectionData>>),
    /// A server is given none.
    Server(Box<KernelConnection<ServerConnectionData>>),
}

impl Schedule {
    pub(crate) fn next_opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
        }
    }

    pub(crate) fn next_sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
        }
    }

    /// A session that may be resumed later.
    pub(crate) fn ticket(&mut self, payload: &[u8]) -> Result<(), Error> {
        match self {
            Self::Client(kernel) => kernel.handle_new_session_ticket(payload),
            Self::Server(_) => Err(unexpected("a session ticket, and is a client")),
        }
    }
}

/// A message of the handshake protocol at the front of `bytes`: its kind, its payload, and how long both are. `None` where it is not all
/// there.
pub(crate) fn message(bytes: &[u8]) -> Result<Option<(u8, &[u8], usize)>, Error> {
    let Some(&[kind, a, b, c]) = bytes.first_chunk() else { return Ok(None) };
    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    if length > MESSAGE {
        return Err(unexpected("a handshake message that is too long"));
    }
    Ok(bytes.get(4..4 + length).map(|payload| (kind, payload, 4 + length)))
}

/// RFC 8446, section 4.
pub(crate) const NEW_SESSION_TICKET: u8 = 4;
/// RFC 8446, section 4.6.3.
pub(crate) const KEY_UPDATE: u8 = 24;
/// Longest message after the handshake: a ticket, which may hold the peer's certificates.
const MESSAGE: usize = 64 * 1024;
