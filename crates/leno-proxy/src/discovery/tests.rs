use leno_core::model::{AddressTarget, Endpoints, Service, ServiceKind};
use leno_xds::client::Event;
use leno_xds::wire::{Resource, ResourceName};

use super::*;

fn api() -> ServiceId {
    ServiceId::new("shop", "api")
}

fn vip() -> IpAddr {
    IpAddr::from([10, 96, 0, 1])
}

fn service() -> Service {
    Service { id: api(), kind: ServiceKind::ClusterIp, vips: vec![vip()], ports: Vec::new(), destination_rules: vec![] }
}

fn no_endpoints() -> Endpoints {
    Endpoints { service: api(), endpoints: Vec::new() }
}

#[tokio::test]
async fn a_fixed_mesh_is_ready_at_once_and_answers() {
    let objects = Objects::of_pod("shop", "web-1", "web").service(service()).endpoints(no_endpoints());
    let (discovery, _live) = Discovery::fixed(objects);
    assert!(discovery.is_ready());
    assert_eq!(discovery.viewer().labels["app"], "web");
    let address = discovery.address(vip()).await.found().unwrap();
    assert_eq!(address.target, AddressTarget::Service(api()));
    assert!(discovery.service(&api()).await.found().is_some());
    assert!(matches!(discovery.try_service(&api()), Some(Lookup::Found(_))), "now without waiting");
    assert!(matches!(discovery.address(IpAddr::from([10, 96, 0, 2])).await, Lookup::Absent));
    assert!(matches!(discovery.service(&ServiceId::new("shop", "nothing")).await, Lookup::Absent));
}

#[tokio::test]
async fn changes_of_a_fixed_mesh_are_seen_at_once() {
    let (discovery, live) = Discovery::fixed(Objects::of_pod("shop", "web-1", "web").service(service()));
    let handle = discovery.service(&api()).await.found().unwrap();
    let generation = handle.view().generation;
    let changed = handle.changed();
    tokio::pin!(changed);
    assert!(futures::poll!(&mut changed).is_pending());
    live.set(Resource::Endpoints(Arc::new(no_endpoints())));
    changed.await;
    assert!(handle.view().generation > generation);

    live.remove(ResourceName::service(&api()));
    assert!(handle.is_closed());
    handle.changed().await;
    assert!(matches!(discovery.service(&api()).await, Lookup::Absent));
}

#[tokio::test(start_paused = true)]
async fn a_silent_control_plane_is_waited_for_and_then_given_up() {
    let (discovery, mut commands) = Discovery::new(Own::new(leno_core::model::Workload::default()), Vec::new());
    let begun = tokio::time::Instant::now();
    assert_eq!(discovery.address(vip()).await, Lookup::Unavailable);
    assert_eq!(begun.elapsed(), PATIENCE);
    // The question stays asked: the answer is used when it comes.
    let mut asked = Vec::new();
    while let Ok(command) = commands.try_recv() {
        asked.push(command);
    }
    assert!(asked.contains(&Command::Subscribe(ResourceName::address(vip()))));
    let name = ResourceName::address(vip());
    discovery.change(|store| store.apply(Event::Absent(name)));
    assert_eq!(discovery.try_address(vip()), Some(Lookup::Absent));
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_the_same_are_answered_by_one_question() {
    let (discovery, mut commands) = Discovery::new(Own::new(leno_core::model::Workload::default()), Vec::new());
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let discovery = discovery.clone();
            tokio::spawn(async move { discovery.service(&api()).await.found().is_some() })
        })
        .collect();
    tokio::task::yield_now().await;
    for resource in [Resource::Service(Arc::new(service())), Resource::Endpoints(Arc::new(no_endpoints()))] {
        discovery.change(|store| store.apply(Event::Update(resource.name(), resource, String::new())));
    }
    discovery.change(|store| store.apply(Event::Absent(ResourceName::routes(&api()))));
    for asker in askers {
        assert!(asker.await.unwrap());
    }
    let mut asked = 0;
    while let Ok(command) = commands.try_recv() {
        asked += usize::from(command == Command::Subscribe(ResourceName::service(&api())));
    }
    assert_eq!(asked, 1);
}
