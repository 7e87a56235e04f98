use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leno_core::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{Meter, splice};

#[derive(Default)]
struct Count(AtomicU64, AtomicU64);

impl Meter for Count {
    fn received(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sent(&self, bytes: u64) {
        self.1.fetch_add(bytes, Ordering::Relaxed);
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn one_side_may_end_and_still_be_answered() {
    let (mut client, mut near) = duplex(64);
    let (mut far, mut server) = duplex(64);
    let count = Count::default();
    let (ended, answer, ()) = tokio::join!(
        splice(&mut near, &mut far, LONG, &count),
        async {
            client.write_all(b"question").await.expect("written");
            client.shutdown().await.expect("shut");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("read");
            answer
        },
        async {
            let mut question = String::new();
            server.read_to_string(&mut question).await.expect("read");
            server.write_all(format!("answer to {question}").as_bytes()).await.expect("written");
            server.shutdown().await.expect("shut");
        },
    );
    assert_eq!((ended.reason, answer.as_str()), (Reason::Closed, "answer to question"));
    assert_eq!((count.0.into_inner(), count.1.into_inner()), (8, 18));
}

#[tokio::test]
async fn a_slow_reader_holds_its_writer_back() {
    let (mut client, mut near) = duplex(64);
    let (mut far, _server) = duplex(64);
    let count = Count::default();
    let text = vec![b'x'; 1_000_000];
    tokio::select! {
        _ = splice(&mut near, &mut far, LONG, &count) => panic!("nobody ended"),
        _ = client.write_all(&text) => panic!("nobody read it"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    assert!(count.0.into_inner() < 1000, "hardly more than the pipes hold was taken");
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_which_nothing_moves_ends() {
    let (mut client, mut near) = duplex(64);
    let (mut far, _server) = duplex(64);
    let count = Count::default();
    let start = tokio::time::Instant::now();
    let (ended, ()) = tokio::join!(splice(&mut near, &mut far, Duration::from_secs(60), &count), async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        client.write_all(b"still here").await.expect("written");
    });
    assert_eq!(ended.reason, Reason::IdleTimeout);
    assert_eq!(start.elapsed().as_secs(), 100);
}

/// The server answers and goes, whatever the client still has to say.
#[tokio::test]
async fn an_answer_is_carried_though_nobody_takes_the_question() {
    let (mut client, mut near) = duplex(64);
    let (mut far, mut server) = duplex(64);
    server.write_all(b"enough").await.expect("written");
    drop(server);
    // Fails to be written before the answer is read: this direction has its turn first.
    client.write_all(b"and another thing").await.expect("written");
    let count = Count::default();
    let (ended, answer) = tokio::join!(splice(&mut near, &mut far, LONG, &count), async {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read");
        answer
    });
    assert_eq!((answer.as_str(), ended.reason), ("enough", Reason::UpstreamAborted));
    assert_eq!(count.1.into_inner(), 6);
}
