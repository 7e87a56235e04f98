//! The goals, each with the figure that comes nearest to breaking it.

use std::fmt::Write as _;

use super::report::Row;

/// A goal, and what came of it.
pub(crate) struct Goal {
    what: &'static str,
    most: f64,
    /// The worst figure, and where it was measured; `None` where it was not.
    got: Option<(f64, String)>,
}

impl Goal {
    /// What was not measured is not held.
    pub(crate) fn held(&self) -> bool {
        self.got.as_ref().is_some_and(|(figure, _)| *figure <= self.most)
    }
}

/// Judges them all.
pub(crate) fn judge(rows: &[Row]) -> Vec<Goal> {
    let at_scale: Vec<&Row> = rows.iter().filter(|r| (r.services, r.proxies) == SCALE).collect();
    let rows: Vec<&Row> = rows.iter().collect();
    vec![
        worst("one route change, p50, ms", 30.0, &rows, |r| r.route_ms[0]),
        worst("one route change, p99, ms", 200.0, &rows, |r| r.route_ms[1]),
        worst("one endpoint change, p50, ms", 15.0, &rows, |r| r.endpoint_ms[0]),
        worst("one endpoint change, p99, ms", 100.0, &rows, |r| r.endpoint_ms[1]),
        worst("50 a second, 1,000/100: p99, ms", 250.0, &at_scale, |r| r.churn_ms[1]),
        worst("50 a second, 1,000/100: cores", 0.3, &at_scale, |r| r.churn_cores),
        worst("RSS, 1,000/100, MiB", 150.0, &at_scale, |r| r.rss as f64 / f64::from(1 << 20)),
        worst("CPU of a route change, to its limit", 1.0, &rows, |r| r.route_cpu_ms / limit(r.route_concerned)),
        worst("CPU of an endpoint change", 1.0, &rows, |r| r.endpoint_cpu_ms / limit(r.endpoint_concerned)),
        independent(&rows),
    ]
}

/// One line each, of 80 columns.
pub(crate) fn text(goals: &[Goal]) -> String {
    let mut out = String::new();
    for goal in goals {
        let mark = if goal.held() { "held" } else { "MISSED" };
        let (figure, place) = match &goal.got {
            Some((figure, place)) => (format!("{figure:.2}"), place.as_str()),
            None => ("-".to_owned(), "not measured"),
        };
        let _ = writeln!(out, "{mark:6} {:35} {figure:>9}  at most {:<4} {place}", goal.what, goal.most);
    }
    let held = goals.iter().filter(|g| g.held()).count();
    let _ = writeln!(out, "goals held: {held} of {}", goals.len());
    out.push_str(LEGEND);
    out
}

const LEGEND: &str = "
Limit of a change's CPU: 5 ms, and 0.1 ms for each proxy concerned. Of one that
concerns one proxy, many beside it: 1.5 times that with the fewest, and 0.1 ms.
";

/// Services and proxies for which the goals of memory and under load are set; the others hold for any number.
const SCALE: (usize, usize) = (1000, 100);

/// CPU that a change may take, ms.
fn limit(concerned: f64) -> f64 {
    5.0 + 0.1 * concerned
}

fn worst(what: &'static str, most: f64, rows: &[&Row], of: impl Fn(&Row) -> f64) -> Goal {
    let worst = rows.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
    Goal { what, most, got: worst.map(|row| (of(row), row.name())) }
}

/// The CPU time of a change that one proxy is told of, with many others beside it and with few. What holds other work says
/// nothing of it.
fn independent(rows: &[&Row]) -> Goal {
    let place = |r: &Row| (r.source.clone(), r.services, r.subscribed);
    let calm: Vec<&Row> = rows.iter().copied().filter(|r| r.calm).collect();
    let shares = calm.iter().flat_map(|few| {
        let beside = calm.iter().filter(|many| many.proxies > few.proxies && place(many) == place(few));
        beside.map(|many| (many.lone_cpu_ms / (few.lone_cpu_ms.max(0.0) * 1.5 + 0.1), many.name()))
    });
    let got = shares.max_by(|a, b| a.0.total_cmp(&b.0));
    Goal { what: "CPU for one, many proxies beside it", most: 1.0, got }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::row;
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_held() {
        assert!(judge(&[]).iter().all(|goal| !goal.held()));
    }

    #[test]
    fn each_goal_shows_its_worst_row() {
        let slow = Row { route_ms: [31.0, 32.0], ..row(1000, 10) };
        let fast = Row { route_ms: [1.0, 2.0], ..row(1000, 100) };
        let goals = judge(&[slow, fast]);
        assert_eq!(goals[0].got, Some((31.0, "1000/10/all".to_owned())));
        assert!(!goals[0].held() && goals[1].held());
    }

    #[test]
    fn only_rows_at_rest_say_whether_proxies_beside_cost_anything() {
        let rows = |calm| [(10, 1.0), (100, 1.6)].map(|(n, cpu)| Row { calm, lone_cpu_ms: cpu, ..row(1000, n) });
        assert!(independent(&rows(true).each_ref()).held());
        assert!(independent(&rows(false).each_ref()).got.is_none());
    }

    #[test]
    fn every_line_fits_a_terminal_of_80_columns() {
        let wide = Row { calm: true, ..row(5000, 500) };
        for line in text(&judge(&[wide, row(5000, 10), row(1000, 100)])).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
