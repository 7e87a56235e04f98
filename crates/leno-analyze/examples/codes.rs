//! Prints `docs/codes.md` from the registry: `cargo run -p leno-analyze --example codes > docs/codes.md`.

use leno_analyze::registry;

fn main() {
    println!("# What `leno analyze` says\n");
    println!(
        "Made by `make gen` from the registry in `crates/leno-analyze`: one section for each code, with how to mend it."
    );
    println!("`IST` codes are Istio's, with its level and meaning; `LENO` codes are Leno's own.\n");
    println!(
        "A finding is silenced with `-S \"CODE=Kind name.namespace\"` (`*` stands for any text), or for one object with the"
    );
    println!("annotation `galley.istio.io/analyze-suppress: CODE,CODE` (`*` for all).\n");
    println!("| code | level | name |\n|---|---|---|");
    for code in registry() {
        println!("| [{}](#{}) | {} | {} |", code.id, code.id.to_ascii_lowercase(), code.level, code.name);
    }
    for code in registry() {
        println!("\n## {}\n\n**{}**, {}\n", code.id, code.name, code.level);
        println!("{}\n\n*To mend it:* {}", code.what, code.mend);
    }
}
