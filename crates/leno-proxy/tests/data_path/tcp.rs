//! Opaque connections, TLS passed through, and protocols that nobody declared.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use leno_core::id::Origin;
use leno_core::model::route::{TcpMatch, TcpRoute, TlsRoute};
use leno_core::model::traffic::Subset;
use leno_core::model::{DestinationRule, Protocol, RouteTable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scene::{Scene, Sidecar, counter, dialling, named, outer_ip, raw, request, send, to};

/// Greets first, then echoes.
async fn greeter() -> std::net::SocketAddr {
    raw(|mut stream| async move {
        let _ = stream.write_all(b"220 hello\r\n").await;
        echo(stream).await;
    })
    .await
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = write.shutdown().await;
}

async fn talk(addr: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("connects");
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).await.expect("greeted");
    stream.write_all(b"QUIT").await.expect("written");
    stream.shutdown().await.expect("shut");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("read");
    String::from_utf8_lossy(&greeting).into_owned() + &rest
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_whatever_its_port_declares() {
    for protocol in [Protocol::Tcp, Protocol::Auto, Protocol::Http] {
        for strict in [true, false] {
            let sidecar = if strict { Sidecar::strict() } else { Sidecar::default() };
            let client = Scene::new(protocol).meshed_pod(greeter().await, "v1", sidecar).await.start().await;
            for _ in 0..3 {
                let start = Instant::now();
                assert_eq!(talk(client.addr()).await, "220 hello\r\nQUIT", "{protocol:?} strict={strict}");
                assert!(start.elapsed() < Duration::from_millis(500), "{protocol:?}: {:?}", start.elapsed());
            }
        }
        let client = Scene::new(protocol).plain_pod(greeter().await, "v1").start().await;
        assert_eq!(talk(client.addr()).await, "220 hello\r\nQUIT", "{protocol:?} plain");
    }
}

#[tokio::test]
async fn a_client_that_speaks_first_is_carried_as_it_is() {
    for protocol in [Protocol::Tcp, Protocol::Auto, Protocol::Http] {
        let pod = raw(echo).await;
        let client = Scene::new(protocol).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
        let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
        stream.write_all(b"\x00\x01binary\xff").await.expect("written");
        let mut back = [0; 9];
        stream.read_exact(&mut back).await.expect("read");
        assert_eq!(&back, b"\x00\x01binary\xff", "{protocol:?}");
    }
}

#[tokio::test]
async fn much_data_passes_both_ways_whole() {
    let pod = raw(echo).await;
    let client = Scene::new(Protocol::Tcp).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let stream = TcpStream::connect(client.addr()).await.expect("connects");
    let (mut read, mut write) = stream.into_split();
    let sent: Vec<u8> = (0..20_000_000u32).map(|i| (i % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.expect("written");
        write.shutdown().await.expect("shut");
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.expect("read");
    writing.await.expect("ends");
    assert!(back == expected, "{} of {} bytes, or changed ones", back.len(), expected.len());
}

/// Breaks off: the peer sees a reset, no end.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a reset at the end");
    drop(stream);
}

/// Says three bytes and breaks off when it has been told three.
async fn breaker() -> std::net::SocketAddr {
    raw(|mut stream| async move {
        let _ = stream.write_all(b"one").await;
        let _ = stream.read_exact(&mut [0; 3]).await;
        reset(stream);
    })
    .await
}

#[tokio::test]
async fn a_connection_that_the_server_breaks_off_has_no_end() {
    let scene = || Scene::new(Protocol::Tcp);
    let plain = scene().plain_pod(breaker().await, "v1").start().await;
    let mutual = scene().meshed_pod(breaker().await, "v1", Sidecar::strict()).await.start().await;
    for (what, addr) in [("plain", plain.addr()), ("mutual TLS", mutual.addr())] {
        let mut stream = TcpStream::connect(addr).await.expect("connects");
        stream.read_exact(&mut [0; 3]).await.expect("read");
        stream.write_all(b"two").await.expect("written");
        let end = stream.read(&mut [0; 3]).await.expect_err("a reset, not an end");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_the_client_breaks_off_has_no_end() {
    for mutual in [false, true] {
        let (seen, mut ends) = tokio::sync::mpsc::channel(1);
        let pod = raw(move |mut stream| {
            let seen = seen.clone();
            async move {
                let _ = stream.write_all(b"one").await;
                let mut all = Vec::new();
                let end = stream.read_to_end(&mut all).await.map_err(|e| e.kind());
                let _ = seen.send((all, end)).await;
            }
        })
        .await;
        let scene = Scene::new(Protocol::Tcp);
        let scene =
            if mutual { scene.meshed_pod(pod, "v1", Sidecar::strict()).await } else { scene.plain_pod(pod, "v1") };
        let client = scene.start().await;
        let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
        stream.read_exact(&mut [0; 3]).await.expect("read");
        stream.write_all(b"two").await.expect("written");
        // What was written must be there first: a reset overtakes what waits.
        tokio::time::sleep(Duration::from_millis(50)).await;
        reset(stream);
        let (all, end) = ends.recv().await.expect("told");
        assert_eq!(
            (all.as_slice(), end),
            (b"two".as_slice(), Err(std::io::ErrorKind::ConnectionReset)),
            "mutual: {mutual}"
        );
    }
}

/// Over real sockets: the server's last words wait in the sidecar's socket when the client's next ones are refused.
#[tokio::test]
async fn an_answer_is_read_though_the_server_broke_off() {
    let words = || {
        raw(|mut stream| async move {
            let _ = stream.read_exact(&mut [0; 3]).await;
            let _ = stream.write_all(b"enough").await;
            reset(stream);
        })
    };
    let scene = || Scene::new(Protocol::Tcp);
    let plain = scene().plain_pod(words().await, "v1").start().await;
    let mutual = scene().meshed_pod(words().await, "v1", Sidecar::strict()).await.start().await;
    for (what, addr) in [("plain", plain.addr()), ("mutual TLS", mutual.addr())] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(addr).await.expect("connects");
            stream.write_all(b"one").await.expect("written");
            // Until it is refused.
            while stream.write_all(b"two").await.is_ok() {
                tokio::task::yield_now().await;
            }
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(&answer, b"enough", "{what}");
        }
    }
}

/// The kernel tells of a reset once: the sidecar hears of it when it writes, and must not take what it reads then for an end.
#[tokio::test]
async fn a_reset_that_a_write_hears_of_is_no_end() {
    for mutual in [false, true] {
        let client: Arc<std::sync::Mutex<Option<std::net::TcpStream>>> = Arc::default();
        let its = Arc::clone(&client);
        let pod = raw(move |mut stream| {
            let its = Arc::clone(&its);
            async move {
                let _ = stream.read_exact(&mut [0; 3]).await;
                // All at once, so that the sidecar finds both.
                let _ = stream.try_write(b"half of");
                let client = its.lock().expect("not poisoned").take();
                std::io::Write::write_all(&mut client.expect("a client"), b"two").expect("written");
                reset(stream);
            }
        })
        .await;
        let scene = Scene::new(Protocol::Tcp);
        let scene =
            if mutual { scene.meshed_pod(pod, "v1", Sidecar::strict()).await } else { scene.plain_pod(pod, "v1") };
        let running = scene.start().await;
        let stream = std::net::TcpStream::connect(running.addr()).expect("connects");
        stream.set_nonblocking(true).expect("a setting");
        *client.lock().expect("not poisoned") = Some(stream.try_clone().expect("a clone"));
        let mut stream = TcpStream::from_std(stream).expect("a stream");
        stream.write_all(b"one").await.expect("written");
        let mut said = Vec::new();
        let end = stream.read_to_end(&mut said).await.map_err(|e| e.kind());
        assert_eq!(
            (said.as_slice(), end),
            (b"half of".as_slice(), Err(std::io::ErrorKind::ConnectionReset)),
            "mutual: {mutual}"
        );
    }
}

/// The server answers and ends while the client, which reads nothing before, still has much to say.
#[tokio::test]
async fn a_client_that_speaks_on_after_the_answer_gets_it_whole() {
    const ANSWER: usize = 2_000_000;
    for mutual in [false, true] {
        let pod = raw(|mut stream| async move {
            let _ = stream.read_exact(&mut [0; 3]).await;
            let _ = stream.write_all(&[7; ANSWER]).await;
        })
        .await;
        let scene = Scene::new(Protocol::Tcp);
        let scene =
            if mutual { scene.meshed_pod(pod, "v1", Sidecar::strict()).await } else { scene.plain_pod(pod, "v1") };
        let client = scene.start().await;
        let talking = async {
            let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
            stream.write_all(b"one").await.expect("written");
            tokio::time::sleep(Duration::from_millis(50)).await;
            for _ in 0..20 {
                stream.write_all(&[0; 100_000]).await.expect("taken, by whomever");
            }
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.expect("an end");
            said.len()
        };
        let said = tokio::time::timeout(Duration::from_secs(10), talking).await.expect("in time");
        assert_eq!(said, ANSWER, "mutual: {mutual}");
    }
}

#[tokio::test]
async fn http_on_an_undeclared_port_is_seen_as_http() {
    let client =
        Scene::new(Protocol::Auto).meshed_pod(named("x", counter()).await, "v1", Sidecar::strict()).await.start().await;
    let answer = client.get("/").await;
    assert_eq!(answer.body, "x");
    assert!(!answer.header("x-envoy-upstream-service-time").is_empty());
}

#[tokio::test]
async fn a_client_that_is_slow_to_ask_is_still_seen_as_http() {
    for protocol in [Protocol::Auto, Protocol::Http] {
        let client =
            Scene::new(protocol).meshed_pod(named("x", counter()).await, "v1", Sidecar::strict()).await.start().await;
        let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        assert!(answer.contains("x-envoy-upstream-service-time"), "{protocol:?}: {answer}");
    }
}

fn subsets() -> DestinationRule {
    let subset = |name: &str| Subset {
        name: name.into(),
        labels: [("version".to_owned(), name.to_owned())].into(),
        ..Subset::default()
    };
    DestinationRule { subsets: vec![subset("v1"), subset("v2")], ..DestinationRule::default() }
}

#[tokio::test]
async fn tls_of_the_application_is_passed_through_by_server_name() {
    let rule = |host: &str, subset| TlsRoute {
        matches: vec![(vec![host.to_owned()], TcpMatch::default())],
        backends: vec![to(Some(subset), 1)],
    };
    let table = RouteTable {
        origin: Origin { namespace: "shop".into(), ..Origin::default() },
        tls: vec![rule("one.example", "v1"), rule("*.two.example", "v2")],
        ..RouteTable::default()
    };
    let (one, two) = (counter(), counter());
    let counting = |count: super::scene::Counter| {
        raw(move |mut stream| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
            }
        })
    };
    let client = Scene::new(Protocol::Tls)
        .rule(subsets())
        .table(table)
        .meshed_pod(counting(Arc::clone(&one)).await, "v1", Sidecar::strict())
        .await
        .meshed_pod(counting(Arc::clone(&two)).await, "v2", Sidecar::strict())
        .await
        .start()
        .await;
    for name in ["one.example", "a.two.example", "b.two.example", "three.example"] {
        let roots = rustls::RootCertStore::empty();
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
        let stream = TcpStream::connect(client.addr()).await.expect("connects");
        let name = rustls_pki_types::ServerName::try_from(name).expect("a name");
        let _ = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    }
    assert_eq!((one.load(Ordering::Relaxed), two.load(Ordering::Relaxed)), (1, 2));
}

