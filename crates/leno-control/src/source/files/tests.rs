use std::fs;
use std::time::Duration;

use super::*;
use crate::source::ObjectState;

struct Folder {
    dir: tempfile::TempDir,
    files: Files,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), LowerContext::default());
        Self { dir, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// What a look at everything finds, in short.
    fn look(&mut self) -> Vec<String> {
        let batch = self.files.rescan(Take::All).unwrap();
        short(&batch)
    }

    fn touch(&mut self, name: &str) -> Vec<String> {
        let batch = self.files.reload(BTreeSet::from([self.path(name)]));
        short(&batch)
    }
}

fn short(batch: &Batch) -> Vec<String> {
    let change = |c: &Change| match c {
        Change::Accepted { key, status, .. } => format!("+ {} {}", key.name, status.source),
        Change::Refused { key, status } => format!("! {} {}", key.name, status.messages.join("; ")),
        Change::Deleted { key } => format!("- {}", key.name),
    };
    let fault = |(file, problems): &(String, Vec<String>)| format!("{file}: {}", problems.join("; "));
    batch.changes.iter().map(change).chain(batch.faults.iter().map(fault)).collect()
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n")
}

#[test]
fn files_come_change_and_go() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &namespace("a"));
    folder.write("deep/er/b.yml", &format!("{}---\n{}", namespace("b"), namespace("c")));
    folder.write("notes.txt", &namespace("no"));
    folder.write(".hidden.yaml", &namespace("no"));
    assert_eq!(folder.look(), ["+ a a.yaml:1", "+ b deep/er/b.yml:1", "+ c deep/er/b.yml:5"]);
    assert!(folder.look().is_empty());
    folder.write("deep/er/b.yml", &namespace("c"));
    assert_eq!(folder.touch("deep/er/b.yml"), ["+ c deep/er/b.yml:1", "- b"]);
    fs::remove_dir_all(folder.path("deep")).unwrap();
    assert_eq!(folder.look(), ["- c"]);
}

#[test]
fn an_object_that_moves_is_never_gone() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &namespace("one"));
    folder.look();
    fs::rename(folder.path("a.yaml"), folder.path("b.yaml")).unwrap();
    assert_eq!(folder.look(), ["+ one b.yaml:1"]);
}

#[test]
fn the_first_file_has_the_say_and_the_second_inherits() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &namespace("one"));
    folder.write("b.yaml", &namespace("one"));
    assert_eq!(
        folder.look(),
        ["+ one a.yaml:1", "b.yaml: b.yaml:1: error: Namespace one: is already defined in a.yaml"]
    );
    fs::remove_file(folder.path("a.yaml")).unwrap();
    assert_eq!(folder.touch("a.yaml"), ["+ one b.yaml:1", "b.yaml: "]);
    folder.write("a.yaml", &namespace("one"));
    folder.touch("a.yaml");
    folder.write("b.yaml", &namespace("two"));
    assert_eq!(folder.touch("b.yaml"), ["+ two b.yaml:1", "+ one a.yaml:1", "a.yaml: "]);
}

#[test]
fn a_broken_file_takes_nothing_out_of_force() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &format!("{}---\n{}", namespace("one"), namespace("two")));
    folder.look();
    folder.write("a.yaml", &format!("{}---\nkind: [", namespace("one")));
    let news = folder.touch("a.yaml");
    assert_eq!(news.len(), 3, "{news:?}");
    assert_eq!(news[0], "+ one a.yaml:1");
    assert!(news[1].starts_with("! two a.yaml:6"), "{news:?}");
    assert!(news[2].starts_with("a.yaml: a.yaml:6"), "{news:?}");
    folder.write("a.yaml", &namespace("one"));
    assert_eq!(folder.touch("a.yaml"), ["+ one a.yaml:1", "- two", "a.yaml: "]);
}

#[test]
fn an_object_twice_in_one_file_is_said() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &format!("{}---\n{}", namespace("one"), namespace("one")));
    assert_eq!(
        folder.look(),
        ["+ one a.yaml:1", "a.yaml: a.yaml:5: error: Namespace one: is defined twice in this file"]
    );
}

#[test]
fn kinds_of_others_are_not_reported() {
    let mut folder = Folder::new();
    folder.write("a.yaml", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: { name: x }\n");
    assert!(folder.look().is_empty());
}

#[test]
fn what_is_being_written_is_left_alone() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &namespace("one"));
    assert!(short(&folder.files.rescan(Take::Settled).unwrap()).is_empty());
    assert_eq!(folder.look().len(), 1);
}

#[tokio::test]
async fn a_folder_is_followed() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &namespace("a"));
    let (batches, mut inbox) = tokio::sync::mpsc::channel(8);
    let files = std::mem::replace(&mut folder.files, Files::new(Path::new("/"), LowerContext::default()));
    let first = watch(files, batches).unwrap();
    assert_eq!(short(&first), ["+ a a.yaml:1"]);
    let mut until = async |wanted: &str| {
        let mut seen = Vec::new();
        while !seen.iter().any(|s| s == wanted) {
            let batch = tokio::time::timeout(Duration::from_secs(4), inbox.recv()).await;
            seen.extend(short(&batch.unwrap_or_else(|_| panic!("{seen:?}")).unwrap()));
        }
    };
    folder.write("b.yaml", &namespace("b"));
    until("+ b b.yaml:1").await;
    folder.write("new/folder/c.yaml", &namespace("c"));
    until("+ c new/folder/c.yaml:1").await;
    fs::write(folder.path(".tmp"), namespace("d")).unwrap();
    fs::rename(folder.path(".tmp"), folder.path("a.yaml")).unwrap();
    until("+ d a.yaml:1").await;
    std::os::unix::fs::symlink(folder.path(".tmp2"), folder.path("e.yaml")).unwrap();
    fs::write(folder.path(".tmp2"), namespace("e")).unwrap();
    fs::rename(folder.path("new"), folder.path("moved")).unwrap();
    until("+ c moved/folder/c.yaml:1").await;
    fs::remove_dir_all(folder.path("moved")).unwrap();
    until("- c").await;
    assert_eq!(first.changes.len(), 1);
    assert!(matches!(first.changes[0], Change::Accepted { ref status, .. } if status.state == ObjectState::Accepted));
}
