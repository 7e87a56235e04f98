//! Gathering: which proxies there are, and what each of them saw.

pub(crate) mod fetch;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use leno_core::names::port;
use leno_core::samples::Samples;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::api::{Shared, now};
use crate::window::ProxyId;

/// Where the control plane's monitoring port is.
#[derive(Clone, Debug)]
pub struct Control {
    one: Arc<str>,
    all: Arc<str>,
}

impl Control {
    /// At `host:port`, whichever replica answers there.
    #[must_use]
    pub fn new(one: impl Into<Arc<str>>) -> Self {
        let one = one.into();
        Self { all: Arc::clone(&one), one }
    }

    /// With `host:port` whose name has the addresses of all replicas: each knows only the sidecars connected to it.
    #[must_use]
    pub fn with_replicas(self, all: impl Into<Arc<str>>) -> Self {
        Self { all: all.into(), ..self }
    }

    /// For what every replica knows.
    #[must_use]
    pub fn one(&self) -> &str {
        &self.one
    }
}

/// How and where to gather.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The control plane.
    pub control: Control,
    /// Time between two scrapes of one proxy.
    pub step: Duration,
    /// Port of the proxies that serves samples; 15020.
    pub port: u16,
}

impl Settings {
    /// With the usual step and port.
    #[must_use]
    pub const fn new(control: Control) -> Self {
        Self { control, step: Duration::from_secs(5), port: port::STATUS }
    }
}

/// Keeps the window filled until the task is dropped.
pub async fn run(settings: Settings, window: Shared) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut scrapers: HashMap<Listed, JoinHandle<()>> = HashMap::new();
    let mut reachable = true;
    loop {
        match list(&settings.control).await {
            Ok(listed) => {
                if !std::mem::replace(&mut reachable, true) {
                    info!(control = settings.control.one(), "the control plane answers again");
                }
                scrapers.retain(|_, task| !task.is_finished());
                for proxy in listed {
                    scrapers.entry(proxy.clone()).or_insert_with(|| {
                        tokio::spawn(scrape(proxy, settings.clone(), Arc::clone(&window), Arc::clone(&places)))
                    });
                }
            }
            // The proxies known so far are scraped on.
            Err(error) if reachable => {
                warn!(control = settings.control.one(), "the control plane does not answer: {error}");
                reachable = false;
            }
            Err(_) => {}
        }
        window.lock().unwrap_or_else(PoisonError::into_inner).trim(now());
        tokio::time::sleep(DISCOVERY).await;
    }
}

/// A proxy as the control plane lists it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Listed {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) ip: IpAddr,
}

impl Listed {
    pub(crate) fn id(&self) -> ProxyId {
        ProxyId { namespace: self.namespace.clone(), pod: self.pod.clone() }
    }
}

