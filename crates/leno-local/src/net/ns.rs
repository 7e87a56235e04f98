//! Doing something in another namespace, on a thread of its own: namespaces belong to threads.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace, kept alive by a file that is mounted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetNs(PathBuf);

impl NetNs {
    /// Makes a new namespace, and `file` its handle.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(file: &Path) -> io::Result<Self> {
        File::create(file)?;
        let target = file.to_owned();
        in_thread(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let source = Path::new("/proc/thread-self/ns/net");
            mount(Some(source), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            Ok(())
        })?;
        Ok(Self(file.to_owned()))
    }

    /// The namespace whose handle is this file.
    #[must_use]
    pub const fn at(file: PathBuf) -> Self {
        Self(file)
    }

    /// Runs `f` in it and gives its result.
    ///
    /// # Errors
    /// When it cannot be entered, or what `f` says.
    pub fn run<T: Send + 'static>(&self, f: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let file = File::open(&self.0)?;
        in_thread(move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            f()
        })
    }

    /// Lets go of it: it ends with the last process in it.
    pub fn remove(&self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(&self.0);
    }

    /// Its handle.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Runs `f` on a thread of its own and waits for it.
///
/// # Errors
/// What `f` says, or when there are too many threads.
pub fn in_thread<T: Send + 'static>(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = std::thread::Builder::new().name("namespace".into()).spawn(f)?;
    thread.join().map_err(|_| io::Error::other("the thread in the other namespace panicked"))?
}
