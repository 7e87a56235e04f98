//! Gathering: which proxies there are, and what each of them saw.

pub(crate) mod fetch;

use std::collections::HashMap;
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

/// How and where to gather.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of the control plane's monitoring port.
    pub control: String,
    /// Time between two scrapes of one proxy.
    pub step: Duration,
    /// Port of the proxies that serves samples; 15020.
    pub port: u16,
}

impl Settings {
    /// With the usual step and port.
    #[must_use]
    pub fn new(control: impl Into<String>) -> Self {
        Self { control: control.into(), step: Duration::from_secs(5), port: port::STATUS }
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
                    info!(control = settings.control, "the control plane answers again");
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
                warn!(control = settings.control, "the control plane does not answer: {error}");
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

pub(crate) async fn list(control: &str) -> Result<Vec<Listed>, fetch::FetchError> {
    let body = fetch::get(control, "/leno/v1/proxies", PATIENCE).await?;
    // A proxy that has not told its address yet comes with the next answer.
    let all: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
    Ok(all.into_iter().filter_map(|v| serde_json::from_value(v).ok()).collect())
}

/// Scrapes one proxy until it does not answer any more. It is listed again if it is still there: the control plane
/// itself may have just restarted, so its list alone ends nothing.
async fn scrape(proxy: Listed, settings: Settings, window: Shared, places: Arc<Semaphore>) {
    let id = ProxyId { namespace: proxy.namespace.clone(), pod: proxy.pod.clone() };
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
