//! In a Kubernetes cluster.

use std::sync::Arc;

use leno_config::LowerContext;
use leno_core::model::MeshConfig;
use leno_identity::Authority;
use leno_kit::Drain;
use leno_kit::drain;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{App, BATCHES, Parts, Tasks, async_ok, listen, monitor, webhooks};
use crate::boot::Settings;
use crate::hub::Hub;
use crate::kube::authority::Keeper;
use crate::kube::connect;
use crate::kube::feed::Feed;
use crate::kube::leader::Election;
use crate::kube::peers::Peers;
use crate::kube::review::TokenReviewer;
use crate::kube::watch::{Home, SETTINGS, everything};
use crate::kube::write::Duties;
use crate::serve::auth::Authenticator;
use crate::serve::monitor::Readiness;
use crate::serve::proxies::Proxies;
use crate::serve::tls::{Certificate, Keys};
use crate::webhook::Counters;
use crate::world::World;

/// All revisions run for it: its holder writes what they would all write to the same objects.
const MESH_LEASE: &str = "leno-control-mesh";
/// News that may wait for the feed.
const NEWS: usize = 256;

/// Starts. Health is answered from the beginning, readiness when all is known that proxies ask for.
pub(super) async fn start(settings: Settings) -> anyhow::Result<App> {
    let cluster = &settings.cluster;
    let client = connect::client().await?;
    let monitoring = listen(settings.monitoring).await?;
    let monitoring_address = monitoring.local_addr()?;
    let world = World::new(&settings.trust_domain).with_also_root(&cluster.namespace);
    let (hub, proxies) = (Hub::empty(world), Arc::new(Proxies::default()));
    let ready = Arc::new(Readiness::default());
    ready.wait_for("the authority in Secret cacerts or leno-ca-secret");
    let (trigger, drain) = drain::channel();
    let mut tasks = JoinSet::new();
    let counters = Arc::<Counters>::default();
    monitor(monitoring, &hub, &proxies, &ready, Some(&counters), &drain, &mut tasks);

    // A container that is started again is the same holder: its forerunner is dead. Outside of a cluster the number tells
    // processes apart.
    let me = format!("{}_{}", cluster.pod_name, std::process::id());
    let lease = format!("leno-control-leader{}", cluster.suffix());
    let (election, leads) = Election::new(client.clone(), &cluster.namespace, lease, me.clone());
    tasks.spawn(async_ok(election.run(drain.clone())));
    let (election, leads_mesh) = Election::new(client.clone(), &cluster.namespace, MESH_LEASE.to_owned(), me);
    tasks.spawn(async_ok(election.run(drain.clone())));

    let keeper = Keeper::new(client.clone(), &cluster.namespace, &settings.trust_domain, leads.clone());
    let (authority, keys) = keep_keys(keeper, &drain, &mut tasks).await;
    let certificate = Certificate::new(&keys, cluster.names())?;

    let (news, mut inbox) = mpsc::channel(NEWS);
    tasks.spawn(until(drain.clone(), everything(client.clone(), home(&settings), news)));
    let mut feed = Feed::new(context(&settings));
    let first = feed.first(&mut inbox, &ready).await;
    hub.load(first.ok_or_else(|| anyhow::anyhow!("the cluster is not followed any more"))?);
    let (namespaces, reports, values) =
        (Arc::clone(&feed.namespaces), Arc::clone(&feed.reports), feed.values.subscribe());
    let (batches, batches_inbox) = mpsc::channel(BATCHES);
    tasks.spawn(until(drain.clone(), feed.follow(inbox, batches)));

    let inputs =
        webhooks::Inputs { namespaces: Arc::clone(&namespaces), values, context: context(&settings), counters };
    webhooks::serve(listen(cluster.webhooks).await?, inputs, cluster, &certificate, &drain, &mut tasks)?;

    let xds = listen(settings.listen).await?;
    let xds_address = xds.local_addr()?;
    let duties = Duties {
        client: client.clone(),
        suffix: cluster.suffix(),
        keys: keys.clone(),
        namespaces,
        reports,
        hub: Arc::clone(&hub),
        proxies: Arc::clone(&proxies),
        peers: Peers { namespace: cluster.namespace.clone(), own: cluster.pod_ip, port: monitoring_address.port() },
    };
    let auth = Authenticator::Review(Arc::new(TokenReviewer::new(client)));
    let parts = Parts { hub: Arc::clone(&hub), proxies, keys, auth, certificate, drain: drain.clone() };
    parts.follow(batches_inbox, &mut tasks);
    parts.serve(xds, settings.cert_ttl_max, &mut tasks)?;
    tasks.spawn(until(drain.clone(), duties.clone().of_revision(leads)));
    tasks.spawn(until(drain.clone(), duties.of_mesh(leads_mesh)));
    ready.set();
    unready(ready, drain);
    tracing::info!(xds = %xds_address, monitoring = %monitoring_address, "leno-control is ready");
    Ok(App { xds: xds_address, monitoring: monitoring_address, hub, authority, trigger, tasks })
}

/// What lowering needs to know.
fn context(settings: &Settings) -> LowerContext {
    LowerContext {
        trust_domain: settings.trust_domain.clone(),
        root_namespace: MeshConfig::default().root_namespace,
        settings: Some((home(settings).namespace, home(settings).settings)),
    }
}

/// Where this revision's settings are: two of them do not share one `ConfigMap`, which names the sidecars' image too.
fn home(settings: &Settings) -> Home {
    let cluster = &settings.cluster;
    Home { namespace: cluster.namespace.clone(), settings: format!("{SETTINGS}{}", cluster.suffix()) }
}

/// Waits for the first authority, and follows it from then on.
async fn keep_keys(mut keeper: Keeper, drain: &Drain, tasks: &mut Tasks) -> (Arc<Authority>, Keys) {
    let first = keeper.next().await;
    let (sender, keys) = watch::channel(Arc::clone(&first));
    tasks.spawn(until(drain.clone(), async move {
        loop {
            sender.send_replace(keeper.next().await);
        }
    }));
    (first, keys)
}

/// Runs a part until the drain starts; it must not end before.
async fn until(drain: Drain, part: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        () = part => anyhow::bail!("the cluster is not followed any more"),
        () = drain.started() => Ok(()),
    }
}

/// Sends nobody here any more once the drain starts.
fn unready(ready: Arc<Readiness>, drain: Drain) {
    tokio::spawn(async move {
        drain.started().await;
        ready.wait_for("its end");
    });
}
