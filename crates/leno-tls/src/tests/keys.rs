//! Keys are changed in the middle, by either end.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
use tokio::io::AsyncWriteExt;

use super::{End, Mesh, PIPE, carry, name, noise, rustls_client, rustls_server};
use crate::{accept, connect};

fn with_few_records_a_key(mut end: End) -> End {
    end.records = end.records.with_key_limit(3);
    end
}

#[tokio::test]
async fn a_key_that_has_sealed_enough_is_changed() {
    let mesh = Mesh::new();
    let (client, server) = mesh.meet().await;
    let (mut client, mut server) = (with_few_records_a_key(client), with_few_records_a_key(server));
    for _ in 0..3 {
        carry(&mut client, &mut server, &noise(300_000), 50_000).await;
        carry(&mut server, &mut client, &noise(50), 1).await;
    }
}

#[tokio::test]
async fn rustls_follows_our_keys_and_we_follow_its() {
    let mesh = Mesh::new();
    let (c, s) = tokio::io::duplex(PIPE);
    let (client, mut theirs) = tokio::join!(connect(mesh.client(), name(), c), rustls_server(&mesh, s));
    let mut client = with_few_records_a_key(client.unwrap().0);
    for _ in 0..3 {
        carry(&mut client, &mut theirs, &noise(200_000), 50_000).await;
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        carry(&mut theirs, &mut client, &noise(1000), 100).await;
    }
    let (c, s) = tokio::io::duplex(PIPE);
    let (mut theirs, server) = tokio::join!(rustls_client(&mesh, c), accept(mesh.server(), s));
    let mut server = with_few_records_a_key(server.unwrap().0);
    for _ in 0..3 {
        // It asks for ours to be changed, too.
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        carry(&mut theirs, &mut server, &noise(1000), 100).await;
        carry(&mut server, &mut theirs, &noise(200_000), 50_000).await;
    }
    theirs.shutdown().await.unwrap();
}

#[tokio::test]
async fn tls_1_2_ends_where_its_key_has_sealed_enough() {
    let mesh = Mesh::new().with_suite(TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    let (client, _server) = mesh.meet().await;
    let mut client = with_few_records_a_key(client);
    let bytes = noise(16 * 1024);
    for _ in 0..3 {
        assert_eq!(client.write(&bytes).await.unwrap(), bytes.len());
    }
    assert!(client.write(&bytes).await.is_err());
}
