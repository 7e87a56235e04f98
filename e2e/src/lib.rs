//! Harness of the end-to-end tests: each scene is a real mesh of its own, started by the real command line.
//!
//! A scene runs the release programs of `target/release` (or of `LENO_BIN`) exactly as a person would: `leno local up`,
//! `apply`, `exec`, `down`. Nothing is reached behind the command line's back. Scenes live in namespaces of their own, so
//! they do not disturb each other or the machine; a scene that is dropped is taken down.

mod agreement;
mod app;
mod dashboard;
pub mod fortio;
mod prometheus;
mod report;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub use agreement::{Agreement, PERCENTILES, RATES};
pub use app::{Namespace, app, client, echo_app, service};
pub use dashboard::Dashboard;
pub use prometheus::{Prometheus, number};
pub use report::{figure, percentile};
use serde_json::Value;
use tempfile::TempDir;

/// A running mesh; taken down when dropped.
pub struct Mesh {
    folder: TempDir,
}

impl Mesh {
    /// Starts a mesh from YAML texts.
    ///
    /// # Panics
    /// Where `leno local up` fails; the message holds all it printed.
    #[must_use]
    pub fn up(yaml: &[&str]) -> Self {
        Self::up_with(yaml, &[])
    }

    /// As [`Mesh::up`], with more flags for `leno local up`.
    ///
    /// # Panics
    /// Where `leno local up` fails.
    #[must_use]
    pub fn up_with(yaml: &[&str], flags: &[&str]) -> Self {
        let mesh = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let file = mesh.write("up.yaml", &yaml.join("\n---\n"));
        let mut args = vec!["local", "up", &file];
        args.extend(flags);
        let out = mesh.leno(&args);
        assert!(out.status.success(), "leno local up failed\n{}", text(&out));
        mesh
    }

    /// A folder for a mesh that is not up.
    #[must_use]
    pub fn none() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Where this scene keeps its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The state folder given to every command.
    #[must_use]
    pub fn state(&self) -> String {
        self.folder.path().join("state").display().to_string()
    }

    /// Writes a file into the scene's folder and returns its path.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("write a file of the scene");
        path.display().to_string()
    }

    /// The `leno` command with this scene's state, not yet run.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(program("leno"));
        command.args(args).env("LENO_STATE", self.state()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs `leno ARGS…` to its end.
    ///
    /// # Panics
    /// Where the program cannot be started.
    pub fn leno<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command(args).output().expect("run leno")
    }

    /// Runs `leno ARGS…` and returns its standard output.
    ///
    /// # Panics
    /// Where it fails; the message holds all it printed.
    pub fn ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> String {
        let out = self.leno(args);
        assert!(out.status.success(), "leno {args:?} failed\n{}", text(&out));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Applies YAML to the running mesh, through standard input as `kubectl apply -f -` would.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn apply(&self, yaml: &str) {
        let out = self.try_apply(yaml);
        assert!(out.status.success(), "leno local apply failed\n{}", text(&out));
    }

    /// Applies YAML and returns what the command said.
    ///
    /// # Panics
    /// Where the program cannot be started.
    pub fn try_apply(&self, yaml: &str) -> Output {
        let mut child = self
            .command(&["local", "apply", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run leno local apply");
        child.stdin.take().expect("its input").write_all(yaml.as_bytes()).expect("write to it");
        child.wait_with_output().expect("its end")
    }

    /// Runs a command in a pod, by `POD` or `deploy/NAME`.
    pub fn exec(&self, namespace: &str, target: &str, command: &[&str]) -> Output {
        let mut args = vec!["local", "exec", target, "-n", namespace, "--"];
        args.extend(command);
        self.leno(&args)
    }

    /// As [`Mesh::exec`], in the background.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn exec_background(&self, namespace: &str, target: &str, command: &[&str]) -> Child {
        let mut args = vec!["local", "exec", target, "-n", namespace, "--"];
        args.extend(command);
        self.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run leno local exec")
    }

    /// Runs a command in a pod and parses its standard output as JSON.
    ///
    /// # Panics
    /// Where it fails or prints no JSON.
    #[must_use]
    pub fn exec_json(&self, namespace: &str, target: &str, command: &[&str]) -> Value {
        let out = self.exec(namespace, target, command);
        serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{command:?} printed no JSON ({e})\n{}", text(&out)))
    }

    /// One GET from a pod by curl: `(status, body)`; status 0 where there was no answer.
    pub fn get(&self, namespace: &str, from: &str, url: &str) -> (u16, String) {
        self.curl(namespace, from, &[url])
    }

    /// One curl from a pod: `(status, body)`; status 0 where there was no answer.
    pub fn curl(&self, namespace: &str, from: &str, args: &[&str]) -> (u16, String) {
        let mut command = vec!["curl", "-sS", "-m", "20", "-w", "\n%{http_code}"];
        command.extend(args);
        let out = self.exec(namespace, from, &command);
        let all = String::from_utf8_lossy(&out.stdout);
        let (body, status) = all.rsplit_once('\n').unwrap_or(("", all.as_ref()));
        (status.trim().parse().unwrap_or(0), body.to_owned())
    }

    /// `leno local status -o json`.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["local", "status", "-o", "json"])).expect("status is JSON")
    }

    /// Waits until `check` holds.
    ///
    /// # Panics
    /// Where it does not within `limit`.
    pub fn wait(&self, limit: Duration, what: &str, mut check: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !check(self) {
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.leno(&["local", "status"]).stdout.as_slice());
        }
        let _ = self.leno(&["local", "down"]);
    }
}

/// A program of this project: in `LENO_BIN`, else in `target/release`.
///
/// # Panics
/// Where it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("LENO_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `make build` first", path.display());
    path
}

/// Everything a command printed, for a failure's message.
#[must_use]
pub fn text(out: &Output) -> String {
    format!(
        "exit: {}\n--- stdout\n{}\n--- stderr\n{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}
