//! Load that runs while a scene changes something.

use std::time::Duration;

use serde_json::Value;

use crate::namespace::Namespace;

/// A Job in the cluster that sends requests at a steady rate, so that neither `kubectl exec` nor this machine is on the way.
#[derive(Debug)]
pub struct Load<'a> {
    namespace: &'a Namespace,
    name: String,
}

/// What became of the requests.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many were sent.
    pub requests: u64,
    /// How many had no answer, or a 5xx.
    pub failed: u64,
    /// All that the client said.
    pub all: Value,
}

impl<'a> Load<'a> {
    /// Starts `rps` requests a second to `url`, and returns when they are answered.
    ///
    /// # Panics
    /// Where the Job cannot be made, or its pod does not run within a minute.
    #[must_use]
    pub fn start(namespace: &'a Namespace, name: &str, url: &str, rps: u32) -> Self {
        let args = format!("[load, {url:?}, --rps, \"{rps}\", -c, \"8\", --json]");
        let image = crate::image();
        namespace.apply(&[&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  restartPolicy: Never
  containers:
  - name: app
    image: {image}
    args: {args}
"
        )]);
        let ran = namespace.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
        assert!(ran.ok(), "the load generator did not start\n{ran}");
        std::thread::sleep(Duration::from_secs(2));
        Self { namespace, name: name.into() }
    }

    /// Ends it and reads its report.
    ///
    /// # Panics
    /// Where it printed none.
    #[must_use]
    pub fn stop(self) -> Report {
        // The client ends with its report on SIGTERM. Its pod's log must be read before the pod is gone, so it is followed.
        let name = self.name.as_str();
        let namespace = self.namespace;
        let log = std::thread::scope(|scope| {
            let log = scope.spawn(|| namespace.kubectl(&["logs", "-f", name, "-c", "app"]));
            std::thread::sleep(Duration::from_secs(1));
            namespace.must(&["delete", "pod", name, "--wait=false"]);
            log.join().expect("the load's log")
        });
        let start = log.stdout.find('{').unwrap_or(0);
        let all: Value = serde_json::from_str(&log.stdout[start..])
            .unwrap_or_else(|e| panic!("the load generator printed no report ({e})\n{log}"));
        let count = |key: &str| all[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in the report {all}"));
        Report { requests: count("requests"), failed: count("failed"), all: all.clone() }
    }
}

impl Report {
    /// Fails the scene where a request failed.
    ///
    /// # Panics
    /// Where one did, or none was sent.
    pub fn assert_none_failed(&self, during: &str) {
        assert!(self.requests > 0, "no request was sent during {during}: {}", self.all);
        assert_eq!(self.failed, 0, "requests failed during {during}: {}", self.all);
        println!("{during}: {} requests, none failed", self.requests);
    }
}
