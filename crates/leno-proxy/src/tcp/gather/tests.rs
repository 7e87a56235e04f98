use std::io::ErrorKind;
use std::time::Duration;

use http::{Method, Uri, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

use super::*;
use crate::http::body::{Body, Fields, Head};
use crate::http::client::Dispatch;
use crate::http::h1::Http1;

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, there)
}

/// What has come, without waiting for more.
fn come(there: &TcpStream) -> Option<String> {
    let mut bytes = [0; 64];
    match there.try_read(&mut bytes) {
        Ok(n) => Some(String::from_utf8_lossy(&bytes[..n]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// The other tasks' turns, and the kernel's news of what they did.
async fn turn() {
    for _ in 0..4 {
        yield_now().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Writes until the socket takes no more, at once and after a while.
async fn fill(here: &TcpStream) -> usize {
    let mut written = 0;
    for _ in 0..20 {
        while let Ok(n) = here.try_write(&[b'.'; 64 * 1024]) {
            written += n;
        }
        let _ = tokio::time::timeout(Duration::from_millis(10), here.writable()).await;
    }
    written
}

fn reset(there: TcpStream) {
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
}

#[tokio::test]
async fn what_is_written_in_a_turn_leaves_at_its_end() {
    let mut streams = Vec::new();
    for _ in 0..Batch::MOST - 1 {
        let (here, there) = pair().await;
        streams.push((Gather::new(Box::new(here)), there));
    }
    for round in 0..3 {
        for (here, there) in &mut streams {
            here.write_all(b"some").await.unwrap();
            here.write_all(b"thing").await.unwrap();
            here.flush().await.unwrap();
            assert_eq!(come(there), None, "round {round}");
        }
        for (_, there) in &streams {
            there.readable().await.unwrap();
            assert_eq!(come(there).as_deref(), Some("something"));
        }
    }
    let (here, there) = pair().await;
    let mut one_more = Gather::new(Box::new(here));
    for (here, _) in &mut streams {
        here.write_all(b"again").await.unwrap();
    }
    one_more.write_all(b"and I").await.unwrap();
    // The outbox is full.
    there.readable().await.unwrap();
    assert_eq!(come(&there).as_deref(), Some("and I"));
}

#[tokio::test]
async fn what_does_not_fit_follows_in_order() {
    let (here, mut there) = pair().await;
    SockRef::from(&here).set_send_buffer_size(4096).unwrap();
    let mut here = Gather::new(Box::new(here));
    let wanted: Vec<u8> = (0..4 * 1024 * 1024_usize).map(|i| (i / 7 % 256) as u8).collect();
    let sent = wanted.clone();
    let writing = tokio::spawn(async move {
        for part in sent.chunks(1500) {
            here.write_all(part).await.unwrap();
            // So that some of it is kept, and some meets what was left over.
            if part[0] % 3 == 0 {
                yield_now().await;
            }
        }
        here.shutdown().await.unwrap();
    });
    let mut came = Vec::new();
    there.read_to_end(&mut came).await.unwrap();
    writing.await.unwrap();
    assert!(came == wanted, "{} bytes of {}", came.len(), wanted.len());
}

#[tokio::test]
async fn what_is_stuck_goes_on_by_itself_when_there_is_room() {
    let (here, mut there) = pair().await;
    SockRef::from(&here).set_send_buffer_size(4096).unwrap();
    let before = fill(&here).await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"the answer").await.unwrap();
    turn().await;
    assert!(here.is_stuck());
    let room = tokio::spawn(async move {
        std::future::poll_fn(|cx| here.poll_room(cx)).await;
        here
    });
    let mut all = vec![0; before + 10];
    tokio::time::timeout(Duration::from_secs(10), there.read_exact(&mut all)).await.expect("it comes").unwrap();
    assert!(all.ends_with(b"..the answer"));
    let here = room.await.unwrap();
    assert!(!here.is_stuck());
    assert!(here.kept().unwrap().owner.is_none(), "a stream at rest holds nobody's task");
}

#[tokio::test]
async fn what_is_stuck_has_a_little_time_once_its_stream_is_dropped() {
    let (here, there) = pair().await;
    SockRef::from(&here).set_send_buffer_size(4096).unwrap();
    fill(&here).await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"never").await.unwrap();
    turn().await;
    assert!(here.is_stuck());
    drop(here);
    turn().await;
    assert_eq!(OUTBOX.with_borrow(|outbox| outbox.stuck.len()), 1);
    tokio::time::sleep(LINGER + Duration::from_millis(100)).await;
    assert_eq!(OUTBOX.with_borrow(|outbox| outbox.stuck.len()), 0);
    drop(there);
    let (here, mut there) = pair().await;
    SockRef::from(&here).set_send_buffer_size(4096).unwrap();
    fill(&here).await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"at last").await.unwrap();
    drop(here);
    let mut came = Vec::new();
    there.read_to_end(&mut came).await.unwrap();
    assert!(came.ends_with(b"at last"));
}

#[tokio::test]
async fn an_answer_is_read_though_the_request_could_not_be_sent() {
    let (here, mut there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    there.write_all(b"too large").await.unwrap();
    here.write_all(b"more").await.unwrap();
    reset(there);
    turn().await;
    // Linux keeps what came before a reset for who reads after a write that failed. Its end is no end.
    let mut came = [0; 64];
    let n = here.read(&mut came).await.unwrap();
    assert_eq!(&came[..n], b"too large");
    assert_eq!(here.read(&mut came).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(here.write(b"yet more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(
        here.read(&mut came).await.unwrap_err().kind(),
        ErrorKind::ConnectionReset,
        "said once, and true ever after"
    );
}

#[tokio::test]
async fn a_stream_that_leaves_http_is_the_plain_one() {
    let (here, there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"switched").await.unwrap();
    std::future::poll_fn(|cx| here.poll_sent(cx)).await.unwrap();
    let mut plain = here.into_inner();
    assert!(plain.socket().is_some(), "nothing is kept of it");
    plain.write_all(b" now").await.unwrap();
    there.readable().await.unwrap();
    assert_eq!(come(&there).as_deref(), Some("switched now"));
    let (here, there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"unsent").await.unwrap();
    let _still = here.into_inner();
    there.readable().await.unwrap();
    assert_eq!(come(&there).as_deref(), Some("unsent"));
}

#[tokio::test]
async fn the_next_use_says_that_it_could_not_be_sent() {
    let (here, there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"for nobody").await.unwrap();
    assert!(!here.is_lost());
    reset(there);
    let error = here.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(here.is_lost());
}

#[tokio::test]
async fn a_request_that_nothing_has_left_of_may_go_elsewhere() {
    for known in [false, true] {
        let (here, there) = pair().await;
        let mut client = Http1::new(Box::new(here));
        reset(there);
        if known {
            // The runtime has heard of it, too.
            turn().await;
        }
        let headers = Fields::new();
        let head = Head { method: Method::POST, uri: Uri::from_static("/pay"), version: Version::HTTP_11, headers };
        let mut request = Dispatch::new(head, Body::empty());
        let error = client.send(&mut request).await.unwrap_err();
        assert!(!error.bytes_left && !request.left, "{known}: {error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_sent_before_it_is_closed() {
    let (here, mut there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"goodbye").await.unwrap();
    drop(here);
    let mut came = String::new();
    there.read_to_string(&mut came).await.unwrap();
    assert_eq!(came, "goodbye");
}

#[tokio::test]
async fn what_is_kept_of_a_connection_that_is_aborted_is_not_sent() {
    let (here, mut there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"half of it").await.unwrap();
    here.abort();
    drop(here);
    assert_eq!(there.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_several_threads_nothing_is_kept() {
    let (here, there) = pair().await;
    let mut here = Gather::new(Box::new(here));
    here.write_all(b"now").await.unwrap();
    there.readable().await.unwrap();
    assert_eq!(come(&there).as_deref(), Some("now"));
    assert!(matches!(here.0, Way::Straight(_)));
}

#[test]
fn a_thread_may_have_one_runtime_after_the_other() {
    for round in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let there = runtime.block_on(async {
            let (here, there) = pair().await;
            let mut here = Gather::new(Box::new(here));
            here.write_all(b"one").await.unwrap();
            turn().await;
            assert_eq!(come(&there).as_deref(), Some("one"), "round {round}");
            here.write_all(b"two").await.unwrap();
            there.into_std().unwrap()
        });
        drop(runtime);
        there.set_nonblocking(false).unwrap();
        let mut came = String::new();
        io::Read::read_to_string(&mut &there, &mut came).unwrap();
        assert_eq!(came, "two", "what is kept when the runtime ends is sent");
    }
}
