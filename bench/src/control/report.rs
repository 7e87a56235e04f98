//! The curve as tables and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What was measured with one number of services and of proxies. Times in ms, memory in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) services: usize,
    pub(crate) proxies: usize,
    /// Services that each proxy subscribes to; `None`: all.
    pub(crate) subscribed: Option<usize>,
    /// Start of the control plane until it was ready.
    pub(crate) ready_ms: f64,
    /// All proxies connected, certified, and told everything.
    pub(crate) sync_ms: f64,
    /// Cores that the control plane takes while nothing changes.
    pub(crate) rest_cores: f64,
    /// Whether it had calmed down when that was measured. If not, the CPU of changes holds what it did beside them.
    #[serde(default)]
    pub(crate) calm: bool,
    pub(crate) route_ms: [f64; 2],
    pub(crate) route_cpu_ms: f64,
    pub(crate) route_concerned: f64,
    pub(crate) route_pushed: f64,
    pub(crate) endpoint_ms: [f64; 2],
    pub(crate) endpoint_cpu_ms: f64,
    pub(crate) endpoint_concerned: f64,
    pub(crate) endpoint_pushed: f64,
    /// An endpoint change that one proxy alone is told of.
    pub(crate) lone_cpu_ms: f64,
    pub(crate) churn_ms: [f64; 2],
    pub(crate) churn_cores: f64,
    pub(crate) churn_rate: f64,
    /// Share of deliveries that a later change has made.
    #[serde(default)]
    pub(crate) churn_overtaken: f64,
    /// Resident before the first proxy came, after all runs, and at its highest.
    pub(crate) rss_alone: u64,
    pub(crate) rss: u64,
    pub(crate) rss_peak: u64,
    /// What each proxy added.
    pub(crate) held: f64,
}

impl Row {
    fn same_place(&self, other: &Self) -> bool {
        let place = |r: &Self| (r.source.clone(), r.services, r.proxies, r.subscribed);
        place(self) == place(other)
    }

    fn order(&self) -> (String, usize, usize, usize) {
        (self.source.clone(), self.subscribed.unwrap_or(usize::MAX), self.services, self.proxies)
    }

    /// Services, proxies, and services that each subscribes to.
    pub(crate) fn name(&self) -> String {
        let each = self.subscribed.map_or_else(|| "all".to_owned(), |n| n.to_string());
        format!("{}/{}/{each}", self.services, self.proxies)
    }
}

/// Adds rows to those of earlier runs in the file, or replaces the file; returns all that it holds then.
pub(crate) fn keep(file: &Path, new: Vec<Row>, earlier: bool) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = match std::fs::read(file) {
        Ok(text) if earlier => serde_json::from_slice(&text)?,
        _ => Vec::new(),
    };
    rows.retain(|old| !new.iter().any(|row| row.same_place(old)));
    rows.extend(new);
    rows.sort_by_key(Row::order);
    std::fs::write(file, serde_json::to_vec_pretty(&rows)?)?;
    Ok(rows)
}

/// The curve as three tables of 80 columns.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    table(&mut out, &AT_REST, rows, at_rest);
    table(&mut out, &ALONE, rows, alone);
    table(&mut out, &MANY, rows, many);
    out.push_str(LEGEND);
    out
}

