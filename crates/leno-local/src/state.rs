//! The state directory: where a mesh keeps what the outside may look at.
//!
//! `socket` (control), `config/` (what the control plane reads), `logs/`, `supervisor.log`, and `run/`, which is empty
//! from outside: inside it is a tmpfs with keys, tokens, volumes and the containers' roots.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A mesh's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The directory given, made absolute, or the default: `$XDG_RUNTIME_DIR/leno`, for root `/run/leno`, else
    /// `~/.local/state/leno`.
    ///
    /// # Errors
    /// When the current directory cannot be read, or no default can be found.
    pub fn resolve(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(path).with_context(|| format!("{}", path.display()))?,
            None => Self::default_path()?,
        };
        Ok(Self(path))
    }

    fn default_path() -> anyhow::Result<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        if let Some(dir) = variable("XDG_RUNTIME_DIR").filter(|d| d.is_dir()) {
            return Ok(dir.join("leno"));
        }
        if nix::unistd::geteuid().is_root() {
            return Ok("/run/leno".into());
        }
        match variable("HOME") {
            Some(home) => Ok(home.join(".local/state/leno")),
            None => bail!("no place for the mesh's state: give --state DIR (neither XDG_RUNTIME_DIR nor HOME is set)"),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// What the supervisor itself says.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Objects for the control plane.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Objects as they were applied, for leno-viz to show.
    #[must_use]
    pub fn applied(&self) -> PathBuf {
        self.0.join("applied")
    }

    /// Logs of containers and of the mesh's own programs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The tmpfs that only the mesh sees.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The log of a container, `NAMESPACE/POD/CONTAINER`.
    #[must_use]
    pub fn log_of(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.logs().join(format!("{namespace}_{pod}_{container}.log"))
    }

    /// Creates the directories.
    ///
    /// # Errors
    /// When that is not possible, or when the directory holds something that is no mesh's.
    pub fn create(&self) -> anyhow::Result<()> {
        let existed = self.0.is_dir();
        if existed && !self.is_ours() {
            bail!("{} is not empty and is not a mesh's state: give another --state DIR", self.0.display());
        }
        let build = || -> io::Result<()> {
            fs::create_dir_all(&self.0)?;
            fs::write(self.0.join(MARK), "Made by `leno local up`; `leno local down` removes it.\n")?;
            for dir in [self.config(), self.applied(), self.logs(), self.run(), self.0.join("tmp")] {
                fs::create_dir_all(dir)?;
            }
            Ok(())
        };
        build().with_context(|| format!("the state directory {} cannot be made", self.0.display()))
    }

    fn is_ours(&self) -> bool {
        let mut names = match fs::read_dir(&self.0) {
            Ok(entries) => entries.flatten().map(|e| e.file_name()),
            Err(_) => return false,
        };
        self.0.join(MARK).exists() || names.next().is_none()
    }

    /// Removes everything that a mesh leaves here, and the directory if nothing else is in it. Nothing there is fine.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        if !self.0.join(MARK).exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.0)?.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !OURS.contains(&name) {
                continue;
            }
            let result = if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            if let Err(error) = result
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        let _ = fs::remove_file(self.0.join(MARK));
        // Fails where somebody put a file of their own there, which is then theirs to keep.
        let _ = fs::remove_dir(&self.0);
        Ok(())
    }
}

/// Says that a directory is ours to clean.
const MARK: &str = ".leno-local";
const OURS: &[&str] = &["socket", "lock", "supervisor.log", "config", "applied", "logs", "run", "tmp"];
