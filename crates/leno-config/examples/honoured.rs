//! Prints `docs/honoured.md` from the code's own table: `cargo run -p leno-config --example honoured`.

use leno_config::support::{Support, table};

fn main() {
    println!("# What of each kind is honoured\n");
    println!(
        "Made by `make gen` from the table that the code itself uses. A field that is not here is named in a warning,"
    );
    println!("or refused where ignoring it would fail open. `Pod` stands for every pod template.\n");
    println!("| kind | field | |\n|---|---|---|");
    let mut rows: Vec<String> = table()
        .iter()
        .map(|row| {
            let support = match &row.support {
                Support::Honoured => "honoured".to_owned(),
                Support::Harmless => "accepted, has no meaning here".to_owned(),
                Support::Warned(why) => format!("warning: {why}"),
                Support::Refused(why) => format!("refused: {why}"),
            };
            format!("| {} | `{}` | {} |", row.kind, row.field, support.replace('|', "\\|"))
        })
        .collect();
    rows.dedup();
    for row in rows {
        println!("{row}");
    }
}
