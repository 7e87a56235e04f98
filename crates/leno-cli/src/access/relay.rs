//! A port of this machine that leads into the mesh.

use std::net::TcpListener;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Gives each connection a stream of its own from `dial`, until the listener fails. Who cannot be connected is told why,
/// in HTTP.
///
/// # Errors
/// When the listener fails.
pub(super) async fn relay<S, F>(listener: TcpListener, dial: impl Fn() -> F) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = anyhow::Result<S>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await.context("no more connections can be taken")?;
        let dialled = dial();
        tokio::spawn(async move {
            match dialled.await {
                Ok(server) => copy(client, server).await,
                Err(error) => refuse(client, &format!("{error:#}")).await,
            }
        });
    }
}

async fn copy<S: AsyncRead + AsyncWrite + Unpin>(mut client: TcpStream, mut server: S) {
    // Either end may hang up at any time: that is no error of ours.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

async fn refuse(mut client: TcpStream, why: &str) {
    // An answer before the question was read would be lost with the connection.
    let _ = client.read(&mut [0; 8192]).await;
    let body = serde_json::json!({ "error": why }).to_string();
    let head = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let _ = client.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    let _ = client.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::relay;
    use std::io::{Read as _, Write as _};

    #[test]
    fn bytes_pass_and_failures_are_told() {
        let runtime = crate::cluster::runtime().expect("a runtime");
        let talk = |ok: bool| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("its address");
            runtime.spawn(relay(listener, move || async move {
                anyhow::ensure!(ok, "leno-viz is \"away\"");
                let (near, mut far) = tokio::io::duplex(64);
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                    let mut text = [0; 5];
                    let _ = far.read_exact(&mut text).await;
                    text.reverse();
                    let _ = far.write_all(&text).await;
                });
                Ok(near)
            }));
            let mut client = std::net::TcpStream::connect(address).expect("connect");
            client.write_all(b"hello").expect("write");
            let mut text = String::new();
            client.read_to_string(&mut text).expect("read");
            text
        };
        assert_eq!(talk(true), "olleh");
        let said = talk(false);
        assert!(said.starts_with("HTTP/1.1 502") && said.ends_with(r#"{"error":"leno-viz is \"away\""}"#), "{said}");
    }
}
