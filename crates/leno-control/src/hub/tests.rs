use leno_config::{LowerContext, read};

use super::*;
use crate::source::judge;

fn batch(text: &str) -> Batch {
    let context = LowerContext::default();
    let changes = read("test.yaml", text).objects.iter().filter_map(|o| judge(o, &context)).collect();
    Batch { at: Instant::now(), changes, faults: Vec::new() }
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.96.0.7, ports: [{ name: http, port: 80, targetPort: 8080 }] }
";

fn route(weight: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart]
  http: [{{ route: [{{ destination: {{ host: cart }}, weight: {weight} }}] }}]
"
    )
}

fn mode(mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: shop }}
spec: {{ mtls: {{ mode: {mode} }} }}
"
    )
}

const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: cart-x, namespace: shop, labels: { kubernetes.io/service-name: cart } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.9.0.1] }]
";

fn names(push: &Push) -> Vec<String> {
    push.names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_is_applied_together_takes_effect_together() {
    let hub = Hub::new("cluster.local", batch(SERVICE));
    let mut pushes = hub.subscribe();
    let (batches, inbox) = mpsc::channel(8);
    batches.send(batch(&route("100"))).await.unwrap();
    batches.send(batch(&mode("STRICT"))).await.unwrap();
    let running = tokio::spawn(Arc::clone(&hub).run(inbox));
    assert_eq!(names(&pushes.recv().await.unwrap()), ["Routes shop/cart", "Policies shop"]);

    // Endpoints take what waits along: a proxy sees a whole version.
    batches.send(batch(&route("50"))).await.unwrap();
    batches.send(batch(SLICE)).await.unwrap();
    batches.send(batch(&mode("DISABLE"))).await.unwrap();
    let first = names(&pushes.recv().await.unwrap());
    assert_eq!(first, ["Endpoints shop/cart", "Routes shop/cart"]);
    assert_eq!(names(&pushes.recv().await.unwrap()), ["Policies shop"]);
    drop(batches);
    running.await.unwrap();
    assert!(pushes.try_recv().is_err());
}

#[tokio::test]
async fn a_refused_object_leaves_its_last_good_version_in_force() {
    let hub = Hub::new("cluster.local", batch(&format!("{SERVICE}---{}", route("100"))));
    let before = hub.snapshot();
    assert!(hub.snapshot().get(&ResourceName::routes(&leno_core::id::ServiceId::new("shop", "cart"))).is_some());
    hub.apply(batch(&route("-5")));
    hub.push(Instant::now());
    assert!(Arc::ptr_eq(&before, &hub.snapshot()));
    let state = hub.state();
    let (key, status) = state.objects.iter().find(|(key, _)| key.kind == "VirtualService").unwrap();
    assert_eq!(status.state, ObjectState::Refused);
    assert!(state.world.has(key));
    assert!(status.messages[0].contains("weight"), "{:?}", status.messages);
}

#[test]
fn metrics_are_istiods() {
    let hub = Hub::new("cluster.local", batch(SERVICE));
    hub.metrics.pushed(ResourceKind::Routes, 300, Duration::from_millis(2));
    hub.metrics.rejected(ResourceKind::Routes);
    hub.metrics.converged(Duration::from_millis(7));
    let text = hub.metrics.render(3);
    for line in [
        "pilot_xds{version=\"0.1.0\"} 3",
        "pilot_services 1",
        "pilot_xds_pushes{type=\"Routes\"} 1",
        "pilot_total_xds_rejects{type=\"Routes\"} 1",
        "pilot_proxy_convergence_time_bucket{le=\"0.005\"} 0",
        "pilot_proxy_convergence_time_bucket{le=\"0.01\"} 1",
        "pilot_proxy_convergence_time_bucket{le=\"+Inf\"} 1",
        "pilot_proxy_convergence_time_sum 0.007",
        "pilot_k8s_reg_events{type=\"Service\",event=\"add\"} 1",
        "pilot_xds_push_time_bucket{type=\"Routes\",le=\"0.005\"} 1",
        "pilot_xds_config_size_bytes_bucket{type=\"Routes\",le=\"100\"} 0",
        "pilot_xds_config_size_bytes_sum{type=\"Routes\"} 300",
        "pilot_total_xds_internal_errors 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}
