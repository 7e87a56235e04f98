use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

use super::super::write::{self, Says};
use super::super::{Answered, BadHead, Framing, Scan, blank, limits, response};
use super::read;
use crate::Fields;

#[test]
fn a_request_is_read_as_it_was_sent() {
    let asked = read("POST /a?b=1 HTTP/1.1\r\nHost: web\r\nX-Thing:  two words \r\ncontent-length: 5\r\n\r\nhello")
        .expect("good");
    assert_eq!(
        (asked.head.method, asked.head.uri.to_string(), asked.head.version),
        (Method::POST, "/a?b=1".into(), Version::HTTP_11)
    );
    assert_eq!(asked.head.headers["x-thing"], "two words");
    assert_eq!((asked.framing, asked.keep_alive), (Framing::Length(5), true));
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let cases = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", BadHead::LengthAndEncoding),
        ("Content-Length: 5\r\nContent-Length: 5", BadHead::Length),
        ("Content-Length: 5, 5", BadHead::Length),
        ("Content-Length: +5", BadHead::Length),
        ("Content-Length: 0x5", BadHead::Length),
        ("Content-Length: 5 5", BadHead::Length),
        ("Content-Length:", BadHead::Length),
        ("Content-Length: 99999999999999999999", BadHead::Length),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BadHead::Encoding),
        ("Transfer-Encoding: chunked, chunked", BadHead::Encoding),
        ("Transfer-Encoding: gzip, chunked", BadHead::Encoding),
        ("Transfer-Encoding: identity", BadHead::Encoding),
        ("Transfer-Encoding: xchunked", BadHead::Encoding),
        ("Transfer-Encoding: \"chunked\"", BadHead::Encoding),
        ("Transfer-Encoding:\u{b}chunked", BadHead::Value),
        ("Transfer-Encoding : chunked", BadHead::Name),
        ("Transfer-Encoding\t: chunked", BadHead::Name),
        (" Transfer-Encoding: chunked", BadHead::Folded),
        ("X: 1\r\n Content-Length: 5", BadHead::Folded),
        ("X: 1\r\n\tmore", BadHead::Folded),
        ("Content Length: 5", BadHead::Name),
        (": nameless", BadHead::Name),
        ("no colon", BadHead::Name),
        ("X: a\rb", BadHead::Value),
        ("X: a\0b", BadHead::Value),
        ("X: a\x7fb", BadHead::Value),
        ("Host: other", BadHead::Host),
    ];
    for (fields, why) in cases {
        let text = format!("POST / HTTP/1.1\r\nHost: web\r\n{fields}\r\n\r\n");
        assert_eq!(read(&text).expect_err(fields), why, "{fields:?}");
    }
    let first = "GET / HTTP/1.1\r\n Host: web\r\n\r\n";
    assert_eq!(read(first).expect_err("folded into the request line"), BadHead::Folded);
}

#[test]
fn line_feeds_alone_end_no_line() {
    for text in
        ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n", "\n"]
    {
        assert_eq!(Scan::default().end(text.as_bytes()), Err(BadHead::BareLineFeed), "{text:?}");
    }
}

