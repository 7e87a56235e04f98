//! Files should be short enough to read.

use std::path::Path;

/// Warns of files that are longer than [`LONGEST`] lines; a warning is no failure.
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    for file in super::files(root, "rs")? {
        let count = std::fs::read_to_string(&file)?.lines().count();
        if count > LONGEST {
            println!("warning: {}: {count} lines, {LONGEST} is the aim", file.strip_prefix(root)?.display());
        }
    }
    Ok(Vec::new())
}

/// STYLE.md, section 3.
const LONGEST: usize = 500;
