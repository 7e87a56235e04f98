use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

fn settings() -> Settings {
    let mut settings = Settings::for_test("shop", "web-1", "web");
    // Nobody is there.
    settings.control_address = "127.0.0.1:1".to_owned();
    settings.drain = Duration::from_secs(1);
    settings
}

async fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, addr.port())).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn without_a_control_plane_connections_are_accepted_and_the_proxy_says_that_it_is_not_ready() {
    let bound = Bound::bind(settings()).unwrap();
    let addresses = bound.addresses();
    let (end, ending) = oneshot::channel::<()>();
    let running = tokio::spawn(bound.run(LogHandle::detached(), async move {
        let _ = ending.await;
        "the test"
    }));
    let answer = get(addresses.health, "/healthz/ready").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for addr in [addresses.inbound, addresses.outbound] {
        let accepted = TcpStream::connect((Ipv4Addr::LOCALHOST, addr.port())).await;
        accepted.expect("accepted although nothing is known yet");
    }

    let begun = std::time::Instant::now();
    end.send(()).unwrap();
    running.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "the drain has a limit");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = sock::listen_all(0).unwrap();
    let mut settings = settings();
    settings.ports.outbound = taken.local_addr().unwrap().port();
    let error = Bound::bind(settings).unwrap_err().to_string();
    assert!(error.contains("in use") && error.contains(&taken.local_addr().unwrap().port().to_string()), "{error}");
}
