//! Who a container's process is, and what it may ever do.

use anyhow::Context as _;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use serde::{Deserialize, Serialize};

/// User, group and capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id. `None`: the mesh's own, root of its namespaces.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Capabilities beyond the usual ones, without `CAP_`; `ALL`.
    pub add: Vec<String>,
    /// Usual capabilities that are taken away; `ALL`.
    pub drop: Vec<String>,
}

impl User {
    /// The capabilities that a root process of the container gets: what container runtimes give by default, less `drop`,
    /// plus `add`.
    #[must_use]
    pub fn capabilities(&self) -> CapabilitySet {
        let mut set = usual();
        for name in &self.drop {
            set &= !named(name);
        }
        for name in &self.add {
            set |= named(name);
        }
        set
    }
}

fn named(name: &str) -> CapabilitySet {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    if name == "ALL" { CapabilitySet::all() } else { CapabilitySet::from_name(name).unwrap_or(CapabilitySet::empty()) }
}

fn usual() -> CapabilitySet {
    CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FSETID
        | CapabilitySet::FOWNER
        | CapabilitySet::MKNOD
        | CapabilitySet::NET_RAW
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETFCAP
        | CapabilitySet::SETPCAP
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_CHROOT
        | CapabilitySet::KILL
        | CapabilitySet::AUDIT_WRITE
}

/// Takes everything else out of the bounding set: programs started from here on cannot have it, this one keeps what it
/// needs to do its work.
pub(super) fn limit(user: &User) -> anyhow::Result<()> {
    let keep = user.capabilities();
    for capability in CapabilitySet::all().iter().filter(|c| !keep.contains(*c)) {
        match remove_capability_from_bounding_set(capability) {
            // A capability that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).context("capabilities cannot be dropped"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
