//! The other replicas: each knows only the proxies that are connected to it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::kinds::KINDS;
use crate::hub::Hub;
use crate::world::ObjectKey;

/// For one question.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer.
const LONGEST: u64 = 32 << 20;
/// Services of all revisions of the control plane begin so.
const SERVICE: &str = "leno-control";

/// Where they are found.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The namespace that Leno is installed in.
    pub namespace: String,
    /// This replica's own address.
    pub own: Option<IpAddr>,
    /// The port with the reports.
    pub port: u16,
}

impl Peers {
    /// Proxies at the other replicas that live by an object, and that use it. A replica that does not answer counts
    /// for nothing.
    pub async fn live(&self, hub: &Hub) -> HashMap<ObjectKey, (usize, usize)> {
        let mut sums = HashMap::new();
        // Without its own address it would count itself twice.
        let Some(own) = self.own else { return sums };
        let others: Vec<IpAddr> = self.addresses(hub).into_iter().filter(|ip| *ip != own).collect();
        for ip in others {
            for kind in KINDS.iter().filter(|k| !k.built_in) {
                let path = format!("/leno/v1/objects?kind={}", kind.kind);
                let answer = tokio::time::timeout(PATIENCE, get(SocketAddr::new(ip, self.port), &path)).await;
                let Ok(Ok(report)) = answer else {
                    tracing::debug!(%ip, "another replica does not answer");
                    break;
                };
                add(&mut sums, kind.group, &report);
            }
        }
        sums
    }

    fn addresses(&self, hub: &Hub) -> Vec<IpAddr> {
        let state = hub.state();
        let services = state.world.services();
        let ours = services.ids().filter(|id| id.namespace == self.namespace && id.name.starts_with(SERVICE));
        let endpoints = ours.flat_map(|id| services.slices(id)).flat_map(|slice| &slice.endpoints);
        let ready = endpoints.filter(|e| e.ready && !e.terminating);
        let mut addresses: Vec<IpAddr> = ready.filter_map(|e| e.addresses.first().copied()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

/// Adds a replica's report.
pub(super) fn add(sums: &mut HashMap<ObjectKey, (usize, usize)>, group: &str, report: &Value) {
    for object in report["objects"].as_array().into_iter().flatten() {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| object[field].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        let key =
            ObjectKey { group: group.to_owned(), kind: text("kind"), namespace: text("namespace"), name: text("name") };
        let sum = sums.entry(key).or_default();
        sum.0 += number("live");
        sum.1 += number("of");
    }
}

async fn get(at: SocketAddr, path: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(&[][..], |at| &answer[at + 4..]);
    serde_json::from_slice(body).map_err(std::io::Error::other)
}
