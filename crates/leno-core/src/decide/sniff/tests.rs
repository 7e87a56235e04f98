use proptest::prelude::*;

use super::{HTTP2_PREFACE, Hello, MAX_HELLO, Sniff, client_hello, sniff};

fn of(text: &str) -> Sniff {
    sniff(text.as_bytes())
}

#[test]
fn whole_request_lines_are_http1() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0",
        "POST /a?b=c HTTP/1.1\r\nhost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT db.example:443 HTTP/1.1\r\n",
        "GET http://example.com/x HTTP/1.1\r\n",
        "GET HTTP://example.com/x HTTP/1.1\r\n",
        "M-SEARCH /x HTTP/1.1\r\n",
        "PRINT /x HTTP/1.1\r\n",
    ] {
        assert_eq!(of(line), Sniff::Http1, "{line}");
    }
}

#[test]
fn other_text_protocols_are_opaque_as_soon_as_they_can_be() {
    for text in [
        "EHLO mail\r\n",
        "PING\r\n",
        "SET key value\r\n",
        "SET k",
        "get foo\r\n",
        "g",
        "*1\r\n$4\r\nPING\r\n",
        "INFO {\"x\":1}\r\n",
        "CONNECT {\"verbose\":false}\r\n",
        "OPTIONS rtsp://h RTSP/1.0\r\n",
        "DESCRIBE r",
        "OPTIONS sip:a@b SIP/2.0\r\n",
        "GET /gopher\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "GET / ICAP/1.0\r\n",
        "\r\n",
        " GET /",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "1GET / HTTP/1.1\r\n",
    ] {
        assert_eq!(of(text), Sniff::Opaque, "{text}");
    }
    assert_eq!(sniff(&[0, 0, 0, 8, 4, 210, 22, 47]), Sniff::Opaque, "PostgreSQL's SSLRequest");
}

#[test]
fn beginnings_of_http_wait_for_more() {
    for text in
        ["", "G", "GET", "GET ", "GET /", "GET /x HTTP/1.", "PRI", "PRI * HTTP/2.0\r\n\r\nSM", "CONNECT db", "GET ht"]
    {
        assert_eq!(of(text), Sniff::NeedMore, "{text}");
    }
}

#[test]
fn the_http2_preface_is_known_whole() {
    assert_eq!(sniff(HTTP2_PREFACE), Sniff::Http2Preface);
    assert_eq!(sniff(&[HTTP2_PREFACE, b"\0\0\0\x04"].concat()), Sniff::Http2Preface);
    assert_eq!(of("PRI * HTTP/2.0\r\n\r\nXX"), Sniff::Opaque);
}

#[test]
fn an_endless_path_of_a_well_known_method_is_still_http() {
    let path = "a".repeat(5000);
    assert_eq!(of(&format!("GET /{path}")), Sniff::Http1);
    assert_eq!(of(&format!("STORE /{path}")), Sniff::Opaque);
    assert_eq!(of(&"A".repeat(33)), Sniff::Opaque, "no method is that long");
}

#[test]
fn every_prefix_of_a_request_leads_to_http() {
    let request = b"PATCH /some/path?x=y HTTP/1.1\r\nhost: a\r\n\r\n";
    for n in 0..request.len() {
        assert_ne!(sniff(&request[..n]), Sniff::Opaque, "{n}");
    }
}

