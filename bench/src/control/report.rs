//! The curve as a table and as JSON, and the goals.

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

    fn name(&self) -> String {
        format!("{}/{}/{}", self.services, self.proxies, to_what(self))
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

/// Prints the curve as a table in Markdown.
pub(crate) fn print(rows: &[Row]) {
    println!("| {} |", HEADS.join(" | "));
    println!("|{}", "---|".repeat(HEADS.len()));
    for row in rows {
        println!("| {} |", cells(row).join(" | "));
    }
}

const HEADS: [&str; 14] = [
    "S / N / each subscribed to",
    "ready, s",
    "first sync of all, s",
    "cores at rest",
    "route: last client p50 / p99, ms",
    "CPU, ms (concerned)",
    "pushed, KB",
    "endpoint: last client p50 / p99, ms",
    "CPU, ms (concerned)",
    "CPU for one proxy, ms",
    "50 a second: p50 / p99, ms",
    "cores",
    "RSS alone / after (peak), MiB",
    "held per sidecar, KiB",
];

fn cells(row: &Row) -> [String; HEADS.len()] {
    let pair = |[a, b]: [f64; 2]| format!("{a:.1} / {b:.1}");
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
    [
        format!("{} / {} / {}", row.services, row.proxies, to_what(row)),
        format!("{:.1}", row.ready_ms / 1000.0),
        format!("{:.1}", row.sync_ms / 1000.0),
        format!("{:.3}", row.rest_cores),
        pair(row.route_ms),
        format!("{:.2} ({:.0})", row.route_cpu_ms, row.route_concerned),
        format!("{:.1}", row.route_pushed / 1000.0),
        pair(row.endpoint_ms),
        format!("{:.2} ({:.0})", row.endpoint_cpu_ms, row.endpoint_concerned),
        format!("{:.2}", row.lone_cpu_ms),
        pair(row.churn_ms),
        format!("{:.2}", row.churn_cores),
        format!("{} / {} ({})", mib(row.rss_alone), mib(row.rss), mib(row.rss_peak)),
        format!("{:.0}", row.held / 1024.0),
    ]
}

fn to_what(row: &Row) -> String {
    row.subscribed.map_or_else(|| "all".to_owned(), |n| n.to_string())
}

/// Prints each goal with the figure that comes nearest to breaking it, and whether all hold.
pub(crate) fn goals(rows: &[Row]) -> bool {
    let at_scale: Vec<Row> = rows.iter().filter(|r| (r.services, r.proxies) == SCALE).cloned().collect();
    let goals = [
        worst("one route change, last client p50, ms", 30.0, rows, |r| r.route_ms[0]),
        worst("one route change, last client p99, ms", 200.0, rows, |r| r.route_ms[1]),
        worst("one endpoint change, last client p50, ms", 15.0, rows, |r| r.endpoint_ms[0]),
        worst("one endpoint change, last client p99, ms", 100.0, rows, |r| r.endpoint_ms[1]),
        worst("50 endpoint changes a second, 1,000 / 100: p99, ms", 250.0, &at_scale, |r| r.churn_ms[1]),
        worst("50 endpoint changes a second, 1,000 / 100: cores", 0.3, &at_scale, |r| r.churn_cores),
        worst("RSS, 1,000 / 100, MiB", 150.0, &at_scale, |r| r.rss as f64 / f64::from(1 << 20)),
        worst("CPU of a route change, of 5 ms + 0.1 ms per proxy concerned", 1.0, rows, |r| {
            r.route_cpu_ms / (5.0 + 0.1 * r.route_concerned)
        }),
        worst("CPU of an endpoint change, of 5 ms + 0.1 ms per proxy concerned", 1.0, rows, |r| {
            r.endpoint_cpu_ms / (5.0 + 0.1 * r.endpoint_concerned)
        }),
        independent(rows),
    ];
    let held = goals.iter().filter(|held| **held).count();
    println!("goals held: {held} of {}", goals.len());
    held == goals.len()
}

/// Services and proxies for which the goals of memory and under load are set; the others hold for any number.
const SCALE: (usize, usize) = (1000, 100);

fn worst(what: &str, most: f64, rows: &[Row], of: impl Fn(&Row) -> f64) -> bool {
    let worst = rows.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
    let Some(row) = worst else { return say(what, &format!("at most {most}"), "not measured", false) };
    say(what, &format!("at most {most}"), &format!("{:.2} at {}", of(row), row.name()), of(row) <= most)
}

/// The CPU time of a change that one proxy is told of, with many others beside it and with few.
fn independent(rows: &[Row]) -> bool {
    const WHAT: &str = "CPU of a change that concerns one proxy, the most proxies against the fewest, ms";
    const LIMIT: &str = "at most 1.5 times and 0.1 ms more";
    let mut worst: Option<(f64, f64, String)> = None;
    for few in rows {
        let beside = |r: &&Row| (&r.source, r.services, r.subscribed) == (&few.source, few.services, few.subscribed);
        for many in rows.iter().filter(beside).filter(|r| r.proxies > few.proxies) {
            let share = many.lone_cpu_ms / (few.lone_cpu_ms * 1.5 + 0.1);
            if worst.as_ref().is_none_or(|(w, ..)| share > *w) {
                let text =
                    format!("{:.2} at {}, {:.2} at {}", many.lone_cpu_ms, many.name(), few.lone_cpu_ms, few.name());
                worst = Some((share, many.lone_cpu_ms, text));
            }
        }
    }
    match worst {
        Some((share, _, text)) => say(WHAT, LIMIT, &text, share <= 1.0),
        None => say(WHAT, LIMIT, "one number of proxies is no comparison", false),
    }
}

fn say(what: &str, limit: &str, figure: &str, held: bool) -> bool {
    println!("{} {what}: {limit}; {figure}", if held { "held  " } else { "missed" });
    held
}
