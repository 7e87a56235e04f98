//! The objects of the mesh as people wrote them: what the configuration page shows, and what `leno analyze` finds in them.
//!
//! On one machine they are files that the local runtime writes; in a cluster they are read through the API server by the
//! ServiceAccount of leno-viz, which may read them and nothing else, Secrets least of all. They are read when somebody
//! looks, and at most once in some seconds.

mod cluster;
mod folders;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leno_analyze::{Finding, Options, analyze};
use serde_json::Value;
use tokio::sync::Mutex;

pub use show::Shown;

/// Where objects are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere.
    None,
    /// JSON files, one an object; of an object that is in several folders the first counts.
    Folders(Vec<PathBuf>),
    /// The API server that the pod's ServiceAccount, or KUBECONFIG, names.
    Cluster,
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Kind.
    pub kind: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// All objects at one time.
#[derive(Debug, Default)]
pub struct Known {
    /// Objects with what was found about them.
    pub objects: BTreeMap<Key, Shown>,
    /// What could not be read, and why.
    pub missing: Vec<String>,
}

/// Objects as they were raw.
#[derive(Debug, Default)]
struct Raw {
    objects: Vec<Value>,
    missing: Vec<String>,
}

/// Reads objects, not too often.
#[derive(Clone, Debug)]
pub struct Reader {
    source: Source,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// When it was read, and what it was.
type Kept = (Instant, Arc<Known>);

impl Reader {
    /// Reads from there.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source, kept: Arc::default() }
    }

    /// All objects, at most some seconds old.
    ///
    /// # Errors
    /// When none can be read; says why.
    pub async fn known(&self) -> Result<Arc<Known>, String> {
        let mut kept = self.kept.lock().await;
        if let Some((at, known)) = &*kept
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let raw = match &self.source {
            Source::None => return Err("leno-viz was started without a place to read objects from".to_owned()),
            Source::Folders(folders) => folders::read(folders)?,
            Source::Cluster => cluster::read().await?,
        };
        let known = tokio::task::spawn_blocking(move || judge(raw)).await.map_err(|e| e.to_string())?;
        let known = Arc::new(known);
        *kept = Some((Instant::now(), Arc::clone(&known)));
        Ok(known)
    }
}

/// Finds what there is to find. Pure.
fn judge(raw: Raw) -> Known {
    let mut objects = BTreeMap::new();
    let mut all = Vec::new();
    for json in raw.objects {
        let Some((key, shown, object)) = show::show(json) else { continue };
        all.push(object);
        objects.insert(key, shown);
    }
    // What may not be read would seem not to exist.
    let options = Options { complete: raw.missing.is_empty(), ..Options::default() };
    for finding in analyze(&all, &options) {
        if let Some(shown) = origin(&finding).and_then(|key| objects.get_mut(&key)) {
            shown.findings.push(finding);
        }
    }
    Known { objects, missing: raw.missing }
}

/// `Kind namespace/name`, taken apart.
fn origin(finding: &Finding) -> Option<Key> {
    let (kind, rest) = finding.origin.split_once(' ')?;
    let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
    Some(Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
}

/// How old objects may be.
const FRESH: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests;
