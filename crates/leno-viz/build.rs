//! Puts the built dashboard into the program: what `make dashboard` left in `dashboard/dist`, or in the folder that
//! `LENO_DASHBOARD` names. Without it the program is built all the same, and says so where the dashboard would be.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dist = env::var_os("LENO_DASHBOARD").map_or_else(|| here.join("../../dashboard/dist"), PathBuf::from);
    let list = dist.join("assets.tsv");
    println!("cargo::rerun-if-env-changed=LENO_DASHBOARD");
    // A file that is not there counts as changed at every build, and a build of nothing is quick.
    println!("cargo::rerun-if-changed={}", list.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("assets.rs");
    let lines = fs::read_to_string(&list).unwrap_or_default();
    let mut text = String::from("static ASSETS: &[Asset] = &[\n");
    for line in lines.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(media_type), Some(hash)) = (fields.next(), fields.next(), fields.next()) else {
            panic!("{}: `{line}` is not NAME, TYPE, HASH: run `make dashboard` again", list.display());
        };
        write(&mut text, &dist, name, media_type, hash);
    }
    text.push_str("];\n");
    fs::write(&out, text).expect("write the list of assets");
}

fn write(text: &mut String, dist: &Path, name: &str, media_type: &str, hash: &str) {
    let file = |end: &str| {
        let path = dist.join(format!("{name}{end}"));
        let path =
            path.canonicalize().unwrap_or_else(|e| panic!("{}: {e}: run `make dashboard` again", path.display()));
        format!("include_bytes!({:?})", path.display().to_string())
    };
    let etag = format!("\"{hash}\"");
    let fields = [("plain", ""), ("gz", ".gz"), ("br", ".br")].map(|(field, end)| format!("{field}: {}", file(end)));
    let _ = writeln!(
        text,
        "    Asset {{ name: {name:?}, media_type: {media_type:?}, etag: {etag:?}, {} }},",
        fields.join(", ")
    );
}
