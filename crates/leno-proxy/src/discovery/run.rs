//! Carries questions to the control plane and its answers back.

use std::time::Duration;

use leno_xds::client::{Client, Config, Event, Node, TokenSource};
use leno_xds::transport::Connector;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

use super::store::{Store, TICK_SECONDS};
use super::{Command, Discovery};

/// How the control plane is reached.
pub struct Connection {
    /// Who asks.
    pub node: Node,
    /// Opens a TLS stream to it.
    pub connector: Connector,
    /// Reads the token, anew for each stream.
    pub token: TokenSource,
}

/// Runs until the process ends. `commands` comes from [`Discovery::new`].
pub async fn run(discovery: Discovery, mut commands: mpsc::UnboundedReceiver<Command>, connection: Connection) {
    let Connection { node, connector, token } = connection;
    let (client, mut events) = Client::spawn(Config::new(node), connector, token);
    let mut log = Log::default();
    let period = Duration::from_secs(TICK_SECONDS);
    let mut tick = tokio::time::interval_at(Instant::now() + period, period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Subscribe(name)) => client.subscribe(name),
                Some(Command::Unsubscribe(name)) => client.unsubscribe(name),
                None => return,
            },
            event = events.recv() => match event {
                Some(event) => {
                    log.event(&event, &discovery);
                    if event == Event::Connected {
                        discovery.shared.connections.send_modify(|n| *n += 1);
                    }
                    let was_ready = discovery.is_ready();
                    discovery.change(|store| store.apply(event));
                    if discovery.is_ready() && !was_ready {
                        info!("configuration is in");
                    }
                }
                None => return,
            },
            _ = tick.tick() => {
                discovery.change(Store::tick);
                if !discovery.is_ready() {
                    info!("still waiting for {} from the control plane", discovery.missing().join(", "));
                }
            }
        }
    }
}

/// Says what a person should know, once: a control plane that stays away is not a line every ten seconds.
#[derive(Debug, Default)]
struct Log {
    connected: bool,
    last: Option<String>,
}

impl Log {
    fn event(&mut self, event: &Event, discovery: &Discovery) {
        match event {
            Event::Connected => {
                info!("connected to the control plane");
                self.connected = true;
                self.last = None;
            }
            Event::Disconnected(reason) => {
                if self.connected || self.last.as_ref() != Some(reason) {
                    if discovery.is_ready() {
                        warn!(%reason, "no control plane; the last known configuration stays in force");
                    } else {
                        warn!(%reason, "no control plane yet; connections wait");
                    }
                }
                self.connected = false;
                self.last = Some(reason.clone());
            }
            Event::Refused(name, reason) => {
                warn!(resource = %name, %reason, "an update cannot be read; the last good one stays in force");
            }
            Event::Update(..) | Event::Absent(_) => {}
        }
    }
}