#[test]
fn request_lines_have_one_form() {
    let cases = [
        ("GET / HTTP/2.0", BadHead::Version),
        ("GET / HTTP/1.2", BadHead::Version),
        ("GET / http/1.1", BadHead::RequestLine),
        ("GET / HTTP/1.1 ", BadHead::RequestLine),
        ("GET  / HTTP/1.1", BadHead::RequestLine),
        ("GET /a b HTTP/1.1", BadHead::RequestLine),
        ("GET\t/ HTTP/1.1", BadHead::Method),
        ("GET /", BadHead::RequestLine),
        (" GET / HTTP/1.1", BadHead::Method),
        ("G@T / HTTP/1.1", BadHead::Method),
        ("GET / HTTP/1.1\r", BadHead::RequestLine),
        ("GET /a#b HTTP/1.1", BadHead::Target),
        ("GET a HTTP/1.1", BadHead::Target),
        ("GET web:80 HTTP/1.1", BadHead::Target),
        ("GET * HTTP/1.1", BadHead::Target),
        ("GET http://me@web/ HTTP/1.1", BadHead::Target),
        ("CONNECT / HTTP/1.1", BadHead::Target),
        ("CONNECT http://web/ HTTP/1.1", BadHead::Target),
    ];
    for (line, why) in cases {
        assert_eq!(read(&format!("{line}\r\nHost: web\r\n\r\n")).expect_err(line), why, "{line:?}");
    }
    for line in ["OPTIONS * HTTP/1.1", "GET http://web/x HTTP/1.1", "CONNECT web:443 HTTP/1.1", "M-SEARCH /x HTTP/1.1"]
    {
        read(&format!("{line}\r\nHost: web\r\n\r\n")).expect(line);
    }
    let long = "A".repeat(limits::METHOD + 1);
    assert_eq!(read(&format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n")).expect_err("long"), BadHead::Method);
}

#[test]
fn a_host_is_due_in_http_1_1_and_not_before() {
    assert_eq!(read("GET / HTTP/1.1\r\n\r\n").expect_err("none"), BadHead::Host);
    read("GET / HTTP/1.0\r\n\r\n").expect("HTTP/1.0 has none");
    let encoded = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read(encoded).expect_err("not in HTTP/1.0"), BadHead::Encoding);
}

#[test]
fn a_host_is_a_host_and_a_port() {
    for host in ["a/b", "a b", "me@a", "a?b", "a#b", "a\\b", "a\"b", "\u{e9}", "a\tb"] {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(read(&text).expect_err(host), BadHead::Host, "{host:?}");
    }
    for host in ["", "web", "web_1.shop:8080", "10.0.0.1:80", "[fd00::1]:80", "w%C3%A9b"] {
        read(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect(host);
    }
}

#[test]
fn a_target_with_an_authority_overrules_the_host() {
    for (target, host) in [("http://web:80/x", "web:80"), ("http://web?x", "web")] {
        let asked = read(&format!("GET {target} HTTP/1.1\r\nHost: admin\r\n\r\n")).expect(target);
        assert_eq!(asked.head.headers.get_all("host").collect::<Vec<_>>(), [host], "{target}");
    }
    let asked = read("GET http://web/ HTTP/1.0\r\n\r\n").expect("HTTP/1.0");
    assert!(!asked.head.headers.contains("host"), "what was not sent is not read");
    let asked = read("CONNECT db:5432 HTTP/1.1\r\nHost: web\r\n\r\n").expect("a tunnel");
    assert_eq!(asked.head.headers["host"], "web");
}

#[test]
fn connections_stay_as_the_version_and_the_client_say() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Foo,  CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
    ];
    for (version, field, stays) in cases {
        let asked = read(&format!("GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n")).expect("good");
        assert_eq!(asked.keep_alive, stays, "{version} {field}");
    }
}

#[test]
fn a_body_is_waited_for_with_expect_only_where_one_comes() {
    let expects =
        |rest: &str| read(&format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n{rest}\r\n")).expect("good");
    assert!(expects("Content-Length: 1\r\n").expect_continue && !expects("").expect_continue);
}

#[test]
fn heads_have_limits() {
    let many = "x: y\r\n".repeat(limits::FIELDS);
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).expect_err("many"), BadHead::TooManyFields);
    let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(limits::HEAD));
    assert_eq!(Scan::default().end(long.as_bytes()), Err(BadHead::TooLarge), "even without its end");
    assert_eq!((BadHead::TooLarge.status(), BadHead::Version.status(), BadHead::Name.status()), (431, 505, 400));
}

#[test]
fn an_empty_line_before_a_request_is_passed_over_once() {
    assert_eq!((blank(b"\r\nGET"), blank(b"GET"), blank(b"\r"), blank(b"")), (Some(2), Some(0), None, None));
}

