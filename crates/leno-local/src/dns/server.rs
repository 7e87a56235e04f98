//! The sockets of DNS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Zone, answer};

/// The zone in force: one task replaces it, all answers read it.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<RwLock<Arc<Zone>>>);

impl Names {
    /// Replaces the zone.
    pub fn set(&self, zone: Zone) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(zone);
    }

    fn get(&self) -> Arc<Zone> {
        Arc::clone(&self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Binds both sockets and serves until the runtime ends.
///
/// # Errors
/// When a socket cannot be bound.
pub async fn serve(address: Ipv4Addr, names: Names) -> std::io::Result<()> {
    let at = SocketAddr::from((address, 53));
    let udp = UdpSocket::bind(at).await?;
    let tcp = TcpListener::bind(at).await?;
    tokio::spawn(serve_udp(udp, names.clone()));
    tokio::spawn(serve_tcp(tcp, names));
    Ok(())
}

async fn serve_udp(socket: UdpSocket, names: Names) {
    let mut buffer = vec![0; 65_535];
    loop {
        // Errors here are of single packets (a client that is gone), never of the socket.
        let Ok((n, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(reply) = answer(&buffer[..n], &names.get(), 512) {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, names: Names) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(tokio::time::timeout(Duration::from_secs(30), converse(stream, names.clone())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(mut stream: TcpStream, names: Names) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        let Some(reply) = answer(&request, &names.get(), usize::from(u16::MAX)) else { return Ok(()) };
        let Ok(length) = u16::try_from(reply.len()) else { return Ok(()) };
        stream.write_u16(length).await?;
        stream.write_all(&reply).await?;
    }
}
