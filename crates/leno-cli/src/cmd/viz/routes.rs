//! The table of `leno viz routes`.

use leno_viz::model::{RouteRow, Routes};

use super::rows::{ms, success};
use crate::table::{Cell, Screen, Table};

/// Linkerd's columns; the most frequent failure where there is room.
pub(super) fn table(routes: &Routes, namespaces: bool, wide: bool, screen: &Screen) -> String {
    if routes.rows.is_empty() {
        return "no requests seen (-A looks in all namespaces, -t 5m further back)\n".to_owned();
    }
    let full = rows(routes, namespaces, true, wide);
    if screen.width.is_none_or(|width| full.width() <= width) {
        return full.render(screen);
    }
    rows(routes, namespaces, false, false).render(screen)
}

fn rows(routes: &Routes, namespaces: bool, failure: bool, wide: bool) -> Table {
    let mut header = if namespaces { vec!["NAMESPACE"] } else { Vec::new() };
    header.extend(["ROUTE", "SERVICE", ">SUCCESS", ">RPS", ">P50", ">P95", ">P99"]);
    let failure = failure && routes.rows.iter().any(|row| row.failure.is_some());
    if failure {
        header.push("MOST FAIL BY");
    }
    if wide {
        header.push(">REQUESTS");
    }
    let mut table = Table::new(&header);
    for row in &routes.rows {
        table.row(cells(row, namespaces, failure, wide));
    }
    table
}

fn cells(row: &RouteRow, namespaces: bool, failure: bool, wide: bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = if namespaces { vec![row.namespace.clone().into()] } else { Vec::new() };
    // Linkerd's word for what no rule with a name took.
    let route = if row.route.is_empty() { "[DEFAULT]" } else { &row.route };
    cells.extend([
        route.into(),
        row.service.clone().into(),
        success(row.success),
        format!("{:.1}rps", row.rps).into(),
        ms(row.p50_ms),
        ms(row.p95_ms),
        ms(row.p99_ms),
    ]);
    if failure {
        cells.push(row.failure.as_deref().unwrap_or("-").into());
    }
    if wide {
        cells.push(row.requests.to_string().into());
    }
    cells
}
