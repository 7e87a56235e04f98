//! Endpoints that refuse, reset, hang, fail or go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::Response;
use http_body_util::Full;
use leno_core::model::route::{RetryPolicy, RouteAction};
use leno_core::model::traffic::{OutlierDetection, RetryOn};
use leno_core::model::{DestinationRule, HttpRoute, Protocol, TrafficPolicy};
use tokio::io::AsyncReadExt;

use super::scene::{Scene, Sidecar, app, closed, counter, failing, named, raw, request, to};

fn retrying(attempts: u32, per_try: Option<Duration>, timeout: Option<Duration>) -> HttpRoute {
    let retry_on = RetryOn { five_xx: true, reset: true, connect_failure: true, ..RetryOn::default() };
    HttpRoute {
        action: RouteAction::Forward(vec![to(None, 1)]),
        retry: Some(RetryPolicy {
            attempts,
            per_try_timeout: per_try,
            retry_on,
            backoff: Duration::from_millis(5),
            least_backoff: Duration::ZERO,
        }),
        timeout,
        ..HttpRoute::default()
    }
}

#[tokio::test]
async fn a_503_is_retried_where_a_rule_asks_and_on_another_pod() {
    let bad = counter();
    let client = Scene::new(Protocol::Http)
        .routes(vec![retrying(3, None, None)])
        .plain_pod(failing(503, Arc::clone(&bad)).await, "v1")
        .plain_pod(named("good", counter()).await, "v1")
        .start()
        .await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.body, "good");
    }
    assert!(bad.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn three_attempts_after_the_first_and_the_last_answer_passes() {
    let count = counter();
    let client = Scene::new(Protocol::Http)
        .routes(vec![retrying(3, None, None)])
        .meshed_pod(failing(503, Arc::clone(&count)).await, "v1", Sidecar::strict())
        .await
        .start()
        .await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "failed"));
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_503_is_not_retried_by_default() {
    let count = counter();
    let client = Scene::new(Protocol::Http).plain_pod(failing(503, Arc::clone(&count)).await, "v1").start().await;
    assert_eq!(client.get("/").await.status, 503);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_pod_that_refuses_connections_is_passed_over_for_every_method() {
    let client = Scene::new(Protocol::Http)
        .plain_pod(closed().await, "v1")
        .plain_pod(named("good", counter()).await, "v1")
        .start()
        .await;
    for method in ["GET", "POST", "GET", "POST"] {
        assert_eq!(client.send(request(method, "/")).await.body, "good");
    }
}

#[tokio::test]
async fn when_nobody_listens_the_answer_says_so() {
    let client = Scene::new(Protocol::Http).plain_pod(closed().await, "v1").start().await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(["connect_failure", "retries_exhausted"].contains(&answer.header("leno-reason")), "{answer:?}");
    let empty = Scene::new(Protocol::Http).start().await.get("/").await;
    assert_eq!((empty.status, empty.header("leno-reason")), (503, "no_healthy_upstream"));
}

#[tokio::test]
async fn a_reset_is_retried_for_get_and_not_for_post_by_default() {
    let count = counter();
    let seen = Arc::clone(&count);
    let resetting = raw(move |mut stream| {
        seen.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    let client = Scene::new(Protocol::Http).plain_pod(resetting, "v1").start().await;
    let post = client.send(request("POST", "/").map(|_| Full::from("x"))).await;
    assert_eq!((post.status, post.header("leno-reason")), (503, "upstream_reset"));
    assert_eq!(count.load(Ordering::Relaxed), 1, "a POST that may have arrived is sent once");
    assert_eq!(client.get("/").await.status, 503);
    assert_eq!(count.load(Ordering::Relaxed), 4, "a GET is tried three times");
}

#[tokio::test]
async fn the_whole_time_is_a_limit_for_an_application_that_hangs() {
    let hanging = app(|_| std::future::pending::<Response<Full<bytes::Bytes>>>()).await;
    let route = HttpRoute {
        timeout: Some(Duration::from_millis(300)),
        action: RouteAction::Forward(vec![to(None, 1)]),
        ..HttpRoute::default()
    };
    let client =
        Scene::new(Protocol::Http).routes(vec![route]).meshed_pod(hanging, "v1", Sidecar::strict()).await.start().await;
    let start = Instant::now();
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.header("leno-reason")), (504, "timeout"));
    assert!((300..600).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn each_try_has_its_own_time_within_the_whole() {
    let count = counter();
    let seen = Arc::clone(&count);
    let hanging = app(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Response<Full<bytes::Bytes>>>()
    })
    .await;
    let client = Scene::new(Protocol::Http)
        .routes(vec![retrying(3, Some(Duration::from_millis(200)), Some(Duration::from_millis(500)))])
        .meshed_pod(hanging, "v1", Sidecar::strict())
        .await
        .start()
        .await;
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 504);
    assert!((500..800).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!(count.load(Ordering::Relaxed), 3, "200 + 200 + what was left");
}

#[tokio::test]
async fn a_failing_pod_is_ejected_and_comes_back() {
    let bad = counter();
    let outlier = OutlierDetection {
        consecutive_5xx: 3,
        interval: Duration::from_millis(50),
        base_ejection: Duration::from_millis(400),
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    };
    let rule = DestinationRule {
        policy: TrafficPolicy { outlier: Some(outlier), ..TrafficPolicy::default() },
        ..DestinationRule::default()
    };
    let client = Scene::new(Protocol::Http)
        .rule(rule)
        .plain_pod(failing(500, Arc::clone(&bad)).await, "v1")
        .plain_pod(named("good", counter()).await, "v1")
        .start()
        .await;
    for _ in 0..40 {
        client.get("/").await;
    }
    let before = bad.load(Ordering::Relaxed);
    assert_eq!(before, 3, "three failures in a row are enough");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..40 {
        client.get("/").await;
    }
    assert!(bad.load(Ordering::Relaxed) > before, "it was tried again");
}

#[tokio::test]
async fn pods_replaced_under_load_fail_no_request() {
    let mut scene = Scene::new(Protocol::Http);
    for _ in 0..4 {
        scene = scene.meshed_pod(named("x", counter()).await, "v1", Sidecar::strict()).await;
    }
    let client = Arc::new(scene.start().await);
    let load = {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let mut failed = 0;
            for _ in 0..60 {
                let answers = futures::future::join_all((0..10).map(|_| client.get("/"))).await;
                failed += answers.iter().filter(|a| a.status != 200).count();
            }
            failed
        })
    };
    let all = client.endpoints.clone();
    for round in 0..20 {
        let left = all.iter().enumerate().filter(|(i, _)| i % 2 == round % 2).map(|(_, e)| e.clone());
        client.set_endpoints(left.collect());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(load.await.expect("the load ends"), 0);
}

#[tokio::test]
async fn a_sidecar_that_drains_under_load_fails_no_request() {
    let mut scene = Scene::new(Protocol::Http);
    let mut triggers = Vec::new();
    for _ in 0..3 {
        let (trigger, drain) = leno_kit::drain::channel();
        triggers.push(trigger);
        let sidecar = Sidecar { drain, ..Sidecar::strict() };
        let pod = app(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Response::new(Full::from("x"))
        });
        scene = scene.meshed_pod(pod.await, "v1", sidecar).await;
    }
    let client = Arc::new(scene.start().await);
    let load = {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let mut statuses = std::collections::BTreeMap::new();
            for i in 0..80 {
                let method = if i % 2 == 0 { "GET" } else { "POST" };
                let all = (0..10).map(|_| client.send(request(method, "/")));
                for answer in futures::future::join_all(all).await {
                    *statuses.entry((answer.status, answer.body)).or_insert(0) += 1;
                }
            }
            statuses
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let last = triggers.pop();
    for (place, trigger) in triggers.into_iter().enumerate() {
        // As in a cluster: it drains, others learn that it goes, and at last it is gone.
        let draining = tokio::spawn(trigger.drain(Duration::from_millis(100), Duration::from_secs(5)));
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.set_endpoints(client.endpoints[place + 1..].to_vec());
        assert!(draining.await.expect("drained"), "all that was under way ended by itself");
    }
    let statuses = load.await.expect("the load ends");
    assert_eq!(statuses, [((200, "x".to_owned()), 800)].into());
    drop(last);
}

#[tokio::test]
async fn connections_that_the_application_closed_while_idle_fail_no_request() {
    // Closes each connection after its first answer, without saying so before.
    let closing = raw(|mut stream| async move {
        use tokio::io::AsyncWriteExt;
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let plain = Scene::new(Protocol::Http).plain_pod(closing, "v1").start().await;
    let meshed = Scene::new(Protocol::Http).meshed_pod(closing, "v1", Sidecar::strict()).await.start().await;
    for _ in 0..30 {
        assert_eq!(plain.get("/").await.body, "ok");
        assert_eq!(meshed.send(request("POST", "/")).await.body, "ok");
    }
}

#[tokio::test]
async fn what_an_application_has_read_is_not_given_to_it_again() {
    // Answers once on each connection, reads a second request, and closes.
    let read = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&read);
    let moody = raw(move |mut stream| {
        let read = Arc::clone(&counted);
        async move {
            use tokio::io::AsyncWriteExt;
            let mut buffer = [0; 1024];
            for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""] {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                read.fetch_add(u32::from(n > 0), Ordering::Relaxed);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    let meshed = Scene::new(Protocol::Http).meshed_pod(moody, "v1", Sidecar::strict()).await.start().await;
    for expected in [200, 503, 200, 503] {
        let answer = meshed.get("/").await;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
    assert_eq!(read.load(Ordering::Relaxed), 4, "each was read once");
}
