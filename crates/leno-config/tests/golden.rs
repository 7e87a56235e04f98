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
                writeln!(out, "\n{piece:#?}").unwrap();
            }
        }
    }
    out
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
