use leno_identity::Authority;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn retries_come_closer_together_as_the_certificate_runs_out() {
    let long = 10 * SECOND;
    assert_eq!(retry_wait(long, None), long, "nothing to lose yet");
    assert_eq!(retry_wait(long, Some(3600 * SECOND)), long);
    assert_eq!(retry_wait(long, Some(8 * SECOND)), 2 * SECOND);
    assert_eq!(retry_wait(long, Some(SECOND / 10)), FIRST_WAIT);
    assert_eq!(retry_wait(long, Some(Duration::ZERO)), EXPIRED_WAIT, "cut off");
    assert_eq!(retry_wait(SECOND / 10, Some(8 * SECOND)), SECOND / 10);
}

#[test]
fn a_certificate_is_renewed_at_half_of_its_life_even_if_that_is_five_seconds() {
    let ca = Authority::generate("cluster.local").unwrap();
    let id = SpiffeId::new("cluster.local", "shop", "web");
    for life in [5, 20, 3600] {
        let identity = Identity::new();
        let svid = ca.issue(&id, Duration::from_secs(life)).unwrap();
        let wait = take_over(&identity, svid, ca.roots().clone()).unwrap().as_secs_f64();
        let share = wait / Duration::from_secs(life).as_secs_f64();
        // Certificates count whole seconds, so a short one may lose up to one.
        assert!((0.35..=0.56).contains(&share), "{life} s: renewed after {wait} s");
        assert!(identity.is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_control_plane_the_reason_is_told_and_attempts_go_on() {
    let attempts = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let dir = tempfile::tempdir().unwrap();
    let (token_file, root_cert_file) = (dir.path().join("token"), dir.path().join("root.pem"));
    std::fs::write(&token_file, "token").unwrap();
    std::fs::write(&root_cert_file, Authority::generate("cluster.local").unwrap().roots_pem()).unwrap();
    let connector = transport::connector(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async { Err::<tokio::net::TcpStream, _>(io::Error::from(io::ErrorKind::ConnectionRefused)) }
    });
    let id = SpiffeId::new("cluster.local", "shop", "web");
    let source = Source { id, ttl: SECOND, connector, token_file, root_cert_file };
    let identity = Identity::new();
    let (reached, connections) = watch::channel(0);
    tokio::spawn(run(identity.clone(), source.clone(), connections));
    tokio::time::sleep(60 * SECOND).await;
    let tried = attempts.load(std::sync::atomic::Ordering::Relaxed);
    assert!((8..=25).contains(&tried), "{tried} attempts within a minute");
    assert!(identity.problem().unwrap().contains("refused"), "{:?}", identity.problem());

    // The control plane is back: the next attempt does not wait.
    reached.send_modify(|n| *n += 1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(attempts.load(std::sync::atomic::Ordering::Relaxed), tried + 1);
}

#[tokio::test]
async fn a_missing_token_or_root_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let connector = transport::connector(|| async {
        Err::<tokio::net::TcpStream, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let mut source = Source {
        id: SpiffeId::new("cluster.local", "shop", "web"),
        ttl: SECOND,
        connector,
        token_file: dir.path().join("token"),
        root_cert_file: dir.path().join("root.pem"),
    };
    let error = format!("{:#}", fetch(&source).await.unwrap_err());
    assert!(error.contains("the token") && error.contains("No such file"), "{error}");
    source.token_file = dir.path().join("other");
    std::fs::write(&source.token_file, "t").unwrap();
    let error = format!("{:#}", fetch(&source).await.unwrap_err());
    assert!(error.contains("the roots") && error.contains("root.pem"), "{error}");
}
