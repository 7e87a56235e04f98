//! Runs a [`DeltaSession`] over gRPC: connects, reconnects, resumes.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{DeltaSession, Event};
use crate::proto::core;
use crate::proto::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use crate::proto::protobuf::{ListValue, Struct, Value, value::Kind};
use crate::transport::{Connector, Timing, authorize, connect, status_words};
use crate::wire::ResourceName;

/// Events that may wait for the consumer before the stream's own flow control holds the control plane back.
const EVENTS: usize = 256;
/// A stream that lived so long was a good one: the next attempt starts without delay.
const GOOD_STREAM: Duration = Duration::from_secs(10);
/// More than any response that a control plane of ours cuts, and room for others.
const MAX_RESPONSE: usize = 64 << 20;

/// Gives the token, read anew for every connection because it is rotated on disk.
pub type TokenSource = Arc<dyn Fn() -> io::Result<String> + Send + Sync>;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Pod name.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// Its addresses.
    pub ips: Vec<String>,
    /// Version of the proxy.
    pub version: String,
}

impl Node {
    /// The xDS node: id `POD.NAMESPACE`, metadata `NAME`, `NAMESPACE`, `INSTANCE_IPS` and `LENO_VERSION`.
    #[must_use]
    pub fn to_proto(&self) -> core::Node {
        let text = |s: &str| Value { kind: Some(Kind::StringValue(s.to_owned())) };
        let ips =
            Value { kind: Some(Kind::ListValue(ListValue { values: self.ips.iter().map(|i| text(i)).collect() })) };
        let fields = [
            ("NAME", text(&self.pod)),
            ("NAMESPACE", text(&self.namespace)),
            ("INSTANCE_IPS", ips),
            ("LENO_VERSION", text(&self.version)),
        ];
        core::Node {
            id: format!("{}.{}", self.pod, self.namespace),
            metadata: Some(Struct { fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() }),
            user_agent_name: "leno-proxy".to_owned(),
            user_agent_version: self.version.clone(),
            ..core::Node::default()
        }
    }

    /// Reads what [`Self::to_proto`] wrote; `None` where the id is not of that form.
    #[must_use]
    pub fn from_proto(node: &core::Node) -> Option<Self> {
        let field = |name: &str| node.metadata.as_ref().and_then(|m| m.fields.get(name)).and_then(|v| v.kind.clone());
        let text = |kind| if let Some(Kind::StringValue(s)) = kind { Some(s) } else { None };
        // A pod's name may hold dots, a namespace may not.
        let (pod, namespace) = node.id.rsplit_once('.').filter(|(p, n)| !p.is_empty() && !n.is_empty())?;
        let ips = match field("INSTANCE_IPS") {
            Some(Kind::ListValue(list)) => list.values.into_iter().filter_map(|v| text(v.kind)).collect(),
            _ => Vec::new(),
        };
        let version = text(field("LENO_VERSION")).unwrap_or_else(|| node.user_agent_version.clone());
        Some(Self { pod: pod.to_owned(), namespace: namespace.to_owned(), ips, version })
    }
}

/// How a [`Client`] runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who asks.
    pub node: Node,
    /// Delay after the first failure, doubled each time; 100 ms. Every delay is cut by up to half at random.
    pub backoff_min: Duration,
    /// Longest delay; 10 s.
    pub backoff_max: Duration,
    /// Limits of the connection.
    pub timing: Timing,
}

impl Config {
    /// The defaults for `node`.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self {
            node,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            timing: Timing::default(),
        }
    }
}

/// A handle to a running client; it stops when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Subscribe(ResourceName),
    Unsubscribe(ResourceName),
}

