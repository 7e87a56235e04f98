//! The client's half against the server's half, over a wire that loses connections.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use leno_core::model::{MeshConfig, Policies};
use proptest::prelude::*;

use super::*;
use crate::server;
use crate::snapshot::Snapshot;

/// A proxy, a control plane, and what is under way between them.
#[derive(Default)]
struct Pair {
    snapshot: Snapshot,
    server: server::DeltaSession,
    client: DeltaSession,
    up: VecDeque<DeltaDiscoveryRequest>,
    down: VecDeque<DeltaDiscoveryResponse>,
    connected: bool,
    /// What the proxy's user knows.
    view: HashMap<ResourceName, Option<Resource>>,
    refused: Vec<ResourceName>,
    received: usize,
}

impl Pair {
    fn connect(&mut self) {
        self.cut();
        self.server = server::DeltaSession::default();
        self.up.extend(self.client.connect());
        self.connected = true;
    }

    fn cut(&mut self) {
        self.up.clear();
        self.down.clear();
        self.connected = false;
    }

    fn subscribe(&mut self, name: &ResourceName) {
        self.client.subscribe(name);
        self.flush();
    }

    fn unsubscribe(&mut self, name: &ResourceName) {
        self.client.unsubscribe(name);
        self.view.remove(name);
        self.flush();
    }

    fn flush(&mut self) {
        if self.connected {
            self.up.extend(self.client.changes());
        }
    }

    fn change(&mut self, name: &ResourceName, bytes: Option<Bytes>) {
        match bytes {
            Some(bytes) => self.snapshot.set(name, bytes),
            None => self.snapshot.remove(name),
        };
        if self.connected {
            self.down.extend(self.server.on_change([name], &self.snapshot));
        }
    }

    fn step_up(&mut self) {
        if let Some(request) = self.up.pop_front() {
            let handled = self.server.on_request(&request, &self.snapshot).unwrap();
            self.down.extend(handled.responses);
        }
    }

    fn step_down(&mut self) {
        let Some(response) = self.down.pop_front() else { return };
        self.received += response.resources.len() + response.removed_resources.len();
        let handled = self.client.on_response(response);
        self.up.push_back(handled.answer);
        for event in handled.events {
            match event {
                Event::Update(name, resource, _) => {
                    self.view.insert(name, Some(resource));
                }
                Event::Absent(name) => {
                    self.view.insert(name, None);
                }
                Event::Refused(name, _) => self.refused.push(name),
                Event::Connected | Event::Disconnected(_) => {}
            }
        }
    }

    fn settle(&mut self) {
        while !self.up.is_empty() || !self.down.is_empty() {
            self.step_up();
            self.step_down();
        }
    }
}

fn mesh(trust_domain: &str) -> Bytes {
    Resource::Mesh(Arc::new(MeshConfig { trust_domain: trust_domain.to_owned(), ..MeshConfig::default() })).encode()
}

fn policies(namespace: &str, count: usize) -> Bytes {
    let authn = leno_core::model::PeerAuthentication {
        origin: leno_core::id::Origin::default(),
        selector: leno_core::model::Labels::new(),
        mode: leno_core::model::MtlsMode::Strict,
        ports: Vec::new(),
        created: 0,
    };
    let policies = Policies {
        namespace: namespace.to_owned(),
        peer_authentications: vec![authn; count],
        authorization: Vec::new(),
        telemetry: Vec::new(),
    };
    Resource::Policies(Arc::new(policies)).encode()
}

#[test]
fn nothing_is_sent_again_to_a_proxy_that_comes_back() {
    let mut pair = Pair::default();
    pair.change(&ResourceName::mesh(), Some(mesh("a")));
    pair.subscribe(&ResourceName::mesh());
    pair.connect();
    pair.settle();
    assert_eq!(pair.received, 1);
    pair.connect();
    pair.settle();
    assert_eq!(pair.received, 1);
    pair.cut();
    pair.change(&ResourceName::mesh(), Some(mesh("b")));
    pair.connect();
    pair.settle();
    assert_eq!(pair.received, 2);
    let Some(Some(Resource::Mesh(now))) = pair.view.get(&ResourceName::mesh()) else { panic!() };
    assert_eq!(now.trust_domain, "b");
}

