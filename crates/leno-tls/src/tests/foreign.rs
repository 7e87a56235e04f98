//! Bytes that no peer of ours would send, in the middle of the handshake: errors, and nothing worse.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{LONG, Mesh, name};
use crate::{accept, connect};

/// What a client says first.
async fn hello(mesh: &Mesh) -> Vec<u8> {
    let (c, mut s) = tokio::io::duplex(1 << 20);
    let mut hello = vec![0; 5];
    let listen = async {
        s.read_exact(&mut hello).await.unwrap();
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        hello.resize(5 + length, 0);
        s.read_exact(&mut hello[5..]).await.unwrap();
        drop(s);
    };
    let _ = tokio::join!(connect(mesh.client(), name(), c), listen);
    hello
}

/// The same message in records of random sizes.
fn in_parts(hello: &[u8], random: &mut StdRng) -> Vec<u8> {
    let (mut rest, mut all) = (&hello[5..], Vec::new());
    while !rest.is_empty() {
        let (part, left) = rest.split_at(random.random_range(1..=rest.len().min(600)));
        all.extend_from_slice(&[22, 3, 1]);
        all.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        all.extend_from_slice(part);
        rest = left;
    }
    all
}

/// A record of any kind with anything in it.
fn stray(random: &mut StdRng) -> Vec<u8> {
    let content: Vec<u8> = (0..random.random_range(0..60)).map(|_| random.random()).collect();
    let mut record = vec![random.random_range(20..=23), 3, 3, 0, u8::try_from(content.len()).unwrap()];
    record.extend(content);
    record
}

#[tokio::test]
async fn nothing_that_a_client_says_is_worse_than_an_error() {
    let mesh = Mesh::new();
    let hello = hello(&mesh).await;
    for seed in 0..600 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut said = if random.random_bool(0.5) { in_parts(&hello, &mut random) } else { hello.clone() };
        if random.random_bool(0.5) {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..said.len());
                said[at] = random.random();
            }
        }
        for _ in 0..random.random_range(0..4) {
            said.extend(stray(&mut random));
        }
        let (mut c, s) = tokio::io::duplex(1 << 20);
        c.write_all(&said).await.unwrap();
        c.shutdown().await.unwrap();
        let accepted = tokio::time::timeout(LONG, accept(mesh.server(), s)).await.expect("an end");
        assert!(accepted.is_err(), "seed {seed}");
    }
}

#[tokio::test]
async fn nothing_that_a_server_says_is_worse_than_an_error() {
    let mesh = Mesh::new();
    for seed in 0..600 {
        let mut random = StdRng::seed_from_u64(seed);
        let (c, mut s) = tokio::io::duplex(1 << 20);
        for _ in 0..random.random_range(1..6) {
            s.write_all(&stray(&mut random)).await.unwrap();
        }
        s.shutdown().await.unwrap();
        let connected = tokio::time::timeout(LONG, connect(mesh.client(), name(), c)).await.expect("an end");
        assert!(connected.is_err(), "seed {seed}");
    }
}
