use super::{accept_key, echo, frame_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The example of RFC 6455, section 1.3.
#[test]
fn the_accept_key_is_as_the_rfc_says() {
    assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[tokio::test]
async fn a_masked_frame_comes_back_unmasked() {
    let (mut client, server) = tokio::io::duplex(1024);
    let serving = tokio::spawn(echo(server));
    client.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).await.expect("send");
    let mut back = [0; 4];
    client.read_exact(&mut back).await.expect("receive");
    assert_eq!(&back, b"\x81\x02hi");
    client.write_all(&[0x88, 0]).await.expect("send");
    assert!(serving.await.expect("it ends").is_ok());
}

#[test]
fn lengths_take_their_shortest_form() {
    assert_eq!(frame_head(0x82, 125), [0x82, 125]);
    assert_eq!(frame_head(0x82, 126), [0x82, 126, 0, 126]);
    assert_eq!(frame_head(0x82, 65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}
