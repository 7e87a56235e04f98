//! The table of `leno viz authz`.

use leno_viz::model::{Authz, AuthzRow};

use super::rows::{ms, success};
use crate::table::{Cell, Look, Screen, Table};

/// Linkerd's columns, with Istio's policies: what each let pass and what it denied.
pub(super) fn table(authz: &Authz, namespaces: bool, wide: bool, screen: &Screen) -> String {
    if authz.rows.is_empty() {
        return "no request was judged (-A looks in all namespaces, -t 5m further back)\n".to_owned();
    }
    let full = rows(authz, namespaces, wide, [">LATENCY_P50", ">LATENCY_P95", ">LATENCY_P99"]);
    if screen.width.is_none_or(|width| full.width() <= width) {
        return full.render(screen);
    }
    rows(authz, namespaces, wide, [">P50", ">P95", ">P99"]).render(screen)
}

fn rows(authz: &Authz, namespaces: bool, wide: bool, latencies: [&'static str; 3]) -> Table {
    let mut header = if namespaces { vec!["NAMESPACE"] } else { Vec::new() };
    header.extend(["WORKLOAD", "SERVICE", "POLICY", ">ALLOWED", ">DENIED", ">SUCCESS"]);
    header.extend(latencies);
    if wide {
        header.push(">REQUESTS");
    }
    let mut table = Table::new(&header);
    for row in &authz.rows {
        table.row(cells(row, namespaces, wide));
    }
    table
}

fn cells(row: &AuthzRow, namespaces: bool, wide: bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = if namespaces { vec![row.namespace.clone().into()] } else { Vec::new() };
    let service = if row.service.is_empty() { "-" } else { &row.service };
    let denied = if row.denied_rps > 0.0 { Look::Bad } else { Look::Plain };
    cells.extend([
        row.workload.clone().into(),
        service.into(),
        policy(row).into(),
        format!("{:.1}rps", row.allowed_rps).into(),
        Cell::new(format!("{:.1}rps", row.denied_rps), denied),
        success(row.success),
        ms(row.p50_ms),
        ms(row.p95_ms),
        ms(row.p99_ms),
    ]);
    if wide {
        cells.push(row.requests.to_string().into());
    }
    cells
}

/// The policy; where no single one decided, what did.
fn policy(row: &AuthzRow) -> &str {
    match (row.policy.as_str(), row.denied_rps > 0.0) {
        ("", false) => "[NONE]",
        ("", true) => "[NONE MATCHED]",
        (policy, _) => policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_policy_did() {
        let row = |service: &str, policy: &str, allowed_rps, denied_rps| AuthzRow {
            namespace: "shop".to_owned(),
            workload: "pay".to_owned(),
            service: service.to_owned(),
            policy: policy.to_owned(),
            allowed_rps,
            denied_rps,
            success: (allowed_rps > 0.0).then_some(1.0),
            p50_ms: (allowed_rps > 0.0).then_some(1.0),
            p95_ms: None,
            p99_ms: None,
            requests: 60,
            covered: None,
        };
        let rows = vec![
            row("", "", 0.1, 0.0),
            row("pay", "shop/allow-cart", 1.0, 0.0),
            row("pay", "shop/deny-all", 0.0, 2.0),
            row("pay", "", 0.0, 1.0),
        ];
        let text = table(&Authz { window_s: 60.0, rows }, false, false, &Screen::default());
        let words: Vec<Vec<&str>> =
            text.lines().map(|l| l.split("  ").filter(|w| !w.is_empty()).map(str::trim).collect()).collect();
        assert_eq!(words[0][..6], ["WORKLOAD", "SERVICE", "POLICY", "ALLOWED", "DENIED", "SUCCESS"]);
        assert_eq!(words[1][..5], ["pay", "-", "[NONE]", "0.1rps", "0.0rps"]);
        assert_eq!(words[2][..6], ["pay", "pay", "shop/allow-cart", "1.0rps", "0.0rps", "100.00%"]);
        assert_eq!(words[3][..6], ["pay", "pay", "shop/deny-all", "0.0rps", "2.0rps", "-"]);
        assert_eq!(words[4][2], "[NONE MATCHED]");
    }
}