/// The sidecars that any replica of the control plane knows. A replica that does not answer hides only its own.
///
/// # Errors
/// When none answers.
pub(crate) async fn list(control: &Control) -> Result<Vec<Listed>, fetch::FetchError> {
    let mut replicas: Vec<String> = match tokio::net::lookup_host(&*control.all).await {
        Ok(found) => found.map(|address| address.to_string()).take(MOST_REPLICAS).collect(),
        Err(_) => Vec::new(),
    };
    // Nobody is ready, or the name is not there in this version's installation: the service's own name may still do.
    if replicas.is_empty() {
        replicas.push(control.one.to_string());
    }
    let answers = futures::future::join_all(replicas.iter().map(|replica| list_of(replica))).await;
    let mut found: BTreeMap<ProxyId, Listed> = BTreeMap::new();
    let (mut answered, mut failed) = (false, None);
    for answer in answers {
        match answer {
            Ok(some) => {
                answered = true;
                found.extend(some.into_iter().map(|listed| (listed.id(), listed)));
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !answered => Err(error),
        _ => Ok(found.into_values().collect()),
    }
}

async fn list_of(replica: &str) -> Result<Vec<Listed>, fetch::FetchError> {
    let body = fetch::get(replica, "/leno/v1/proxies", PATIENCE).await?;
    // A proxy that has not told its address yet comes with the next answer.
    let all: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
    Ok(all.into_iter().filter_map(|v| serde_json::from_value(v).ok()).collect())
}

/// Scrapes one proxy until it does not answer any more. It is listed again if it is still there: the control plane
/// itself may have just restarted, so its list alone ends nothing.
async fn scrape(proxy: Listed, settings: Settings, window: Shared, places: Arc<Semaphore>) {
    let id = proxy.id();
    let address = SocketAddr::new(proxy.ip, settings.port).to_string();
    let mut ticks = tokio::time::interval(settings.step);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut failures = 0;
    let mut first = true;
    while failures < FAILURES {
        let sampled = {
            let Ok(_place) = places.acquire().await else { return };
            fetch::get(&address, "/leno/v1/samples", PATIENCE).await
        };
        let at = now();
        match sampled.and_then(|body| Ok(serde_json::from_slice::<Samples>(&body)?)) {
            // Another pod got the address; it is listed, too.
            Ok(samples) if samples.pod != id.pod || samples.namespace != id.namespace => failures += 1,
            Ok(samples) => {
                failures = 0;
                window.lock().unwrap_or_else(PoisonError::into_inner).record(samples, at);
            }
            Err(error) => {
                failures += 1;
                debug!(pod = %format_args!("{}/{}", proxy.namespace, proxy.pod), "no samples: {error}");
            }
        }
        if std::mem::take(&mut first) {
            // Spread over the step, so that not all proxies are asked at the same moment.
            tokio::time::sleep(jitter(&proxy, settings.step)).await;
            ticks.reset();
        }
        ticks.tick().await;
    }
    window.lock().unwrap_or_else(PoisonError::into_inner).gone(&id);
}

fn jitter(proxy: &Listed, step: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    proxy.hash(&mut hasher);
    step.mul_f64((hasher.finish() % 1000) as f64 / 1000.0)
}

/// Time between two looks at the list of proxies.
const DISCOVERY: Duration = Duration::from_secs(2);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Scrapes at once.
const AT_ONCE: usize = 32;
/// Scrapes that fail in a row until a proxy counts as gone.
const FAILURES: u32 = 3;
/// Replicas of the control plane that are asked.
const MOST_REPLICAS: usize = 32;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::{Control, list};

    /// A control plane's replica at `address` that knows one sidecar.
    async fn replica(address: &str, pod: &'static str) -> Option<SocketAddr> {
        let listener = tokio::net::TcpListener::bind(address).await.ok()?;
        let bound = listener.local_addr().ok()?;
        let known =
            Json(json!([{"namespace": "shop", "pod": pod, "ip": "10.0.0.1"}, {"namespace": "shop", "pod": "new"}]));
        let router = Router::new().route("/leno/v1/proxies", get(move || async move { known }));
        tokio::spawn(axum::serve(listener, router).into_future());
        Some(bound)
    }

    #[tokio::test]
    async fn the_sidecars_of_all_replicas_are_known() {
        // `localhost` has two addresses here as the name of a headless service has one for each replica.
        let first = replica("127.0.0.1:0", "web-1").await.unwrap();
        let pods = |control: Control| async move {
            list(&control).await.map(|l| l.into_iter().map(|l| l.pod).collect::<Vec<_>>())
        };
        let control = Control::new(first.to_string()).with_replicas(format!("localhost:{}", first.port()));
        assert_eq!(pods(control.clone()).await.unwrap(), ["web-1"], "one of two addresses has nobody");
        if replica(&format!("[::1]:{}", first.port()), "web-2").await.is_some()
            && tokio::net::lookup_host(("localhost", first.port())).await.is_ok_and(|found| found.count() > 1)
        {
            assert_eq!(pods(control).await.unwrap(), ["web-1", "web-2"]);
        }
        let nameless = Control::new(first.to_string()).with_replicas("no-such-name.invalid:1");
        assert_eq!(pods(nameless).await.unwrap(), ["web-1"], "the service still answers");
        assert!(pods(Control::new("127.0.0.1:9")).await.is_err());
    }
}
