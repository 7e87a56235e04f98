//! What a head may say (RFC 9113, section 8).

use super::super::hpack::{Encoder, Name};
use super::*;
use bytes::Bytes;

/// A header block of literal fields.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            out.push(u8::try_from(text.len()).expect("short"));
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

const REQUEST: [(&str, &str); 4] = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/x?y")];

/// A request with fields replaced (by name) or added; an empty value of a pseudo-header takes it away.
fn with(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = REQUEST.to_vec();
    for (name, value) in changes {
        match fields.iter().position(|(n, _)| n == name) {
            Some(at) if value.is_empty() => drop(fields.remove(at)),
            Some(at) => fields[at].1 = value,
            None => fields.push((name, value)),
        }
    }
    block(&fields)
}

fn asked(block: &[u8]) -> Option<RequestHead> {
    let mut conn = server();
    let mut events = feed(&mut conn, &frame(1, 5, 1, block)).expect("the connection goes on");
    match events.pop() {
        Some(Event::Request { head, .. }) => Some(head),
        None => {
            assert_eq!(was_reset(&mut conn, 1), Some(Code::PROTOCOL_ERROR));
            None
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_head_is_read() {
    let head = asked(&with(&[("host", "a"), ("te", "trailers"), ("cookie", "a=1"), ("x", "")])).expect("good");
    assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("POST", "http://a/x?y"));
    assert_eq!((head.version, head.headers.len()), (http::Version::HTTP_2, 4));
    let head = asked(&with(&[(":authority", "")])).expect("without an authority");
    assert_eq!(head.uri.to_string(), "/x?y");
    let head = asked(&with(&[(":method", "OPTIONS"), (":path", "*")])).expect("the server as a whole");
    assert_eq!(head.uri.path(), "*");
    let connect = asked(&block(&[(":method", "CONNECT"), (":authority", "a:1")])).expect("a tunnel");
    assert_eq!(connect.uri.to_string(), "a:1");
    let cookies = asked(&block(&[&REQUEST[..], &[("cookie", "a=1"), ("cookie", "b=2")]].concat())).expect("good");
    assert_eq!(cookies.headers["cookie"], "a=1; b=2");
}

#[test]
fn cookies_that_nobody_may_keep_stay_so_when_they_are_joined() {
    let cookie = |first: u8, value: &[u8; 3]| [&[first, 6], &b"cookie"[..], &[3], value].concat();
    for (first, secret) in [(0x10, true), (0, false)] {
        let head = asked(&[block(&REQUEST), cookie(0, b"a=1"), cookie(first, b"b=2")].concat()).expect("good");
        assert_eq!(head.headers["cookie"], "a=1; b=2");
        assert_eq!(head.headers["cookie"].is_sensitive(), secret);
    }
}

#[test]
fn a_path_that_is_empty_is_written() {
    let mut conn = Connection::new(Role::Client, WINDOWS);
    let head = RequestHead { uri: http::Uri::from_static("http://a?x"), ..request("GET") };
    conn.open(&head, true);
    let events = feed(&mut Connection::new(Role::Server, WINDOWS), &bytes(&mut conn)).expect("good");
    let [_, Event::Request { head, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(head.uri.to_string(), "http://a/?x");
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("no method", with(&[(":method", "")])),
        ("no path", with(&[(":path", "")])),
        ("no scheme", with(&[(":scheme", "")])),
        ("a path that is none", with(&[(":path", "x")])),
        ("a path with a fragment", with(&[(":path", "/#x")])),
        ("a path with a space", with(&[(":path", "/ x")])),
        ("a path with a control character", with(&[(":path", "/\x7f")])),
        ("* for POST", with(&[(":path", "*")])),
        ("an authority with a user", with(&[(":authority", "me@a")])),
        ("another host", with(&[("host", "b")])),
        ("a host that is none", with(&[(":authority", ""), ("host", "a/b")])),
        ("two hosts", block(&[&REQUEST[..], &[("host", "a"), ("host", "a")]].concat())),
        ("a status", with(&[(":status", "200")])),
        ("an unknown pseudo-header", with(&[(":x", "1")])),
        ("extended CONNECT", with(&[(":protocol", "websocket")])),
        ("a pseudo-header twice", block(&[&REQUEST[..], &[(":path", "/")]].concat())),
        ("a pseudo-header behind a field", block(&[&[("x", "1")], &REQUEST[..]].concat())),
        ("a capital letter", with(&[("X", "1")])),
        ("an empty name", with(&[("", "1")])),
        ("a line's end", with(&[("x", "1\r\ny: 2")])),
        ("space around", with(&[("x", " 1")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("proxy-connection", with(&[("proxy-connection", "x")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te", with(&[("te", "gzip")])),
        ("a length that is none", with(&[("content-length", "+1")])),
        ("two lengths", block(&[&REQUEST[..], &[("content-length", "0"), ("content-length", "0")]].concat())),
        ("a length and no body", with(&[("content-length", "1")])),
        ("CONNECT with a path", with(&[(":method", "CONNECT")])),
    ];
    for (what, block) in cases {
        assert!(asked(block).is_none(), "{what}");
    }
}

#[test]
fn a_body_is_as_long_as_its_head_said() {
    let head = || frame(1, 4, 1, &with(&[("content-length", "3")]));
    let cases: &[(&str, Vec<Vec<u8>>, bool)] = &[
        ("whole", vec![frame(0, 0, 1, b"ab"), frame(0, 1, 1, b"c")], true),
        ("padded", vec![frame(0, 9, 1, b"\x02abc\0\0")], true),
        ("with trailers", vec![frame(0, 0, 1, b"abc"), frame(1, 5, 1, &block(&[("x", "1")]))], true),
        ("too short", vec![frame(0, 1, 1, b"ab")], false),
        ("too long", vec![frame(0, 0, 1, b"abcd")], false),
        ("trailers too early", vec![frame(1, 5, 1, &block(&[("x", "1")]))], false),
    ];
    for (what, frames, good) in cases {
        let mut conn = server();
        feed(&mut conn, &[head(), frames.concat()].concat()).expect(what);
        assert_eq!(was_reset(&mut conn, 1).is_none(), *good, "{what}");
    }
    // The answer to a HEAD has a length and no body.
    let mut conn = Connection::new(Role::Client, WINDOWS);
    feed(&mut conn, &frame(4, 0, 0, &[])).expect("greeted");
    conn.open(&request("HEAD"), true);
    let events =
        feed(&mut conn, &frame(1, 5, 1, &block(&[(":status", "200"), ("content-length", "9")]))).expect("good");
    assert!(matches!(events[..], [Event::Response { end: true, .. }]));
}

#[test]
fn what_is_written_is_what_was_meant() {
    let mut conn = Connection::new(Role::Client, WINDOWS);
    let mut head = request("POST");
    for (name, value) in [("host", "b"), ("connection", "close"), ("te", "trailers"), ("x", "1")] {
        head.headers.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
    }
    let stream = conn.open(&head, false);
    conn.send(stream, Bytes::from_static(b"abc"), false);
    let mut trailers = Fields::new();
    trailers.append(http::HeaderName::from_static("t"), http::HeaderValue::from_static("1"));
    conn.send_trailers(stream, trailers);
    let mut server = Connection::new(Role::Server, WINDOWS);
    let events = feed(&mut server, &bytes(&mut conn)).expect("good");
    let [
        _,
        Event::Request { head, end: false, .. },
        Event::Data { data, end: false, .. },
        Event::Trailers { trailers, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    let names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((head.uri.to_string().as_str(), &names[..]), ("http://a/", &["te", "x"][..]));
    assert_eq!((&data[..], trailers["t"].as_bytes()), (&b"abc"[..], &b"1"[..]));
}

#[test]
fn a_long_head_is_split_into_frames_and_put_together_again() {
    let mut conn = Connection::new(Role::Client, WINDOWS);
    let mut head = request("GET");
    for n in 0..40 {
        let name = http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).expect("a name");
        head.headers.insert(name, http::HeaderValue::from_str(&"v".repeat(1000)).expect("a value"));
    }
    conn.open(&head, true);
    let frames = sent(&mut conn);
    assert_eq!(frames.iter().skip(2).map(|f| (f.0, f.1)).collect::<Vec<_>>(), [(1, 1), (9, 0), (9, 4)]);
    let mut server = server();
    let all: Vec<u8> = frames[2..].iter().flat_map(|f| frame(f.0, f.1, f.2, &f.3)).collect();
    let events = feed(&mut server, &all).expect("good");
    let [Event::Request { head, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(head.headers.len(), 40);
}

#[test]
fn a_field_that_is_kept_though_http_does_not_allow_it_breaks_the_connection() {
    let mut encoder = Encoder::default();
    let mut block = BytesMut::new();
    encoder.pseudo(&mut block, &Name::Method, "GET");
    block.extend_from_slice(&[0x40, 1, b'X', 1, b'y']);
    assert_eq!(broken(&mut server(), &frame(1, 5, 1, &block)), Code::PROTOCOL_ERROR);
}
