//! What may follow what (RFC 9113, sections 3 to 6).

use super::super::frame::PREFACE;
use super::*;

#[test]
fn settings_come_first_and_are_acknowledged() {
    let mut conn = Connection::new(Role::Server, WINDOWS);
    feed(&mut conn, &PREFACE[..10]).expect("waits for the rest");
    feed(&mut conn, &[&PREFACE[10..], &frame(4, 0, 0, &[])].concat()).expect("greeted");
    let sent = sent(&mut conn);
    assert_eq!(sent[0].0, 4, "its own settings");
    assert_eq!((sent[1].0, frame::number(&sent[1].3)), (8, 100_000 - 65_535), "the connection's window");
    assert_eq!(sent[2], (4, 1, 0, vec![]));
    let mut conn = Connection::new(Role::Server, WINDOWS);
    assert_eq!(broken(&mut conn, b"GET / HTTP/1.1\r\n"), Code::PROTOCOL_ERROR);
    let mut conn = Connection::new(Role::Server, WINDOWS);
    assert_eq!(broken(&mut conn, &[PREFACE, &frame(6, 0, 0, &[0; 8])].concat()), Code::PROTOCOL_ERROR);
}

#[test]
fn a_request_is_answered() {
    let mut conn = server();
    let events = feed(&mut conn, &frame(1, 0x5, 1, GET)).expect("good");
    let [Event::Request { stream: 1, head, end: true }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("GET", "http://a/"));
    assert!(conn.respond(1, http::StatusCode::OK, &Fields::new(), false));
    assert!(conn.send(1, bytes::Bytes::from_static(b"body"), true));
    let sent = sent(&mut conn);
    assert_eq!(sent, [(1, 4, 1, OK.to_vec()), (0, 1, 1, b"body".to_vec())]);
    assert!(!conn.is_open(1));
}

