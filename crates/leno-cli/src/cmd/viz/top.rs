//! `leno viz top`: the tapped requests added up, by caller, method, path and callee.

mod screen;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Instant;

use leno_core::tap::Tapped;
use leno_viz::tap::pick::tells;

use super::rows::{ms, success};
use super::tap::line::{callee, printable, who};
use super::tap::{Of, PERIOD, Watch};
use crate::access::Access;
use crate::table::{Look, Screen, Table};
use screen::{Full, Key};

/// Shows which requests come most, live, as the sidecars see them end.
///
/// On a terminal it takes the whole screen: s, c, b, w, l, f sort, arrows scroll, p pauses, r begins anew, q ends. Elsewhere
/// the table is printed once, at the end (give --for).
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    of: Of,
    /// By what the rows are sorted.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Rows at most where it is printed; a full screen shows as many as fit.
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
    let mut sums = Sums::default();
    let mut watch = Watch::begin(&args.of, false, mesh)?;
    let full = Full::take()?;
    let mut view = View { sort: args.sort, hide_paths: args.hide_paths, ..View::default() };
    loop {
        let found = watch.fetch(mesh)?;
        if !view.paused {
            // Where the sidecars of both ends tell of a request, one of them counts.
            let asked = watch.sidecars();
            found.iter().filter(|t| tells(t, &asked)).for_each(|t| sums.add(t, view.hide_paths));
        }
        let next = Instant::now() + PERIOD;
        let goes_on = match &full {
            Some(full) => attend(full, &mut view, &mut sums, &watch, next),
            None => {
                std::thread::sleep(PERIOD);
                true
            }
        };
        if !goes_on || watch.is_over() {
            break;
        }
    }
    drop(full);
    // What was seen last stays on the terminal.
    print!("{}", sums.table(view.sort, 0, args.rows).render(&Screen::stdout()));
    watch.notes.iter().for_each(|note| eprintln!("{note}"));
    let more = sums.rows.len().saturating_sub(args.rows);
    if watch.missed + sums.beyond > 0 || more > 0 {
        eprintln!(
            "not shown: {more} rows (--rows), {} requests of further paths, {} faster than they could be read",
            sums.beyond, watch.missed
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws and takes keys until `next`; whether to go on.
fn attend(full: &Full, view: &mut View, sums: &mut Sums, watch: &Watch, next: Instant) -> bool {
    loop {
        let screen = Screen::stdout();
        full.draw(&view.text(sums, watch.missed + sums.beyond, &screen));
        let Some(keys) = full.keys(next) else { return false };
        for key in &keys {
            match view.press(*key, sums.rows.len(), page(&screen)) {
                Asked::Nothing => {}
                Asked::Anew => *sums = Sums::default(),
                Asked::End => return false,
            }
        }
        if Instant::now() >= next {
            return true;
        }
    }
}

/// Rows that fit, below the state and the titles and above the keys.
fn page(screen: &Screen) -> usize {
    screen.height.unwrap_or(24).saturating_sub(3).max(1)
}

/// How the full screen looks now.
#[derive(Debug, Default)]
struct View {
    sort: Sort,
    hide_paths: bool,
    paused: bool,
    /// First row that is shown.
    offset: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Anew,
    End,
}

impl View {
    fn press(&mut self, key: Key, rows: usize, page: usize) -> Asked {
        let last = rows.saturating_sub(page);
        match key {
            Key::Char('q' | 'Q') | Key::Escape => return Asked::End,
            Key::Char('r') => {
                self.offset = 0;
                return Asked::Anew;
            }
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char('h') => {
                // What was added up by path cannot be taken apart.
                self.hide_paths = !self.hide_paths;
                return Asked::Anew;
            }
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char(letter) => {
                if let Some((sort, _)) = SORTS.iter().find(|(_, l)| *l == letter) {
                    self.sort = *sort;
                }
            }
            Key::Up => self.offset = self.offset.saturating_sub(1),
            Key::Down => self.offset += 1,
            Key::PageUp => self.offset = self.offset.saturating_sub(page),
            Key::PageDown => self.offset += page,
            Key::Home => self.offset = 0,
        }
        self.offset = self.offset.min(last);
        Asked::Nothing
    }

    fn text(&self, sums: &Sums, lost: u64, screen: &Screen) -> String {
        let page = page(screen);
        let table = sums.table(self.sort, self.offset, page).render(screen);
        let state = if self.paused { screen.paint("paused", Look::Warn) } else { "live".to_owned() };
        let lost = if lost > 0 { format!(", {lost} requests not counted") } else { String::new() };
        let shown = sums.rows.len().min(self.offset + page);
        let from = shown.min(self.offset + 1);
        let head = match sums.rows.len() {
            0 => format!("{state}: waiting for a request to end{lost}"),
            all => format!("{state}: rows {from}-{shown} of {all} by {}{lost}", self.sort.name()),
        };
        let mut lines: Vec<String> = std::iter::once(head).chain(table.lines().map(str::to_owned)).collect();
        lines.resize(page + 2, String::new());
        lines.push(screen.paint(KEYS_LINE, Look::Faint));
        lines.join("\n")
    }
}

impl Sort {
    fn next(self) -> Self {
        let at = SORTS.iter().position(|(sort, _)| *sort == self).unwrap_or(0);
        SORTS[(at + 1) % SORTS.len()].0
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Best => "best",
            Self::Worst => "worst",
            Self::Last => "last",
            Self::Success => "failures",
        }
    }
}

/// With their keys.
const SORTS: [(Sort, char); 5] =
    [(Sort::Count, 'c'), (Sort::Best, 'b'), (Sort::Worst, 'w'), (Sort::Last, 'l'), (Sort::Success, 'f')];
const KEYS_LINE: &str = "q end  p pause  sort: c b w l f, s next  h paths  r anew  \u{2191} \u{2193} PgUp PgDn";

/// Caller, callee, method, path.
type Ends = [String; 4];

#[derive(Debug, Default)]
struct Sums {
    rows: HashMap<Ends, Sum>,
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

    fn table(&self, sort: Sort, skip: usize, most: usize) -> Table {
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
        for ([source, destination, method, path], sum) in rows.into_iter().skip(skip).take(most) {
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
        let lines = |sort| sums.table(sort, 0, 5).render(&screen).lines().map(str::to_owned).collect::<Vec<_>>();
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
    fn keys_sort_scroll_pause_and_end() {
        let mut view = View::default();
        assert_eq!(view.press(Key::Char('w'), 30, 20), Asked::Nothing);
        assert_eq!(view.sort, Sort::Worst);
        let _ = view.press(Key::Char('s'), 30, 20);
        assert_eq!(view.sort, Sort::Last);
        for (key, offset) in [(Key::Down, 1), (Key::PageDown, 10), (Key::Up, 9), (Key::Home, 0), (Key::Up, 0)] {
            let _ = view.press(key, 30, 20);
            assert_eq!(view.offset, offset, "{key:?}");
        }
        let _ = view.press(Key::Char(' '), 30, 20);
        assert!(view.paused);
        assert_eq!(view.press(Key::Char('r'), 30, 20), Asked::Anew);
        assert_eq!((view.press(Key::Char('q'), 0, 20), view.press(Key::Escape, 0, 20)), (Asked::End, Asked::End));
    }

    #[test]
    fn the_screen_is_full_and_fits() {
        let mut sums = Sums::default();
        for n in 0..40 {
            sums.add(&Tapped { path: format!("/some/rather/long/path/of/an/application/{n}"), ..tapped() }, false);
        }
        let screen = Screen { width: Some(80), height: Some(24), colour: false };
        let view = View { offset: 5, ..View::default() };
        let text = view.text(&sums, 3, &screen);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 24, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(lines[0], "live: rows 6-26 of 40 by count, 3 requests not counted");
        assert!(lines[1].starts_with("SOURCE") && lines[23].starts_with("q end"), "{text}");
        assert_eq!(View::default().text(&Sums::default(), 0, &screen).lines().count(), 24);
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
