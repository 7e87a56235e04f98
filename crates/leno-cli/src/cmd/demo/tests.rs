use super::{Seen, judge, scene};
use crate::table::Screen;
use serde_json::json;
use std::time::Duration;

fn seen(success: f64, secured: &str) -> Seen {
    let row = |name: &str, rps: f64| {
        json!({"namespace": "shop", "name": name, "kind": "deployment", "meshed": {"meshed": 1, "total": 1},
            "success": success, "rps": rps, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "tcp_conns": 0,
            "read_bytes_s": 0.0, "write_bytes_s": 0.0, "requests": 100})
    };
    let rows = [row("web", 40.0), row("cart", 50.0), row("catalog-v1", 36.0), row("catalog-v2", 4.0)];
    let stat = serde_json::from_value(json!({"window_s": 10.0, "rows": rows})).expect("rows");
    let edge = json!({"src": "web", "src_ns": "shop", "dst": "cart", "dst_ns": "shop", "secured": secured, "rps": 1.0,
        "tcp_conns": 0, "client_id": "", "server_id": ""});
    let edges = serde_json::from_value(json!({"window_s": 10.0, "rows": [edge]})).expect("edges");
    Seen { stat, edges }
}

#[test]
fn figures_are_judged() {
    assert!(judge(&seen(1.0, "mTLS")).is_empty());
    assert_eq!(judge(&seen(0.5, "mTLS")).len(), 4);
    assert_eq!(judge(&seen(1.0, "plaintext")), ["web -> cart is plaintext"]);
}

#[test]
fn the_canary_moves_by_changed_yaml() {
    let yaml = scene::canary(50);
    assert_eq!(yaml.matches("weight: 50\n").count(), 2, "{yaml}");
    let moved = scene::canary(90);
    assert!(moved.contains("weight: 10\n") && moved.contains("weight: 90\n"), "{moved}");
    assert!(moved.find("weight: 10\n") < moved.find("weight: 90\n"), "{moved}");
    let read = leno_config::read("demo.yaml", &scene::all());
    assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
    assert!(read.objects.len() > 25);
}

#[test]
fn the_screen_fits_a_terminal_of_80_by_24() {
    let screen = Screen { width: Some(80), height: Some(24), ..Screen::default() };
    let text =
        scene::draw(&seen(1.0, "mTLS"), 10, Duration::from_secs(5), &screen) + &scene::hints("http://127.0.0.1:50750/");
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    // Four more rows come with the whole shop.
    assert!(text.lines().count() + 4 <= 23, "{}", text.lines().count());
    assert!(text.contains("90/10 wanted, 90.0/10.0 seen"), "{text}");
}
