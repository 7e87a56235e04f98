//! The demo's YAML and its picture.

use std::time::Duration;

use leno_viz::model::Secured;

use super::Seen;
use crate::cmd::viz;
use crate::table::{Look, Screen};

/// The sample's namespace.
pub(super) const NAMESPACE: &str = "shop";

/// All of `samples/istio`.
pub(super) fn all() -> String {
    FILES.join("---\n")
}

/// The canary with another share of v2, in percent.
pub(super) fn canary(v2: u32) -> String {
    let (before, rest) = CANARY.split_once("weight: 90").unwrap_or((CANARY, ""));
    let (between, after) = rest.split_once("weight: 10").unwrap_or((rest, ""));
    format!("{before}weight: {}{between}weight: {v2}{after}", 100 - v2)
}

/// What is seen: signals, canary, edges.
pub(super) fn draw(seen: &Seen, v2: u32, elapsed: Duration, screen: &Screen) -> String {
    let mut out = screen.paint(
        &format!("The sample shop in namespace {NAMESPACE}, last 10 s ({} s since the start)\n", elapsed.as_secs()),
        Look::Faint,
    );
    out.push_str(&viz::stat_table(&seen.stat, false, false, screen));
    out.push_str(&format!("\n{}\n", share(seen, v2, screen)));
    out.push_str(&format!("{}\n", edges(seen, screen)));
    out
}

/// `catalog canary  v1 ██████████████████░░ v2   90/10 wanted, 88.9/11.1 seen`
fn share(seen: &Seen, v2: u32, screen: &Screen) -> String {
    let rate = |name: &str| seen.stat.rows.iter().find(|r| r.name == name).map_or(0.0, |r| r.rps);
    let (one, two) = (rate("catalog-v1"), rate("catalog-v2"));
    let wanted = format!("{}/{v2} wanted", 100 - v2);
    if one + two == 0.0 {
        return format!("catalog canary  {wanted}, no traffic seen yet");
    }
    let percent = two / (one + two) * 100.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let filled = (percent / 100.0 * BAR as f64).round() as usize;
    let bar = screen.paint(&"█".repeat(BAR - filled), Look::Faint) + &screen.paint(&"█".repeat(filled), Look::Good);
    let bar = if screen.width.is_some() { format!("v1 {bar} v2  ") } else { String::new() };
    format!("catalog canary  {bar}{wanted}, {:.1}/{percent:.1} seen", 100.0 - percent)
}

fn edges(seen: &Seen, screen: &Screen) -> String {
    let all = seen.edges.rows.len();
    let safe = seen.edges.rows.iter().filter(|e| e.secured == Secured::Mtls).count();
    let look = if safe == all { Look::Good } else { Look::Bad };
    let pairs: Vec<String> = seen.edges.rows.iter().map(|e| format!("{}>{}", e.src, e.dst)).collect();
    let title = format!("{safe} of {all} edges by mutual TLS:");
    let mut width = title.len() + 1;
    let mut line = format!("{} ", screen.paint(&title, look));
    for pair in pairs {
        if screen.width.is_some_and(|w| width + pair.len() + 1 > w.saturating_sub(2)) {
            line.push('…');
            break;
        }
        width += pair.len() + 1;
        line.push_str(&format!("{pair} "));
    }
    line.trim_end().to_owned()
}

/// What to do next.
pub(super) fn hints(dashboard: &str) -> String {
    format!("\nOpen   {dashboard}{HINTS}")
}

const HINTS: &str = "
Stop   Ctrl-C: nothing stays behind
Look   leno viz stat svc -n shop --watch
       leno proxy-config routes deploy/web.shop
Break  leno local exec deploy/catalog-v2 -n shop -- leno-shop call -X POST \\
         -d '{\"status\":503,\"for\":\"20s\"}' http://localhost:8080/mode
";

const BAR: usize = 20;

const CANARY: &str = include_str!("../../../../../samples/istio/canary.yaml");

const FILES: [&str; 10] = [
    include_str!("../../../../../samples/istio/namespace.yaml"),
    CANARY,
    include_str!("../../../../../samples/istio/catalog.yaml"),
    include_str!("../../../../../samples/istio/stock.yaml"),
    include_str!("../../../../../samples/istio/cart.yaml"),
    include_str!("../../../../../samples/istio/pay.yaml"),
    include_str!("../../../../../samples/istio/reviews.yaml"),
    include_str!("../../../../../samples/istio/web.yaml"),
    include_str!("../../../../../samples/istio/seed.yaml"),
    include_str!("../../../../../samples/istio/load.yaml"),
];
