use proptest::prelude::*;
use serde_json::json;

use super::read;
use crate::object::Path;

fn only(text: &str) -> crate::Object {
    let read = read("a.yaml", text);
    assert_eq!(read.diagnostics, [], "{text}");
    assert_eq!(read.objects.len(), 1, "{text}");
    read.objects.into_iter().next().unwrap()
}

fn complaints(text: &str) -> Vec<String> {
    read("a.yaml", text).diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn knows_the_line_of_every_node() {
    let object = only(
        "# comment\n\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 80\n      name: http\n    - {port: 81,\n       name: b}\n",
    );
    assert_eq!(object.position.line, 3);
    let at = |path: Path| object.line_of(&path);
    let ports = Path::root().keys("spec.ports");
    assert_eq!(at(Path::root().keys("metadata.name")), 6);
    assert_eq!(at(ports.clone()), 8);
    assert_eq!(at(ports.index(0)), 9);
    assert_eq!(at(ports.index(0).key("name")), 10);
    assert_eq!(at(ports.index(1).key("name")), 12);
    assert_eq!(at(ports.index(1).key("missing")), 11);
    assert_eq!(at(Path::root().keys("nothing.here")), 3);
    assert_eq!(ports.index(1).key("name").to_string(), "spec.ports[1].name");
}

#[test]
fn reads_scalars_as_kubectl_does() {
    let object = only(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: yes\n  b: \"yes\"\n  c: 0644\n  d: '0644'\n  e: 1.10\n  \
         f: 1_000\n  g: 2021-01-01\n  h: ~\n  i:\n  j: 0x1F\n  k: 1e3\n  l: 08\n  m: 1.2.3\n  str: !!str 5\n  on: off\n  1: 2\n  \
         p: -7\n  q: 12345678901234567890\n  r: 10s\n  s: |\n    text\n    more\n",
    );
    assert_eq!(
        object.json["data"],
        json!({"a": true, "b": "yes", "c": 420, "d": "0644", "e": 1.1, "f": 1000, "g": "2021-01-01", "j": 31,
               "k": 1000.0, "l": 8.0, "m": "1.2.3", "str": "5", "true": false, "1": 2, "p": -7,
               "q": 12_345_678_901_234_567_890_u64, "r": "10s", "s": "text\nmore\n"})
    );
}

#[test]
fn expands_anchors_merges_and_lists() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: &m\n    name: a\n    labels: {x: \"1\"}\n\
                - apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    <<: *m\n    name: b\n";
    let read = read("a.yaml", text);
    assert_eq!(read.diagnostics, []);
    assert_eq!(read.objects.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read.objects[1].json["metadata"]["labels"], json!({"x": "1"}));
    assert_eq!(read.objects[1].position.line, 9);
}

#[test]
fn documents_do_not_take_each_other_down() {
    let text = "---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n--- # bad\nkind: [\n---\nnull\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n...\n";
    let read = read("a.yaml", text);
    assert_eq!(read.objects.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read.diagnostics.len(), 1);
    assert_eq!(read.objects[1].position.line, 13);
}

#[test]
fn json_is_taken_too() {
    let object =
        only("{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n");
    assert_eq!(object.line_of(&Path::root().key("kind")), 3);
    let object = only(
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"\\ud83d\\ude00\\/\"}}",
    );
    assert_eq!(object.json["data"]["a"], "😀/");
}

#[test]
fn brackets_may_end_under_what_they_belong_to() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    args: [\n      one,\n    two,\n    ]\n    env: [\n    {\n    name: A, value: \"b\"\n    }]\n    tty: true\n";
    let object = only(text);
    let container = &object.json["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["one", "two"]));
    assert_eq!(container["env"], json!([{"name": "A", "value": "b"}]));
    assert_eq!(object.line_of(&Path::root().keys("spec.containers").index(0).key("tty")), 15);
    // In a block the place of a line has a meaning, and stays an error where it has none.
    assert_eq!(complaints("apiVersion: v1\nkind: Pod\nspec:\n    a: 1\n  b: 2\n").len(), 1);
    assert_eq!(complaints("apiVersion: v1\nkind: Pod\nspec: [\n  a,\n").len(), 1);
}

#[test]
fn says_what_is_wrong_and_where() {
    let head = "apiVersion: v1\nkind: Service\n";
    for (text, want) in [
        (format!("{head}metadata:\n  labels: {{}}\n"), "a.yaml:3: error: Service: metadata.name: is missing"),
        ("kind: Service\nmetadata: {name: a}\n".to_owned(), "a.yaml:1: error: Service a: apiVersion: is missing"),
        ("apiVersion: v1\nmetadata: {name: a}\n".to_owned(), "a.yaml:1: error: a: kind: is missing"),
        (
            format!("{head}metadata:\n  name: 12\n"),
            "a.yaml:4: error: Service: metadata.name: is a number, not a string (quote the value to make it a string)",
        ),
        (
            "- a\n- b\n".to_owned(),
            "a.yaml:1: error: the document is a list, not a Kubernetes object (an object has apiVersion, kind and metadata)",
        ),
        (
            format!("{head}metadata:\n  name: a\n  name: b\n"),
            "a.yaml:5:3: error: the key `name` is there twice, first on line 4 of the document: `  name: b` (remove one of them: which one holds would depend on the reader)",
        ),
    ] {
        assert_eq!(complaints(&text), [want], "{text}");
    }
    let tabs = complaints(&format!("{head}metadata:\n\tname: a\n"));
    assert!(
        tabs[0].starts_with("a.yaml:4:") && tabs[0].ends_with("(YAML is indented with spaces, not tabs)"),
        "{tabs:?}"
    );
    let open = complaints(&format!("{head}metadata: {{name: a\n"));
    assert!(open[0].starts_with("a.yaml:"), "{open:?}");
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (next, last) in ('b'..='j').zip('a'..) {
        laughs.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 10].join(",")));
    }
    assert!(complaints(&laughs)[0].contains("aliases copy more than"));
    assert!(complaints(&"[".repeat(100_000)).len() == 1);
    assert!(complaints(&format!("a: {}", "[".repeat(2000)))[0].contains("error"));
    assert!(complaints(&"- ".repeat(5000))[0].contains("nested deeper"));
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC*") {
        let _ = read("a.yaml", &text);
    }

    #[test]
    fn never_panics_on_what_looks_like_yaml(words in prop::collection::vec(
        prop::sample::select(vec!["a", ": ", "- ", "\n", "  ", "---\n", "|", ">-\n", "&a ", "*a", "{", "}", "[", "]", ",", "\"", "'", "#", "!!str ", "?", "<<: ", "\t", "kind: List\n", "items:", "metadata:\n", "é", "...\n", "%YAML 1.2\n", "\\u00"]), 0..60)) {
        let _ = read("a.yaml", &words.concat());
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("a.yaml", &String::from_utf8_lossy(&bytes));
    }
}
