//! Each `tests/golden/NAME.yaml` lowered and judged, against `tests/golden/NAME.snap`.

use std::fmt::Write as _;
use std::path::Path;

use leno_config::{LowerContext, Severity, check_all, lower, read};

#[test]
fn golden() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 5);
    for name in names {
        let text = std::fs::read_to_string(dir.join(format!("{name}.yaml"))).unwrap();
        let settings = || {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&dir);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        settings().bind(|| insta::assert_snapshot!(name.clone(), shown(&format!("{name}.yaml"), &text)));
    }
}

/// What is found, then what the control plane gets.
fn shown(file: &str, text: &str) -> String {
    let read = read(file, text);
    let context = LowerContext::default();
    let mut out = String::new();
    for diagnostic in read.diagnostics.iter().chain(&check_all(&read.objects, &context)) {
        writeln!(out, "{diagnostic}").unwrap();
    }
    for object in &read.objects {
        if let Ok((lowered, _)) = lower(object, &context) {
            for piece in lowered {
                writeln!(out, "\n{}", folded(&format!("{piece:?}"))).unwrap();
            }
        }
    }
    out
}

/// A debug text with one line for each part that fits into one, and without the parts that say nothing.
fn folded(text: &str) -> String {
    let nothing = [
        "HeaderOps { request: HeaderEdit { set: [], add: [], remove: [] }, response: HeaderEdit { set: [], add: [], remove: [] } }",
        "None",
        "[]",
        "{}",
        "\"\"",
        "false",
    ];
    let mut text = text.to_owned();
    for empty in nothing {
        let mut out = String::new();
        let mut rest = text.as_str();
        // `name: EMPTY` goes, together with the comma before or after it.
        while let Some(at) = rest.find(&format!(": {empty}")) {
            let end = at + 2 + empty.len();
            let start = rest[..at].rfind([' ', '(', '{', '[']).map_or(0, |i| i + 1);
            let closes = rest[end..].starts_with([',', ' ']);
            if !closes {
                out.push_str(&rest[..end]);
            } else if rest[end..].starts_with(", ") {
                out.push_str(&rest[..start]);
                rest = &rest[end + 2..];
                continue;
            } else {
                out.push_str(rest[..start].trim_end().trim_end_matches(','));
            }
            rest = &rest[end..];
        }
        out.push_str(rest);
        text = out;
    }
    let text = text.replace(",  }", " }").replace("{  }", "{}");
    let mut out = String::new();
    fold(&text, 0, &mut out);
    out
}

/// Breaks `text` at the commas of its outermost brackets where it is too long for a line.
fn fold(text: &str, indent: usize, out: &mut String) {
    let open = text.find(['(', '[', '{']).filter(|_| indent + text.len() > 110 && text.ends_with([')', ']', '}']));
    let Some(open) = open else { return out.push_str(text) };
    out.push_str(&text[..=open]);
    let (mut depth, mut quoted, mut from) = (0, false, open + 1);
    let inner = &text[..text.len() - 1];
    for (at, c) in inner.char_indices().skip_while(|(at, _)| *at <= open).chain([(inner.len(), ',')]) {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if depth == 0 && !quoted && inner[from..at].trim().is_empty() => {}
            ',' if depth == 0 && !quoted => {
                write!(out, "\n{:width$}", "", width = indent + 2).unwrap();
                fold(inner[from..at].trim(), indent + 2, out);
                from = at + 1;
            }
            _ => {}
        }
    }
    write!(out, "\n{:indent$}{}", "", &text[text.len() - 1..]).unwrap();
}

/// The primer's objects with the services and pods that they speak of: nothing to complain about.
#[test]
fn the_primer_gives_no_warning() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/primer.yaml");
    let read = read("primer.yaml", &std::fs::read_to_string(file).unwrap());
    let found = read.diagnostics.into_iter().chain(check_all(&read.objects, &LowerContext::default()));
    let found: Vec<String> = found.filter(|d| d.severity > Severity::Info).map(|d| d.to_string()).collect();
    assert_eq!(found, Vec::<String>::new());
}

/// Both folders of the sample shop: no error, and no warning but the wrongly named port that it is there to show.
#[test]
fn the_samples_are_clean() {
    for folder in ["istio", "linkerd"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(folder);
        let mut objects = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let read = read(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
            assert_eq!(read.diagnostics, []);
            objects.extend(read.objects);
        }
        let found = check_all(&objects, &LowerContext::default());
        let found = found.iter().filter(|d| d.severity > Severity::Info && d.code != Some("IST0118"));
        assert_eq!(found.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new(), "{folder}");
    }
}
