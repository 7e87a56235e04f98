//! The root of a container.
//!
//! A small tmpfs into which every entry of this machine's root (or of the image folder) is bound, with /proc, /run and the
//! pod's volumes of its own. A directory in which a mount point is missing becomes an overlay, so that nothing is ever
//! created on this machine's disk. (One overlay over everything would be simpler, but a user namespace may not take
//! `/` as a lower layer: that would uncover what is mounted over.)

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::pivot_root;

use super::{Container, Mount};

/// Builds it and makes it the root of this process.
pub(super) fn build(container: &Container) -> anyhow::Result<()> {
    let new = &container.workshop;
    tmpfs(new).context("no tmpfs for the container's root")?;
    bind_all(container.image.as_deref(), new)?;
    let old = new.join(OLD);
    fs::create_dir(&old)?;
    pivot_root(new, &old).context("pivot_root")?;
    nix::unistd::chdir("/")?;
    let old = Path::new("/").join(OLD);
    special(&old)?;
    volumes(container, &old)?;
    umount2(&old, MntFlags::MNT_DETACH).context("the old root cannot be left")?;
    fs::remove_dir(&old)?;
    Ok(())
}

fn bind_all(image: Option<&Path>, new: &Path) -> anyhow::Result<()> {
    let from = image.unwrap_or(Path::new("/"));
    let entries = fs::read_dir(from).with_context(|| format!("image {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n == OLD || OWN.contains(&n)) {
            continue;
        }
        let (source, target) = (entry.path(), new.join(&name));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_dir() {
            fs::create_dir(&target)?;
            bind(&source, &target).with_context(|| format!("{} cannot be bound", source.display()))?;
        } else {
            File::create(&target)?;
            // A socket or a device in the root of the file system that cannot be had is no reason to stop.
            let _ = bind(&source, &target);
        }
    }
    Ok(())
}

fn special(old: &Path) -> anyhow::Result<()> {
    for name in ["proc", "sys", "dev", "run"] {
        fs::create_dir_all(Path::new("/").join(name))?;
    }
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )
    .context("/proc cannot be mounted")?;
    bind(&old.join("sys"), Path::new("/sys")).context("/sys cannot be bound")?;
    bind(&old.join("dev"), Path::new("/dev")).context("/dev cannot be bound")?;
    tmpfs(Path::new("/run")).context("no tmpfs for /run")?;
    fs::create_dir_all("/run/lock")?;
    let tmp = Path::new("/tmp");
    if !tmp.exists() {
        fs::create_dir(tmp)?;
        fs::set_permissions(tmp, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    }
    Ok(())
}

fn volumes(container: &Container, old: &Path) -> anyhow::Result<()> {
    let mut mounts: Vec<&Mount> = container.mounts.iter().collect();
    // A mount below another one comes after it.
    mounts.sort_by_key(|m| m.target.components().count());
    let mut places = Places::new(old, &container.workshop)?;
    // Overlays hide what is mounted below them, so they come before all binds, the outer ones first. A mount point within
    // another volume is made when that is there.
    let is_nested = |m: &Mount| mounts.iter().any(|o| m.target != o.target && m.target.starts_with(&o.target));
    let mut outer = Vec::new();
    for m in mounts.iter().filter(|m| !is_nested(m)) {
        let target = resolve(&m.target)?;
        let existing = target.ancestors().find(|p| p.exists()).map_or(0, |p| p.components().count());
        outer.push((existing, *m));
    }
    outer.sort_by_key(|(existing, _)| *existing);
    for (_, m) in &outer {
        places.make(&m.target, is_dir(old, m)?).with_context(|| format!("{} cannot be made", m.target.display()))?;
    }
    for m in &mounts {
        let target = places
            .make(&m.target, is_dir(old, m)?)
            .with_context(|| format!("{} cannot be made", m.target.display()))?;
        bind(&below(old, &m.source), &target).with_context(|| format!("{} cannot be mounted", m.target.display()))?;
        if m.read_only {
            read_only(&target).with_context(|| format!("{} cannot be made read-only", m.target.display()))?;
        }
    }
    Ok(())
}

