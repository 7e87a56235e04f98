//! Flow control, and turns.

use bytes::Bytes;

use super::*;

fn opened(streams: &[u32]) -> Connection {
    let mut conn = server();
    for stream in streams {
        feed(&mut conn, &frame(1, 5, *stream, GET)).expect("good");
        conn.respond(*stream, http::StatusCode::OK, &Fields::new(), false);
    }
    sent(&mut conn);
    conn
}

fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(8, 0, stream, &by.to_be_bytes())
}

fn data(frames: &[Sent]) -> Vec<(u32, usize)> {
    frames.iter().filter(|f| f.0 == 0).map(|f| (f.2, f.3.len())).collect()
}

#[test]
fn no_more_is_sent_than_the_peer_allows() {
    let mut conn = opened(&[1]);
    conn.send(1, Bytes::from(vec![0; 100_000]), true);
    assert_eq!(data(&sent(&mut conn)).iter().map(|d| d.1).sum::<usize>(), 65_535);
    feed(&mut conn, &update(1, 10)).expect("good");
    assert!(sent(&mut conn).is_empty(), "the connection's window is shut");
    feed(&mut conn, &update(0, 5)).expect("good");
    assert_eq!(data(&sent(&mut conn)), [(1, 5)]);
    feed(&mut conn, &[update(0, 100_000), update(1, 100_000)].concat()).expect("good");
    let last = sent(&mut conn);
    assert_eq!(data(&last).iter().map(|d| d.1).sum::<usize>(), 100_000 - 65_540);
    assert_eq!(last.last().map(|f| f.1), Some(1));
}

#[test]
fn the_first_window_can_shrink_below_what_was_sent() {
    let mut conn = opened(&[1]);
    conn.send(1, Bytes::from(vec![0; 1000]), false);
    sent(&mut conn);
    feed(&mut conn, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 100])).expect("good");
    conn.send(1, Bytes::from_static(b"more"), true);
    assert!(data(&sent(&mut conn)).is_empty());
    feed(&mut conn, &update(1, 900)).expect("good");
    assert!(data(&sent(&mut conn)).is_empty(), "at nought");
    feed(&mut conn, &update(1, 4)).expect("good");
    assert_eq!(data(&sent(&mut conn)), [(1, 4)]);
    assert_eq!(
        broken(&mut opened(&[1]), &[update(1, 0x7fff_0000), frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])].concat()),
        Code::FLOW_CONTROL_ERROR
    );
}

#[test]
fn streams_take_turns_and_an_end_needs_no_window() {
    let mut conn = opened(&[1, 3, 5]);
    conn.send(1, Bytes::from(vec![0; 20_000]), true);
    conn.send(3, Bytes::from(vec![0; 20_000]), true);
    assert_eq!(data(&sent(&mut conn)), [(1, 16_384), (3, 16_384), (1, 3616), (3, 3616)]);
    let mut conn = opened(&[1, 3, 5]);
    conn.send(1, Bytes::from(vec![0; 70_000]), true);
    conn.send(3, Bytes::from_static(b"x"), true);
    conn.send(5, Bytes::new(), true);
    let frames = sent(&mut conn);
    assert!(data(&frames).contains(&(3, 1)) && data(&frames).contains(&(5, 0)), "{:?}", data(&frames));
    let mut trailers = Fields::new();
    trailers.append(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"));
    let mut conn = opened(&[1, 3]);
    conn.send(1, Bytes::from(vec![0; 70_000]), true);
    sent(&mut conn);
    conn.send_trailers(3, trailers);
    assert_eq!(sent(&mut conn).iter().map(|f| (f.0, f.1, f.2)).collect::<Vec<_>>(), [(1, 5, 3)]);
}

#[test]
fn windows_are_given_back_when_the_data_is_taken() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    for _ in 0..4 {
        assert_eq!(feed(&mut conn, &frame(0, 0, 1, &[0; 10_000])).expect("good").len(), 1);
    }
    assert!(sent(&mut conn).is_empty());
    conn.consumed(1, 34_000);
    assert!(sent(&mut conn).is_empty(), "less than half");
    conn.consumed(1, 1000);
    // And half of the connection's window: the reader keeps up.
    assert_eq!(sent(&mut conn), [(8, 0, 1, (35_000u32 + 50_000).to_be_bytes().to_vec())]);
    conn.consumed(1, 5000);
    for _ in 0..2 {
        feed(&mut conn, &frame(0, 0, 1, &[0; 10_000])).expect("good");
    }
    conn.discarded(20_000);
    assert_eq!(sent(&mut conn), [(8, 0, 0, 60_000u32.to_be_bytes().to_vec())]);
}

#[test]
fn windows_that_grew_leave_half_of_the_connections_to_others() {
    let mut conn = server();
    for stream in [1, 3] {
        feed(&mut conn, &frame(1, 4, stream, POST)).expect("good");
    }
    let mut take = |stream: u32, until: Option<u32>| {
        for _ in 0..4 {
            feed(&mut conn, &frame(0, 0, stream, &[0; 10_000])).expect("good");
            conn.consumed(stream, 10_000);
        }
        if let Some(ended) = until {
            conn.reset(ended, Code::CANCEL);
        }
        let told = sent(&mut conn).into_iter().filter(|f| f.0 == 8 && f.2 == stream);
        told.map(|f| u32::from_be_bytes(f.3.try_into().expect("four bytes"))).collect::<Vec<_>>()
    };
    assert_eq!(take(1, None), [40_000 + 50_000]);
    assert_eq!(take(3, Some(1)), [40_000], "the first has all that may be had");
    assert_eq!(take(3, None), [40_000 + 50_000], "and has ended");
}

#[test]
fn more_than_a_window_is_an_error() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    for _ in 0..7 {
        feed(&mut conn, &frame(0, 0, 1, &[0; 10_000])).expect("good");
    }
    feed(&mut conn, &frame(0, 0, 1, b"x")).expect("the stream's window");
    assert_eq!(was_reset(&mut conn, 1), Some(Code::FLOW_CONTROL_ERROR));
    let mut conn = server();
    for stream in [1, 3] {
        feed(&mut conn, &frame(1, 4, stream, POST)).expect("good");
    }
    for _ in 0..5 {
        for stream in [1, 3] {
            feed(&mut conn, &frame(0, 0, stream, &[0; 10_000])).expect("good");
        }
    }
    assert_eq!(broken(&mut conn, &frame(0, 0, 1, b"x")), Code::FLOW_CONTROL_ERROR);
}

#[test]
fn padding_and_data_of_streams_that_are_gone_do_not_eat_the_connections_window() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    let padded = [&[255][..], &[0; 255]].concat();
    for _ in 0..400 {
        feed(&mut conn, &frame(0, 8, 1, &padded)).expect("good");
    }
    conn.reset(1, Code::CANCEL);
    for _ in 0..100 {
        feed(&mut conn, &frame(0, 0, 1, &[0; 10_000])).expect("ignored");
    }
}

#[test]
fn who_sends_much_waits_for_room() {
    let mut conn = opened(&[1]);
    assert!(conn.has_room(1));
    conn.send(1, Bytes::from(vec![0; 65_536]), false);
    assert!(!conn.has_room(1));
    conn.fill();
    assert_eq!(conn.roomy().collect::<Vec<_>>(), [1]);
    assert!(conn.has_room(1));
}
