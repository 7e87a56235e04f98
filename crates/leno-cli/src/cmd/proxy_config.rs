//! `leno proxy-config`: what one sidecar decides by, from its own admin port.

mod routes;

use std::process::ExitCode;

use clap::Subcommand;
use leno_core::names::port;
use serde_json::{Value, json};

use super::{Globals, Output};
use crate::access::{self, Access, Ask, Pod};
use crate::table::{Cell, Look, Screen, Table};

/// Shows what a sidecar decides by: the pod is POD, POD.NAMESPACE or deploy/NAME[.NAMESPACE].
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Route rules of the services that the pod calls, in the order in which they are tried.
    #[command(visible_aliases = ["route", "r"])]
    Routes(Of),
    /// Endpoints of the services that the pod calls.
    #[command(visible_aliases = ["endpoint", "ep"])]
    Endpoints(Of),
    /// Services that the pod calls, with their ports and policies.
    #[command(visible_aliases = ["cluster", "c"])]
    Clusters(Of),
    /// The pod's certificate.
    #[command(visible_aliases = ["cert", "secret", "s"])]
    Certs(Of),
    /// The log's level; --level changes it while the sidecar runs.
    Log {
        #[command(flatten)]
        of: Of,
        /// `error`, `warn`, `info`, `debug`, `trace`, or filters such as `info,leno_proxy=debug`.
        #[arg(long)]
        level: Option<String>,
    },
    /// All of it.
    All(Of),
}

#[derive(clap::Args)]
struct Of {
    /// POD[.NAMESPACE] or deploy/NAME[.NAMESPACE]
    pod: String,
    /// Namespace of a pod that names none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mesh = access::connect(globals)?;
    let mesh = mesh.as_ref();
    match &args.what {
        What::Routes(of) => show(mesh, of, &["/config_dump"], |[dump]| routes::rules(&dump), routes::text),
        What::Endpoints(of) => show(mesh, of, &["/clusters?format=json"], |[dump]| dump, endpoints),
        What::Clusters(of) => show(mesh, of, &["/config_dump"], |[dump]| dump["services"].clone(), clusters),
        What::Certs(of) => show(mesh, of, &["/certs"], |[dump]| dump, certs),
        What::Log { of, level } => log(mesh, of, level.as_deref()),
        What::All(of) => all(mesh, of),
    }
}

