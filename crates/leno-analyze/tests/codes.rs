//! Every code by YAML in and findings out: `cases/CODE.yaml` has sections, each with the objects and, as `#= ` lines after
//! them, everything that is found about them. `#+ NAME` begins one in which the code is found, `#- NAME` one in which it
//! is not though the objects come close. `#with FILE` adds the objects of `cases/_FILE.yaml`, `#complete` says that the
//! set is the whole cluster, `#live` that it was read from one. `LENO_GOLDEN=1` writes the `#= ` lines anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use leno_analyze::{Options, analyze, object_from_json, registry, unreadable};

struct Section {
    wanted: bool,
    head: Vec<String>,
    yaml: Vec<String>,
    golden: Vec<String>,
}

fn sections(text: &str) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    for line in text.lines() {
        if line.starts_with("#+ ") || line.starts_with("#- ") {
            let wanted = line.starts_with("#+ ");
            all.push(Section { wanted, head: vec![line.to_owned()], yaml: Vec::new(), golden: Vec::new() });
            continue;
        }
        let section = all.last_mut().expect("a section begins with `#+ ` or `#- `");
        if line.starts_with("#with ") || line == "#complete" || line == "#live" || line == "#old" {
            section.head.push(line.to_owned());
        } else if let Some(golden) = line.strip_prefix("#= ") {
            section.golden.push(golden.to_owned());
        } else {
            section.yaml.push(line.to_owned());
        }
    }
    all
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn found(section: &Section) -> Vec<String> {
    let says = |word: &str| section.head.iter().any(|line| line == word);
    let mut objects = Vec::new();
    for file in section.head.iter().filter_map(|line| line.strip_prefix("#with ")) {
        let text = std::fs::read_to_string(cases().join(format!("_{file}.yaml"))).expect(file);
        objects.extend(leno_config::read(&format!("{file}.yaml"), &text).objects);
    }
    let read = leno_config::read("a.yaml", &section.yaml.join("\n"));
    let mut findings = unreadable(&read.diagnostics);
    objects.extend(read.objects);
    if says("#live") {
        objects = objects.into_iter().filter_map(|o| object_from_json(o.json)).collect();
    }
    let options = Options {
        complete: says("#complete") || says("#live"),
        native_sidecars: !says("#old"),
        trust_domain: Some("cluster.local".to_owned()),
        ..Options::default()
    };
    findings.extend(analyze(&objects, &options));
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_code_is_found_where_it_should_be_and_only_there() {
    let write = std::env::var_os("LENO_GOLDEN").is_some();
    let mut wrong = String::new();
    for code in registry() {
        let file = cases().join(format!("{}.yaml", code.id));
        let Ok(text) = std::fs::read_to_string(&file) else {
            let _ = writeln!(wrong, "{} has no {}", code.id, file.display());
            continue;
        };
        let mut sections = sections(&text);
        for wanted in [true, false] {
            if !sections.iter().any(|s| s.wanted == wanted) {
                let _ =
                    writeln!(wrong, "{}: no section in which it is{} found", code.id, if wanted { "" } else { " not" });
            }
        }
        for section in &mut sections {
            let found = found(section);
            let title = format!("{} {}", code.id, section.head[0]);
            let is_found = found.iter().any(|line| line.contains(&format!("[{}]", code.id)));
            if is_found != section.wanted {
                let _ = writeln!(wrong, "{title}: found {is_found}, all: {found:#?}");
            }
            if found != section.golden && !write {
                let _ = writeln!(wrong, "{title}: found {found:#?}, expected {:#?}", section.golden);
            }
            section.golden = found;
        }
        if write {
            let mut out = String::new();
            for section in &sections {
                for line in section.head.iter().chain(&section.yaml) {
                    let _ = writeln!(out, "{line}");
                }
                for line in &section.golden {
                    let _ = writeln!(out, "#= {line}");
                }
            }
            std::fs::write(&file, out).expect("the golden lines can be written");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn codes_are_sound() {
    let all = registry();
    assert!(all.len() >= 40, "{} codes", all.len());
    for (code, next) in all.iter().zip(all.iter().skip(1)) {
        assert!(code.id < next.id, "{} is there twice", code.id);
    }
    for code in all {
        assert!(code.what.ends_with('.') && code.mend.ends_with(['.', '"']), "{}", code.id);
        assert!(!code.what.contains("  ") && !code.mend.contains("  "), "{}", code.id);
    }
}