impl Client {
    /// Starts a client on the current tokio runtime. Events must be taken; they hold the stream back while they wait.
    #[must_use]
    pub fn spawn(config: Config, connector: Connector, token: TokenSource) -> (Self, mpsc::Receiver<Event>) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (events, outbox) = mpsc::channel(EVENTS);
        let session = DeltaSession::new(config.node.to_proto());
        let runner = Runner { config, connector, token, session, inbox, events };
        tokio::spawn(runner.run());
        (Self { commands }, outbox)
    }

    /// Wants `name` from now on; an [`Event::Update`] or [`Event::Absent`] follows.
    pub fn subscribe(&self, name: ResourceName) {
        // A closed channel means that the consumer of events is gone, and with it all interest.
        let _ = self.commands.send(Command::Subscribe(name));
    }

    /// Wants `name` no more.
    pub fn unsubscribe(&self, name: ResourceName) {
        let _ = self.commands.send(Command::Unsubscribe(name));
    }
}

struct Runner {
    config: Config,
    connector: Connector,
    token: TokenSource,
    session: DeltaSession,
    inbox: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
}

/// The handle or the consumer is gone.
struct Abandoned;

impl Runner {
    async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let started = Instant::now();
            let reason = match self.stream().await {
                Ok(reason) => reason,
                Err(Abandoned) => return,
            };
            failures = if started.elapsed() >= GOOD_STREAM { 0 } else { failures.saturating_add(1) };
            if self.events.send(Event::Disconnected(reason)).await.is_err() {
                return;
            }
            if self.pause(self.delay(failures)).await.is_err() {
                return;
            }
        }
    }

    /// One connection, until it ends; returns why.
    async fn stream(&mut self) -> Result<String, Abandoned> {
        let token = match (self.token)() {
            Ok(token) => token,
            Err(e) => return Ok(format!("cannot read the token: {e}")),
        };
        let channel = match connect(&self.connector, self.config.timing).await {
            Ok(channel) => channel,
            Err(reason) => return Ok(reason),
        };
        let (requests, outbound) = mpsc::unbounded_channel();
        for request in self.session.connect() {
            let _ = requests.send(request);
        }
        let mut call = tonic::Request::new(UnboundedReceiverStream::new(outbound));
        if let Err(reason) = authorize(&mut call, &token) {
            return Ok(reason);
        }
        let mut service = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE);
        let mut opening = pin!(service.delta_aggregated_resources(call));
        let mut responses = loop {
            tokio::select! {
                opened = &mut opening => match opened {
                    Ok(response) => break response.into_inner(),
                    Err(status) => return Ok(status_words(&status)),
                },
                command = self.inbox.recv() => {
                    self.obey(command.ok_or(Abandoned)?);
                    self.flush(&requests);
                }
            }
        };
        self.emit(Event::Connected).await?;
        loop {
            tokio::select! {
                response = responses.next() => match response {
                    Some(Ok(response)) => {
                        let handled = self.session.on_response(response);
                        let _ = requests.send(handled.answer);
                        for event in handled.events {
                            self.emit(event).await?;
                        }
                    }
                    Some(Err(status)) => return Ok(status_words(&status)),
                    None => return Ok("the control plane closed the stream".to_owned()),
                },
                command = self.inbox.recv() => {
                    self.obey(command.ok_or(Abandoned)?);
                    self.flush(&requests);
                }
            }
        }
    }

    /// Obeys all commands that wait, and sends what follows from them in one request for each kind.
    fn flush(&mut self, requests: &mpsc::UnboundedSender<crate::proto::discovery::DeltaDiscoveryRequest>) {
        while let Ok(command) = self.inbox.try_recv() {
            self.obey(command);
        }
        for request in self.session.changes() {
            let _ = requests.send(request);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Subscribe(name) => {
                self.session.subscribe(&name);
            }
            Command::Unsubscribe(name) => self.session.unsubscribe(&name),
        }
    }

    async fn emit(&self, event: Event) -> Result<(), Abandoned> {
        self.events.send(event).await.map_err(|_| Abandoned)
    }

    fn delay(&self, failures: u32) -> Duration {
        let doubled =
            self.config.backoff_min.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.config.backoff_max).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Waits, while subscriptions go on being noted.
    async fn pause(&mut self, delay: Duration) -> Result<(), Abandoned> {
        let mut sleep = pin!(tokio::time::sleep(delay));
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                command = self.inbox.recv() => self.obey(command.ok_or(Abandoned)?),
            }
        }
    }
}
