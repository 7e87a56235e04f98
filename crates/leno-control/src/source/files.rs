//! Objects from a directory of YAML and JSON files, live.
//!
//! A file counts when it has been closed after writing or moved into place: what is half written is not read. A file
//! that cannot be read whole takes nothing out of force: objects that it gave before, and that it should still give,
//! stay as they were until it can be read again or is deleted.

mod scan;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use leno_config::{LowerContext, Severity};

use super::{Batch, Change, ObjectState, ObjectStatus, judge, key_of};
use crate::world::ObjectKey;
pub use scan::Take;
pub use watch::watch;

/// What is known of each file.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    context: LowerContext,
    files: BTreeMap<PathBuf, FileState>,
    /// Which file has the say about an object: the first that gave it.
    owners: HashMap<ObjectKey, PathBuf>,
}

#[derive(Debug, Default)]
struct FileState {
    stamp: scan::Stamp,
    /// Objects that it has the say about.
    owned: BTreeSet<ObjectKey>,
    /// Objects that another file has the say about.
    shadowed: BTreeSet<ObjectKey>,
    /// It has problems that no object can be named for.
    faulty: bool,
}

impl Files {
    /// Nothing read yet. `root` must be a directory when it is.
    #[must_use]
    pub fn new(root: &Path, context: LowerContext) -> Self {
        // Events name absolute paths.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { root, context, files: BTreeMap::new(), owners: HashMap::new() }
    }

    /// Reads whatever differs from what was read last, anywhere under the root.
    ///
    /// # Errors
    /// When the root cannot be read. What is in force stays.
    pub fn rescan(&mut self, take: Take) -> std::io::Result<Batch> {
        let found = scan::files_under(&self.root)?;
        let mut paths: BTreeSet<PathBuf> = self.files.keys().filter(|p| !found.contains_key(*p)).cloned().collect();
        for (path, stamp) in found {
            let known = self.files.get(&path).is_some_and(|f| f.stamp == stamp);
            if !known && take.holds(&stamp) {
                paths.insert(path);
            }
        }
        Ok(self.reload(paths))
    }

    /// Reads these files again; those that are gone take their objects with them.
    pub fn reload(&mut self, paths: BTreeSet<PathBuf>) -> Batch {
        let mut batch = Batch { at: Instant::now(), changes: Vec::new(), faults: Vec::new() };
        let (gone, there): (Vec<_>, Vec<_>) = paths.into_iter().partition(|p| !p.is_file());
        // The dead first: an object may have moved to another file.
        let mut heirs = BTreeSet::new();
        let mut orphans = BTreeSet::new();
        for path in gone {
            let Some(state) = self.files.remove(&path) else { continue };
            if state.faulty {
                batch.faults.push((self.shown(&path), Vec::new()));
            }
            for key in state.owned {
                self.owners.remove(&key);
                heirs.extend(self.shadows_of(&key));
                orphans.insert(key);
            }
        }
        let there: BTreeSet<PathBuf> = there.into_iter().chain(heirs).collect();
        for path in there {
            self.read(&path, &mut batch, &mut orphans);
        }
        // Objects given up by files that were read again may be waited for elsewhere.
        let waited_for = orphans.iter().filter(|key| !self.owners.contains_key(*key));
        let heirs: BTreeSet<PathBuf> = waited_for.flat_map(|key| self.shadows_of(key)).collect();
        for path in heirs {
            self.read(&path, &mut batch, &mut orphans);
        }
        let deleted = orphans.into_iter().filter(|key| !self.owners.contains_key(key));
        batch.changes.extend(deleted.map(|key| Change::Deleted { key }));
        batch
    }

    fn read(&mut self, path: &Path, batch: &mut Batch, orphans: &mut BTreeSet<ObjectKey>) {
        let shown = self.shown(path);
        let stamp = scan::stamp(path);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => {
                let state = self.files.entry(path.to_owned()).or_default();
                (state.stamp, state.faulty) = (stamp, true);
                batch.faults.push((shown.clone(), vec![format!("{shown}: error: cannot be read: {e}")]));
                return;
            }
        };
        let read = leno_config::read(&shown, &text);
        let mut state = self.files.remove(path).unwrap_or_default();
        let before = std::mem::take(&mut state.owned);
        state.shadowed.clear();
        state.stamp = stamp;
        let mut problems: Vec<String> = read.diagnostics.iter().map(ToString::to_string).collect();
        for object in &read.objects {
            let key = key_of(object);
            if state.owned.contains(&key) {
                problems.push(format!("{}: error: {key}: is defined twice in this file", object.position));
                continue;
            }
            match self.owners.get(&key) {
                Some(owner) if owner != path => {
                    let other = self.shown(owner);
                    problems.push(format!("{}: error: {key}: is already defined in {other}", object.position));
                    state.shadowed.insert(key);
                }
                _ => {
                    self.owners.insert(key.clone(), path.to_owned());
                    state.owned.insert(key);
                    batch.changes.extend(judge(object, &self.context));
                }
            }
        }
        let errors = read.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        self.keep_or_release(path, &mut state, before, &errors, batch, orphans);
        let faulty = !problems.is_empty();
        if faulty || state.faulty {
            batch.faults.push((shown, problems));
        }
        state.faulty = faulty;
        self.files.insert(path.to_owned(), state);
    }

    /// What a file gave before and gives no more: gone, or kept where the file is broken and may still mean it.
    fn keep_or_release(
        &mut self,
        path: &Path,
        state: &mut FileState,
        before: BTreeSet<ObjectKey>,
        errors: &[String],
        batch: &mut Batch,
        orphans: &mut BTreeSet<ObjectKey>,
    ) {
        for key in before {
            if state.owned.contains(&key) {
                continue;
            }
            if errors.is_empty() {
                self.owners.remove(&key);
                orphans.insert(key);
                continue;
            }
            let status =
                ObjectStatus { source: self.shown(path), state: ObjectState::Refused, messages: errors.to_vec() };
            batch.changes.push(Change::Refused { key: key.clone(), status });
            state.owned.insert(key);
        }
    }

    /// Files that give `key` too, but do not have the say about it.
    fn shadows_of(&self, key: &ObjectKey) -> Vec<PathBuf> {
        let waiting = self.files.iter().filter(|(_, state)| state.shadowed.contains(key));
        waiting.map(|(path, _)| path.clone()).collect()
    }

    /// The name of a file in messages: relative to the root, as the user knows it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}
