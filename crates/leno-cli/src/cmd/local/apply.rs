//! `leno local apply` and `delete`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use leno_config::object::Lines;
use leno_config::{Object, Position};
use leno_local::LocalMesh;
use leno_local::object::{ObjectKey, kind_of_word};
use leno_local::protocol::{Applied, Change};
use serde_json::Value;

use super::read;

/// Arguments of `leno local apply`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files or folders of Kubernetes YAML; `-` is standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long)]
    namespace: Option<String>,
}

/// Arguments of `leno local delete`.
#[derive(clap::Args)]
pub(super) struct DeleteArgs {
    /// Files or folders, `-` for standard input, or `KIND/NAME`.
    #[arg(required = true)]
    what: Vec<String>,
    /// Namespace of objects that name none.
    #[arg(short, long)]
    namespace: Option<String>,
}

/// Applies what is good, and says what is not.
///
/// # Errors
/// When files cannot be read or the mesh is gone.
pub(super) fn run(args: &Args, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let (objects, findings) = read::read(&args.paths, args.namespace.as_deref())?;
    let found = read::judge(objects, findings, existing(mesh)?);
    found.say();
    let bad = found.has_errors();
    let applied = mesh.apply(found.good)?;
    let refused = say(&applied);
    if bad || refused {
        eprintln!("error: objects with errors were not applied; what they were before stays in force");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes objects.
///
/// # Errors
/// When files cannot be read, a word is no kind, or the mesh is gone.
pub(super) fn delete(args: &DeleteArgs, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let mut keys = Vec::new();
    for what in &args.what {
        if what == "-" || Path::new(what).exists() {
            let (objects, findings) = read::read(&[PathBuf::from(what)], args.namespace.as_deref())?;
            for finding in &findings {
                eprintln!("{finding}");
            }
            keys.extend(objects.iter().map(ObjectKey::of));
        } else {
            keys.push(named(mesh, what, args.namespace.as_deref().unwrap_or("default"))?);
        }
    }
    let applied = mesh.delete(keys)?;
    say(&applied);
    let missing = applied.changes.iter().any(|(_, change)| *change == Change::Missing);
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn named(mesh: &LocalMesh, what: &str, namespace: &str) -> anyhow::Result<ObjectKey> {
    let Some((word, name)) = what.split_once('/') else { bail!("{what} is neither a file nor KIND/NAME") };
    let kind = kind_of_word(word).unwrap_or(word);
    let space = if kind == "Namespace" { "" } else { namespace };
    // The group is found among what there is: people do not type it.
    for object in mesh.objects()? {
        let meta = &object["metadata"];
        let same = object["kind"].as_str().is_some_and(|k| k.eq_ignore_ascii_case(kind))
            && meta["name"].as_str() == Some(name)
            && meta["namespace"].as_str().unwrap_or_default() == space;
        if same {
            let version = object["apiVersion"].as_str().unwrap_or_default();
            let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
            let kind = object["kind"].as_str().unwrap_or(kind).to_owned();
            return Ok(ObjectKey { group, kind, namespace: space.to_owned(), name: name.to_owned() });
        }
    }
    Ok(ObjectKey::core(kind, space, name))
}

/// What the mesh has, so that a new object can be judged against it.
fn existing(mesh: &LocalMesh) -> anyhow::Result<Vec<Object>> {
    let made = |o: &Value| ["Pod", "EndpointSlice"].contains(&o["kind"].as_str().unwrap_or_default());
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let object = |json: Value| Object {
        api_version: text(&json["apiVersion"]),
        kind: text(&json["kind"]),
        namespace: json["metadata"]["namespace"].as_str().map(str::to_owned),
        name: text(&json["metadata"]["name"]),
        position: Position { file: "(running)".into(), line: 0, column: 0 },
        lines: Lines::default(),
        json,
    };
    Ok(mesh.objects()?.into_iter().filter(|o| !made(o)).map(object).collect())
}

/// Says what happened; whether something was refused.
fn say(applied: &Applied) -> bool {
    for warning in &applied.warnings {
        eprintln!("{warning}");
    }
    for (key, change) in &applied.changes {
        println!("{key} {change}");
    }
    for refused in &applied.refused {
        eprintln!("{refused}");
    }
    !applied.refused.is_empty()
}
