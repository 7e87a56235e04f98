//! Links, addresses and routes, by the `ip` program; kernel settings by /proc/sys.

use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ns::NetNs;
use super::{CONTROL_IP, DNS_IP, NODE_IP, POD_NETWORK, SERVICE_NETWORK};

/// Prepares the namespace of the node, which is the one this process is in.
///
/// # Errors
/// When the kernel or `ip` refuses.
pub fn set_up_node() -> io::Result<()> {
    let (pods, services) = (network(POD_NETWORK), network(SERVICE_NETWORK));
    batch(&format!(
        "link set lo up\n\
         addr add {NODE_IP}/32 dev lo\n\
         addr add {DNS_IP}/32 dev lo\n\
         addr add {CONTROL_IP}/32 dev lo\n\
         route add {services} dev lo src {NODE_IP}\n\
         route add unreachable {pods}\n"
    ))?;
    set("net/ipv4/ip_forward", "1")?;
    // Best effort: more connections than the small default of a fresh namespace.
    let _ = set("net/netfilter/nf_conntrack_max", "1048576");
    common();
    Ok(())
}

/// Makes a pod's namespace, its loopback, and the wire to the node. `index` names the node's end of the wire.
///
/// # Errors
/// When the kernel or `ip` refuses.
pub fn add_pod(file: &Path, index: u32, address: Ipv4Addr) -> io::Result<NetNs> {
    let ns = NetNs::create(file)?;
    // The node's end is made inside the pod's namespace and pushed out to the node: `ip` takes a process id there, and
    // pid 1's network namespace is the node's.
    let inside = format!(
        "link set lo up\n\
         link add eth0 type veth peer name veth{index} netns 1\n\
         addr add {address}/32 dev eth0\n\
         link set eth0 up\n\
         route add {NODE_IP} dev eth0 scope link\n\
         route add default via {NODE_IP} dev eth0 src {address}\n"
    );
    let made = ns
        .run(move || {
            batch(&inside)?;
            common();
            // As container runtimes do: any user of a pod may listen on any port.
            let _ = set("net/ipv4/ip_unprivileged_port_start", "0");
            let _ = set("net/ipv4/ping_group_range", "0 2147483647");
            Ok(())
        })
        .and_then(|()| batch(&format!("link set veth{index} up\nroute add {address} dev veth{index} src {NODE_IP}\n")));
    match made {
        Ok(()) => Ok(ns),
        Err(error) => {
            ns.remove();
            Err(error)
        }
    }
}

/// Removes the node's end of a pod's wire, and with it the other end and the route.
pub fn remove_pod(index: u32) {
    let _ = batch(&format!("link del veth{index}\n"));
}

fn common() {
    for (name, value) in [
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        // Redirected connections that come from 127.0.0.1 may leave by eth0.
        ("net/ipv4/conf/all/route_localnet", "1"),
        ("net/ipv6/conf/all/accept_dad", "0"),
        ("net/ipv6/conf/default/accept_dad", "0"),
    ] {
        let _ = set(name, value);
    }
}

fn set(name: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new("/proc/sys").join(name), value)
}

fn network((address, bits): (Ipv4Addr, u8)) -> String {
    format!("{address}/{bits}")
}

fn batch(commands: &str) -> io::Result<()> {
    feed(Command::new("ip").args(["-batch", "-"]), commands)
}

/// Runs a program with `input`; what it says on standard error is the error.
///
/// # Errors
/// When it cannot run or does not succeed.
pub fn feed(command: &mut Command, input: &str) -> io::Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails early closes its input; its own message is the better error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().to_string_lossy().into_owned();
    Err(io::Error::other(format!("{program}: {}", said.trim().replace('\n', "; "))))
}