fn show<const N: usize>(
    mesh: &dyn Access,
    of: &Of,
    paths: &[&str; N],
    part: impl FnOnce([Value; N]) -> Value,
    text: impl FnOnce(&Value, &Screen) -> String,
) -> anyhow::Result<ExitCode> {
    let pod = access::find_pod(mesh, &of.pod, &of.namespace)?;
    let mut dumps = [const { Value::Null }; N];
    for (dump, path) in dumps.iter_mut().zip(paths) {
        *dump = ask(mesh, &pod, path)?;
    }
    let value = part(dumps);
    if !of.output.print(&value)? {
        let wide = of.output == Output::Wide;
        let screen = if wide { Screen { width: None, ..Screen::stdout() } } else { Screen::stdout() };
        print!("{}", text(&value, &screen));
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(mesh: &dyn Access, pod: &Pod, path: &str) -> anyhow::Result<Value> {
    access::pod_json(mesh, pod, port::ADMIN, path)
}

fn all(mesh: &dyn Access, of: &Of) -> anyhow::Result<ExitCode> {
    let pod = access::find_pod(mesh, &of.pod, &of.namespace)?;
    let dump = ask(mesh, &pod, "/config_dump")?;
    let (certificates, ends) = (ask(mesh, &pod, "/certs")?, ask(mesh, &pod, "/clusters?format=json")?);
    if of.output.print(&json!({"config": dump, "certs": certificates, "clusters": ends}))? {
        return Ok(ExitCode::SUCCESS);
    }
    let screen = Screen::stdout();
    let parts = [
        ("CERTIFICATES", certs(&certificates, &screen)),
        ("CLUSTERS", clusters(&dump["services"], &screen)),
        ("ROUTES", routes::text(&routes::rules(&dump), &screen)),
        ("ENDPOINTS", endpoints(&ends, &screen)),
    ];
    for (at, (title, text)) in parts.iter().enumerate() {
        println!("{}{title}\n{text}", if at > 0 { "\n" } else { "" }.trim_end_matches(' '));
    }
    Ok(ExitCode::SUCCESS)
}

fn log(mesh: &dyn Access, of: &Of, level: Option<&str>) -> anyhow::Result<ExitCode> {
    let pod = access::find_pod(mesh, &of.pod, &of.namespace)?;
    let answer = match level {
        Some(level) => {
            let path = format!("/logging?level={level}");
            mesh.ask_pod(&pod, port::ADMIN, Ask { method: "POST", path: &path })?
        }
        None => mesh.ask_pod(&pod, port::ADMIN, Ask { method: "GET", path: "/logging" })?,
    };
    print!("{}", String::from_utf8_lossy(&answer));
    Ok(ExitCode::SUCCESS)
}

fn certs(value: &Value, screen: &Screen) -> String {
    let mut table = Table::new(&["IDENTITY", "STATE", "EXPIRES IN", "VALID FROM", "NOT AFTER", "SERIAL"]);
    let certificates = list(&value["certificates"]);
    for certificate in certificates {
        let expired = certificate["expired"] == true;
        let state = if expired { Cell::new("EXPIRED", Look::Bad) } else { Cell::new("VALID", Look::Good) };
        table.row(vec![
            word(&certificate["identity"]).into(),
            state,
            certificate["expires_in_seconds"].as_u64().map_or_else(|| "-".to_owned(), short_time).into(),
            word(&certificate["valid_from"]).into(),
            word(&certificate["expiration_time"]).into(),
            word(&certificate["serial"]).into(),
        ]);
    }
    let mut text = if certificates.is_empty() { "no certificate\n".to_owned() } else { table.render(screen) };
    if let Some(problem) = value["problem"].as_str() {
        text.push_str(&format!("problem: {problem}\n"));
    }
    text
}

fn endpoints(value: &Value, screen: &Screen) -> String {
    let mut table = Table::new(&["ENDPOINT", "STATUS", "POD", "CLUSTER", "IDENTITY"]);
    let mut any = false;
    for cluster in list(&value["clusters"]) {
        for endpoint in list(&cluster["endpoints"]) {
            any = true;
            let ready = endpoint["ready"] == true;
            let ejected = endpoint["ejected"] == true;
            let status = match (ready, ejected) {
                (true, false) => Cell::new("HEALTHY", Look::Good),
                (true, true) => Cell::new("EJECTED", Look::Warn),
                (false, _) => Cell::new("NOT READY", Look::Bad),
            };
            table.row(vec![
                word(&endpoint["address"]).into(),
                status,
                word(&endpoint["pod"]).into(),
                word(&cluster["name"]).into(),
                word(&endpoint["identity"]).into(),
            ]);
        }
    }
    if any { table.render(screen) } else { NOTHING.to_owned() }
}

fn clusters(services: &Value, screen: &Screen) -> String {
    let mut table = Table::new(&["SERVICE", "PORT", "PROTOCOL", ">ENDPOINTS", ">READY", "ROUTES", "DESTINATION RULE"]);
    let mut any = false;
    for service in list(services) {
        let ends = list(&service["endpoints"]);
        let ready = ends.iter().filter(|e| e["ready"] == true).count();
        let origin = |v: &Value| {
            let origin = &v["origin"];
            if origin.is_null() {
                "-".to_owned()
            } else {
                format!("{}/{}", word(&origin["namespace"]), word(&origin["name"]))
            }
        };
        for port in list(&service["definition"]["ports"]) {
            any = true;
            table.row(vec![
                word(&service["service"]).into(),
                port["port"].to_string().into(),
                word(&port["protocol"]).into(),
                ends.len().to_string().into(),
                Cell::new(ready.to_string(), if ready == 0 { Look::Bad } else { Look::Plain }),
                origin(&service["routes"]).into(),
                origin(&service["destinationRule"]).into(),
            ]);
        }
    }
    if any { table.render(screen) } else { NOTHING.to_owned() }
}

/// The items of a JSON array; none of anything else.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A JSON value in words: a text as it is, nothing as `-`.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Seconds as `23h59m`, `4m10s` or `9s`.
pub(super) fn short_time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

const NOTHING: &str = "this pod has not called any service in the last minutes (a sidecar holds only what it uses)\n";

#[cfg(test)]
mod tests;
