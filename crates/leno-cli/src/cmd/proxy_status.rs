//! `leno proxy-status`: do all sidecars have what the control plane has?

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use super::{Globals, Output};
use crate::access::{self, Access, System};
use crate::table::{Cell, Look, Screen, Table};

/// Shows for each sidecar whether it has the newest configuration, and what it refused and why.
///
/// SYNCED: it has acknowledged all that was sent. STALE: an answer is outstanding. NACK: it refused something, and keeps
/// the last good version of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// One sidecar as the control plane sees it (`GET :15014/leno/v1/proxies`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, serde::Serialize)]
#[serde(default)]
pub(crate) struct Proxy {
    /// Namespace.
    pub(crate) namespace: String,
    /// Pod.
    pub(crate) pod: String,
    /// Its address.
    pub(crate) ip: String,
    /// Version of leno-proxy.
    pub(crate) version: String,
    /// Owner.
    pub(crate) workload: String,
    /// Owner's kind.
    pub(crate) kind: String,
    /// Since when, as the control plane writes it.
    pub(crate) connected_since: serde_json::Value,
    /// By kind of resource.
    pub(crate) sync: BTreeMap<String, Sync>,
    /// Has acknowledged everything.
    pub(crate) synced: bool,
}

/// One kind of resource at one sidecar.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, serde::Serialize)]
#[serde(default)]
pub(crate) struct Sync {
    /// Names asked for.
    pub(crate) subscribed: u64,
    /// Resources sent.
    pub(crate) sent: u64,
    /// Of these, acknowledged.
    pub(crate) acked: u64,
    /// Refused.
    pub(crate) nacked: Vec<Nack>,
}

/// A refused resource.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, serde::Serialize)]
#[serde(default)]
pub(crate) struct Nack {
    /// Which.
    pub(crate) name: String,
    /// Why.
    pub(crate) message: String,
}

impl Proxy {
    fn status(&self) -> Cell {
        if self.sync.values().any(|s| !s.nacked.is_empty()) {
            Cell::new("NACK", Look::Bad)
        } else if self.synced {
            Cell::new("SYNCED", Look::Good)
        } else {
            Cell::new("STALE", Look::Warn)
        }
    }
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mesh = access::connect(globals)?;
    let mut proxies = proxies(mesh.as_ref())?;
    proxies.retain(|p| args.namespace.as_ref().is_none_or(|ns| *ns == p.namespace));
    proxies.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    if args.output.print(&proxies)? {
        return Ok(ExitCode::SUCCESS);
    }
    let missing: Vec<String> = mesh
        .pods()?
        .into_iter()
        .filter(|p| p.meshed && !p.ended && args.namespace.as_ref().is_none_or(|ns| *ns == p.namespace))
        .filter(|p| !proxies.iter().any(|x| x.pod == p.name && x.namespace == p.namespace))
        .map(|p| format!("{}.{}", p.name, p.namespace))
        .collect();
    print!("{}", text(&proxies, &missing, args.output == Output::Wide, &Screen::stdout()));
    Ok(ExitCode::SUCCESS)
}

/// All connected sidecars.
///
/// # Errors
/// When the control plane does not answer.
pub(crate) fn proxies(mesh: &dyn Access) -> anyhow::Result<Vec<Proxy>> {
    let mut all = Vec::new();
    for value in access::system_json(mesh, System::Control, "/leno/v1/proxies")? {
        let mut some: Vec<Proxy> = serde_json::from_value(value).context("the control plane's answer")?;
        all.append(&mut some);
    }
    Ok(all)
}

fn text(proxies: &[Proxy], missing: &[String], wide: bool, screen: &Screen) -> String {
    if proxies.is_empty() && missing.is_empty() {
        return "no sidecar is connected\n".to_owned();
    }
    let mut header = vec!["NAME", "VERSION", "STATUS", ">SENT", ">ACKED"];
    if wide {
        header.extend(["ADDRESSES", "SERVICES", "ENDPOINTS", "ROUTES", "POLICIES", "MESH", "IP"]);
    }
    let mut table = Table::new(&header);
    let mut refused = String::new();
    for proxy in proxies {
        let name = format!("{}.{}", proxy.pod, proxy.namespace);
        let sum = |f: fn(&Sync) -> u64| proxy.sync.values().map(f).sum::<u64>().to_string();
        let mut row: Vec<Cell> = vec![
            name.clone().into(),
            proxy.version.clone().into(),
            proxy.status(),
            sum(|s| s.sent).into(),
            sum(|s| s.acked).into(),
        ];
        if wide {
            for kind in KINDS {
                let sync = proxy.sync.iter().find(|(k, _)| k.eq_ignore_ascii_case(kind)).map(|(_, s)| s);
                row.push(sync.map_or_else(|| "-".to_owned(), |s| format!("{}/{}", s.acked, s.sent)).into());
            }
            row.push(proxy.ip.clone().into());
        }
        table.row(row);
        for (kind, sync) in &proxy.sync {
            for nack in &sync.nacked {
                refused.push_str(&format!("{name} refused {kind} {}: {}\n", nack.name, nack.message));
            }
        }
    }
    for name in missing {
        let mut row: Vec<Cell> = vec![name.clone().into(), "-".into(), Cell::new("DISCONNECTED", Look::Bad)];
        row.resize(header.len(), "-".into());
        table.row(row);
    }
    table.render(screen) + &refused
}

/// Kinds of resource, as `-o wide` shows them.
const KINDS: [&str; 6] = ["Address", "Service", "Endpoints", "Routes", "Policies", "Mesh"];

#[cfg(test)]
mod tests;
