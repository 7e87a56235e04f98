//! The checks for people and for programs.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use serde_json::json;

use super::Form;
use super::outcome::{Category, Status};

/// Prints them.
///
/// # Errors
/// They cannot be written as JSON.
pub(crate) fn print(categories: &[Category], form: Form) -> anyhow::Result<()> {
    if form == Form::Json {
        let success = !categories.iter().any(|c| c.worst() == Status::Failure);
        let value = json!({ "success": success, "categories": categories });
        println!("{}", serde_json::to_string_pretty(&value).context("the checks as JSON")?);
        return Ok(());
    }
    print!("{}", text(categories, form == Form::Short, std::io::stdout().is_terminal()));
    Ok(())
}

/// As text; `short` leaves out what is well.
pub(crate) fn text(categories: &[Category], short: bool, colours: bool) -> String {
    let mut out = String::new();
    for category in categories.iter().filter(|c| !short || c.worst() != Status::Pass) {
        let _ = writeln!(out, "{}\n{}", category.name, "-".repeat(category.name.len()));
        for check in category.checks.iter().filter(|c| !short || c.result != Status::Pass) {
            let _ = writeln!(out, "{} {}", mark(check.result, colours), check.description);
            for line in &check.error {
                let _ = writeln!(out, "    {line}");
            }
            if let Some(hint) = &check.hint {
                let _ = writeln!(out, "    → {hint}");
            }
        }
        out.push('\n');
    }
    let worst = categories.iter().map(Category::worst).max().unwrap_or(Status::Pass);
    let _ = writeln!(out, "Status check results are {}", mark(worst, colours));
    out
}

fn mark(status: Status, colours: bool) -> String {
    let (sign, colour) = match status {
        Status::Pass => ("√", "32"),
        Status::Warning => ("‼", "33"),
        Status::Failure => ("×", "31"),
    };
    if colours { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_owned() }
}
