//! Files, folders and standard input into objects.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leno_config::{Diagnostic, Object};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The objects, in order.
    pub(super) objects: Vec<Object>,
    /// What could not be read.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Names of the files.
    pub(super) names: Vec<String>,
}

/// Reads them; objects without a namespace get `namespace`.
///
/// # Errors
/// A file that was named cannot be read.
pub(super) fn read(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Files> {
    let mut files = Files::default();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            take(&mut files, "-", &text);
        } else if path.is_dir() {
            folder(&mut files, path)?;
        } else if is_config(path) {
            file(&mut files, path)?;
        } else {
            fs::metadata(path).with_context(|| path.display().to_string())?;
            eprintln!("Skipping file {}, recognized file extensions are: .json, .yaml, .yml", path.display());
        }
    }
    for object in &mut files.objects {
        if object.namespace.is_none() && !object.is_cluster_scoped() {
            object.namespace = Some(namespace.to_owned());
        }
    }
    Ok(files)
}

fn folder(files: &mut Files, path: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        // A link to a folder above would never end.
        if path.is_dir() && !path.is_symlink() {
            folder(files, &path)?;
        } else if path.is_file() && is_config(&path) {
            file(files, &path)?;
        }
    }
    Ok(())
}

fn file(files: &mut Files, path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{}: it is not UTF-8 text", path.display()))?;
    take(files, &path.display().to_string(), &text);
    Ok(())
}

fn take(files: &mut Files, name: &str, text: &str) {
    let read = leno_config::read(name, text);
    files.objects.extend(read.objects);
    files.diagnostics.extend(read.diagnostics);
    files.names.push(name.to_owned());
}

fn is_config(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ["yaml", "yml", "json"].contains(&e))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn folders_are_read_to_the_bottom_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("x.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n").unwrap();
        std::fs::write(
            folder.path().join("y.json"),
            r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"y"}}"#,
        )
        .unwrap();
        std::fs::write(folder.path().join("README.md"), "# no object\n").unwrap();
        let files = read(&[folder.path().to_path_buf()], "shop").unwrap();
        let names: Vec<String> = files.objects.iter().map(leno_config::Object::describe).collect();
        assert_eq!(names, ["ConfigMap shop/x", "Namespace y"]);
        assert!(files.diagnostics.is_empty());
        assert!(read(&[folder.path().join("none.yaml")], "shop").is_err());
    }
}