/// A column's head and its width.
type Column = (&'static str, usize);

const AT_REST: [Column; 8] = [
    ("S/N/each", 13),
    ("ready s", 8),
    ("sync s", 8),
    ("cores", 8),
    ("RSS alone", 10),
    ("after", 7),
    ("peak", 7),
    ("KiB/sidecar", 12),
];
const ALONE: [Column; 8] = [
    ("S/N/each", 13),
    ("route ms", 12),
    ("CPU ms", 8),
    ("KB", 7),
    ("endpoint ms", 13),
    ("CPU ms", 8),
    ("for one", 8),
    ("to", 5),
];
const MANY: [Column; 6] =
    [("S/N/each", 13), ("50 a second ms", 16), ("overtaken", 10), ("cores", 8), ("made a second", 14), ("source", 8)];
const LEGEND: &str = "
S/N/each: services, proxies, services that each proxy subscribes to. sync: until
all proxies had everything. cores: of the control plane at rest. RSS: MiB.
ms: p50/p99, from the answer to a change until the last proxy concerned has it;
of 50 a second, until each has it. CPU: of the control plane for each change; KB
that it sent; for one: a change that concerns one proxy alone; to: proxies that
one of endpoints concerns. overtaken: delivered by a later change. *: it did not
calm down before, so that its CPU holds what it did beside.
";

fn at_rest(row: &Row) -> [String; AT_REST.len()] {
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
    [
        row.name(),
        format!("{:.1}", row.ready_ms / 1000.0),
        format!("{:.1}", row.sync_ms / 1000.0),
        format!("{:.3}{}", row.rest_cores, row.mark()),
        mib(row.rss_alone),
        mib(row.rss),
        mib(row.rss_peak),
        format!("{:.0}", row.held / 1024.0),
    ]
}

fn alone(row: &Row) -> [String; ALONE.len()] {
    let cpu = |ms: f64| format!("{ms:.2}{}", row.mark());
    [
        row.name(),
        pair(row.route_ms),
        cpu(row.route_cpu_ms),
        format!("{:.1}", row.route_pushed / 1000.0),
        pair(row.endpoint_ms),
        cpu(row.endpoint_cpu_ms),
        cpu(row.lone_cpu_ms),
        format!("{:.0}", row.endpoint_concerned),
    ]
}

fn many(row: &Row) -> [String; MANY.len()] {
    [
        row.name(),
        pair(row.churn_ms),
        format!("{:.1} %", row.churn_overtaken * 100.0),
        format!("{:.2}", row.churn_cores),
        format!("{:.1}", row.churn_rate),
        row.source.clone(),
    ]
}

impl Row {
    const fn mark(&self) -> &'static str {
        if self.calm { "" } else { "*" }
    }
}

fn pair([a, b]: [f64; 2]) -> String {
    format!("{a:.1}/{b:.1}")
}

/// The first column to the left, figures to the right.
fn table<const N: usize>(out: &mut String, columns: &[Column; N], rows: &[Row], cells: fn(&Row) -> [String; N]) {
    out.push('\n');
    let mut line = |cells: [String; N]| {
        for (at, (cell, (_, width))) in cells.iter().zip(columns).enumerate() {
            let _ = if at == 0 { write!(out, "{cell:width$}") } else { write!(out, "{cell:>width$}") };
        }
        out.push('\n');
    };
    line(columns.map(|(head, _)| head.to_owned()));
    rows.iter().for_each(|row| line(cells(row)));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row with figures as wide as they have been seen.
    pub(crate) fn row(services: usize, proxies: usize) -> Row {
        Row {
            source: "files".into(),
            services,
            proxies,
            subscribed: None,
            ready_ms: 10_800.0,
            sync_ms: 162_300.0,
            rest_cores: 0.031,
            calm: false,
            route_ms: [43.5, 1063.0],
            route_cpu_ms: 133.54,
            route_concerned: 500.0,
            route_pushed: 56_500.0,
            endpoint_ms: [66.7, 1157.9],
            endpoint_cpu_ms: 134.45,
            endpoint_concerned: 500.0,
            endpoint_pushed: 56_500.0,
            lone_cpu_ms: 13.04,
            churn_ms: [1114.3, 17_054.8],
            churn_cores: 0.19,
            churn_rate: 49.9,
            churn_overtaken: 0.714,
            rss_alone: 238 << 20,
            rss: 1524 << 20,
            rss_peak: 1524 << 20,
            held: 2926.0 * 1024.0,
        }
    }

    #[test]
    fn every_line_fits_a_terminal_of_80_columns() {
        let text = text(&[row(5000, 500), row(100, 10)]);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.lines().any(|l| l.starts_with("5000/500/all ") && l.contains("43.5/1063.0 133.54*")), "{text}");
    }

    #[test]
    fn what_came_after_rest_has_no_mark() {
        let calm = Row { calm: true, ..row(5000, 500) };
        assert!(!table_of(&calm).contains('*') && table_of(&row(5000, 500)).contains('*'));
    }

    fn table_of(row: &Row) -> String {
        text(std::slice::from_ref(row)).replace(LEGEND, "")
    }

    #[test]
    fn rows_of_earlier_runs_can_be_read() {
        let mut old = serde_json::to_value(row(100, 10)).expect("JSON");
        let fields = old.as_object_mut().expect("an object");
        fields.retain(|name, _| !["calm", "churn_overtaken"].contains(&name.as_str()));
        let read: Row = serde_json::from_value(old).expect("a row");
        assert!(!read.calm, "it was not looked at");
    }
}
