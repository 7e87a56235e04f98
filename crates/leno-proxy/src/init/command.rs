//! Running the programs that write rules, and saying what is wrong when they cannot.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Interception could not be set up, checked or removed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Flags that do not parse; all of them in one text.
    #[error("{0}")]
    Flags(String),
    /// The program is not installed.
    #[error(
        "`{program}` was not found in PATH, /usr/sbin or /sbin: install the package `nftables` (or `iptables`); \
         both are called so on Debian, Ubuntu, Alpine and Fedora"
    )]
    NoProgram {
        /// What was looked for.
        program: &'static str,
    },
    /// The process lacks a capability.
    #[error(
        "`{program}` is not permitted to change this network namespace: it needs the capability NET_ADMIN (in \
         Kubernetes: securityContext.capabilities.add [NET_ADMIN] on the init container)"
    )]
    NotPermitted {
        /// What was run.
        program: &'static str,
    },
    /// The kernel lacks what the rules need.
    #[error("the kernel cannot redirect connections by {needs}: {stderr}")]
    NoNat {
        /// Modules that are missing, presumably.
        needs: &'static str,
        /// What the program said.
        stderr: String,
    },
    /// Any other failure of the program.
    #[error("`{program}` failed ({status}): {stderr}")]
    Failed {
        /// What was run.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// `--check` found something else.
    #[error("interception is not in force: {0}")]
    NotInForce(String),
}

impl InitError {
    /// Whether the other backend may still hold the rules.
    pub(super) const fn leaves_doubt(&self) -> bool {
        matches!(self, Self::NoProgram { .. } | Self::NoNat { .. } | Self::NotInForce(_))
    }
}

/// How iptables says that the kernel has no nftables, which it would write by.
const NO_NFTABLES: &str = "Could not fetch rule set generation id: Invalid argument";

/// A program of the machine, known by name in messages.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// What the kernel must have for it.
    needs: &'static str,
}

impl Program {
    /// Looks in PATH and where administrators' programs live: a user's PATH often lacks those.
    pub(super) fn find(name: &'static str, needs: &'static str) -> Result<Self, InitError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let extra = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(extra)
            .map(|dir| dir.join(name))
            .find(|file| is_executable(file))
            .map(|path| Self { name, path, needs })
            .ok_or(InitError::NoProgram { program: name })
    }

    /// Runs it with `input`; its standard output when it succeeds.
    pub(super) fn run(&self, args: &[&str], input: &str) -> Result<String, InitError> {
        let failed = |e: std::io::Error| match e.kind() {
            ErrorKind::NotFound => InitError::NoProgram { program: self.name },
            ErrorKind::PermissionDenied => InitError::NotPermitted { program: self.name },
            _ => InitError::Failed { program: self.name, status: "could not be run".into(), stderr: e.to_string() },
        };
        let mut child = Command::new(&self.path)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that fails early closes its input; its own message is the better error.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.judge(output.status.to_string(), stderr))
    }

    /// Whether it succeeds; only its being absent or forbidden is an error.
    pub(super) fn succeeds(&self, args: &[&str]) -> Result<bool, InitError> {
        match self.run(args, "") {
            Ok(_) => Ok(true),
            Err(e @ (InitError::NotPermitted { .. } | InitError::NoProgram { .. })) => Err(e),
            Err(_) => Ok(false),
        }
    }

    fn judge(&self, status: String, stderr: String) -> InitError {
        let has = |words: &[&str]| words.iter().any(|w| stderr.contains(w));
        if has(&["Operation not permitted", "Permission denied", "you must be root"]) {
            return InitError::NotPermitted { program: self.name };
        }
        if has(&[
            "not supported",
            "can't initialize",
            "Table does not exist",
            "Could not process rule: No such file",
            NO_NFTABLES,
        ]) {
            return InitError::NoNat { needs: self.needs, stderr };
        }
        InitError::Failed { program: self.name, status, stderr }
    }
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
