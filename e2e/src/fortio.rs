//! The load generator, and what it tells of each request.
//!
//! Its own report has percentiles out of a histogram whose steps are 10 to 20 % wide. Its log has every request to the
//! microsecond, so that figures of any span of time can be had from it.

use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;

use crate::{Mesh, percentile};

/// Where it is: `LENO_FORTIO`, or where `make tools` puts it.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn program() -> String {
    let path = std::env::var("LENO_FORTIO").unwrap_or_else(|_| {
        format!("{}/.cache/leno/bin/fortio", std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()))
    });
    assert!(Path::new(&path).exists(), "{path} is missing: run `make tools`");
    path
}

/// A steady load on one URL.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// Where to.
    pub url: &'a str,
    /// A header of each request, `name: value`.
    pub header: Option<&'a str>,
    /// Requests a second.
    pub rps: u32,
    /// How many go on at once.
    pub connections: u32,
    /// How long.
    pub seconds: u64,
}

impl Load<'_> {
    /// Begins it in a pod. Each request is written to a file of that `name` in the scene's folder.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(&self, mesh: &Mesh, namespace: &str, target: &str, name: &str) -> Running {
        let log = mesh.folder().join(format!("{name}.log"));
        // A second load of that name begins anew.
        let _ = std::fs::remove_file(&log);
        let (rps, connections) = (self.rps.to_string(), self.connections.to_string());
        let (seconds, file) = (format!("{}s", self.seconds), log.display().to_string());
        let fortio = program();
        let mut command = vec![&*fortio, "load", "-quiet", "-allow-initial-errors"];
        command.extend(self.header.iter().flat_map(|header| ["-H", header]));
        // Evenly in time: what all connections send at once waits for one another, in the generator too.
        command.extend(["-uniform", "-qps", &rps, "-c", &connections, "-t", &seconds]);
        command.extend(["-access-log-format", "json", "-access-log-file", &file, self.url]);
        Running { child: mesh.exec_background(namespace, target, &command), log }
    }
}

/// A load that has begun.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// All requests of it, once it has ended.
    ///
    /// # Panics
    /// Where it failed.
    #[must_use]
    pub fn requests(self) -> Requests {
        let out = self.child.wait_with_output().expect("fortio's end");
        assert!(out.status.success(), "fortio failed\n{}", crate::text(&out));
        Requests::read(&std::fs::read_to_string(&self.log).expect("fortio's log"))
    }
}

/// Requests as the generator saw them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests(Vec<Request>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Request {
    /// Milliseconds since 1970.
    ended: f64,
    /// Milliseconds.
    took: f64,
    /// -1 where there was no answer.
    status: i64,
}

impl Requests {
    /// From the lines of its log.
    fn read(log: &str) -> Self {
        Self(log.lines().map(Request::read).collect())
    }

    /// Those that ended from one moment to another, milliseconds since 1970.
    #[must_use]
    pub fn between(&self, from_ms: f64, to_ms: f64) -> Self {
        Self(self.0.iter().filter(|r| r.ended > from_ms && r.ended <= to_ms).copied().collect())
    }

    /// All of several loads.
    #[must_use]
    pub fn together<'a>(loads: impl IntoIterator<Item = &'a Self>) -> Self {
        Self(loads.into_iter().flat_map(|load| load.0.iter().copied()).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.0.len() as f64
    }

    /// How many had this status.
    #[must_use]
    pub fn with(&self, status: i64) -> f64 {
        self.0.iter().filter(|r| r.status == status).count() as f64
    }

    /// The share that was answered, and by no 5xx.
    #[must_use]
    pub fn success(&self) -> f64 {
        self.0.iter().filter(|r| (1..500).contains(&r.status)).count() as f64 / self.count()
    }

    /// A percentile (0..100) of what they took, milliseconds.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn percentile(&self, p: f64) -> f64 {
        let took: Vec<f64> = self.0.iter().map(|r| r.took).collect();
        percentile(&took, p / 100.0)
    }
}

impl Request {
    /// From a line: when it began in nanoseconds, what it took in seconds, its status as text.
    fn read(line: &str) -> Self {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("a line of fortio's log ({e}): {line}"));
        let number = |field: &str| told[field].as_f64().unwrap_or_else(|| panic!("{field} is no number: {line}"));
        let status = told["details"].as_str().and_then(|status| status.parse().ok());
        let (began, took) = (number("timestamp") / 1e6, number("latency") * 1000.0);
        Self { ended: began + took, took, status: status.unwrap_or_else(|| panic!("no status: {line}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"latency":0.020542,"timestamp":1795683540220811800,"thread":0,"iter":0,"ok":true,"details":"200"}
{"latency":0.001250,"timestamp":1795683541000000000,"thread":1,"iter":0,"ok":false,"details":"503"}
{"latency":0.300000,"timestamp":1795683541000000000,"thread":2,"iter":0,"ok":false,"details":"-1"}
{"latency":0.040000,"timestamp":1795683541500000000,"thread":0,"iter":1,"ok":true,"details":"404"}
"#;

    #[test]
    fn a_log_tells_counts_shares_and_latencies() {
        let all = Requests::read(LOG);
        assert_eq!((all.count(), all.with(200), all.with(503), all.success()), (4.0, 1.0, 1.0, 0.5));
        let near = |p: f64, millis: f64| assert!((all.percentile(p) - millis).abs() < 1e-9, "{}", all.percentile(p));
        near(50.0, 20.542);
        near(75.0, 40.0);
        near(99.0, 300.0);
    }

    #[test]
    fn requests_belong_to_the_time_in_which_they_ended() {
        let all = Requests::read(LOG);
        let began = 1_795_683_541_000.0;
        assert_eq!(all.between(began, began + 299.0).with(503), 1.0);
        assert_eq!(all.between(began, began + 299.0).count(), 1.0);
        assert_eq!(all.between(began, began + 301.0).count(), 2.0);
        assert_eq!(Requests::together([&all, &all.between(0.0, began)]).count(), 5.0);
    }
}