#[test]
fn a_bad_resource_is_refused_by_name_and_the_last_good_one_stays() {
    let (good, bad) = (ResourceName::policies("good"), ResourceName::policies("bad"));
    let mut pair = Pair::default();
    for name in [&good, &bad] {
        pair.change(name, Some(policies(&name.key, 1)));
        pair.subscribe(name);
    }
    pair.connect();
    pair.settle();
    pair.snapshot.set(&bad, Bytes::from_static(b"\xff"));
    pair.snapshot.set(&good, policies("good", 2));
    pair.down.extend(pair.server.on_change([&good, &bad], &pair.snapshot));
    pair.settle();
    assert_eq!(pair.refused, std::slice::from_ref(&bad));
    let count = |pair: &Pair, name| match pair.view.get(name) {
        Some(Some(Resource::Policies(p))) => p.peer_authentications.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((count(&pair, &good), count(&pair, &bad)), (2, 1));
    let status = pair.server.status(ResourceKind::Policies);
    assert_eq!(status.refused.keys().map(|k| &**k).collect::<Vec<_>>(), ["bad"]);

    // A new connection tries it again, and only it.
    let before = pair.received;
    pair.connect();
    pair.settle();
    assert_eq!(pair.received - before, 1);
    assert_eq!(pair.refused.len(), 2);

    pair.change(&bad, Some(policies("bad", 3)));
    pair.settle();
    assert_eq!(count(&pair, &bad), 3);
    assert!(pair.server.status(ResourceKind::Policies).synced());
}

#[test]
fn the_node_goes_with_the_first_request_only() {
    let mut client =
        DeltaSession::new(Node { pod: "p".to_owned(), namespace: "n".to_owned(), ..Node::default() }.to_proto());
    client.subscribe(&ResourceName::mesh());
    client.subscribe(&ResourceName::policies("n"));
    let requests = client.connect();
    let nodes: Vec<_> = requests.iter().map(|r| r.node.as_ref().map(|n| n.id.as_str())).collect();
    assert_eq!(nodes, [Some("p.n"), None]);
    client.subscribe(&ResourceName::policies("m"));
    assert!(client.changes().iter().all(|r| r.node.is_none()));
    assert_eq!(client.connect()[0].node.as_ref().unwrap().id, "p.n");
}

#[test]
fn a_node_reads_back() {
    let node = Node {
        pod: "a.b-1".to_owned(),
        namespace: "shop".to_owned(),
        ips: vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()],
        version: "0.1.0".to_owned(),
    };
    assert_eq!(Node::from_proto(&node.to_proto()), Some(node));
    assert_eq!(Node::from_proto(&core::Node { id: "nodots".to_owned(), ..core::Node::default() }), None);
}

#[derive(Clone, Debug)]
enum Op {
    Change(u8, u8),
    Break(u8),
    Remove(u8),
    Subscribe(u8),
    Unsubscribe(u8),
    Up,
    Down,
    Cut,
    Connect,
}

fn op() -> impl Strategy<Value = Op> {
    let which = || 0..4_u8;
    prop_oneof![
        4 => (which(), 1..4_u8).prop_map(|(n, v)| Op::Change(n, v)),
        1 => which().prop_map(Op::Break),
        1 => which().prop_map(Op::Remove),
        3 => which().prop_map(Op::Subscribe),
        2 => which().prop_map(Op::Unsubscribe),
        6 => Just(Op::Up),
        6 => Just(Op::Down),
        1 => Just(Op::Cut),
        1 => Just(Op::Connect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever happens in between: once all is delivered, the proxy knows what the control plane knows of all it wants.
    #[test]
    fn the_two_halves_agree_in_the_end(ops in proptest::collection::vec(op(), 0..60)) {
        let name = |n: u8| ResourceName::policies(&format!("ns{n}"));
        let mut pair = Pair::default();
        for op in ops {
            match op {
                Op::Change(n, v) => pair.change(&name(n), Some(policies(&name(n).key, v.into()))),
                Op::Break(n) => pair.change(&name(n), Some(Bytes::from_static(b"\xff"))),
                Op::Remove(n) => pair.change(&name(n), None),
                Op::Subscribe(n) => pair.subscribe(&name(n)),
                Op::Unsubscribe(n) => pair.unsubscribe(&name(n)),
                Op::Up => pair.step_up(),
                Op::Down => pair.step_down(),
                Op::Cut => pair.cut(),
                Op::Connect => pair.connect(),
            }
        }
        if !pair.connected {
            pair.connect();
        }
        pair.settle();
        // What was broken is mended, so that the end is a definite one.
        for n in 0..4 {
            if pair.snapshot.get(&name(n)).is_some_and(|e| *e.bytes == *b"\xff") {
                pair.change(&name(n), Some(policies(&name(n).key, 9)));
            }
        }
        pair.settle();
        for n in 0..4 {
            let name = name(n);
            let wanted = pair.client.kinds[ResourceKind::Policies.index()].wanted.contains_key(&name.key);
            prop_assert_eq!(pair.server.wants(&name), wanted);
            if wanted {
                let truth = pair.snapshot.get(&name).map(|e| Resource::decode(name.kind, &e.bytes).unwrap());
                prop_assert_eq!(pair.view.get(&name), Some(&truth));
            }
        }
        prop_assert!(pair.server.status(ResourceKind::Policies).synced());
    }
}

#[tokio::test(start_paused = true)]
async fn the_runner_backs_off_and_says_why() {
    let config = Config::new(Node::default());
    let connector = crate::transport::connector(|| async {
        Err::<tokio::io::DuplexStream, _>(std::io::Error::other("no route to control plane"))
    });
    let (client, mut events) = Client::spawn(config, connector, Arc::new(|| Ok("token".to_owned())));
    let start = tokio::time::Instant::now();
    for _ in 0..12 {
        assert_eq!(events.recv().await, Some(Event::Disconnected("no route to control plane".to_owned())));
    }
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_secs(20) && elapsed < Duration::from_secs(60), "{elapsed:?}");
    drop(client);
    while events.recv().await.is_some() {}
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_said() {
    let connector = crate::transport::connector(|| async { Ok(tokio::io::duplex(64).0) });
    let token: TokenSource = Arc::new(|| Err(std::io::Error::other("gone")));
    let (_client, mut events) = Client::spawn(Config::new(Node::default()), connector, token);
    assert_eq!(events.recv().await, Some(Event::Disconnected("cannot read the token: gone".to_owned())));
}
