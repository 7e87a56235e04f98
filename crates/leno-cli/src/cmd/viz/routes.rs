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
    header.extend(["ROUTE", "SERVICE"]);
    // Linkerd's words: effective is what callers got, actual what the pods answered to each try.
    header.extend(if wide {
        &[">EFFECTIVE_SUCCESS", ">EFFECTIVE_RPS", ">ACTUAL_SUCCESS", ">ACTUAL_RPS"][..]
    } else {
        &[">SUCCESS", ">RPS"]
    });
    header.extend([">P50", ">P95", ">P99"]);
    let failure = failure && routes.rows.iter().any(|row| row.failure.is_some());
    if failure {
        header.push("MOST FAIL BY");
    }
    if wide {
        header.extend([">RETRIES", ">TIMEOUTS", ">REQUESTS"]);
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
    cells.extend([route.into(), row.service.clone().into(), success(row.success), format!("{:.1}rps", row.rps).into()]);
    if wide {
        cells.extend([success(row.actual_success), format!("{:.1}rps", row.actual_rps).into()]);
    }
    cells.extend([ms(row.p50_ms), ms(row.p95_ms), ms(row.p99_ms)]);
    if failure {
        cells.push(row.failure.as_deref().unwrap_or("-").into());
    }
    if wide {
        cells.extend([row.retries, row.timeouts, row.requests].map(|n| Cell::from(n.to_string())));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_tells_what_retries_mended() {
        let row = RouteRow {
            namespace: "shop".to_owned(),
            service: "reviews".to_owned(),
            route: "slow".to_owned(),
            success: Some(0.99),
            rps: 10.0,
            p50_ms: Some(1.0),
            p95_ms: Some(2.0),
            p99_ms: Some(3.0),
            requests: 600,
            actual_success: Some(0.9),
            actual_rps: 11.0,
            retries: 60,
            timeouts: 6,
            failure: None,
            covered: None,
        };
        let routes = Routes { window_s: 60.0, rows: vec![row] };
        let text = table(&routes, false, true, &Screen::default());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][2..6], ["EFFECTIVE_SUCCESS", "EFFECTIVE_RPS", "ACTUAL_SUCCESS", "ACTUAL_RPS"]);
        assert_eq!(lines[1][2..6], ["99.00%", "10.0rps", "90.00%", "11.0rps"]);
        assert_eq!(
            (&lines[0][9..], &lines[1][9..]),
            (&["RETRIES", "TIMEOUTS", "REQUESTS"][..], &["60", "6", "600"][..])
        );
        assert!(!table(&routes, false, false, &Screen::default()).contains("ACTUAL"));
    }
}
