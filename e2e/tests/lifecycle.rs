//! `leno local`: pods as Kubernetes would run them, and nothing left behind.

use std::process::Command;
use std::time::Duration;

use leno_e2e::{Mesh, Namespace, client, echo_app, program, service, text};

/// What could be left behind on the machine: processes with our state folder or programs, namespaces, mounts, rules.
fn traces_of(mesh: &Mesh) -> String {
    // The folder's name comes by the environment, so that the search does not find itself.
    let script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -F \"$STATE\"; done
         grep -F \"$STATE\" /proc/mounts
         ls /run/netns 2>/dev/null | grep -i leno
         ls -d \"$STATE\" 2>/dev/null";
    let out = Command::new("sh").args(["-c", script]).env("STATE", mesh.state()).output().expect("look for traces");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn small() -> [String; 4] {
    [
        Namespace::Istio.named("myapp"),
        echo_app("myapp", "echo", "v1", 1),
        service("myapp", "echo", "app: echo", "[{name: http, port: 80, targetPort: http}]"),
        client("myapp", "web"),
    ]
}

fn up_small() -> Mesh {
    let yaml = small();
    Mesh::up(&yaml.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn down_leaves_nothing_behind() {
    let mesh = up_small();
    assert!(!traces_of(&mesh).is_empty(), "the check sees a running mesh");
    mesh.ok(&["local", "down"]);
    assert_eq!(traces_of(&mesh), "");
    let again = mesh.leno(&["local", "down"]);
    assert!(again.status.success(), "down twice is fine: {}", text(&again));
}

#[test]
fn an_interrupt_while_starting_leaves_nothing_behind() {
    for after in [50, 300, 1000, 2000] {
        let mesh = Mesh::none();
        let file = mesh.write("up.yaml", &small().join("\n---\n"));
        let mut up = mesh.command(&["local", "up", &file]).spawn().expect("run up");
        std::thread::sleep(Duration::from_millis(after));
        let _ = Command::new("kill").args(["-INT", &up.id().to_string()]).status();
        let _ = up.wait();
        mesh.wait(Duration::from_secs(10), "nothing is left after an interrupt", |m| {
            // An `up` that had just ended well is a running mesh, not a leftover.
            if m.leno(&["local", "status"]).status.success() {
                m.ok(&["local", "down"]);
            }
            traces_of(m).is_empty()
        });
    }
}

#[test]
fn up_after_a_kill_cleans_what_the_last_run_left() {
    let mesh = up_small();
    let _ = Command::new("pkill").args(["-9", "-f", &format!("local supervise --serve {}", mesh.state())]).status();
    mesh.wait(Duration::from_secs(5), "the mesh is gone with its supervisor", |m| {
        !m.leno(&["local", "status"]).status.success()
    });
    let file = mesh.write("up.yaml", &small().join("\n---\n"));
    mesh.ok(&["local", "up", &file]);
    assert_eq!(mesh.get("myapp", "deploy/web", "http://echo.myapp/").0, 200);
}

#[test]
fn a_second_up_says_that_it_runs_already() {
    let mesh = up_small();
    let file = mesh.write("up.yaml", &small().join("\n---\n"));
    let out = mesh.leno(&["local", "up", &file]);
    assert!(!out.status.success() && text(&out).contains("apply"), "{}", text(&out));
    assert_eq!(mesh.get("myapp", "deploy/web", "http://echo.myapp/").0, 200, "and the first one goes on");
}

#[test]
fn names_and_service_addresses_work_with_and_without_a_sidecar() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &Namespace::Plain.named("outside"),
        &echo_app("myapp", "my-service", "v1", 2),
        &service(
            "myapp",
            "my-service",
            "app: my-service",
            "[{name: http, port: 80, targetPort: http}, {name: num, port: 81, targetPort: 8080}]",
        ),
        "apiVersion: v1
kind: Service
metadata: {name: headless, namespace: myapp}
spec: {clusterIP: None, selector: {app: my-service}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: myapp}
spec: {type: ExternalName, externalName: my-service.myapp.svc.cluster.local}
",
        &client("myapp", "web"),
        &client("outside", "stranger"),
    ]);
    for (namespace, from) in [("myapp", "deploy/web"), ("outside", "deploy/stranger")] {
        let mut hosts = vec!["my-service.myapp", "my-service.myapp.svc", "my-service.myapp.svc.cluster.local"];
        hosts.extend(["my-service.myapp:81", "headless.myapp:8080", "alias.myapp"]);
        if namespace == "myapp" {
            hosts.push("my-service");
        }
        for host in hosts {
            let (status, body) = mesh.get(namespace, from, &format!("http://{host}/"));
            assert_eq!(status, 200, "{host} from {namespace}: {body}");
        }
    }
    let (status, _) = mesh.get("outside", "deploy/stranger", "http://my-service/");
    assert_eq!(status, 0, "a short name is looked up in the own namespace");
}

