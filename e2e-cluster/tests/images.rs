//! The images hold what their programs need and nothing else, and run with the least rights.

use leno_e2e_cluster::{Cluster, Meshed, Namespace, image_of};

/// What Kubernetes' `restricted` standard asks for, and a root file system that cannot be written.
const LEAST: &str = "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, \
                     capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}";
/// What `leno-proxy init` gets in an injected pod.
const INIT: &str = "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: false, runAsUser: 0, \
                    runAsGroup: 0, capabilities: {drop: [ALL], add: [NET_ADMIN, NET_RAW]}}";

/// A pod of one or more containers that run one after the other; `(image, args)` each.
fn pod(name: &str, security: &str, runs: &[(&str, &[&str])]) -> String {
    let mut out = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         automountServiceAccountToken: false\n"
    );
    for (at, (image, args)) in runs.iter().enumerate() {
        let list = match at {
            0 if runs.len() > 1 => "  initContainers:\n",
            _ if at + 1 == runs.len() => "  containers:\n",
            _ => "",
        };
        let image = image_of(image);
        out.push_str(&format!(
            "{list}  - name: run-{at}\n    image: {image}\n    args: {args:?}\n    securityContext: {security}\n"
        ));
    }
    out
}

fn succeeds(space: &Namespace, name: &str) -> String {
    let done =
        space.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=30s"]);
    assert!(done.ok(), "{name} does not succeed\n{done}");
    space.must(&["logs", name, "--all-containers"])
}

#[test]
fn every_program_runs_with_the_least_rights() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-least", Meshed::No);
    space.must(&["label", "namespace", space.name(), "pod-security.kubernetes.io/enforce=restricted"]);
    let all = ["leno-control", "leno-proxy", "leno-viz", "leno-shop"];
    let pods: Vec<_> = all.iter().map(|name| pod(name, LEAST, &[(name, &["--version"])])).collect();
    space.apply(&pods.iter().map(String::as_str).collect::<Vec<_>>());
    for name in all {
        assert!(succeeds(&space, name).starts_with(name), "{name} says its version");
    }
}

#[test]
fn there_is_no_shell() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-shell", Meshed::No);
    for name in ["leno-control", "leno-proxy", "leno-viz", "leno-shop"] {
        let yaml = pod(name, LEAST, &[(name, &[])]).replace("args: []", "command: [/bin/sh, -c, \"true\"]");
        space.apply(&[&yaml]);
        let reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}=StartError";
        let ran = space.kubectl(&["wait", &format!("--for={reason}"), &format!("pod/{name}"), "--timeout=30s"]);
        assert!(ran.ok(), "{name} has a shell, or did not try to run it\n{ran}");
    }
}

#[test]
fn the_proxys_image_writes_interception_rules() {
    let cluster = Cluster::connect();
    let space = Namespace::new(&cluster, "e2e-rules", Meshed::No);
    for backend in ["iptables", "auto"] {
        let write: &[&str] = &["init", "--backend", backend];
        let check: &[&str] = &["init", "--backend", backend, "--check"];
        space.apply(&[&pod(backend, INIT, &[("leno-proxy", write), ("leno-proxy", check)])]);
        succeeds(&space, backend);
    }
}
