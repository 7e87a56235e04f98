//! `leno-proxy init` in real network namespaces: two, joined by a veth pair, with tiny servers in place of the proxy.
//!
//! Needs root or a user namespace; where neither is possible these tests fail and say so. The test process starts
//! itself again inside `unshare`, so nothing outlives it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

const LENO_PROXY: &str = env!("CARGO_BIN_EXE_leno-proxy");
const POD: [&str; 2] = ["10.77.0.2", "fd77::2"];
const NODE: [&str; 2] = ["10.77.0.1", "fd77::1"];
const MARK: u32 = 1337;

#[test]
fn nftables_redirects_both_ways_and_keeps_the_original_destination() {
    in_namespace("scene_redirects", "nft");
}

#[test]
fn iptables_redirects_both_ways_and_keeps_the_original_destination() {
    in_namespace("scene_redirects", "iptables");
}

/// Such a kernel cannot be had here: a program that says what iptables says on it stands in for the usual one.
#[test]
fn without_nftables_in_the_kernel_legacy_iptables_writes_the_rules() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument";
    for name in ["iptables", "iptables-restore", "ip6tables", "ip6tables-restore"] {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\necho '{said}' >&2\nexit 4\n")).expect("write a program");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("make it one");
    }
    let rules = "\"$0\" init --backend iptables && \"$0\" init --backend iptables --check && \
                 iptables-legacy-save -t nat && \"$0\" init --backend iptables --clean && \
                 ! \"$0\" init --backend iptables --check";
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let path = format!("{}:{}:/usr/sbin:/sbin", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    // The lock of the legacy tables is a file, which others may own.
    let output = command
        .args(["--net", "--", "/bin/sh", "-c", rules, LENO_PROXY])
        .env("PATH", path)
        .env("XTABLES_LOCKFILE", folder.path().join("lock"))
        .output()
        .expect("`unshare` of util-linux is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("-A LENO_OUTBOUND -p tcp -j REDIRECT --to-ports 15001"), "{text}");
}

#[test]
fn rules_are_replaced_checked_and_removed() {
    in_namespace("scene_lifecycle", "nft");
    in_namespace("scene_lifecycle", "iptables");
}

#[test]
fn without_net_admin_the_error_names_the_capability() {
    let output = Command::new("unshare")
        .args(["--user", "--", LENO_PROXY, "init"])
        .output()
        .expect("`unshare` of util-linux is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("NET_ADMIN"), "{text}");
}

#[test]
fn without_nft_and_iptables_the_error_names_the_package() {
    // The search also looks in /usr/sbin, so hide it.
    let hide = "mount -t tmpfs none /usr/sbin && mount -t tmpfs none /usr/local/sbin; exec \"$0\" init";
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--net", "--", "/bin/sh", "-c", hide, LENO_PROXY])
        .env("PATH", "/usr/bin:/bin:/nonexistent")
        .output()
        .expect("`unshare` of util-linux is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("install the package `nftables`"), "{text}");
}

/// Runs inside: what the sidecar's listeners and the applications see.
#[test]
#[ignore = "runs inside a namespace, started by the tests above"]
fn scene_redirects() {
    let backend = std::env::var("BACKEND").expect("started by in_namespace");
    let _pair = Pair::new();
    init(&["--backend", &backend, "--mark", "1337", "-d", "2222", "-o", "3333", "-x", "10.77.0.9/32"]);

    for (pod, node) in POD.iter().zip(NODE) {
        let any = if pod.contains(':') { "::" } else { "0.0.0.0" };
        let outbound = Listener::new(any, 15001);
        let inbound = Listener::new(any, 15006);

        // Outbound: the application dials the node, the sidecar sees where to.
        let dialled = at(node, 80);
        let _app = dial(dialled, None).expect("redirected to 15001");
        assert_eq!(outbound.accept(), dialled);
        // Inbound: the node dials the pod, the sidecar sees which port.
        let dialled = at(pod, 8080);
        let mut node_client = ask_node(dialled);
        assert_eq!(inbound.accept(), dialled);
        assert_eq!(answer(&mut node_client), "connected");

        // The proxy's own connections are not intercepted: nobody listens on the node's port 80.
        assert!(dial(at(node, 80), Some(MARK)).is_err(), "a marked connection goes out as it is");
        // Excluded ports go out and come in as they are.
        assert!(dial(at(node, 3333), None).is_err(), "an excluded outbound port goes out as it is");
        let app = Listener::new(any, 2222);
        let mut node_client = ask_node(at(pod, 2222));
        assert_eq!(app.accept_raw(), at(pod, 2222));
        assert_eq!(answer(&mut node_client), "connected");

        // The pod talks to itself directly, by loopback and by its own address.
        let own = Listener::new(any, 9000);
        let loopback = if pod.contains(':') { "::1" } else { "127.0.0.1" };
        for ip in [loopback, pod] {
            let _client = dial(at(ip, 9000), None).expect("direct");
            assert_eq!(own.accept_raw(), at(ip, 9000));
            let _proxy = dial(at(ip, 9000), Some(MARK)).expect("direct");
            assert_eq!(own.accept_raw(), at(ip, 9000));
        }

        // The network reaches the open ports, and is refused at the private ones at once.
        let status = Listener::new(any, 15020);
        let mut node_client = ask_node(at(pod, 15020));
        assert_eq!(status.accept_raw(), at(pod, 15020));
        assert_eq!(answer(&mut node_client), "connected");
        for private in [15001, 15006] {
            let mut node_client = ask_node(at(pod, private));
            assert!(answer(&mut node_client).contains("refused"), "port {private} is not for the network");
        }
        assert_nothing_waits(&[&outbound, &inbound]);
    }
    // An excluded network: nobody has that address, so a redirect would be the only way to connect.
    assert!(dial(at("10.77.0.9", 80), None).is_err());
}

/// Runs inside: set up twice, check, change, clean.
#[test]
#[ignore = "runs inside a namespace, started by the tests above"]
fn scene_lifecycle() {
    let backend = std::env::var("BACKEND").expect("started by in_namespace");
    let with = |flags: &[&str]| {
        // By mark: in a user namespace the uid 1337 may not exist, and iptables refuses it then.
        let flags = flags.iter().copied().chain(["--mark", "1337", "--backend", backend.as_str()]);
        leno_proxy_init(&flags.collect::<Vec<_>>())
    };
    run("ip link set lo up");
    run("nft add table inet other");

    assert!(!with(&["--check"]).status.success(), "nothing is there yet");
    assert!(with(&["--clean"]).status.success(), "cleaning nothing is no error");
    assert!(with(&[]).status.success());
    let once = ruleset();
    assert!(with(&[]).status.success());
    assert_eq!(ruleset(), once, "a second run changes nothing");
    assert!(with(&["--check"]).status.success());
    let other = with(&["--check", "-o", "25"]);
    assert!(!other.status.success(), "other flags are not in force");
    assert!(text(&other).contains("not in force"), "{}", text(&other));

    assert!(with(&["-o", "25"]).status.success(), "flags may change");
    assert!(with(&["--check", "-o", "25"]).status.success());
    assert!(with(&["--clean"]).status.success());
    assert!(!with(&["--check"]).status.success());
    let left = ruleset();
    assert!(!left.contains("leno") && !left.contains("LENO"), "{left}");
    assert!(left.contains("inet other"), "other tables are left alone: {left}");
}

/// Runs inside the node's namespace: dials what it is told and says how that went.
#[test]
#[ignore = "runs inside a namespace, started by the tests above"]
fn scene_node() {
    let target = std::env::var("DIAL").expect("started by ask_node").parse().expect("an address");
    match dial(target, None) {
        Ok(_stream) => println!("ANSWER connected"),
        Err(e) => println!("ANSWER {e}"),
    }
}

fn in_namespace(scene: &str, backend: &str) {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let exe = std::env::current_exe().expect("this program");
    let output = command
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(exe)
        .args(["--exact", scene, "--ignored", "--nocapture", "--test-threads=1"])
        .env("BACKEND", backend)
        .output()
        .expect("`unshare` of util-linux is installed");
    // A renamed scene would otherwise pass as "0 tests".
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(
        output.status.success() && ran,
        "{scene} with {backend} (this test needs root or user namespaces, nft, iptables and ip):\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// This namespace as the pod, and another one as the node, joined.
struct Pair(Child);

impl Pair {
    fn new() -> Self {
        let node = Command::new("unshare")
            .args(["--net", "--", "sleep", "60"])
            .stdin(Stdio::null())
            .spawn()
            .expect("a second namespace");
        let pid = node.id();
        // Until unshare(1) has run, the child is still in our namespace.
        let ours = std::fs::read_link("/proc/self/ns/net").expect("/proc");
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs == ours) {
            std::thread::sleep(Duration::from_millis(5));
        }
        run(&format!("ip link set lo up; ip link add eth0 type veth peer name eth0 netns {pid}"));
        run(&format!(
            "ip addr add {}/24 dev eth0; ip addr add {}/64 dev eth0 nodad; ip link set eth0 up",
            POD[0], POD[1]
        ));
        run(&format!(
            "nsenter -t {pid} -n sh -c 'ip link set lo up; ip addr add {}/24 dev eth0; ip addr add {}/64 dev eth0 nodad; ip link set eth0 up'",
            NODE[0], NODE[1]
        ));
        run("ip route add default via 10.77.0.1");
        // Shared with ask_node.
        NODE_PID.store(pid, std::sync::atomic::Ordering::Relaxed);
        wait_for_link();
        Self(node)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

static NODE_PID: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

fn wait_for_link() {
    for _ in 0..100 {
        let state = std::fs::read_to_string("/sys/class/net/eth0/carrier");
        if state.map_or(true, |s| s.trim() == "1") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server in place of the sidecar or the application.
struct Listener(TcpListener);

impl Listener {
    fn new(ip: &str, port: u16) -> Self {
        let addr = at(ip, port);
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        if addr.is_ipv6() {
            socket.set_only_v6(true).expect("IPV6_V6ONLY");
        }
        socket.bind(&addr.into()).expect("the port is free in here");
        socket.listen(16).expect("listening");
        socket.set_nonblocking(true).expect("non-blocking");
        Self(socket.into())
    }

    /// The original destination of the next connection.
    fn accept(&self) -> SocketAddr {
        let stream = self.next().expect("a redirected connection");
        let socket = SockRef::from(&stream);
        let is_v4 = stream.local_addr().expect("connected").is_ipv4();
        let dst = if is_v4 { socket.original_dst_v4() } else { socket.original_dst_v6() };
        dst.expect("SO_ORIGINAL_DST").as_socket().expect("an IP address")
    }

    /// Where the next connection arrived without translation.
    fn accept_raw(&self) -> SocketAddr {
        self.next().expect("a direct connection").local_addr().expect("connected")
    }

    fn next(&self) -> Option<TcpStream> {
        for _ in 0..300 {
            match self.0.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        None
    }
}

fn assert_nothing_waits(listeners: &[&Listener]) {
    for listener in listeners {
        assert!(listener.0.accept().is_err(), "a connection was redirected that should not have been");
    }
}

fn dial(to: SocketAddr, mark: Option<u32>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    socket.connect_timeout(&to.into(), Duration::from_secs(2))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"hello")?;
    Ok(stream)
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().expect("an IP address"), port)
}

fn ask_node(dial: SocketAddr) -> Child {
    let pid = NODE_PID.load(std::sync::atomic::Ordering::Relaxed).to_string();
    Command::new("nsenter")
        .args(["-t", &pid, "-n", "--"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "scene_node", "--ignored", "--nocapture"])
        .env("DIAL", dial.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`nsenter` of util-linux is installed")
}

fn answer(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    let _ = child.wait();
    let line = text.lines().find_map(|l| l.split_once("ANSWER ").map(|(_, a)| a.to_owned()));
    line.unwrap_or_else(|| panic!("no answer in: {text}")).to_lowercase()
}

fn init(flags: &[&str]) {
    let output = leno_proxy_init(flags);
    assert!(output.status.success(), "{}", text(&output));
}

fn leno_proxy_init(flags: &[&str]) -> Output {
    Command::new(LENO_PROXY).arg("init").args(flags).output().expect("leno-proxy runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything nftables holds, whichever program wrote it. (iptables here is its nftables form.)
fn ruleset() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().expect("nft runs");
    text(&output)
        .lines()
        .map(|l| l.split("counter packets").next().unwrap_or(l).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
}

fn run(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", text(&output));
}

fn is_root() -> bool {
    // The owner of our own /proc entry, without a libc binding.
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}
