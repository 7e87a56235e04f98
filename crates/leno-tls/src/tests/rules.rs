//! Ends, and peers that break the rules.

use std::io::{self, ErrorKind, IoSlice};

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{End, Mesh, PIPE, carry, name, noise, rustls_server};
use crate::key::Kind;
use crate::records::Records;
use crate::{accept, connect};

async fn read(end: &mut End) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(super::LONG, end.read_to_end(&mut all)).await.expect("in time");
    read.map(|_| all)
}

fn tls_error(error: &io::Error) -> &Error {
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    error.get_ref().and_then(|e| e.downcast_ref()).expect("a rustls::Error")
}

/// One end, and what it is made to read.
struct Read {
    end: End,
    peer: Records,
    wire: Vec<u8>,
}

impl Read {
    async fn new() -> Self {
        let (client, server) = Mesh::new().meet().await;
        Self { end: server, peer: client.records, wire: Vec::new() }
    }

    fn record(mut self, kind: Kind, content: &[u8]) -> Self {
        self.peer.seal_record(kind.0, content, &mut self.wire).unwrap();
        self
    }

    fn opened(mut self) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        let mut wire = &mut self.wire[..];
        while let Some(opened) = self.end.records.open(wire)? {
            data.extend_from_slice(opened.data);
            let length = opened.length;
            wire = &mut wire[length..];
        }
        Ok(data)
    }

    fn refused(self, what: &str) {
        let error = self.opened().expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[tokio::test]
async fn an_end_is_told_and_a_missing_end_is_an_error() {
    let (mut client, mut server) = Mesh::new().meet().await;
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), b"bye");
    // The other direction goes on.
    server.write_all(b"still here").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), b"still here");

    let (client, mut server) = Mesh::new().meet().await;
    drop(client);
    assert_eq!(read(&mut server).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn rustls_hears_our_end_and_we_hear_its() {
    let mesh = Mesh::new();
    let (c, s) = tokio::io::duplex(PIPE);
    let (client, mut theirs) = tokio::join!(connect(mesh.client(), name(), c), rustls_server(&mesh, s));
    let (mut client, _) = client.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(theirs.read(&mut [0; 9]).await.unwrap(), 0);
    theirs.shutdown().await.unwrap();
    assert!(read(&mut client).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forged_record_is_refused() {
    for at in [0, 1, 2, 3, 5, 8, 12, 24] {
        let mut read = Read::new().await.record(Kind::DATA, b"true");
        read.wire[at] ^= 1;
        let end = read.wire.len();
        let error = read.opened();
        // The header is authentic, too; a longer record never comes whole.
        assert!(error.is_err() || at == 3, "{at} of {end}: {error:?}");
    }
}

#[tokio::test]
async fn what_has_no_place_after_the_handshake_is_refused() {
    Read::new().await.record(Kind(20), &[1]).refused("no place after the handshake");
    Read::new().await.record(Kind(99), &[1]).refused("no place after the handshake");
    Read::new().await.record(Kind::ALERT, &[2]).refused("an alert that is none");
    // A server is given no sessions, asks for no new handshake, and takes no half messages with data between.
    Read::new().await.record(Kind::HANDSHAKE, &[4, 0, 0, 0]).refused("a session ticket");
    Read::new().await.record(Kind::HANDSHAKE, &[1, 0, 0, 0]).refused("a handshake message that has no place");
    Read::new().await.record(Kind::HANDSHAKE, &[24, 0, 0]).record(Kind::DATA, b"x").refused("no place");
    Read::new().await.record(Kind::HANDSHAKE, &[]).refused("no place");
    // A new key says 0 or 1, and is the last thing under the old one.
    Read::new().await.record(Kind::HANDSHAKE, &[24, 0, 0, 1, 2]).refused("InvalidKeyUpdate");
    Read::new().await.record(Kind::HANDSHAKE, &[24, 0, 0, 1, 0, 24, 0]).refused("no place");
    Read::new().await.record(Kind::HANDSHAKE, &[4, 255, 255, 255]).refused("too long");
}

#[tokio::test]
async fn records_in_the_clear_or_too_long_are_refused() {
    let mut clear = Read::new().await;
    clear.wire = vec![21, 3, 3, 0, 2, 1, 0];
    clear.refused("in the clear");
    let mut long = Read::new().await;
    long.wire = vec![23, 3, 3, 0x41, 1];
    assert_eq!(long.opened(), Err(Error::PeerSentOversizedRecord));
    let mut short = Read::new().await;
    short.wire = vec![23, 3, 3, 0, 3, 1, 2, 3];
    assert_eq!(short.opened(), Err(Error::DecryptError));
    // The last of these zeros is the kind's place: what comes before would be padding.
    for content in [[7; 16 * 1024 + 1], [0; 16 * 1024 + 1]] {
        let long = Read::new().await.record(Kind::DATA, &content);
        assert_eq!(long.opened(), Err(Error::PeerSentOversizedRecord));
    }
}

#[tokio::test]
async fn useless_records_are_counted() {
    let mut endless = Read::new().await;
    for _ in 0..33 {
        endless = endless.record(Kind::DATA, &[]);
    }
    endless.refused("too many records that bring nothing");
    let mut fine = Read::new().await;
    for _ in 0..99 {
        fine = fine.record(Kind::DATA, &[]).record(Kind::DATA, b"x");
    }
    assert_eq!(fine.opened().unwrap().len(), 99);
}

#[tokio::test]
async fn a_handshake_message_may_come_in_parts() {
    let halves = Read::new().await.record(Kind::HANDSHAKE, &[24, 0]).record(Kind::HANDSHAKE, &[0, 1, 0]);
    assert_eq!(halves.opened(), Ok(Vec::new()));
}

#[tokio::test]
async fn a_client_takes_a_session_in_parts_and_refuses_a_malformed_one() {
    // Kind and length; lifetime, age, nonce, ticket, no extensions.
    let ticket = [4, 0, 0, 18, 0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 4, 1, 2, 3, 4, 0, 0];
    let (mut client, mut server) = Mesh::new().meet().await;
    // The server's own session comes before its first data.
    carry(&mut server, &mut client, b"x", 1).await;
    let mut wire = Vec::new();
    for part in [&ticket[..9], &ticket[9..], &[4, 0, 0, 1, 9]] {
        server.records.seal_record(Kind::HANDSHAKE.0, part, &mut wire).unwrap();
    }
    let mut wire = &mut wire[..];
    for _ in 0..2 {
        let opened = client.records.open(wire).unwrap().unwrap();
        assert!(opened.data.is_empty());
        let length = opened.length;
        wire = &mut wire[length..];
    }
    let error = client.records.open(wire).expect_err("a ticket of one byte");
    assert!(matches!(error, Error::InvalidMessage(_)), "{error}");
}

#[tokio::test]
async fn however_often_a_peer_asks_for_a_new_key_it_gets_one() {
    let (mut client, mut server) = Mesh::new().meet().await;
    let mut wire = Vec::new();
    for _ in 0..100 {
        client.records.seal_record(Kind::DATA.0, b"x", &mut wire).unwrap();
        // The last record under its key, with the wish for another one of the server's.
        client.records.ask_for_a_key(&mut wire).unwrap();
    }
    client.get_mut().write_all(&wire).await.unwrap();
    server.read_exact(&mut [0; 100]).await.unwrap();
    assert!(server.unsent.is_empty());
    let mut sealed = Vec::new();
    server.records.seal(&[IoSlice::new(b"y")], 1, &mut sealed).unwrap();
    assert_eq!(sealed.len(), (5 + 5 + 1 + 16) + (5 + 1 + 1 + 16), "a new key and the data");
}

#[tokio::test]
async fn an_end_that_has_given_up_sends_nothing_more() {
    let (mut client, mut server) = Mesh::new().meet().await;
    let mut wire = Vec::new();
    client.records.seal_record(Kind::DATA.0, b"good", &mut wire).unwrap();
    client.records.seal_record(99, b"bad", &mut wire).unwrap();
    client.get_mut().write_all(&wire).await.unwrap();
    let mut got = [0; 9];
    assert_eq!(server.read(&mut got).await.unwrap(), 4, "what came before is good");
    tls_error(&server.read(&mut got).await.unwrap_err());
    tls_error(&server.write(b"more").await.unwrap_err());
    assert!(server.held.is_empty());
    let told = client.read(&mut got).await.unwrap_err();
    assert_eq!(tls_error(&told), &Error::AlertReceived(AlertDescription::UnexpectedMessage));
}

#[tokio::test]
async fn alerts_are_errors_but_for_those_that_are_not() {
    Read::new().await.record(Kind::ALERT, &[1, 90]).record(Kind::DATA, b"on").opened().unwrap();
    let alert = Read::new().await.record(Kind::ALERT, &[2, 42]).opened();
    assert_eq!(alert, Err(Error::AlertReceived(AlertDescription::BadCertificate)));
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_why() {
    let mesh = Mesh::new();
    let (c, s) = tokio::io::duplex(PIPE);
    let (client, theirs) = tokio::join!(connect(mesh.client(), name(), c), rustls_server(&mesh, s));
    let (mut client, mut theirs) = (client.unwrap().0, theirs);
    // Past TLS, into the client's stream.
    theirs
        .get_mut()
        .0
        .write_all(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
        .await
        .unwrap();
    let error = read(&mut client).await.unwrap_err();
    assert_eq!(tls_error(&error), &Error::DecryptError);
    assert_eq!(tls_error(&read(&mut client).await.unwrap_err()), &Error::DecryptError, "and it stays so");
    let told = theirs.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(tls_error(&told), &Error::AlertReceived(AlertDescription::BadRecordMac));
}

#[tokio::test]
async fn a_client_hears_that_its_certificate_was_refused() {
    let (ours, others) = (Mesh::new(), Mesh::new());
    // The server of one mesh with the client of another that trusts it, in turn not trusted.
    let (c, s) = tokio::io::duplex(PIPE);
    let (client, server) = tokio::join!(connect(others.client(), name(), c), accept(ours.server(), s));
    let error = client.expect_err("another authority");
    assert!(matches!(tls_error(&error), Error::InvalidCertificate(_)), "{error}");
    assert!(matches!(tls_error(&server.expect_err("no client")), Error::AlertReceived(_)));
}

#[tokio::test]
async fn a_peer_that_goes_or_talks_nonsense_in_the_handshake() {
    let mesh = Mesh::new();
    let (c, s) = tokio::io::duplex(PIPE);
    drop(c);
    assert_eq!(accept(mesh.server(), s).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[22, 3, 1, 0, 4, 9, 9, 9, 9], &[22, 3, 1, 255, 255]] {
        let (mut c, s) = tokio::io::duplex(PIPE);
        c.write_all(nonsense).await.unwrap();
        tls_error(&accept(mesh.server(), s).await.unwrap_err());
    }
}

#[tokio::test]
async fn parts_of_a_write_become_one_record() {
    let (mut client, mut server) = Mesh::new().meet().await;
    let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"record")];
    let mut wire = Vec::new();
    assert_eq!(client.records.seal(&slices, 8, &mut wire), Ok(8));
    let opened = server.records.open(&mut wire).unwrap().unwrap();
    assert_eq!(opened.data, b"one reco");
    assert_eq!(opened.length, 5 + 8 + 1 + 16);
}

#[tokio::test]
async fn eight_full_frames_with_their_heads_leave_in_one_write() {
    let (mut client, _server) = Mesh::new().meet().await;
    let frames = noise(8 * (9 + 16 * 1024));
    assert_eq!(client.write(&frames).await.unwrap(), frames.len());
}
