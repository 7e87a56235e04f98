//! The whole control plane in this process: a folder of files on one side, real clients over TLS on the other.

mod support;

use std::time::{Duration, Instant};

use leno_core::id::{ServiceId, SpiffeId};
use leno_core::model::route::RouteAction;
use leno_identity::token::TokenRequest;
use leno_identity::{Csr, TokenSigner};
use leno_xds::ca_client::{self, SignError};
use leno_xds::client::Event;
use leno_xds::wire::{Resource, ResourceName};

use support::{Control, DESTINATION_RULE, MESH, absent, update, virtual_service};

fn reviews() -> ServiceId {
    ServiceId::new("shop", "reviews")
}

fn weights(resource: &Resource) -> Vec<u32> {
    let Resource::Routes(routes) = resource else { panic!("{resource:?}") };
    let RouteAction::Forward(backends) = &routes.tables[0].http[0].action else { panic!("{routes:?}") };
    backends.iter().map(|b| b.weight).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_reaches_a_proxy_and_a_bad_one_changes_nothing() {
    let control =
        Control::start(&[("mesh.yaml", MESH), ("dr.yaml", DESTINATION_RULE), ("vs.yaml", &virtual_service(90))]).await;
    let (client, mut events) = control.proxy("web-1", "shop", "web");
    client.subscribe(ResourceName::service(&ServiceId::new("shop", "none")));
    assert_eq!(events.recv().await, Some(Event::Connected));
    assert_eq!(absent(&mut events).await, ResourceName::service(&ServiceId::new("shop", "none")));
    client.subscribe(ResourceName::routes(&reviews()));
    assert_eq!(weights(&update(&mut events).await), [90, 10]);

    // The way from the file to the proxy.
    let mut delays = Vec::new();
    for weight in 1..=20 {
        let start = Instant::now();
        control.write("vs.yaml", &virtual_service(weight));
        assert_eq!(weights(&update(&mut events).await), [weight, 100 - weight]);
        delays.push(start.elapsed());
    }
    delays.sort();
    println!("file written to proxy updated: p50 {:?}, worst {:?}", delays[10], delays[19]);
    assert!(delays[10] < Duration::from_millis(200), "{delays:?}");

    control.write("vs.yaml", &virtual_service(55).replace("weight: 55", "weight: many"));
    let refused = control.object("VirtualService", "reviews", |o| o["state"] == "refused").await;
    assert_eq!(refused["in_force"], true);
    let message = refused["messages"][0].as_str().unwrap();
    assert!(message.contains("vs.yaml:") && message.contains("weight"), "{message}");

    // Not even YAML.
    control.write("vs.yaml", "a: [");
    control
        .object("VirtualService", "reviews", |o| {
            o["messages"][0].as_str().is_some_and(|m| m.contains("not valid YAML"))
        })
        .await;
    control.write("vs.yaml", &virtual_service(60));
    assert_eq!(weights(&update(&mut events).await), [60, 40]);
    let object = control.object("VirtualService", "reviews", |o| o["state"] == "accepted" && o["live"] == 1).await;
    assert_eq!(object["of"], 1);

    control.remove("vs.yaml");
    assert_eq!(absent(&mut events).await, ResourceName::routes(&reviews()));
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_comes_back_gets_only_what_changed() {
    let control =
        Control::start(&[("mesh.yaml", MESH), ("dr.yaml", DESTINATION_RULE), ("vs.yaml", &virtual_service(90))]).await;
    let (client, mut events) = control.proxy("web-1", "shop", "web");
    for name in
        [ResourceName::routes(&reviews()), ResourceName::service(&reviews()), ResourceName::endpoints(&reviews())]
    {
        client.subscribe(name);
    }
    assert_eq!(events.recv().await, Some(Event::Connected));
    for _ in 0..3 {
        update(&mut events).await;
    }
    control.object("VirtualService", "reviews", |o| o["live"] == 1).await;

    let control = control.restart_with(|control| control.write("vs.yaml", &virtual_service(10))).await;
    assert!(matches!(events.recv().await, Some(Event::Disconnected(_))));
    loop {
        match events.recv().await {
            Some(Event::Connected) => break,
            Some(Event::Disconnected(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(weights(&update(&mut events).await), [10, 90]);
    control.object("VirtualService", "reviews", |o| o["live"] == 1).await;
    // Nothing else was sent.
    assert!(events.try_recv().is_err());
    let proxies = control.get("/leno/v1/proxies").await;
    assert_eq!(proxies[0]["sync"]["Routes"]["sent"], 1);
    assert_eq!(proxies[0]["sync"]["Service"]["sent"], 0);
    assert_eq!(proxies[0]["sync"]["Service"]["subscribed"], 1);
    assert_eq!(proxies[0]["synced"], true);
    assert_eq!(proxies[0]["workload"], "web");
    assert_eq!(proxies[0]["kind"], "deployment");
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_signs_the_callers_own_identity_only() {
    let control = Control::start(&[("mesh.yaml", MESH)]).await;
    let token = control.token("web-1", "shop", "web");
    let own = SpiffeId::new("cluster.local", "shop", "web");
    let csr = Csr::generate(&own).unwrap();
    let chain = ca_client::sign(control.channel().await, &token, csr.pem(), Duration::from_secs(20)).await.unwrap();
    let (svid, roots) = csr.into_svid(&chain, std::time::SystemTime::now()).unwrap();
    assert_eq!(svid.id, own);
    assert_eq!(roots, control.roots);
    let life = svid.not_after.duration_since(svid.issued).unwrap();
    assert!(life <= Duration::from_secs(20) && life > Duration::from_secs(15), "{life:?}");

    let other = Csr::generate(&SpiffeId::new("cluster.local", "shop", "payment")).unwrap();
    let refused = ca_client::sign(control.channel().await, &token, other.pem(), Duration::from_secs(20)).await;
    let Err(SignError::Refused(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("payment"), "{reason}");

    // Asked for a year: the limit of these tests is a day.
    let csr = Csr::generate(&own).unwrap();
    let year = Duration::from_secs(365 * 86_400);
    let chain = ca_client::sign(control.channel().await, &token, csr.pem(), year).await.unwrap();
    let (svid, _) = csr.into_svid(&chain, std::time::SystemTime::now()).unwrap();
    assert!(svid.not_after.duration_since(svid.issued).unwrap() <= Duration::from_secs(86_400));
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_refused_in_words() {
    let control = Control::start(&[("mesh.yaml", MESH)]).await;
    let audience = leno_core::names::TOKEN_AUDIENCE;
    let hour = Duration::from_secs(3600);
    let long_ago = std::time::SystemTime::now() - 10 * hour;
    let issue = |signer: &TokenSigner, audience: &str, at| {
        signer.issue(TokenRequest { audience, ..support::request("web-1", "shop", "web") }, at, hour).unwrap()
    };
    let now = std::time::SystemTime::now();
    let stranger = TokenSigner::generate().unwrap();
    for (token, words) in [
        (issue(&control.signer, audience, long_ago), "expired"),
        (issue(&control.signer, "elsewhere", now), "audience"),
        (issue(&stranger, audience, now), "signature"),
        ("rubbish".to_owned(), "token"),
    ] {
        let (client, mut events) = control.proxy_with("web-1", "shop", move || Ok(token.clone()));
        client.subscribe(ResourceName::mesh());
        let Some(Event::Disconnected(reason)) = events.recv().await else { panic!("{words}") };
        assert!(reason.contains(words), "{reason}");
    }
    // A good token for another pod.
    let token = control.token("web-1", "shop", "web");
    let (client, mut events) = control.proxy_with("cart-1", "shop", move || Ok(token.clone()));
    client.subscribe(ResourceName::mesh());
    assert_eq!(events.recv().await, Some(Event::Connected));
    let Some(Event::Disconnected(reason)) = events.recv().await else { panic!() };
    assert_eq!(reason, "the node is cart-1.shop, but its token is for web-1.shop");

    let metrics = control.text("/metrics").await;
    assert!(metrics.contains("citadel_server_authentication_failure_count 4"), "{metrics}");
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_goes_away_is_told_at_once() {
    let control = Control::start(&[("mesh.yaml", MESH)]).await;
    let (client, mut events) = control.proxy("web-1", "shop", "web");
    client.subscribe(ResourceName::endpoints(&reviews()));
    assert_eq!(events.recv().await, Some(Event::Connected));
    let ready = |resource: &Resource| match resource {
        Resource::Endpoints(e) => e.endpoints.iter().map(|e| (e.workload.pod.clone(), e.ready)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let both = |second: bool| vec![("reviews-1".to_owned(), true), ("reviews-2".to_owned(), second)];
    assert_eq!(ready(&update(&mut events).await), both(true));
    let start = Instant::now();
    control.write("mesh.yaml", &MESH.replace("ready: true # second", "ready: false"));
    assert_eq!(ready(&update(&mut events).await), both(false));
    println!("readiness told in {:?}", start.elapsed());

    let metrics = control.text("/metrics").await;
    assert!(metrics.contains("pilot_xds{version=\"0.1.0\"} 1"), "{metrics}");
    assert!(metrics.contains("pilot_services 1"), "{metrics}");
    let dump = control.get("/debug/config_dump?kind=Endpoints").await;
    assert_eq!(dump["Endpoints"][0]["name"], "shop/reviews");
    let sync = control.get("/debug/syncz").await;
    assert_eq!(sync[0]["proxy"], "web-1.shop");
    control.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = support::settings(folder.path());
    settings.listen = taken.local_addr().unwrap();
    let error = format!("{:#}", leno_control::app::App::start(settings).await.unwrap_err());
    assert!(error.starts_with(&format!("cannot listen on {}", taken.local_addr().unwrap())), "{error}");

    let mut settings = support::settings(folder.path());
    settings.config = Some(folder.path().join("nowhere"));
    let error = format!("{:#}", leno_control::app::App::start(settings).await.unwrap_err());
    assert!(error.contains("nowhere"), "{error}");

    let mut settings = support::settings(folder.path());
    settings.ca_dir = Some(folder.path().to_owned());
    let error = format!("{:#}", leno_control::app::App::start(settings).await.unwrap_err());
    assert!(error.contains("ca-cert.pem"), "{error}");
}

/// What a change of endpoints and one of a route come to: resources built, proxies told, responses and bytes sent.
#[derive(Debug, PartialEq)]
struct Work([f64; 4]);

async fn work_so_far(control: &Control) -> Work {
    let text = control.text("/metrics").await;
    let sum = |name: &str| -> f64 {
        let values = text.lines().filter(|l| l.starts_with(name)).filter_map(|l| l.rsplit_once(' '));
        values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    };
    Work([
        sum("leno_control_resources_built_total"),
        sum("leno_control_proxies_told_total"),
        sum("pilot_xds_pushes{"),
        sum("pilot_xds_config_size_bytes_sum"),
    ])
}

/// The same two changes, which concern two proxies, with others beside them that they do not concern.
async fn work_beside(services: usize, proxies: usize) -> Work {
    let other = |n: usize| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: other-{n}, namespace: shop}}, \
             spec: {{clusterIP: 10.96.1.{n}, ports: [{{name: http, port: 80}}]}}}}\n"
        )
    };
    let others: String = (1..=services).map(other).collect();
    let files = [
        ("mesh.yaml", MESH),
        ("dr.yaml", DESTINATION_RULE),
        ("vs.yaml", &virtual_service(90)),
        ("others.yaml", &others),
    ];
    let control = Control::start(&files).await;
    let mut clients = Vec::new();
    for n in 0..proxies {
        let (client, mut events) = control.proxy(&format!("other-{n}"), "shop", "web");
        let ids = (1..=services).map(|n| ServiceId::new("shop", format!("other-{n}")));
        let names: Vec<_> = ids.flat_map(|id| [ResourceName::service(&id), ResourceName::endpoints(&id)]).collect();
        names.iter().cloned().for_each(|name| client.subscribe(name));
        assert_eq!(events.recv().await, Some(Event::Connected));
        for _ in &names {
            update(&mut events).await;
        }
        clients.push((client, events));
    }
    let mut concerned = Vec::new();
    for pod in ["web-1", "web-2"] {
        let (client, mut events) = control.proxy(pod, "shop", "web");
        let names =
            [ResourceName::service(&reviews()), ResourceName::endpoints(&reviews()), ResourceName::routes(&reviews())];
        names.iter().cloned().for_each(|name| client.subscribe(name));
        assert_eq!(events.recv().await, Some(Event::Connected));
        for _ in &names {
            update(&mut events).await;
        }
        concerned.push((client, events));
    }

    // It is counted after it is sent.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = work_so_far(&control).await;
    control.write("mesh.yaml", &MESH.replace("ready: true # second", "ready: false"));
    for (_, events) in &mut concerned {
        update(events).await;
    }
    control.write("vs.yaml", &virtual_service(80));
    for (_, events) in &mut concerned {
        update(events).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = work_so_far(&control).await;
    for (_, events) in &mut clients {
        assert!(events.try_recv().is_err(), "told of what it did not ask for");
    }
    control.stop().await;
    Work(std::array::from_fn(|n| after.0[n] - before.0[n]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_makes_work_for_those_whom_it_concerns_only() {
    let few = work_beside(1, 1).await;
    assert_eq!(few.0[..3], [2.0, 4.0, 4.0], "{few:?}");
    assert_eq!(work_beside(40, 12).await, few);
}