#[test]
fn config_secrets_fields_and_init_containers_reach_the_app() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 80, targetPort: http}]"),
        "apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: myapp}
data: {colour: blue, app.conf: \"a=1\\n\"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: myapp}
stringData: {token: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: all, namespace: myapp, labels: {app: all}}
spec:
  initContainers:
  - name: fetch
    command: [sh, -c, 'curl -sSf http://echo.myapp/ > /shared/fetched']
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    command: [sh, -c, 'sleep 100000']
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
    - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: BOTH, value: $(ME)/$(COLOUR)}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: conf, mountPath: /etc/all}
  - name: second
    command: [sh, -c, 'sleep 100000']
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: conf, configMap: {name: settings}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: myapp}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: once, command: [sh, -c, 'curl -sSf http://echo.myapp/ && echo job-has-ended']}
",
    ]);
    let out = mesh.exec(
        "myapp",
        "all",
        &["sh", "-c", "echo $COLOUR $TOKEN $ME $IP $BOTH; cat /etc/all/app.conf /shared/fetched"],
    );
    let all = text(&out);
    for part in ["blue s3cret all 10.244.", "all/blue", "a=1", "\"version\":\"v1\""] {
        assert!(all.replace("\": \"", "\":\"").contains(part), "{part} in {all}");
    }
    mesh.wait(Duration::from_secs(30), "the Job ends although it has a sidecar", |m| {
        let status = m.status();
        status["pods"].as_array().is_some_and(|pods| {
            pods.iter().any(|p| p["name"].as_str().is_some_and(|n| n.starts_with("once")) && p["status"] == "Completed")
        })
    });
    let here = std::path::Path::new("/etc/all");
    assert!(!here.exists(), "what a pod mounts is not on the machine");
}

#[test]
fn it_works_for_an_ordinary_user() {
    let uid = String::from_utf8_lossy(&Command::new("id").arg("-u").output().expect("id").stdout).trim().to_owned();
    let mesh = Mesh::none();
    let yaml = small().join("\n---\n");
    let run = |script: &str| {
        let mut command = if uid == "0" {
            let mut c = Command::new("setpriv");
            c.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", script]);
            c
        } else {
            let mut c = Command::new("sh");
            c.args(["-c", script]);
            c
        };
        command.env("HOME", mesh.folder()).env("LENO_STATE", mesh.state()).env("NO_COLOR", "1").output().expect("run")
    };
    // Programs where that user can read them, the scene's folder its own.
    let folder = mesh.folder().display().to_string();
    let programs = program("leno").parent().expect("its folder").display().to_string();
    let prepare = format!(
        "mkdir -p {folder}/bin && cp {programs}/leno {programs}/leno-control {programs}/leno-proxy {programs}/leno-viz {programs}/leno-shop {folder}/bin/ && chmod -R a+rX {folder} && chown -R 65534:65534 {folder} 2>/dev/null; true"
    );
    mesh.write("up.yaml", &yaml);
    let _ = Command::new("sh").args(["-c", &prepare]).status();
    let out = run(&format!("{folder}/bin/leno local up {folder}/up.yaml"));
    assert!(out.status.success(), "rootless up: {}", text(&out));
    let out = run(&format!("{folder}/bin/leno local exec deploy/web -n myapp -- curl -sS http://echo.myapp/"));
    let all = text(&out);
    assert!(out.status.success() && all.contains("spiffe://cluster.local/ns/myapp/sa/web"), "meshed, rootless: {all}");
    let out = run(&format!("{folder}/bin/leno local down"));
    assert!(out.status.success(), "{}", text(&out));
    assert_eq!(traces_of(&mesh), "");
}