fn answer(text: &str, to: Answered) -> Result<(u16, Framing, bool), BadHead> {
    let end = Scan::default().end(text.as_bytes())?.expect("a whole head");
    response(&Bytes::copy_from_slice(&text.as_bytes()[..end]), to)
        .map(|h| (h.head.status.as_u16(), h.framing, h.keep_alive))
}

#[test]
fn responses_have_the_body_that_their_request_allows() {
    use Answered::{Connect, Head, Other};
    let cases = [
        ("200 OK\r\nContent-Length: 3", Other, Framing::Length(3), true),
        ("200 OK\r\nContent-Length: 3", Head, Framing::Length(0), true),
        ("304 Not Modified\r\nContent-Length: 3", Other, Framing::Length(0), true),
        ("204 No Content", Other, Framing::Length(0), true),
        ("204 No Content\r\nContent-Length: 0", Other, Framing::Length(0), true),
        ("204 No Content\r\nContent-Length: 3", Other, Framing::Length(0), false),
        ("204 No Content\r\nTransfer-Encoding: chunked", Other, Framing::Length(0), false),
        ("200 OK\r\nTransfer-Encoding: Chunked", Other, Framing::Chunked, true),
        ("200 OK", Other, Framing::UntilClose, false),
        ("200 OK", Connect, Framing::Length(0), true),
        ("200", Other, Framing::UntilClose, false),
        ("200 \r\nConnection: close\r\nContent-Length: 1", Other, Framing::Length(1), false),
        ("101 Switching Protocols", Other, Framing::Length(0), true),
    ];
    for (text, to, framing, stays) in cases {
        let (_, found, kept) = answer(&format!("HTTP/1.1 {text}\r\n\r\n"), to).expect(text);
        assert_eq!((found, kept), (framing, stays), "{text:?} {to:?}");
    }
    let bad = [
        ("HTTP/1.1 20 OK", BadHead::StatusLine),
        ("HTTP/1.1 2000 OK", BadHead::StatusLine),
        ("HTTP/1.1  200 OK", BadHead::StatusLine),
        ("HTTP/1.1 099 OK", BadHead::StatusLine),
        ("HTTP/1.1 600 OK", BadHead::StatusLine),
        ("HTTP/1.1 200 O\x01K", BadHead::StatusLine),
        ("HTTP/2.0 200 OK", BadHead::Version),
        ("ICY 200 OK....", BadHead::StatusLine),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", BadHead::LengthAndEncoding),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2", BadHead::Length),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked", BadHead::Encoding),
    ];
    for (text, why) in bad {
        assert_eq!(answer(&format!("{text}\r\n\r\n"), Other).expect_err(text), why, "{text:?}");
    }
}

#[test]
fn what_is_written_says_its_framing_once() {
    let headers: Fields = [("content-length", "7"), ("transfer-encoding", "chunked"), ("a", "b")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let written = |says| {
        let mut out = BytesMut::new();
        write::response(&mut out, Version::HTTP_11, StatusCode::OK, &headers, says, Some("close"));
        String::from_utf8(out.to_vec()).expect("text")
    };
    assert_eq!(
        written(Says::Body(Framing::Length(3))),
        "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        written(Says::Body(Framing::Chunked)),
        "HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(written(Says::AsItIs), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\na: b\r\nconnection: close\r\n\r\n");
    assert_eq!(written(Says::Nothing), "HTTP/1.1 200 OK\r\na: b\r\nconnection: close\r\n\r\n");
    let mut out = BytesMut::new();
    write::request(&mut out, &Method::GET, &"/x?y".parse().expect("a URI"), &headers, None);
    assert_eq!(out, "GET /x?y HTTP/1.1\r\na: b\r\n\r\n");
    out.clear();
    write::request(&mut out, &Method::GET, &"http://web?x".parse().expect("a URI"), &Fields::new(), None);
    assert_eq!(out, "GET /?x HTTP/1.1\r\n\r\n");
    out.clear();
    write::request(&mut out, &Method::CONNECT, &"web:443".parse().expect("a URI"), &Fields::new(), None);
    assert_eq!(out, "CONNECT web:443 HTTP/1.1\r\n\r\n");
}