/// A ClientHello with this SNI and ALPN, cut into records of at most `record` bytes.
fn hello(sni: Option<&[u8]>, alpn: &[&[u8]], record: usize, padding: usize) -> Vec<u8> {
    let vec16 = |b: &[u8]| [&u16::try_from(b.len()).unwrap().to_be_bytes()[..], b].concat();
    let mut extensions = Vec::new();
    extensions.extend([0x2a, 0x2a, 0, 0]); // GREASE
    if padding > 0 {
        extensions.extend(21u16.to_be_bytes());
        extensions.extend(vec16(&vec![0; padding]));
    }
    if let Some(name) = sni {
        extensions.extend(0u16.to_be_bytes());
        extensions.extend(vec16(&vec16(&[&[0][..], &vec16(name)].concat())));
    }
    if !alpn.is_empty() {
        let list: Vec<u8> = alpn.iter().flat_map(|p| [&[u8::try_from(p.len()).unwrap()][..], p].concat()).collect();
        extensions.extend(16u16.to_be_bytes());
        extensions.extend(vec16(&vec16(&list)));
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(32);
    body.extend([9; 32]);
    body.extend(vec16(&[0x13, 1, 0x13, 2]));
    body.extend([1, 0]);
    body.extend(vec16(&extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    message.chunks(record).flat_map(|chunk| [&[22, 3, 1][..], &vec16(chunk)].concat()).collect()
}

#[test]
fn a_client_hello_gives_its_server_name_and_protocols() {
    let bytes = hello(Some(b"Outbound_.8080_._.Web.shop.svc.cluster.local."), &[b"istio-h2", b"istio"], 16000, 0);
    assert_eq!(sniff(&bytes), Sniff::Tls);
    assert_eq!(
        client_hello(&bytes),
        Hello::Hello {
            sni: Some("outbound_.8080_._.web.shop.svc.cluster.local".into()),
            alpn: vec![b"istio-h2".to_vec(), b"istio".to_vec()],
        }
    );
}

#[test]
fn a_client_hello_may_be_spread_over_records_and_reads() {
    let expected = Hello::Hello { sni: Some("a.b".into()), alpn: vec![b"h2".to_vec()] };
    for record in [1, 3, 50, 16000] {
        let bytes = hello(Some(b"a.b"), &[b"h2"], record, 1200);
        for n in 0..bytes.len() {
            assert_eq!(client_hello(&bytes[..n]), Hello::NeedMore, "{n} of {record}");
        }
        assert_eq!(client_hello(&bytes), expected, "{record}");
        assert_eq!(client_hello(&[&bytes[..], b"\x17\x03\x03early data"].concat()), expected);
    }
}

#[test]
fn a_hello_without_name_or_with_a_bad_one_has_none() {
    let none = Hello::Hello { sni: None, alpn: vec![] };
    assert_eq!(client_hello(&hello(None, &[], 16000, 0)), none);
    for name in [&b"a b"[..], b"x\0y", b"", "\u{e9}".as_bytes(), &[b'a'; 300]] {
        assert_eq!(client_hello(&hello(Some(name), &[], 16000, 0)), none, "{name:?}");
    }
}

#[test]
fn what_is_not_a_client_hello_is_not_tls() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[22, 3, 1, 0, 5, 2],
        &[22, 2, 0, 0, 5, 1],
        &[23, 3, 3, 0, 5, 1],
        &[22, 3, 1, 0xff, 0xff, 1],
        &[22, 3, 1, 0, 0, 1],
    ] {
        assert_eq!(client_hello(bytes), Hello::NotTls, "{bytes:?}");
    }
    assert_eq!(sniff(&[22, 3]), Sniff::NeedMore);
    assert_eq!(sniff(&[22, b'G']), Sniff::Opaque);
}

#[test]
fn a_hello_that_promises_too_much_is_refused_at_its_header() {
    assert_eq!(client_hello(&[22, 3, 1, 0x40, 0, 1, 1, 0, 1]), Hello::NotTls);
    let drip: Vec<u8> = [22, 3, 1, 0, 1, 1].into_iter().chain([22, 3, 1, 0, 1, 0].repeat(MAX_HELLO / 5)).collect();
    assert!(matches!(client_hello(&drip), Hello::NotTls));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = sniff(&bytes);
        let _ = client_hello(&bytes);
        let record = [&[22, 3, 1, 1, 0, 1, 0, 0][..], &bytes].concat();
        let _ = client_hello(&record);
    }

    #[test]
    fn a_verdict_is_not_changed_by_later_bytes(bytes in "(GET|POST|SET|get|PRI|OPTIONS) ?[/*a-z:]{0,9} ?(HTTP/1.1|HTTP/2.0|x)?\r?\n?", n in 0usize..40) {
        let bytes = bytes.as_bytes();
        let early = sniff(&bytes[..n.min(bytes.len())]);
        if early != Sniff::NeedMore {
            prop_assert_eq!(early, sniff(bytes));
        }
    }

    #[test]
    fn damage_to_a_hello_is_survived(at in 0usize..200, byte in any::<u8>(), cut in 0usize..300) {
        let mut bytes = hello(Some(b"a.example"), &[b"h2", b"http/1.1"], 40, 0);
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut);
        let _ = client_hello(&bytes);
    }
}
