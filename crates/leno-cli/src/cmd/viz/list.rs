//! `leno viz list`: which pods are in the mesh, and can be tapped.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;

use crate::access::{Access, Pod};
use crate::cmd::Output;
use crate::cmd::proxy_status::{self, Proxy};
use crate::table::{Cell, Look, Screen, Table};

/// Shows which pods are in the mesh, with which version of the sidecar, and whether they can be tapped.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    namespace: String,
    pod: String,
    /// `Deployment/NAME`; empty for a pod of its own.
    workload: String,
    /// Whether it has a sidecar.
    meshed: bool,
    /// The sidecar's version; empty where none is connected to the control plane.
    version: String,
    /// Whether it can be tapped.
    tap: bool,
    /// Why not.
    why: String,
}

/// Runs it.
pub(super) fn run(args: &Args, mesh: &dyn Access) -> anyhow::Result<ExitCode> {
    let pods = mesh.pods()?.into_iter().filter(|p| args.all_namespaces || p.namespace == args.namespace);
    let rows = rows(pods.collect(), &proxy_status::proxies(mesh)?);
    if args.output.print(&rows)? {
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        println!("no pod runs here (-A looks in all namespaces)");
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", table(&rows, args.all_namespaces).render(&Screen::stdout()));
    Ok(ExitCode::SUCCESS)
}

fn rows(mut pods: Vec<Pod>, proxies: &[Proxy]) -> Vec<Row> {
    let connected: BTreeMap<(&str, &str), &Proxy> =
        proxies.iter().map(|p| ((p.namespace.as_str(), p.pod.as_str()), p)).collect();
    pods.retain(|pod| !pod.ended);
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let row = |pod: Pod| {
        let proxy = connected.get(&(pod.namespace.as_str(), pod.name.as_str()));
        let why = match (pod.meshed, proxy) {
            (false, _) => "no sidecar",
            (true, None) => "its sidecar is not connected to the control plane",
            (true, Some(_)) => "",
        };
        let version = proxy.map(|p| p.version.clone()).unwrap_or_default();
        let Pod { namespace, name, owner, meshed, .. } = pod;
        Row { namespace, pod: name, workload: owner, meshed, version, tap: why.is_empty(), why: why.to_owned() }
    };
    pods.into_iter().map(row).collect()
}

fn table(rows: &[Row], namespaces: bool) -> Table {
    let mut header = if namespaces { vec!["NAMESPACE"] } else { Vec::new() };
    header.extend(["POD", "WORKLOAD", "MESHED", "VERSION", "TAP"]);
    let mut table = Table::new(&header);
    let or_dash = |text: &str| Cell::from(if text.is_empty() { "-" } else { text });
    for row in rows {
        let mut cells: Vec<Cell> = if namespaces { vec![row.namespace.clone().into()] } else { Vec::new() };
        let meshed = if row.meshed { Cell::new("yes", Look::Good) } else { Cell::new("no", Look::Warn) };
        let tap =
            if row.tap { Cell::new("yes", Look::Good) } else { Cell::new(format!("no: {}", row.why), Look::Faint) };
        cells.extend([row.pod.clone().into(), or_dash(&row.workload), meshed, or_dash(&row.version), tap]);
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pod_says_whether_it_can_be_tapped_and_why_not() {
        let pod = |name: &str, meshed, ended| Pod {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            owner: format!("Deployment/{name}"),
            meshed,
            ready: true,
            ended,
        };
        let proxy = Proxy {
            namespace: "shop".to_owned(),
            pod: "web".to_owned(),
            version: "1.2.3".to_owned(),
            ..Proxy::default()
        };
        let pods =
            vec![pod("web", true, false), pod("plain", false, false), pod("lost", true, false), pod("job", true, true)];
        let rows = rows(pods, &[proxy]);
        let text = table(&rows, false).render(&Screen::default());
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "POD    WORKLOAD          MESHED  VERSION  TAP",
                "lost   Deployment/lost   yes     -        no: its sidecar is not connected to the control plane",
                "plain  Deployment/plain  no      -        no: no sidecar",
                "web    Deployment/web    yes     1.2.3    yes",
            ]
        );
    }
}
