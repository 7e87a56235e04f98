//! Each limit.

use http::StatusCode;

use super::super::limits::{BLOCK, CONTINUATIONS, CONTROL_QUEUE, HEADER_LIST, INTERIM, RESETS, STREAMS, USELESS};
use super::*;

/// Sends the same again and again, and throws away what is answered; after how many the peer ends the connection.
fn repeat(conn: &mut Connection, mut each: impl FnMut(u32) -> Vec<u8>) -> Option<(u32, Code)> {
    (0..20_000u32).find_map(|n| {
        let fed = feed(conn, &each(n));
        sent(conn);
        fed.err().map(|broken| (n, broken.code))
    })
}

#[test]
fn frames_that_bring_nothing_are_too_many_at_some_point() {
    let open = |conn: &mut Connection| drop(feed(conn, &frame(1, 4, 1, POST)).expect("good"));
    let cases: [(&str, Vec<u8>); 7] = [
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("answers to no PING", frame(6, 1, 0, &[0; 8])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 1, &[0; 5])),
        ("WINDOW_UPDATE", frame(8, 0, 1, &[0, 0, 0, 1])),
        ("empty DATA", frame(0, 0, 1, &[])),
        ("unknown frames", frame(0x77, 0, 1, &[])),
    ];
    for (what, bytes) in cases {
        let mut conn = server();
        open(&mut conn);
        let (n, code) = repeat(&mut conn, |_| bytes.clone()).expect(what);
        assert_eq!(code, Code::ENHANCE_YOUR_CALM, "{what}");
        assert!((USELESS - 10..=USELESS + 10).contains(&n), "{what}: {n}");
    }
}

#[test]
fn time_and_work_allow_more() {
    let mut conn = server();
    for second in 0..30u64 {
        for _ in 0..900 {
            let mut ping = BytesMut::from(&frame(6, 0, 0, &[0; 8])[..]);
            conn.receive(&mut ping, Duration::from_secs(second)).expect("not too many");
        }
        sent(&mut conn);
    }
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    let useful = [frame(0, 0, 1, b"x"), frame(6, 0, 0, &[0; 8]), frame(8, 0, 0, &[0, 0, 0, 1])].concat();
    assert_eq!(repeat(&mut conn, |_| useful.clone()), None);
}

#[test]
fn streams_that_are_only_opened_to_be_reset_are_too_many_at_some_point() {
    // By the peer...
    let id = |n: u32| 2 * n + 1;
    let rapid = |n| [frame(1, 5, id(n), GET), frame(3, 0, id(n), &[0, 0, 0, 8])].concat();
    assert_eq!(repeat(&mut server(), rapid), Some((RESETS, Code::ENHANCE_YOUR_CALM)));
    // ...or by this end, because of what it sent.
    let provoked = |n| [frame(1, 4, id(n), POST), frame(8, 0, id(n), &[0; 4])].concat();
    assert_eq!(repeat(&mut server(), provoked), Some((RESETS, Code::ENHANCE_YOUR_CALM)));
    let malformed = |n| frame(1, 5, id(n), &[0x82]);
    assert_eq!(repeat(&mut server(), malformed), Some((RESETS, Code::ENHANCE_YOUR_CALM)));
    // Who gives up half of what it asks is served.
    let mut conn = server();
    for n in 0..5000 {
        feed(&mut conn, &[frame(1, 5, id(2 * n), GET), frame(1, 5, id(2 * n + 1), GET)].concat()).expect("good");
        conn.respond(id(2 * n), StatusCode::OK, &Fields::new(), true);
        feed(&mut conn, &frame(3, 0, id(2 * n + 1), &[0, 0, 0, 8])).expect("good");
        sent(&mut conn);
    }
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let mut conn = server();
    for n in 0..STREAMS {
        assert_eq!(feed(&mut conn, &frame(1, 5, 2 * n + 1, GET)).expect("good").len(), 1);
    }
    let next = 2 * STREAMS + 1;
    assert!(feed(&mut conn, &frame(1, 5, next, GET)).expect("good").is_empty());
    assert_eq!(was_reset(&mut conn, next), Some(Code::REFUSED_STREAM));
    conn.respond(1, StatusCode::OK, &Fields::new(), true);
    assert_eq!(feed(&mut conn, &frame(1, 5, next + 2, GET)).expect("good").len(), 1);
}

#[test]
fn a_client_opens_as_many_streams_as_the_server_takes() {
    let mut conn = Connection::new(Role::Client, WINDOWS);
    feed(&mut conn, &frame(4, 0, 0, &[0, 3, 0, 0, 0, 2])).expect("greeted");
    for _ in 0..2 {
        assert!(conn.can_open());
        conn.open(&request("GET"), true);
    }
    assert!(!conn.can_open() && !conn.is_closing());
}

#[test]
fn a_header_list_that_is_too_long_is_answered_with_431() {
    let mut block = GET.to_vec();
    // One entry of the table, named again and again: a small block, a long list.
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0x81, 0x1e]);
    block.extend_from_slice(&[b'v'; 127 + 0x81 - 0x80 + (0x1e << 7)]);
    let times = HEADER_LIST / 3900 + 1;
    block.extend(std::iter::repeat_n(0xbe, times));
    let mut conn = server();
    assert!(feed(&mut conn, &frame(1, 5, 1, &block)).expect("the connection goes on").is_empty());
    let frames = sent(&mut conn);
    assert_eq!((frames[0].0, frames[0].1), (1, 5));
    assert!(frames[0].3.ends_with(b"431"), "{frames:?}");
    assert_eq!((frames[1].0, frame::number(&frames[1].3)), (3, 0));
    block.truncate(block.len() - 2);
    assert_eq!(feed(&mut server(), &frame(1, 5, 1, &block)).expect("good").len(), 1);
}

#[test]
fn a_header_block_has_an_end() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 1, 1, GET)).expect("begun");
    for _ in 0..CONTINUATIONS {
        feed(&mut conn, &frame(9, 0, 1, &[])).expect("goes on");
    }
    assert_eq!(broken(&mut conn, &frame(9, 0, 1, &[])), Code::ENHANCE_YOUR_CALM);
    let mut conn = server();
    feed(&mut conn, &frame(1, 1, 1, GET)).expect("begun");
    let long = frame(9, 0, 1, &[0; 16_384]);
    let fits = BLOCK / 16_384 - 1;
    for _ in 0..fits {
        feed(&mut conn, &long).expect("goes on");
    }
    assert_eq!(broken(&mut conn, &[long.clone(), long].concat()), Code::ENHANCE_YOUR_CALM);
}

#[test]
fn who_does_not_read_the_answers_gets_no_more_of_them() {
    let mut conn = server();
    let all: Vec<u8> = (0..=CONTROL_QUEUE).flat_map(|_| frame(6, 0, 0, &[0; 8])).collect();
    assert_eq!(broken(&mut conn, &all), Code::ENHANCE_YOUR_CALM);
}

#[test]
fn interim_answers_have_an_end() {
    let mut conn = client();
    let interim = frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3']);
    for _ in 0..INTERIM {
        feed(&mut conn, &interim).expect("good");
    }
    feed(&mut conn, &interim).expect("the stream alone");
    assert_eq!(was_reset(&mut conn, 1), Some(Code::PROTOCOL_ERROR));
}
