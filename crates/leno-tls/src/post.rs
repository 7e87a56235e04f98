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

/// A message of the handshake protocol.
pub(crate) struct Message<'b> {
    pub(crate) kind: u8,
    pub(crate) payload: &'b [u8],
    /// Bytes of its header and payload.
    pub(crate) length: usize,
}

/// The message at the front of `bytes`; `None` where it is not all there.
pub(crate) fn message(bytes: &[u8]) -> Result<Option<Message<'_>>, Error> {
    let Some(&[kind, a, b, c]) = bytes.first_chunk() else { return Ok(None) };
    let size = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    if size > MESSAGE {
        return Err(unexpected("a handshake message that is too long"));
    }
    let length = HEADER + size;
    Ok(bytes.get(HEADER..length).map(|payload| Message { kind, payload, length }))
}

/// RFC 8446, section 4.
pub(crate) const NEW_SESSION_TICKET: u8 = 4;
/// RFC 8446, section 4.6.3.
pub(crate) const KEY_UPDATE: u8 = 24;
/// Kind and length.
const HEADER: usize = 4;
/// Longest message after the handshake: a ticket, which may hold the peer's certificates.
const MESSAGE: usize = 64 * 1024;
