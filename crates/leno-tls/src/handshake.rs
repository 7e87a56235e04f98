//! rustls' handshake over a stream, and what it has brought.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ExtractedSecrets, HandshakeKind, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::key::{Key, Version, record_length};
use crate::post::Schedule;
use crate::records::Records;
use crate::stream::Stream;

/// What the handshake found out.
#[derive(Debug)]
pub struct Session {
    /// The peer's certificates, its own first; none where it was not asked for any.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The protocol agreed on (ALPN); empty where there is none.
    pub alpn: Vec<u8>,
    /// An earlier session goes on: no certificates were sent.
    pub resumed: bool,
}

/// Shakes hands as a client. The configuration must let secrets be extracted.
///
/// # Errors
/// The stream's own, or [`io::ErrorKind::InvalidData`] with a [`rustls::Error`] inside.
pub async fn connect<IO>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    mut io: IO,
) -> io::Result<(Stream<IO>, Session)>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = UnbufferedClientConnection::new(config, name).map_err(invalid)?;
    let behind =
        shake_hands(&mut *connection, UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records, &mut io)
            .await?;
    let session = Session::of(&connection);
    let (secrets, kernel) = connection.dangerous_into_kernel_connection().map_err(invalid)?;
    let records = records(secrets, Version::of(kernel.protocol_version()), Schedule::Client(Box::new(kernel)))?;
    Ok((Stream::new(io, records, behind), session))
}

/// Shakes hands as a server. The configuration must let secrets be extracted.
///
/// # Errors
/// As [`connect`].
pub async fn accept<IO>(config: Arc<ServerConfig>, mut io: IO) -> io::Result<(Stream<IO>, Session)>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = UnbufferedServerConnection::new(config).map_err(invalid)?;
    let behind =
        shake_hands(&mut *connection, UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records, &mut io)
            .await?;
    let session = Session::of(&connection);
    let (secrets, kernel) = connection.dangerous_into_kernel_connection().map_err(invalid)?;
    let records = records(secrets, Version::of(kernel.protocol_version()), Schedule::Server(Box::new(kernel)))?;
    Ok((Stream::new(io, records, behind), session))
}

fn records(secrets: ExtractedSecrets, version: Result<Version, Error>, schedule: Schedule) -> io::Result<Records> {
    let version = version.map_err(invalid)?;
    let opening = Key::new(version, secrets.rx).map_err(invalid)?;
    let sealing = Key::new(version, secrets.tx).map_err(invalid)?;
    Ok(Records::new(version, opening, sealing, schedule))
}

impl Session {
    fn of(state: &CommonState) -> Self {
        let certificates = state.peer_certificates().unwrap_or_default();
        Self {
            certificates: certificates.iter().map(|c| c.clone().into_owned()).collect(),
            alpn: state.alpn_protocol().unwrap_or_default().to_vec(),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

/// What rustls wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Receive,
    Done,
}

/// rustls' look at what came, which it has for each end apart.
type Process<D> = for<'c, 'i> fn(&'c mut UnbufferedConnectionCommon<D>, &'i mut [u8]) -> UnbufferedStatus<'c, 'i, D>;

/// Returns what came behind the handshake. Records are shown to rustls one by one, so that it opens none of those.
async fn shake_hands<D, IO>(
    connection: &mut UnbufferedConnectionCommon<D>,
    process: Process<D>,
    io: &mut IO,
) -> io::Result<Vec<u8>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
    let mut shown = 0;
    loop {
        let (discard, step) = advance(connection, process, &mut incoming[..shown], &mut outgoing);
        incoming.drain(..discard);
        shown -= discard;
        match step {
            Ok(Step::Again) => {}
            Ok(Step::Receive) => {
                shown += loop {
                    match record_length(&incoming[shown..]) {
                        Ok(Some(length)) if shown + length <= incoming.len() => break length,
                        Ok(_) => {
                            // One write for all that answers what has come so far.
                            send(io, &mut outgoing).await?;
                            receive(io, &mut incoming).await?;
                        }
                        // rustls says what is wrong with it, to the peer too.
                        Err(_) => break incoming.len() - shown,
                    }
                };
            }
            Ok(Step::Done) => {
                send(io, &mut outgoing).await?;
                return Ok(incoming);
            }
            Err(error) => {
                // While there is something to send, rustls does not look at what came: it must not, a second time.
                while connection.wants_write() {
                    let _ = advance(connection, process, &mut incoming[..shown], &mut outgoing);
                }
                // The peer may be gone already.
                let _ = send(io, &mut outgoing).await;
                let _ = io.shutdown().await;
                return Err(invalid(error));
            }
        }
    }
}

fn advance<D>(
    connection: &mut UnbufferedConnectionCommon<D>,
    process: Process<D>,
    shown: &mut [u8],
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { discard, state } = process(connection, shown);
    let step = state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing).map(|()| Step::Again),
        ConnectionState::TransmitTlsData(data) => {
            // It waits in `outgoing`.
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake => Ok(Step::Receive),
        ConnectionState::PeerClosed | ConnectionState::Closed => {
            Err(Error::General("the peer ended the handshake".to_owned()))
        }
        _ => Err(Error::General("the peer sent data in the middle of the handshake".to_owned())),
    });
    // A server may send before it has heard the last of its client: that alone is not the end.
    let done = step == Ok(Step::Receive) && !connection.is_handshaking();
    (discard, if done { Ok(Step::Done) } else { step })
}

async fn send(io: &mut (impl AsyncWrite + Unpin), outgoing: &mut Vec<u8>) -> io::Result<()> {
    if !outgoing.is_empty() {
        io.write_all(outgoing).await?;
        io.flush().await?;
        outgoing.clear();
    }
    Ok(())
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let start = outgoing.len();
    let required = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Ok(_) | Err(EncodeError::AlreadyEncoded) => 0,
    };
    outgoing.resize(start + required, 0);
    data.encode(&mut outgoing[start..]).map(drop).map_err(|e| Error::General(e.to_string()))
}

async fn receive(io: &mut (impl AsyncRead + Unpin), incoming: &mut Vec<u8>) -> io::Result<()> {
    if incoming.len() > FLIGHT {
        return Err(invalid(Error::General("the peer's handshake is too long".to_owned())));
    }
    // An empty buffer would be given 64 bytes only.
    incoming.reserve(READ);
    match io.take(READ as u64).read_buf(incoming).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection in the handshake")),
        _ => Ok(()),
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Bytes taken by one read: a flight with certificates has some three thousand.
const READ: usize = 4 * 1024;
/// Bytes of one flight that are kept at most.
const FLIGHT: usize = 128 * 1024;
