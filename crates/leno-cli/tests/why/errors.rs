//! What cannot be answered: said with what to do, and exit code 1 (2 for a command line that is no question).

use crate::harness::{leno, shop};

fn fails(words: &str, code: i32, wanted: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mesh.yaml"), shop()).expect("a file");
    std::fs::write(folder.path().join("bad.yaml"), "kind: [\n").expect("a file");
    let out = leno(folder.path(), words);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{words}: {text}");
    for word in wanted {
        assert!(text.contains(word), "{words}: `{word}` is not in\n{text}");
    }
}

#[test]
fn names_that_nobody_has() {
    let file = "--file mesh.yaml";
    fails(
        &format!("http://nobody/ --from deploy/web -n shop {file}"),
        1,
        &["no service `nobody` in namespace shop", "catalog, db, empty"],
    );
    fails(&format!("http://catalog/ --from deploy/client -n out {file}"), 1, &["did you mean catalog.shop?"]);
    fails(&format!("http://nobody.shop/ --from deploy/web -n shop {file}"), 1, &["no service `nobody`"]);
    fails(&format!("http://nobody.shop.svc/ --from deploy/web -n shop {file}"), 1, &["no service `nobody`"]);
    fails(&format!("http://web/ --from deploy/nobody -n shop {file}"), 1, &["--from deploy/nobody", "deployment/web"]);
    fails(&format!("http://web/ --from web -n nowhere {file}"), 1, &["no pod is in that namespace", "out, shop"]);
    fails(&format!("http://web/ --from svc/web -n shop {file}"), 1, &["a service asks nobody"]);
    fails(&format!("http://web/ --from thing/web -n shop {file}"), 1, &["deploy/"]);
    fails(&format!("http://web/ -n shop {file}"), 1, &["--from deploy/web"]);
}

#[test]
fn requests_that_are_none() {
    let rest = "--from deploy/web -n shop --file mesh.yaml";
    fails(&format!("http:///x {rest}"), 1, &["`http:///x`"]);
    fails(&format!("ftp://catalog/ {rest}"), 1, &["http://"]);
    fails(&format!("tcp://db {rest}"), 1, &["needs a port"]);
    fails(&format!("http://catalog/ GET {rest}"), 1, &["the method comes first"]);
    fails(&format!("GE(T http://catalog/ {rest}"), 1, &["is no method"]);
    fails(&format!("http://catalog/ -H nonsense {rest}"), 1, &["name: value"]);
    fails(rest, 2, &["URL"]);
}

#[test]
fn files_and_meshes_that_are_not_there() {
    fails("http://catalog/ --from deploy/web -n shop --file none.yaml", 1, &["none.yaml"]);
    fails("http://catalog/ --from deploy/web -n shop --file bad.yaml", 1, &["bad.yaml:"]);
    fails("http://catalog/ --from deploy/web -n shop", 1, &["leno local up"]);
}
