//! Which files there are, and whether they changed.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    changed: Option<SystemTime>,
}

/// Which files a scan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All: nobody is writing, or there is nothing to lose.
    All,
    /// Those that were not touched for a moment: the others may be half written, and their end will be told.
    Settled,
}

impl Take {
    pub(super) fn holds(self, stamp: &Stamp) -> bool {
        let age = |at: SystemTime| SystemTime::now().duration_since(at).unwrap_or_default();
        self == Self::All || stamp.changed.is_none_or(|at| age(at) >= MOMENT)
    }
}

/// The stamp of a file; the default for one that is gone.
pub(super) fn stamp(path: &Path) -> Stamp {
    let Ok(meta) = std::fs::metadata(path) else { return Stamp::default() };
    Stamp { inode: meta.ino(), size: meta.size(), changed: meta.modified().ok() }
}

/// All files of objects under `root`, links followed.
pub(super) fn files_under(root: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if folder == root => return Err(e),
            // Gone since it was listed, or not ours to read.
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    folders.push((path, depth + 1));
                }
            } else if is_object_file(&path) {
                found.insert(path.clone(), stamp(&path));
            }
        }
    }
    Ok(found)
}

/// Whether a file's name says that it holds objects.
pub(super) fn is_object_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    EXTENSIONS.contains(&extension) && !is_hidden(path)
}

/// Names with a leading dot belong to editors and to Kubernetes' mounts.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// A link may lead back to its own folder.
const MAX_DEPTH: usize = 16;
const MOMENT: Duration = Duration::from_millis(500);
