//! `leno viz top`: the tapped requests added up, by caller, method, path and callee.

use std::collections::HashMap;
use std::process::ExitCode;

use leno_core::tap::Tapped;

use super::rows::{ms, success};
use super::tap::line::{callee, printable, who};
use super::tap::{self, Of};
use crate::access::Access;
use crate::table::{Live, Screen, Table};

/// Shows which requests come most, live, as the sidecars see them end.
///
/// On a terminal the table is drawn anew twice a second; else it is printed once, at the end (give --for).
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    of: Of,
    /// By what the rows are sorted.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Rows at most.
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// Whatever the path.
    #[arg(long)]
    hide_paths: bool,
}

/// The most, slowest or worst comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    #[default]
    Count,
    Best,
    Worst,
    Last,
    Success,
}

/// Runs it.
pub(super) fn run(args: &Args, mesh: &dyn Access) -> anyhow::Result<ExitCode> {
    let (mut sums, mut live) = (Sums::default(), Live::default());
    let missed = tap::watch(&args.of, mesh, |found, _| {
        found.iter().for_each(|tapped| sums.add(tapped, args.hide_paths));
        let screen = Screen::stdout();
        if screen.width.is_some() {
            live.draw(&sums.table(args.sort, args.rows).render(&screen), &screen);
        }
        Ok(())
    })?;
    if Screen::stdout().width.is_none() {
        print!("{}", sums.table(args.sort, args.rows).render(&Screen::stdout()));
    }
    let more = sums.rows.len().saturating_sub(args.rows);
    if missed + sums.beyond > 0 || more > 0 {
        eprintln!(
            "not shown: {more} rows (--rows), {} requests of further paths, {missed} faster than they could be read",
            sums.beyond
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Caller, callee, method, path.
type Key = [String; 4];

#[derive(Debug, Default)]
struct Sums {
    rows: HashMap<Key, Sum>,
    /// Requests that would have needed more than [`KEYS`] rows: paths with numbers in them have no end.
    beyond: u64,
}

#[derive(Clone, Debug)]
struct Sum {
    count: u64,
    failed: u64,
    best: f64,
    worst: f64,
    last: f64,
}

impl Sums {
    fn add(&mut self, t: &Tapped, hide_path: bool) {
        let path = if hide_path { "*".to_owned() } else { printable(t.path.split('?').next().unwrap_or_default()) };
        let key = [who(&t.source), callee(t), t.method.clone(), path];
        if self.rows.len() >= KEYS && !self.rows.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let none = Sum { count: 0, failed: 0, best: f64::INFINITY, worst: 0.0, last: 0.0 };
        let sum = self.rows.entry(key).or_insert(none);
        sum.count += 1;
        sum.failed += u64::from(failed(t));
        (sum.best, sum.worst, sum.last) = (sum.best.min(t.latency_ms), sum.worst.max(t.latency_ms), t.latency_ms);
    }

    fn table(&self, sort: Sort, most: usize) -> Table {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by(|(a_key, a), (b_key, b)| {
            let by = |sum: &Sum| match sort {
                Sort::Count => sum.count as f64,
                Sort::Best => sum.best,
                Sort::Worst => sum.worst,
                Sort::Last => sum.last,
                Sort::Success => sum.failed as f64 / sum.count as f64,
            };
            // What is equal keeps its place from one drawing to the next.
            by(b).total_cmp(&by(a)).then_with(|| a_key.cmp(b_key))
        });
        let mut table =
            Table::new(&["SOURCE", "DESTINATION", "METHOD", "PATH", ">COUNT", ">BEST", ">WORST", ">LAST", ">SUCCESS"]);
        for ([source, destination, method, path], sum) in rows.into_iter().take(most) {
            let share = (sum.count - sum.failed) as f64 / sum.count as f64;
            table.row(vec![
                source.clone().into(),
                destination.clone().into(),
                method.clone().into(),
                path.clone().into(),
                sum.count.to_string().into(),
                ms(Some(sum.best)),
                ms(Some(sum.worst)),
                ms(Some(sum.last)),
                success(Some(share)),
            ]);
        }
        table
    }
}

/// As `leno viz stat` has it.
fn failed(t: &Tapped) -> bool {
    match (t.grpc, t.status) {
        (Some(grpc), _) => matches!(grpc, 2 | 4 | 13 | 14 | 15),
        (None, 0) => t.flags != "DC",
        (None, status) => status >= 500,
    }
}

const KEYS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::viz::tap::tests::tapped;

    #[test]
    fn requests_are_added_up_and_sorted() {
        let mut sums = Sums::default();
        let failing = tapped();
        let good = |path: &str, latency_ms| Tapped { status: 200, path: path.to_owned(), latency_ms, ..tapped() };
        for t in [failing.clone(), good("/items/1", 2.0), good("/slow", 900.0), good("/items/1?a=…", 4.0)] {
            sums.add(&t, false);
        }
        let screen = Screen { width: None, ..Screen::stdout() };
        let lines = |sort| sums.table(sort, 5).render(&screen).lines().map(str::to_owned).collect::<Vec<_>>();
        let by_count = lines(Sort::Count);
        let words: Vec<_> = by_count[1].split_whitespace().collect();
        assert_eq!(words, ["web", "cart-v1", "GET", "/items/1", "3", "2.0ms", "12ms", "4.0ms", "66.66%"]);
        assert!(lines(Sort::Worst)[1].contains("/slow"));
        assert!(lines(Sort::Success)[1].contains("/items/1"));

        let mut all = Sums::default();
        [failing, good("/slow", 1.0)].iter().for_each(|t| all.add(t, true));
        assert_eq!(all.rows.len(), 1);
    }

    #[test]
    fn endless_paths_are_counted_and_not_kept() {
        let mut sums = Sums::default();
        for n in 0..KEYS + 3 {
            sums.add(&Tapped { path: format!("/{n}"), ..tapped() }, false);
        }
        assert_eq!((sums.rows.len(), sums.beyond), (KEYS, 3));
    }
}
