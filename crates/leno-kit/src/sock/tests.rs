use super::*;

#[tokio::test]
async fn a_dual_stack_listener_takes_both_families() {
    let listener = listen_all(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let v4 = connect(SocketAddr::from(([127, 0, 0, 1], port)), None).await.unwrap();
    let (accepted, peer) = listener.accept().await.unwrap();
    assert_eq!(canonical(peer), v4.local_addr().unwrap());
    tune(&accepted).unwrap();
    assert!(accepted.nodelay().unwrap());
    // Nothing redirected this connection.
    assert_eq!(original_dst(&accepted), None);
}

#[tokio::test]
async fn connections_in_the_pod_are_not_paced_on_either_side() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    tune(&listener).and_then(|()| unpaced(&listener)).unwrap();
    let app = connect_in_pod(listener.local_addr().unwrap(), None).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    // What the listener has is inherited.
    assert!(accepted.nodelay().unwrap() && SockRef::from(&accepted).keepalive().unwrap());
    for end in [&app, &accepted] {
        assert_eq!(congestion_control(end), "reno");
    }
    let other = connect(listener.local_addr().unwrap(), None).await.unwrap();
    let default = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
    assert_eq!(congestion_control(&other), default.trim());
}

fn congestion_control(stream: &TcpStream) -> String {
    let name = SockRef::from(stream).tcp_congestion().unwrap();
    String::from_utf8(name.split(|b| *b == 0).next().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let addr = first.local_addr().unwrap();
    let error = listen(addr).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

#[test]
fn mapped_addresses_become_plain_ones() {
    let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
    assert_eq!(canonical(mapped), "10.0.0.1:80".parse().unwrap());
    let v6: SocketAddr = "[fd00::1]:80".parse().unwrap();
    assert_eq!(canonical(v6), v6);
}
