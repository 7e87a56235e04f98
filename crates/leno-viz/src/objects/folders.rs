//! Objects of the local runtime: one JSON file each.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Raw;

/// All of them. A file that is being replaced, or is none of ours, is left out.
pub(super) fn read(folders: &[PathBuf]) -> Result<Raw, String> {
    let mut raw = Raw::default();
    let mut seen = HashSet::new();
    for folder in folders {
        let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        files.sort();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            if let Some(json) = object(file)
                && seen.insert(file.file_name().map(std::ffi::OsStr::to_owned))
            {
                raw.objects.push(json);
            }
        }
    }
    Ok(raw)
}

fn object(file: &Path) -> Option<Value> {
    let json: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    // Never shown, wherever it comes from.
    (json["kind"] != "Secret").then_some(json)
}
