//! Sockets of a transparent proxy: where a connection was going, marks, keep-alive, listeners.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use leno_core::addr::OrigDst;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Where the application meant to connect, as netfilter's REDIRECT kept it (`SO_ORIGINAL_DST`). `None` when the
/// connection was not redirected: then it was really meant for this socket's own address.
///
/// An IPv4 connection accepted by a dual-stack listener has an address mapped into IPv6 but is tracked as IPv4, so both
/// tables are asked, the one of the socket's real family first.
#[must_use]
pub fn original_dst(stream: &impl AsFd) -> Option<OrigDst> {
    let socket = SockRef::from(stream);
    let local = canonical(socket.local_addr().ok()?.as_socket()?);
    let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    found.ok()?.as_socket().map(|addr| OrigDst(canonical(addr)))
}

/// An address with IPv4 mapped into IPv6 turned back into plain IPv4: what a dual-stack listener reports is compared
/// with addresses out of configuration.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip if ip == addr.ip() => addr,
        ip => SocketAddr::new(ip, addr.port()),
    }
}

/// Options of connections on the data path: no Nagle, and keep-alive probes so that a peer that vanished without a word
/// is noticed within two minutes. Connections of a listener inherit them.
///
/// # Errors
/// When the kernel refuses one (the socket is already dead).
pub fn tune(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)
}

/// For a socket whose connections do not leave the pod: they are not paced. Where the node's congestion control is BBR, the kernel
/// would space out by timers what goes to the application next door, as if a network lay between them. To be set before a connection is
/// made; those of a listener inherit it. Every process may choose Reno, unless the node says otherwise (`tcp_allowed_congestion_control` in tcp(7)).
///
/// # Errors
/// Where the node does not allow it.
pub fn unpaced(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_congestion(b"reno")
}

/// Connects, with the mark that exempts own connections from interception where the proxy has no user id of its own,
/// and the options of [`tune`].
///
/// # Errors
/// As the kernel says. Setting a mark needs `CAP_NET_ADMIN` in the network namespace.
pub async fn connect(addr: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    socket_to(addr, mark)?.connect(addr).await
}

/// [`connect`] to an address of this pod, with the option of [`unpaced`].
///
/// # Errors
/// As [`connect`].
pub async fn connect_in_pod(addr: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    let socket = socket_to(addr, mark)?;
    // A comfort: a connection without it still works.
    let _ = unpaced(&socket);
    socket.connect(addr).await
}

fn socket_to(addr: SocketAddr, mark: Option<u32>) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    set_mark(&socket, mark)?;
    tune(&socket)?;
    Ok(socket)
}

/// Marks a socket (`SO_MARK`); nothing to do without a mark.
///
/// # Errors
/// Without `CAP_NET_ADMIN` in the network namespace.
pub fn set_mark(socket: &impl AsFd, mark: Option<u32>) -> io::Result<()> {
    mark.map_or(Ok(()), |mark| SockRef::from(socket).set_mark(mark))
}

/// Listens on all addresses, IPv6 and IPv4 by one socket; on IPv4 alone where the machine has no IPv6.
///
/// # Errors
/// As the kernel says, with the address in the message.
pub fn listen_all(port: u16) -> io::Result<TcpListener> {
    match listen(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
        Err(e) if no_ipv6(&e) => listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        other => other,
    }
}

/// Listens on one address. `[::]` takes IPv4 too. The address may be in use by connections of a predecessor, not by
/// another listener.
///
/// # Errors
/// As the kernel says, with the address in the message.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr).map_err(|e| io::Error::new(e.kind(), ListenError { addr, source: e }))
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {source}")]
struct ListenError {
    addr: SocketAddr,
    source: io::Error,
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The errors of a kernel without IPv6, or with it switched off.
fn no_ipv6(error: &io::Error) -> bool {
    let source = error.get_ref().and_then(|e| e.downcast_ref::<ListenError>()).map(|e| &e.source);
    let code = source.and_then(io::Error::raw_os_error);
    [nix::errno::Errno::EAFNOSUPPORT, nix::errno::Errno::EADDRNOTAVAIL].iter().any(|e| code == Some(*e as i32))
}

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests;