fn is_dir(old: &Path, m: &Mount) -> anyhow::Result<bool> {
    let meta = below(old, &m.source).metadata().with_context(|| format!("volume {}", m.source.display()))?;
    Ok(meta.is_dir())
}

/// Makes mount points, on nothing but the container's own file systems.
struct Places {
    /// Devices that are the container's own.
    own: HashSet<u64>,
    /// A tmpfs for the upper layers.
    upper: PathBuf,
    overlays: usize,
}

impl Places {
    fn new(old: &Path, workshop: &Path) -> anyhow::Result<Self> {
        // The directory where the root was built is empty again, seen from the old root.
        let upper = below(old, workshop);
        tmpfs(&upper).context("no tmpfs for upper layers")?;
        let own = ["/", "/run"].iter().map(|p| Ok(fs::metadata(p)?.dev())).collect::<io::Result<_>>()?;
        Ok(Self { own, upper, overlays: 0 })
    }

    fn make(&mut self, target: &Path, is_dir: bool) -> anyhow::Result<PathBuf> {
        let target = resolve(target)?;
        if let Ok(meta) = fs::metadata(&target) {
            if meta.is_dir() == is_dir {
                return Ok(target);
            }
            bail!("it is {} here", if is_dir { "a file" } else { "a directory" });
        }
        let Some(parent) = target.ancestors().skip(1).find(|p| p.is_dir()) else { bail!("its parent is a file") };
        if !self.own.contains(&fs::metadata(parent)?.dev()) {
            self.overlay(parent)?;
        }
        if is_dir {
            fs::create_dir_all(&target)?;
        } else {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            File::create(&target)?;
        }
        Ok(target)
    }

    fn overlay(&mut self, on: &Path) -> anyhow::Result<()> {
        let base = self.upper.join(self.overlays.to_string());
        self.overlays += 1;
        let (upper, work) = (base.join("upper"), base.join("work"));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        fs::set_permissions(&upper, fs::metadata(on)?.permissions())?;
        let options = |extra: &str| {
            format!("lowerdir={},upperdir={},workdir={}{extra}", on.display(), upper.display(), work.display())
        };
        let layer = |extra: &str| {
            let options = options(extra);
            mount(Some("overlay"), on, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        };
        // In a user namespace overlays may not use trusted attributes.
        layer("").or_else(|_| layer(",userxattr")).with_context(|| format!("no overlay on {}", on.display()))?;
        self.own.insert(fs::metadata(on)?.dev());
        Ok(())
    }
}

/// `path` with all symbolic links followed, whether or not its end exists.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let mut out = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = path.components().rev().map(|c| PathBuf::from(c.as_os_str())).collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.components().next() {
            Some(Component::Normal(name)) => out.push(name),
            Some(Component::ParentDir) => {
                out.pop();
                continue;
            }
            Some(Component::RootDir) => {
                out = PathBuf::from("/");
                continue;
            }
            _ => continue,
        }
        if let Ok(link) = fs::read_link(&out) {
            links += 1;
            if links > 40 {
                bail!("too many symbolic links");
            }
            out.pop();
            rest.extend(link.components().rev().map(|c| PathBuf::from(c.as_os_str())));
        }
    }
    Ok(out)
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn bind(source: &Path, target: &Path) -> nix::Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

fn tmpfs(target: &Path) -> nix::Result<()> {
    mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
}

fn read_only(target: &Path) -> nix::Result<()> {
    use nix::sys::statvfs::{FsFlags, statvfs};
    // A user namespace may not take away the restrictions that a mount came with, so they are said again.
    let had = statvfs(target)?.flags();
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for (has, keep) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if had.contains(has) {
            flags |= keep;
        }
    }
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
}

const OLD: &str = ".leno-old-root";
/// Not taken over from the machine: made anew or bound from the machine even where an image has its own.
const OWN: &[&str] = &["proc", "sys", "dev", "run"];
