//! Rows of `leno viz` as tables and JSON.

use std::collections::HashMap;

use leno_viz::model::{Edges, Kind, Meshed, Secured, Stat, StatRow};
use serde_json::{Value, json};

use crate::access::{Access, Pod};
use crate::table::{Cell, Look, Screen, Table};

/// Fills in how many pods there are, those without a sidecar too.
///
/// # Errors
/// When the runtime does not answer.
pub(super) fn add_totals(stat: &mut Stat, mesh: &dyn Access) -> anyhow::Result<()> {
    let Some(kind) = stat.rows.first().map(|row| row.kind) else { return Ok(()) };
    let mut totals: HashMap<(String, String), (u64, u64)> = HashMap::new();
    if kind == Kind::Service {
        for service in mesh.services()? {
            totals.insert((service.namespace, service.name), (service.meshed, service.ready));
        }
    } else {
        for pod in mesh.pods()?.into_iter().filter(|pod| !pod.ended) {
            if let Some(key) = row_of(kind, &pod) {
                let entry = totals.entry(key).or_default();
                entry.0 += u64::from(pod.meshed);
                entry.1 += 1;
            }
        }
    }
    for row in &mut stat.rows {
        if let Some((meshed, total)) = totals.get(&(row.namespace.clone(), row.name.clone())) {
            row.meshed = Meshed { meshed: *meshed, total: Some(*total) };
        }
    }
    Ok(())
}

fn row_of(kind: Kind, pod: &Pod) -> Option<(String, String)> {
    let name = match kind {
        Kind::Namespace => pod.namespace.clone(),
        Kind::Pod => pod.name.clone(),
        kind => {
            let (owner, name) = pod.owner.split_once('/')?;
            owner.eq_ignore_ascii_case(kind.as_str()).then(|| name.to_owned())?
        }
    };
    Some((pod.namespace.clone(), name))
}

/// Linkerd's columns.
pub(crate) fn stat_table(stat: &Stat, namespaces: bool, wide: bool, screen: &Screen) -> String {
    if stat.rows.is_empty() {
        return "no traffic seen, and no meshed pod of this kind here yet (-A looks in all namespaces)\n".to_owned();
    }
    let namespaces = namespaces && stat.rows.iter().any(|row| row.kind != Kind::Namespace);
    let table = |titles: [&'static str; 7]| {
        let mut header = if namespaces { vec!["NAMESPACE", "NAME"] } else { vec!["NAME"] };
        header.extend(titles);
        if wide {
            header.extend([">READ_BYTES/SEC", ">WRITE_BYTES/SEC", ">REQUESTS"]);
        }
        let mut table = Table::new(&header);
        for row in &stat.rows {
            table.row(stat_row(row, namespaces, wide));
        }
        table
    };
    let full = table([">MESHED", ">SUCCESS", ">RPS", ">LATENCY_P50", ">LATENCY_P95", ">LATENCY_P99", ">TCP_CONN"]);
    if screen.width.is_none_or(|width| full.width() <= width) {
        return full.render(screen);
    }
    table([">MESHED", ">SUCCESS", ">RPS", ">P50", ">P95", ">P99", ">TCP_CONN"]).render(screen)
}

fn stat_row(row: &StatRow, namespaces: bool, wide: bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    if namespaces {
        cells.push(row.namespace.clone().into());
    }
    let rate = if row.success.is_none() { "-".to_owned() } else { format!("{:.1}rps", row.rps) };
    cells.extend([
        row.name.clone().into(),
        row.meshed.to_string().into(),
        success(row.success),
        rate.into(),
        ms(row.p50_ms),
        ms(row.p95_ms),
        ms(row.p99_ms),
        row.tcp_conns.to_string().into(),
    ]);
    if wide {
        let rate = |value: f64| Cell::from(format!("{value:.1}B/s"));
        cells.extend([rate(row.read_bytes_s), rate(row.write_bytes_s), row.requests.to_string().into()]);
    }
    cells
}

/// Milliseconds: `0.4ms`, `12ms`.
pub(super) fn ms(value: Option<f64>) -> Cell {
    match value {
        None => "-".into(),
        Some(ms) if ms < 9.95 => format!("{ms:.1}ms").into(),
        Some(ms) => format!("{ms:.0}ms").into(),
    }
}

pub(super) fn success(share: Option<f64>) -> Cell {
    let Some(share) = share else { return "-".into() };
    let look = match share {
        s if s >= 0.99 => Look::Good,
        s if s >= 0.9 => Look::Warn,
        _ => Look::Bad,
    };
    // 99.999 % is not 100 %.
    let percent = if share < 1.0 { (share * 1e4).floor() / 1e2 } else { 100.0 };
    Cell::new(format!("{percent:.2}%"), look)
}

/// One object for each row; latencies in milliseconds, success 0 to 1.
pub(super) fn stat_json(stat: &Stat) -> Value {
    let row = |row: &StatRow| {
        json!({
            "namespace": row.namespace,
            "kind": row.kind,
            "name": row.name,
            "meshed": row.meshed.to_string(),
            "success": row.success,
            "rps": row.rps,
            "p50": row.p50_ms,
            "p95": row.p95_ms,
            "p99": row.p99_ms,
            "tcp_conn": row.tcp_conns,
            "read_bytes_per_second": row.read_bytes_s,
            "write_bytes_per_second": row.write_bytes_s,
            "requests": row.requests,
            "window_seconds": stat.window_s,
            "covered": row.covered,
        })
    };
    Value::Array(stat.rows.iter().map(row).collect())
}

/// Linkerd's columns.
pub(crate) fn edges_table(edges: &Edges, wide: bool, screen: &Screen) -> String {
    if edges.rows.is_empty() {
        return "no traffic seen yet; sidecars are asked every 5 s (-A looks in all namespaces, -t 5m further back)\n"
            .to_owned();
    }
    let mut header = vec!["SRC", "DST", "SRC_NS", "DST_NS", "SECURED"];
    if wide {
        header.extend(["CLIENT_ID", "SERVER_ID", ">RPS", ">TCP_CONN"]);
    }
    let mut table = Table::new(&header);
    for row in &edges.rows {
        let look = match row.secured {
            Secured::Mtls => Look::Good,
            Secured::Plaintext => Look::Bad,
            Secured::Mixed => Look::Warn,
        };
        let id = |id: &str| Cell::from(if id.is_empty() { "-" } else { id });
        let mut cells: Vec<Cell> = vec![
            row.src.clone().into(),
            row.dst.clone().into(),
            row.src_ns.clone().into(),
            row.dst_ns.clone().into(),
            Cell::new(row.secured.to_string(), look),
        ];
        if wide {
            cells.extend([id(&row.client_id), id(&row.server_id)]);
            cells.extend([format!("{:.1}", row.rps).into(), row.tcp_conns.to_string().into()]);
        }
        table.row(cells);
    }
    table.render(screen)
}

#[cfg(test)]
mod tests;
