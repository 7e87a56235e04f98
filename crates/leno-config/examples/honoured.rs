//! Prints `docs/honoured.md` from the code's own table: `cargo run -p leno-config --example honoured`.
//!
//! For each kind the exceptions first, each with what becomes of it, then what is honoured, a line for each object of fields.

use std::collections::BTreeMap;

use leno_config::support::{Support, table};

fn main() {
    println!("# What of each kind is honoured\n");
    println!(
        "Made by `make gen` from the table that the code itself uses. A field that is not here is named in a warning,"
    );
    println!(
        "or refused where ignoring it would fail open. `Pod` stands for every pod template; `metadata` is read of every"
    );
    println!("kind and is left out here.\n");
    let mut kinds: Vec<(String, Kind)> = Vec::new();
    for row in table() {
        if row.field.contains("metadata.") {
            continue;
        }
        let at = kinds.iter().position(|(name, _)| *name == row.kind).unwrap_or_else(|| {
            kinds.push((row.kind.to_string(), Kind::default()));
            kinds.len() - 1
        });
        kinds[at].1.add(&row.field, &row.support);
    }
    let links: Vec<String> = kinds.iter().map(|(name, _)| format!("[{name}](#{})", name.to_lowercase())).collect();
    println!("{}", links.join(", "));
    for (name, kind) in &kinds {
        println!("\n## {name}\n");
        kind.print();
    }
}

/// What becomes of the fields of one kind.
#[derive(Default)]
struct Kind {
    /// Names of honoured fields by the object that they are in.
    honoured: BTreeMap<String, Vec<String>>,
    /// `(field, what becomes of it)`
    others: Vec<(String, String)>,
    harmless: Vec<String>,
}

impl Kind {
    fn add(&mut self, field: &str, support: &Support) {
        match support {
            Support::Honoured => {
                let (object, name) = field.rsplit_once('.').unwrap_or(("", field));
                let names = self.honoured.entry(object.to_owned()).or_default();
                if !names.iter().any(|n| n == name) {
                    names.push(name.to_owned());
                }
            }
            Support::Harmless => self.harmless.push(field.to_owned()),
            Support::Warned(why) => self.others.push((field.to_owned(), format!("warning: {why}"))),
            Support::Refused(why) => self.others.push((field.to_owned(), format!("refused: {why}"))),
        }
    }

    fn print(&self) {
        if !self.others.is_empty() {
            println!("| field | what becomes of it |\n|---|---|");
            let mut seen: Vec<&(String, String)> = Vec::new();
            for row in &self.others {
                if !seen.contains(&row) {
                    println!("| `{}` | {} |", row.0, row.1.replace('|', "\\|"));
                    seen.push(row);
                }
            }
            println!();
        }
        if !self.honoured.is_empty() {
            println!("Honoured:\n");
            for (object, names) in &self.honoured {
                let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                let object = if object.is_empty() { String::new() } else { format!("`{object}`: ") };
                println!("- {object}{}", names.join(", "));
            }
        }
        if !self.harmless.is_empty() {
            let mut fields: Vec<String> = self.harmless.iter().map(|f| format!("`{f}`")).collect();
            fields.dedup();
            println!("\nAccepted, without a meaning here: {}", fields.join(", "));
        }
    }
}
