//! The golden files with damage done to them: whatever comes of it, nothing panics, and what is refused is not lowered.

use std::path::Path;

use leno_config::{Diagnostic, LowerContext, check_all, lower, read};
use proptest::prelude::*;
use proptest::sample::Index;

/// One piece of damage at a random place.
#[derive(Clone, Debug)]
enum Damage {
    /// A line goes.
    Drop(Index),
    /// A line goes elsewhere.
    Move(Index, Index),
    /// The value after a `:` becomes another.
    Value(Index, &'static str),
    /// A word is put in anywhere.
    Insert(Index, &'static str),
    /// The rest goes.
    Cut(Index),
}

const VALUES: &[&str] = &[
    "",
    "0",
    "-1",
    "65536",
    "99999999999999999999",
    "1e308",
    ".nan",
    "true",
    "~",
    "[]",
    "{}",
    "[{}]",
    "{a: {}}",
    "\"\"",
    "'*'",
    "5s",
    "-5s",
    "900m",
    "1e999",
    "(",
    "a.b.c.d.e",
    "10.0.0.0/33",
    "é",
    "*a",
    "!!int x",
    "|\n",
];

fn damage() -> impl Strategy<Value = Damage> {
    let value = || prop::sample::select(VALUES);
    prop_oneof![
        1 => any::<Index>().prop_map(Damage::Drop),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Move(from, to)),
        4 => (any::<Index>(), value()).prop_map(|(at, value)| Damage::Value(at, value)),
        1 => (any::<Index>(), value()).prop_map(|(at, value)| Damage::Insert(at, value)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(text: &str, all: &[Damage]) -> String {
    let mut text = text.to_owned();
    for damage in all {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if lines.is_empty() || places.is_empty() {
            break;
        }
        text = match damage {
            Damage::Drop(at) => {
                lines.remove(at.index(lines.len()));
                lines.join("\n")
            }
            Damage::Move(from, to) => {
                let line = lines.remove(from.index(lines.len()));
                let to = to.index(lines.len() + 1);
                lines.insert(to, line);
                lines.join("\n")
            }
            Damage::Value(at, value) => {
                let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
                if colons.is_empty() {
                    continue;
                }
                let start = colons[at.index(colons.len())];
                let end = text[start..].find([',', '}', ']', '\n']).map_or(text.len(), |i| start + i);
                format!("{}{value}{}", &text[..start], &text[end..])
            }
            Damage::Insert(at, value) => {
                let at = places[at.index(places.len())];
                format!("{}{value}{}", &text[..at], &text[at..])
            }
            Damage::Cut(at) => text[..places[at.index(places.len())]].to_owned(),
        };
    }
    text
}

fn golden_files() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|p| p.extension().is_some_and(|e| e == "yaml")).map(|p| std::fs::read_to_string(p).unwrap()).collect()
}

proptest! {
    #[test]
    fn damaged_files_do_no_harm(
        file in prop::sample::select(golden_files()),
        damage in prop::collection::vec(damage(), 1..6),
    ) {
        let text = damaged(&file, &damage);
        let read = read("a.yaml", &text);
        let context = LowerContext::default();
        for object in &read.objects {
            if let Ok((_, findings)) = lower(object, &context) {
                prop_assert!(!findings.iter().any(Diagnostic::is_error));
            }
        }
        for diagnostic in read.diagnostics.iter().chain(&check_all(&read.objects, &context)) {
            let line = diagnostic.position.as_ref().map_or(1, |p| p.line as usize);
            prop_assert!(line >= 1 && line <= text.lines().count() + 1, "{diagnostic}");
        }
    }
}
