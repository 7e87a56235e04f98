//! Running `kubectl` and `leno`.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a command ended and what it said.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Whether it succeeded.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.code == 0
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit: {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: Option<&str>) -> Ran {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{} could not be run: {e}", command.get_program().display()));
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // One that fails early closes its input; its own message is the better one.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = child.wait_with_output().expect("the end of a command");
    Ran {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// `kubectl`, from PATH.
pub(crate) fn kubectl() -> Command {
    Command::new("kubectl")
}

/// `leno ARGS…`.
pub(crate) fn leno(args: &[&str]) -> Command {
    let mut command = Command::new(program("leno"));
    command.args(args).env("NO_COLOR", "1");
    command
}

/// `sh -c LINE`, with this project's programs first in PATH.
pub(crate) fn shell(line: &str) -> Command {
    let mut path = folder().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", line]).env("PATH", path).env("NO_COLOR", "1");
    command
}

fn folder() -> PathBuf {
    std::env::var_os("LENO_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"), PathBuf::from)
}

/// A program of this project: in `LENO_BIN`, else in `target/release`.
///
/// # Panics
/// Where it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.exists(), "{} is not built: run `make build` first", path.display());
    path
}
