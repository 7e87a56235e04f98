//! From the start of a process until it answers on its port.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Options;
use super::mesh::Mesh;
use super::pair::{ENVOY_H2, HAPROXY, LENO};
use super::report::Report;
use crate::net::Running;

/// Starts each program some times over, in the client's pod of the peers.
pub(crate) fn measure(mesh: &Mesh, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let pod = mesh.pod("peer-server")?;
    let me = std::env::current_exe()?.display().to_string();
    let folder = mesh.folder();
    let haproxy = write(folder, "start.cfg", "defaults\n mode http\nfrontend f\n bind 127.0.0.1:18901\n")?;
    let envoy = write(folder, "start.yaml", ENVOY)?;
    let config = [folder.join(haproxy), folder.join(envoy)].map(|p| p.display().to_string());
    let program = options.tools.programs.join("leno-proxy").canonicalize()?.display().to_string();
    let envoy = options.envoy.display().to_string();
    let cases: [(&str, Vec<&str>); 3] = [
        (HAPROXY, vec!["18901", "haproxy", "-q", "-db", "-f", &config[0]]),
        (ENVOY_H2, vec!["18902", &envoy, "--concurrency", "1", "-l", "off", "--disable-hot-restart", "-c", &config[1]]),
        (LENO, vec!["15021", &program, "run"]),
    ];
    for (name, command) in cases {
        for _ in 0..TIMES {
            let output = pod
                .command(&me)
                .arg("started")
                .args(&command)
                .envs([("POD_NAME", "start"), ("POD_NAMESPACE", "peers"), ("INSTANCE_IP", pod.ip.as_str())])
                .output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            let took = said
                .trim()
                .parse()
                .with_context(|| format!("{name} did not start: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
            report.start(name, took);
        }
    }
    Ok(())
}

/// Starts a command and prints after how many milliseconds it took a connection on a port of the loopback.
pub(crate) fn run(port: u16, command: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("a command")?;
    let start = Instant::now();
    let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let _running = Running(child);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(start.elapsed() < LIMIT, "no answer on port {port}");
        std::thread::sleep(Duration::from_micros(200));
    }
    println!("{}", start.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

fn write(folder: &Path, name: &'static str, text: &str) -> std::io::Result<&'static str> {
    std::fs::write(folder.join(name), text).map(|()| name)
}

const ENVOY: &str = "static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 18902}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.echo
        typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}
";
const TIMES: usize = 9;
const LIMIT: Duration = Duration::from_secs(10);
