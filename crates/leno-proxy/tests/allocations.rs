//! How often a request allocates, in both its sidecars together. The numbers may fall; they must not grow unseen.
//!
//! Client and application are bare sockets with buffers of fixed size, so that what is counted is the proxies' own.

#[expect(dead_code, reason = "made for the tests of the data path, of which this one needs little")]
#[path = "data_path/scene.rs"]
mod scene;

use std::net::SocketAddr;

use leno_core::model::Protocol;
use scene::{Scene, Sidecar, fresh_ip};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

#[test]
fn a_request_of_http1_allocates_little() {
    let runtime = runtime();
    let mut stream = runtime.block_on(client());
    let mut ask = async |requests| {
        for _ in 0..requests {
            stream.write_all(b"GET /cart HTTP/1.1\r\nHost: web\r\nUser-Agent: test\r\n\r\n").await.expect("written");
            let mut answer = [0; 4096];
            let mut read = 0;
            while !answer[..read].ends_with(BODY) {
                read += some(stream.read(&mut answer[read..]).await.expect("an answer"));
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
        }
    };
    check("HTTP/1.1", &count(&runtime, &mut ask), HTTP1);
}

#[test]
fn a_request_of_http2_allocates_little() {
    let runtime = runtime();
    let mut stream = runtime.block_on(client());
    runtime.block_on(async {
        stream.write_all(PREFACE).await.expect("written");
        // Settings, and a wide window.
        stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\x7f\0\0\0").await.expect("written");
    });
    let (mut id, mut buffer, mut filled) = (1_u32, [0; 8192], 0);
    let mut ask = async |requests| {
        for _ in 0..requests {
            // GET, http, /, and `web` as the authority, which is not kept.
            let mut head = *b"\0\0\x08\x01\x05\0\0\0\0\x82\x86\x84\x01\x03web";
            head[5..9].copy_from_slice(&id.to_be_bytes());
            stream.write_all(&head).await.expect("written");
            let mut ended = false;
            while !ended {
                filled += some(stream.read(&mut buffer[filled..]).await.expect("an answer"));
                while let Some(head) = take_frame(&mut buffer, &mut filled) {
                    assert!(![RST_STREAM, GOAWAY].contains(&head[3]), "{head:?}");
                    ended |= [DATA, HEADERS].contains(&head[3]) && head[4] & 1 == 1;
                }
            }
            id += 2;
        }
    };
    check("HTTP/2", &count(&runtime, &mut ask), HTTP2);
}

fn some(read: usize) -> usize {
    assert!(read > 0, "closed");
    read
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A connection to a client's sidecar, before a server's sidecar, before an application.
async fn client() -> TcpStream {
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(3), 0)).await.expect("a listener");
    let app = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let client = Scene::new(Protocol::Http).meshed_pod(app, "v1", Sidecar::strict()).await.start().await;
    TcpStream::connect(client.addr()).await.expect("connects")
}

/// The application, which speaks what it is spoken to.
async fn answer(mut stream: TcpStream) {
    let mut request = [0; 8192];
    let mut filled = 0;
    let mut http2 = false;
    loop {
        match stream.read(&mut request[filled..]).await {
            Ok(n) if n > 0 => filled += n,
            _ => return,
        }
        if request[..filled].starts_with(PREFACE) {
            http2 = true;
            request.copy_within(PREFACE.len()..filled, 0);
            filled -= PREFACE.len();
            stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.expect("its settings");
        }
        if http2 {
            while let Some(head) = take_frame(&mut request, &mut filled) {
                if head[3] == HEADERS {
                    // 200, then `hello`, which ends it.
                    let mut whole = *b"\0\0\x01\x01\x04\0\0\0\0\x88\0\0\x05\0\x01\0\0\0\0hello";
                    whole[5..9].copy_from_slice(&head[5..]);
                    whole[15..19].copy_from_slice(&head[5..]);
                    stream.write_all(&whole).await.expect("written");
                }
            }
        } else if request[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: app\r\n\r\nhello";
            stream.write_all(whole).await.expect("written");
        }
    }
}

/// Takes a whole frame off the front; its head.
fn take_frame(buffer: &mut [u8], filled: &mut usize) -> Option<[u8; 9]> {
    let head = *buffer[..*filled].first_chunk::<9>()?;
    let end = 9 + (usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]));
    if end > *filled {
        return None;
    }
    buffer.copy_within(end..*filled, 0);
    *filled -= end;
    Some(head)
}

/// Allocations and bytes of each request, once all is warm.
struct Each {
    allocations: f64,
    bytes: f64,
}

fn count(runtime: &Runtime, ask: &mut impl AsyncFnMut(u32)) -> Each {
    runtime.block_on(ask(WARM));
    let counted = allocation_counter::measure(|| runtime.block_on(ask(COUNTED)));
    let each = |total: u64| total as f64 / f64::from(COUNTED);
    Each { allocations: each(counted.count_total), bytes: each(counted.bytes_total) }
}

fn check(what: &str, each: &Each, limit: f64) {
    let Each { allocations, bytes } = each;
    println!("{what}: {allocations:.1} allocations of {bytes:.0} bytes together for each request, in both sidecars");
    assert!(*allocations <= limit, "{what}: {allocations:.1} allocations for each request, where {limit} are enough");
}

const BODY: &[u8] = b"hello";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WARM: u32 = 300;
const COUNTED: u32 = 1000;
/// Allocations of a request in both sidecars, at most.
const HTTP1: f64 = 13.0;
const HTTP2: f64 = 9.0;
