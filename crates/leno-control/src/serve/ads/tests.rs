use leno_config::{LowerContext, read};

use super::*;
use crate::source::{Batch, judge};

fn batch(port: u16) -> Batch {
    let text = format!(
        "
apiVersion: v1
kind: Service
metadata: {{ name: cart, namespace: shop }}
spec: {{ clusterIP: 10.96.0.7, ports: [{{ name: http, port: {port} }}] }}
"
    );
    let context = LowerContext::default();
    let changes = read("test.yaml", &text).objects.iter().filter_map(|o| judge(o, &context)).collect();
    Batch { at: Instant::now(), changes, faults: Vec::new() }
}

fn subscribe(keys: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: ResourceKind::Service.type_url().to_owned(),
        resource_names_subscribe: keys.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// How many are told of a change of the service.
fn told(hub: &Hub, port: u16) -> u64 {
    let before = hub.metrics.told.load(std::sync::atomic::Ordering::Relaxed);
    hub.load(batch(port));
    hub.metrics.told.load(std::sync::atomic::Ordering::Relaxed) - before
}

#[test]
fn a_proxy_hears_of_what_it_was_admitted_for_and_of_nothing_after_it_has_gone() {
    let (hub, proxies) = (Hub::new("cluster.local", batch(80)), Arc::<Proxies>::default());
    let proxy = Connected::new(&hub, &proxies, Proxy::new(Node::default()));
    let refused = proxy.on_request(&subscribe(&["shop/cart", &"x".repeat(1000)]), &hub);
    assert_eq!(refused.unwrap_err(), RequestError::TooMuch);
    assert_eq!(told(&hub, 81), 0);

    let handled = proxy.on_request(&subscribe(&["shop/cart", "shop/cart", "shop/none"]), &hub).unwrap();
    assert_eq!(handled.responses[0].resources.len(), 1);
    assert_eq!(handled.responses[0].removed_resources, ["shop/none"]);
    assert_eq!(told(&hub, 82), 1);
    drop(proxy);
    assert_eq!((told(&hub, 83), proxies.count()), (0, 0));
    // Nobody is left in the index: one who comes again shares nothing with those who were there.
    let listener = hub.listen();
    let key = listener.want(ResourceKind::Service, ["shop/none"]);
    assert_eq!(Arc::strong_count(&key[0]), 2);
}
