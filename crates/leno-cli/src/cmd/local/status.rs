//! `leno local status`.

use std::process::ExitCode;

use leno_local::LocalMesh;
use leno_local::protocol::{PodStatus, Status};

use crate::cmd::Output;
use crate::table::{Cell, Look, Screen, Table};

/// Prints how everything is. Exit code 1 where something is not ready.
///
/// # Errors
/// When the mesh is gone.
pub(super) fn run(mesh: &LocalMesh, output: Output, namespace: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut status = mesh.status()?;
    if let Some(namespace) = namespace {
        status.pods.retain(|p| p.namespace == namespace);
        status.services.retain(|s| s.namespace == namespace);
        status.workloads.retain(|w| w.namespace == namespace);
    }
    let code = if status.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if output.print(&status)? {
        return Ok(code);
    }
    let screen = if output == Output::Wide { Screen::default() } else { Screen::stdout() };
    print!("{}", system(&status).render(&screen));
    if !status.pods.is_empty() {
        print!("\n{}", pods(&status).render(&screen));
    }
    if !status.services.is_empty() {
        print!("\n{}", services(&status).render(&screen));
    }
    let notes: Vec<String> = status.pods.iter().filter_map(note).collect();
    if !notes.is_empty() {
        println!("\n{}", notes.join("\n"));
    }
    if status.single_uid {
        println!("\nAll containers run as this user: there are no sub-uids to give (see `man subuid`).");
    }
    Ok(code)
}

fn system(status: &Status) -> Table {
    let mut table = Table::new(&["SYSTEM", "READY", ">RESTARTS", ">PID", "MESSAGE"]);
    for system in &status.system {
        let (ready, look) = if system.ready { ("yes", Look::Good) } else { ("no", Look::Bad) };
        table.row(vec![
            system.name.clone().into(),
            Cell::new(ready, look),
            system.restarts.to_string().into(),
            system.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()).into(),
            system.message.clone().into(),
        ]);
    }
    table
}

fn pods(status: &Status) -> Table {
    let mut table = Table::new(&["NAMESPACE", "POD", "READY", "MESH", "STATUS", ">RESTARTS", ">AGE", "IP"]);
    for pod in &status.pods {
        let counted: Vec<_> = pod.containers.iter().filter(|c| !c.init || c.sidecar).collect();
        let ready = counted.iter().filter(|c| c.ready).count();
        let look = match (pod.ready, pod.status.as_str()) {
            (true, _) => Look::Good,
            (_, "Completed" | "Terminating") => Look::Faint,
            (_, "Pending" | "Running") => Look::Warn,
            _ => Look::Bad,
        };
        table.row(vec![
            pod.namespace.clone().into(),
            pod.name.clone().into(),
            format!("{ready}/{}", counted.len()).into(),
            (if pod.meshed { "yes" } else { "no" }).into(),
            Cell::new(pod.status.clone(), look),
            pod.restarts.to_string().into(),
            age(pod.age).into(),
            pod.ip.clone().into(),
        ]);
    }
    table
}

fn services(status: &Status) -> Table {
    let mut table = Table::new(&["NAMESPACE", "SERVICE", "ADDRESS", "PORTS", ">ENDPOINTS"]);
    for service in &status.services {
        table.row(vec![
            service.namespace.clone().into(),
            service.name.clone().into(),
            service.address.clone().into(),
            service.ports.join(",").into(),
            service.endpoints.len().to_string().into(),
        ]);
    }
    table
}

/// Why a pod is not well.
fn note(pod: &PodStatus) -> Option<String> {
    let unwell = !pod.ready && !matches!(pod.status.as_str(), "Completed" | "Terminating");
    (unwell && !pod.message.is_empty()).then(|| format!("{}/{}: {}", pod.namespace, pod.name, pod.message))
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
