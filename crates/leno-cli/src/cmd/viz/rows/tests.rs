use super::{add_totals, edges_table, stat_json, stat_table};
use crate::access::{Access, Ask, Log, Pod, Service, System};
use crate::table::Screen;
use leno_viz::model::{Edges, Stat};
use serde_json::{Value, json};

struct Fixed(Vec<Pod>);

impl Access for Fixed {
    fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        Ok(self.0.clone())
    }

    fn services(&self) -> anyhow::Result<Vec<Service>> {
        Ok(Vec::new())
    }

    fn objects(&self) -> anyhow::Result<Vec<Value>> {
        Ok(Vec::new())
    }

    fn ask_pod(&self, _: &Pod, _: u16, _: Ask<'_>) -> anyhow::Result<Vec<u8>> {
        anyhow::bail!("not in this test")
    }

    fn ask_system(&self, _: System, _: &str) -> anyhow::Result<Vec<Vec<u8>>> {
        anyhow::bail!("not in this test")
    }

    fn forward(&self, _: System, _: std::net::TcpListener) -> anyhow::Result<()> {
        anyhow::bail!("not in this test")
    }

    fn print_log(&self, _: &Pod, _: Log<'_>) -> anyhow::Result<()> {
        anyhow::bail!("not in this test")
    }

    fn hint(&self) -> &'static str {
        "leno local status"
    }
}

fn stat() -> Stat {
    let row = |name: &str, success: Option<f64>| {
        json!({"namespace": "myapp", "name": name, "kind": "deployment", "meshed": {"meshed": 1, "total": null},
            "success": success, "rps": 12.34, "p50_ms": success.map(|_| 1.23), "p95_ms": success.map(|_| 45.6),
            "p99_ms": success.map(|_| 456.7), "tcp_conns": 3, "read_bytes_s": 0.0, "write_bytes_s": 0.0, "requests": 740,
            "covered": success.map(|_| json!({"from_ms": 1000, "to_ms": 61_000}))})
    };
    let rows = [row("my-service-v1", Some(0.999_99)), row("web", None)];
    serde_json::from_value(json!({"window_s": 60.0, "rows": rows})).expect("leno-viz's form")
}

#[test]
fn stat_has_linkerds_columns() {
    let text = stat_table(&stat(), false, false, &Screen::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "NAME           MESHED  SUCCESS      RPS  LATENCY_P50  LATENCY_P95  LATENCY_P99  TCP_CONN",
            "my-service-v1     1/-   99.99%  12.3rps        1.2ms         46ms        457ms         3",
            "web               1/-        -        -            -            -            -         3",
        ]
    );
}

#[test]
fn stat_fits_eighty_columns() {
    let screen = Screen { width: Some(80), ..Screen::default() };
    let text = stat_table(&stat(), true, false, &screen);
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(text.contains("my-service-v1") && text.contains("P99"), "{text}");
}

#[test]
fn pods_without_a_sidecar_count_among_all() {
    let pod = |name: &str, meshed| Pod {
        namespace: "myapp".into(),
        name: name.into(),
        owner: "Deployment/my-service-v1".into(),
        meshed,
        ready: true,
        ended: false,
    };
    let mut stat = stat();
    add_totals(&mut stat, &Fixed(vec![pod("a", true), pod("b", false)])).expect("no question to fail");
    assert_eq!(stat.rows[0].meshed.to_string(), "1/2");
    let json = stat_json(&stat);
    assert_eq!(json[0]["meshed"], "1/2");
    assert_eq!(json[0]["p95"], 45.6);
    assert_eq!(json[0]["covered"]["to_ms"], 61_000);
    assert_eq!(json[1]["covered"], Value::Null);
}

#[test]
fn edges_name_identities_when_asked() {
    let edges: Edges = serde_json::from_value(json!({"window_s": 60.0, "rows": [
        {"src": "web", "src_ns": "myapp", "dst": "echo", "dst_ns": "myapp", "secured": "mTLS", "rps": 1.0, "tcp_conns": 0,
         "client_id": "spiffe://cluster.local/ns/myapp/sa/web", "server_id": ""}]}))
    .expect("leno-viz's form");
    let text = edges_table(&edges, false, &Screen::default());
    assert_eq!(text, "SRC  DST   SRC_NS  DST_NS  SECURED\nweb  echo  myapp   myapp   mTLS\n");
    assert!(edges_table(&edges, true, &Screen::default()).contains("spiffe://cluster.local/ns/myapp/sa/web  -"));
}
