//! Objects for the control plane, and for leno-viz: one file each, replaced whole, in a directory that it watches or reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::object::ObjectKey;
use crate::state::StateDir;

/// Writes what changes and nothing else.
#[derive(Debug)]
pub(super) struct Publisher {
    folder: PathBuf,
    /// On the same file system, not watched.
    aside: PathBuf,
    written: BTreeMap<ObjectKey, Vec<u8>>,
}

impl Publisher {
    /// Writes into `folder`.
    pub(super) fn new(state: &StateDir, folder: PathBuf) -> Self {
        Self { folder, aside: state.path().join("tmp"), written: BTreeMap::new() }
    }

    /// Makes the file of an object what it should be. True if it was not.
    pub(super) fn put(&mut self, key: &ObjectKey, object: &Value) -> io::Result<bool> {
        let bytes = serde_json::to_vec(object)?;
        if self.written.get(key) == Some(&bytes) {
            return Ok(false);
        }
        let name = key.file_name();
        let aside = self.aside.join(&name);
        fs::write(&aside, &bytes)?;
        fs::rename(aside, self.folder.join(name))?;
        self.written.insert(key.clone(), bytes);
        Ok(true)
    }

    /// Removes the file of an object.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        if self.written.remove(key).is_some() {
            let _ = fs::remove_file(self.folder.join(key.file_name()));
        }
    }

    /// The keys of this kind that are written.
    pub(super) fn keys(&self, kind: &str) -> Vec<ObjectKey> {
        self.written.keys().filter(|k| k.kind == kind).cloned().collect()
    }
}
