//! Writes the generated files of the Helm chart: `cargo run -p leno-install --example chart`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/leno");
    for (path, text) in leno_install::chart::files() {
        let path = chart.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}