#[test]
fn what_breaks_a_connection() {
    let header = |flags| frame(1, flags, 1, GET);
    let cases: &[(&str, Vec<u8>, Code)] = &[
        ("a long frame", vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1], Code::FRAME_SIZE_ERROR),
        ("DATA on 0", frame(0, 0, 0, b"x"), Code::PROTOCOL_ERROR),
        ("DATA on an idle stream", frame(0, 0, 1, b"x"), Code::PROTOCOL_ERROR),
        ("HEADERS on 0", frame(1, 5, 0, GET), Code::PROTOCOL_ERROR),
        ("HEADERS on an even stream", frame(1, 5, 2, GET), Code::PROTOCOL_ERROR),
        ("too much padding", frame(1, 0xd, 1, &[9, 0x82]), Code::PROTOCOL_ERROR),
        ("padding without a length", frame(1, 0xd, 1, &[]), Code::PROTOCOL_ERROR),
        ("a block interrupted", [header(1), frame(6, 0, 0, &[0; 8])].concat(), Code::PROTOCOL_ERROR),
        ("a block continued elsewhere", [header(1), frame(9, 4, 3, &[])].concat(), Code::PROTOCOL_ERROR),
        ("a CONTINUATION of nothing", frame(9, 4, 1, GET), Code::PROTOCOL_ERROR),
        ("a block that is none", frame(1, 5, 1, &[0xff; 9]), Code::COMPRESSION_ERROR),
        ("a stream below", [frame(1, 5, 5, GET), frame(1, 5, 3, GET)].concat(), Code::PROTOCOL_ERROR),
        ("a stream that depends on itself", frame(2, 0, 1, &[0, 0, 0, 1, 0]), Code::PROTOCOL_ERROR),
        ("the same in HEADERS", frame(1, 0x25, 1, &[&[0, 0, 0, 1, 0], GET].concat()), Code::PROTOCOL_ERROR),
        ("HEADERS cut in the priority", frame(1, 0x25, 1, &[0, 0]), Code::FRAME_SIZE_ERROR),
        ("PRIORITY on 0", frame(2, 0, 0, &[0; 5]), Code::PROTOCOL_ERROR),
        ("PRIORITY of 4 bytes", frame(2, 0, 1, &[0; 4]), Code::FRAME_SIZE_ERROR),
        ("RST_STREAM on 0", frame(3, 0, 0, &[0; 4]), Code::PROTOCOL_ERROR),
        ("RST_STREAM of an idle stream", frame(3, 0, 1, &[0; 4]), Code::PROTOCOL_ERROR),
        ("RST_STREAM of 3 bytes", frame(3, 0, 1, &[0; 3]), Code::FRAME_SIZE_ERROR),
        ("SETTINGS on a stream", frame(4, 0, 1, &[]), Code::PROTOCOL_ERROR),
        ("SETTINGS of 5 bytes", frame(4, 0, 0, &[0; 5]), Code::FRAME_SIZE_ERROR),
        ("an acknowledgement with settings", frame(4, 1, 0, &[0; 6]), Code::FRAME_SIZE_ERROR),
        ("ENABLE_PUSH of 2", frame(4, 0, 0, &[0, 2, 0, 0, 0, 2]), Code::PROTOCOL_ERROR),
        ("a window of 2^31", frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Code::FLOW_CONTROL_ERROR),
        ("frames of 16383", frame(4, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]), Code::PROTOCOL_ERROR),
        ("frames of 2^24", frame(4, 0, 0, &[0, 5, 1, 0, 0, 0]), Code::PROTOCOL_ERROR),
        ("PUSH_PROMISE", frame(5, 4, 1, &[0, 0, 0, 2]), Code::PROTOCOL_ERROR),
        ("PING on a stream", frame(6, 0, 1, &[0; 8]), Code::PROTOCOL_ERROR),
        ("PING of 7 bytes", frame(6, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        ("GOAWAY on a stream", frame(7, 0, 1, &[0; 8]), Code::PROTOCOL_ERROR),
        ("GOAWAY of 7 bytes", frame(7, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE by 0", frame(8, 0, 0, &[0; 4]), Code::PROTOCOL_ERROR),
        ("WINDOW_UPDATE of 3 bytes", frame(8, 0, 0, &[0; 3]), Code::FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE too wide", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), Code::FLOW_CONTROL_ERROR),
        ("WINDOW_UPDATE of an idle stream", frame(8, 0, 1, &[0, 0, 0, 1]), Code::PROTOCOL_ERROR),
    ];
    for (what, bytes, code) in cases {
        let mut conn = server();
        assert_eq!(broken(&mut conn, bytes), *code, "{what}");
        let told = sent(&mut conn).pop().expect("GOAWAY");
        assert_eq!((told.0, frame::number(&told.3[4..])), (7, code.0), "{what}");
        assert_eq!(broken(&mut conn, &[]), *code, "{what}: it stays so");
    }
}

#[test]
fn what_ends_a_stream_alone() {
    let open = frame(1, 4, 1, POST);
    let closed = frame(1, 5, 1, GET);
    let cases: &[(&str, Vec<u8>, Code)] = &[
        ("DATA behind the end", [closed.clone(), frame(0, 0, 1, b"x")].concat(), Code::STREAM_CLOSED),
        ("HEADERS behind the end", [closed, frame(1, 5, 1, GET)].concat(), Code::STREAM_CLOSED),
        ("a second head", [open.clone(), frame(1, 4, 1, GET)].concat(), Code::PROTOCOL_ERROR),
        ("pseudo-headers in trailers", [open.clone(), frame(1, 5, 1, GET)].concat(), Code::PROTOCOL_ERROR),
        ("WINDOW_UPDATE by 0", [open.clone(), frame(8, 0, 1, &[0; 4])].concat(), Code::PROTOCOL_ERROR),
        (
            "WINDOW_UPDATE too wide",
            [open.clone(), frame(8, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "frames after it was reset",
            [open, frame(3, 0, 1, &[0; 4]), frame(0, 0, 1, b"x")].concat(),
            Code::STREAM_CLOSED,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut conn = server();
        feed(&mut conn, bytes).expect(what);
        assert_eq!(was_reset(&mut conn, 1), Some(*code), "{what}");
        assert!(!conn.is_open(1), "{what}");
        let next = feed(&mut conn, &frame(1, 5, 3, GET)).expect("the connection goes on");
        assert!(matches!(next[..], [Event::Request { stream: 3, .. }]), "{what}");
    }
}

#[test]
fn frames_for_a_stream_that_ended_are_told_from_late_ones() {
    // Reset by this end: the peer may not know yet.
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    conn.reset(1, Code::CANCEL);
    assert!(
        feed(&mut conn, &[frame(0, 0, 1, b"late"), frame(1, 5, 1, &[]), frame(8, 0, 1, &[0, 0, 0, 1])].concat())
            .expect("ignored")
            .is_empty()
    );
    // Both have said all: it knows.
    let mut conn = server();
    feed(&mut conn, &frame(1, 5, 1, GET)).expect("good");
    conn.respond(1, http::StatusCode::OK, &Fields::new(), true);
    feed(&mut conn, &[frame(8, 0, 1, &[0, 0, 0, 1]), frame(3, 0, 1, &[0; 4])].concat()).expect("allowed");
    assert_eq!(broken(&mut conn, &frame(0, 0, 1, b"x")), Code::STREAM_CLOSED);
}

#[test]
fn an_answer_before_the_request_has_ended_ends_it() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 4, 1, POST)).expect("good");
    conn.respond(1, http::StatusCode::OK, &Fields::new(), true);
    assert_eq!(was_reset(&mut conn, 1), Some(Code::NO_ERROR));
}

#[test]
fn going_away_takes_two_steps() {
    let mut conn = server();
    feed(&mut conn, &frame(1, 5, 1, GET)).expect("good");
    conn.leave();
    let told = sent(&mut conn);
    assert_eq!((told[0].0, frame::number(&told[0].3)), (7, 0x7fff_ffff));
    assert_eq!((told[1].0, told[1].1), (6, 0));
    // Sent before it heard of it.
    assert_eq!(feed(&mut conn, &frame(1, 5, 3, GET)).expect("taken").len(), 1);
    feed(&mut conn, &frame(6, 1, 0, &told[1].3)).expect("it has heard");
    let last = sent(&mut conn);
    assert_eq!((last[0].0, frame::number(&last[0].3)), (7, 3));
    assert!(feed(&mut conn, &frame(1, 5, 5, GET)).expect("ignored").is_empty());
    assert!(!conn.is_done());
    // A request with a body that it should not have sent does not cost the others theirs, nor change what it was told.
    let late =
        [frame(1, 4, 7, POST), frame(0, 0, 7, b"x"), frame(8, 0, 7, &[0, 0, 0, 1]), frame(1, 5, 7, &[])].concat();
    assert!(feed(&mut conn, &late).expect("ignored").is_empty());
    assert!(sent(&mut conn).is_empty());
    for stream in [1, 3] {
        conn.respond(stream, http::StatusCode::OK, &Fields::new(), true);
    }
    assert!(conn.is_done());
    conn.abort(Code::INTERNAL_ERROR, "a reason");
    let last = sent(&mut conn);
    assert_eq!(frame::number(&last.last().expect("told").3), 3);
}

#[test]
fn a_client_learns_which_streams_were_not_looked_at() {
    let mut conn = client();
    conn.open(&request("GET"), true);
    let events = feed(&mut conn, &frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])).expect("good");
    let [Event::GoAway { last: 1, code: Code::NO_ERROR, refused }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(refused[..], [3]);
    assert!(!conn.can_open() && conn.is_closing() && !conn.is_done());
    assert_eq!(feed(&mut conn, &frame(1, 5, 1, OK)).expect("answered").len(), 1);
    assert!(conn.is_done());
}

#[test]
fn a_client_refuses_what_no_server_may_send() {
    let cases: &[(&str, Vec<u8>, Code)] = &[
        ("a stream that it did not open", frame(1, 5, 3, OK), Code::PROTOCOL_ERROR),
        ("a stream of the server's", frame(1, 5, 2, OK), Code::PROTOCOL_ERROR),
        ("a push", frame(5, 4, 1, &[0, 0, 0, 2, 0x82]), Code::PROTOCOL_ERROR),
        ("ENABLE_PUSH of 1", frame(4, 0, 0, &[0, 2, 0, 0, 0, 1]), Code::PROTOCOL_ERROR),
        ("more than all", [frame(1, 5, 1, OK), frame(0, 1, 1, b"x")].concat(), Code::STREAM_CLOSED),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(broken(&mut client(), bytes), *code, "{what}");
    }
    let reset = |bytes: &[u8]| {
        let mut conn = client();
        feed(&mut conn, bytes).expect("the stream alone");
        was_reset(&mut conn, 1)
    };
    assert_eq!(reset(&frame(0, 0, 1, b"x")), Some(Code::PROTOCOL_ERROR), "DATA before the head");
    assert_eq!(reset(&frame(1, 5, 1, GET)), Some(Code::PROTOCOL_ERROR), "a request");
    assert_eq!(reset(&frame(1, 5, 1, &[0x08, 3, b'1', b'0', b'0'])), Some(Code::PROTOCOL_ERROR), "an interim end");
    assert_eq!(reset(&frame(1, 5, 1, &[0x08, 3, b'1', b'0', b'1'])), Some(Code::PROTOCOL_ERROR), "101");
    let two = [frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3']), frame(1, 5, 1, OK)].concat();
    assert_eq!(feed(&mut client(), &two).expect("103 and 200").len(), 2);
}
