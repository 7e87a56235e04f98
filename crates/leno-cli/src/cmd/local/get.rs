//! `leno local get`.

use std::process::ExitCode;

use anyhow::bail;
use leno_local::LocalMesh;
use leno_local::object::kind_of_word;
use serde_json::Value;

use crate::cmd::Output;
use crate::table::{Screen, Table};

/// Arguments of `leno local get`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Kind, such as `pods`, `svc`, `virtualservices`; `all` for every kind.
    kind: String,
    /// Name.
    name: Option<String>,
    /// Namespace; all by default.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Form of the output.
    #[arg(short, long, default_value = "table")]
    output: Output,
}

/// Prints objects.
///
/// # Errors
/// When there is none of that name, or the mesh is gone.
pub(super) fn run(args: &Args, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let kind = kind_of_word(&args.kind).unwrap_or(&args.kind);
    let singular = kind.strip_suffix('s').unwrap_or(kind);
    let is_kind = |o: &Value| {
        let own = o["kind"].as_str().unwrap_or_default();
        kind == "all" || own.eq_ignore_ascii_case(kind) || own.eq_ignore_ascii_case(singular)
    };
    let mut objects = mesh.objects()?;
    objects.retain(|o| {
        let meta = &o["metadata"];
        is_kind(o)
            && args.name.as_deref().is_none_or(|n| meta["name"] == n)
            && args.namespace.as_deref().is_none_or(|n| meta["namespace"] == n)
    });
    if objects.is_empty() {
        bail!("there is no {} {}", args.kind, args.name.as_deref().unwrap_or(""));
    }
    let one = args.name.is_some() && objects.len() == 1;
    if one && args.output.print(&objects[0])? || !one && args.output.print(&objects)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["NAMESPACE", "KIND", "NAME"]);
    for object in &objects {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        table.row(vec![text(&meta["namespace"]).into(), text(&object["kind"]).into(), text(&meta["name"]).into()]);
    }
    print!("{}", table.render(&Screen::stdout()));
    Ok(ExitCode::SUCCESS)
}