#[tokio::test]
async fn opaque_connections_are_split_by_weight() {
    let table = RouteTable {
        origin: Origin { namespace: "shop".into(), ..Origin::default() },
        tcp: vec![TcpRoute { matches: Vec::new(), backends: vec![to(Some("v1"), 1), to(Some("v2"), 0)] }],
        ..RouteTable::default()
    };
    let client = Scene::new(Protocol::Tcp)
        .rule(subsets())
        .table(table)
        .meshed_pod(greeter().await, "v1", Sidecar::strict())
        .await
        .plain_pod(super::scene::closed().await, "v2")
        .start()
        .await;
    for _ in 0..10 {
        assert!(talk(client.addr()).await.starts_with("220"));
    }
}

#[tokio::test]
async fn unknown_destinations_pass_or_are_refused_as_the_mesh_says() {
    let outside = {
        let listener = tokio::net::TcpListener::bind((outer_ip(), 0)).await.expect("a listener");
        let addr = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\noutside").await;
            }
        });
        addr
    };
    let open = Scene::new(Protocol::Http).start().await;
    let addr = dialling(&open.path, outside).await;
    assert_eq!(send(addr, request("GET", "/")).await.body, "outside");
    let shut = Scene::new(Protocol::Http).registry_only().start().await;
    let addr = dialling(&shut.path, outside).await;
    assert!(super::scene::try_send(addr, request("GET", "/")).await.is_err());
}

#[tokio::test]
async fn a_pod_that_is_dialled_itself_is_the_one_that_answers_with_mutual_tls() {
    let (a, b) = (counter(), counter());
    let client = Scene::new(Protocol::Http)
        .meshed_pod(named("a", Arc::clone(&a)).await, "v1", Sidecar::strict())
        .await
        .meshed_pod(named("b", Arc::clone(&b)).await, "v1", Sidecar { ip: Some(outer_ip()), ..Sidecar::strict() })
        .await
        .start()
        .await;
    let second = &client.endpoints[1];
    let addr = dialling(&client.path, (second.ip, second.ports[0].1).into()).await;
    for _ in 0..5 {
        assert_eq!(send(addr, request("GET", "/")).await.body, "b");
    }
    let mut bare = request("GET", "/");
    bare.headers_mut().insert("host", "10.0.0.9:80".parse().expect("a value"));
    assert_eq!(send(addr, bare).await.body, "b");
    assert_eq!(a.load(Ordering::Relaxed), 0);
}
