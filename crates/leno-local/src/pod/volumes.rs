//! The volumes of a pod, and what else is mounted into its containers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use leno_config::k8s::volume::DownwardApi;
use leno_config::k8s::{Container, KeyToPath, Projection, Volume};
use leno_identity::TokenRequest;
use leno_install::inject::ROOT_CONFIG_MAP;

use super::{PROXY_PROGRAM, Pod, env};
use crate::enter::Mount;
use crate::net::DNS_IP;

/// Files of a volume: path within it -> (content, mode).
type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

/// Makes or freshens all volumes. Files whose content changes are replaced, so that a program never reads half of one.
///
/// # Errors
/// When an object that must exist does not, or the file system refuses.
pub fn write(pod: &Pod) -> anyhow::Result<()> {
    let dir = pod.volume_dir();
    fs::create_dir_all(dir.join(OWN))?;
    put(&dir.join(OWN).join("resolv.conf"), resolv_conf(pod).as_bytes(), 0o644)?;
    put(&dir.join(OWN).join("hosts"), hosts(pod).as_bytes(), 0o644)?;
    for volume in &pod.spec.volumes {
        one(pod, volume, &dir.join(&volume.name)).with_context(|| format!("volume {:?}", volume.name))?;
    }
    Ok(())
}

/// The shortest life of the tokens in its volumes. `None`: it has none.
#[must_use]
pub fn token_life(pod: &Pod) -> Option<Duration> {
    let sources = pod.spec.volumes.iter().filter_map(|v| v.projected.as_ref()).flat_map(|p| &p.sources);
    let lives = sources.filter_map(|s| s.service_account_token.as_ref()).map(|t| t.expiration_seconds);
    lives.min().map(|s| Duration::from_secs(s.max(600)))
}

/// What is mounted into this container.
///
/// # Errors
/// A mount names a volume that does not exist, or leaves its volume.
pub fn mounts(pod: &Pod, container: &Container) -> anyhow::Result<Vec<Mount>> {
    let dir = pod.volume_dir();
    let own =
        |name: &str, target: &str| Mount { source: dir.join(OWN).join(name), target: target.into(), read_only: false };
    let mut all = vec![own("resolv.conf", "/etc/resolv.conf"), own("hosts", "/etc/hosts")];
    if container.command.first().is_some_and(|c| c == PROXY_PROGRAM) {
        // Bound as a file: its directory may be closed to the sidecar's user.
        all.push(Mount { source: pod.machine.proxy.clone(), target: PROXY_PROGRAM.into(), read_only: false });
    }
    for m in &container.volume_mounts {
        let Some(volume) = pod.spec.volumes.iter().find(|v| v.name == m.name) else {
            bail!("there is no volume {:?}", m.name);
        };
        let base = match &volume.host_path {
            Some(host) => PathBuf::from(&host.path),
            None => dir.join(&volume.name),
        };
        let source = if m.sub_path.is_empty() { base } else { base.join(inside(&m.sub_path)?) };
        if !m.sub_path.is_empty() && volume.empty_dir.is_some() {
            fs::create_dir_all(&source)?;
        }
        if !source.exists() {
            bail!("volume {:?} has no {:?}", m.name, m.sub_path);
        }
        let read_only = m.read_only || (volume.empty_dir.is_none() && volume.host_path.is_none());
        let target = Path::new("/").join(&m.mount_path);
        all.push(Mount { source, target, read_only });
    }
    Ok(all)
}

/// Removes all volumes.
pub fn remove(pod: &Pod) {
    let _ = fs::remove_dir_all(pod.volume_dir());
}

fn one(pod: &Pod, volume: &Volume, dir: &Path) -> anyhow::Result<()> {
    if let Some(host) = &volume.host_path {
        return host_path(Path::new(&host.path), &host.kind);
    }
    if !dir.exists() {
        fs::create_dir_all(dir)?;
        if volume.empty_dir.is_some() {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
        }
    }
    if volume.empty_dir.is_some() {
        return Ok(());
    }
    let mut files = Files::new();
    if let Some(map) = &volume.config_map {
        let mode = map.default_mode.unwrap_or(0o644);
        from_object(pod, ("ConfigMap", &map.name), (&map.items, mode), map.optional, &mut files)?;
    } else if let Some(secret) = &volume.secret {
        let mode = secret.default_mode.unwrap_or(0o644);
        from_object(pod, ("Secret", &secret.secret_name), (&secret.items, mode), secret.optional, &mut files)?;
    } else if let Some(api) = &volume.downward_api {
        downward(pod, api, api.default_mode.unwrap_or(0o644), &mut files)?;
    } else if let Some(projected) = &volume.projected {
        for source in &projected.sources {
            project(pod, source, projected.default_mode.unwrap_or(0o644), &mut files)?;
        }
    } else {
        bail!("it has no source that is honoured here");
    }
    sync(dir, &files)
}

fn host_path(path: &Path, kind: &str) -> anyhow::Result<()> {
    match kind {
        "DirectoryOrCreate" => fs::create_dir_all(path)?,
        "FileOrCreate" if !path.exists() => fs::write(path, "")?,
        _ => {}
    }
    let ok = match kind {
        "Directory" | "DirectoryOrCreate" => path.is_dir(),
        "File" | "FileOrCreate" => path.is_file(),
        _ => path.exists(),
    };
    if ok { Ok(()) } else { Err(anyhow!("{} is not there, or is no {kind}", path.display())) }
}

fn project(pod: &Pod, source: &Projection, mode: u32, files: &mut Files) -> anyhow::Result<()> {
    if let Some(map) = &source.config_map {
        from_object(pod, ("ConfigMap", &map.name), (&map.items, mode), map.optional, files)?;
    }
    if let Some(secret) = &source.secret {
        from_object(pod, ("Secret", &secret.name), (&secret.items, mode), secret.optional, files)?;
    }
    if let Some(api) = &source.downward_api {
        downward(pod, api, mode, files)?;
    }
    if let Some(token) = &source.service_account_token {
        let audience = if token.audience.is_empty() { "https://kubernetes.default.svc" } else { &token.audience };
        let life = Duration::from_secs(token.expiration_seconds.max(600));
        let request = TokenRequest {
            namespace: &pod.namespace,
            account: pod.spec.account(),
            pod: &pod.name,
            pod_uid: &pod.uid,
            audience,
        };
        let text = pod.machine.tokens.issue(request, SystemTime::now(), life).map_err(|e| anyhow!("no token: {e}"))?;
        files.insert(inside(&token.path)?, (text.into_bytes(), mode));
    }
    Ok(())
}

fn from_object(
    pod: &Pod,
    (kind, name): (&str, &str),
    (items, mode): (&[KeyToPath], u32),
    optional: bool,
    files: &mut Files,
) -> anyhow::Result<()> {
    let found = env::object(&pod.machine.store, kind, &pod.namespace, name, optional);
    let values = match found {
        // Every namespace has the mesh's root certificate, as in a cluster.
        Err(_) if kind == "ConfigMap" && name == ROOT_CONFIG_MAP => {
            Some(BTreeMap::from([("root-cert.pem".to_owned(), pod.machine.root_pem.clone().into_bytes())]))
        }
        other => other.map_err(|why| anyhow!(why))?,
    };
    let Some(mut values) = values else { return Ok(()) };
    if items.is_empty() {
        for (key, value) in values {
            files.insert(inside(&key)?, (value, mode));
        }
        return Ok(());
    }
    for item in items {
        match values.remove(&item.key) {
            Some(value) => {
                files.insert(inside(&item.path)?, (value, item.mode.unwrap_or(mode)));
            }
            None if optional => {}
            None => bail!("{} {name:?} has no key {:?}", kind.to_lowercase(), item.key),
        }
    }
    Ok(())
}

fn downward(pod: &Pod, api: &DownwardApi, mode: u32, files: &mut Files) -> anyhow::Result<()> {
    for item in &api.items {
        let Some(field) = &item.field_ref else { bail!("{:?} has no fieldRef", item.path) };
        let value = env::field(pod, &field.field_path).map_err(|why| anyhow!(why))?;
        files.insert(inside(&item.path)?, (value.into_bytes(), item.mode.unwrap_or(mode)));
    }
    Ok(())
}

/// A relative path that stays where it is put.
fn inside(path: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(path);
    if path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) && path.iter().count() > 0 {
        Ok(path)
    } else {
        bail!("{} is not a path within the volume", path.display())
    }
}

fn sync(dir: &Path, files: &Files) -> anyhow::Result<()> {
    for (path, (content, mode)) in files {
        let target = dir.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        put(&target, content, *mode)?;
    }
    // Keys that are gone; only at the top, where ConfigMaps have theirs.
    for entry in fs::read_dir(dir)?.flatten() {
        let name = PathBuf::from(entry.file_name());
        if entry.file_type()?.is_file() && !files.contains_key(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if fs::read(path).is_ok_and(|have| have == content) {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    fs::write(&fresh, content)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
    fs::rename(fresh, path)
}

fn resolv_conf(pod: &Pod) -> String {
    format!(
        "nameserver {DNS_IP}\nsearch {}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
        pod.namespace
    )
}

fn hosts(pod: &Pod) -> String {
    let name = env::hostname(pod);
    let long = if pod.spec.subdomain.is_empty() {
        String::new()
    } else {
        format!("{name}.{}.{}.svc.cluster.local ", pod.spec.subdomain, pod.namespace)
    };
    format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n{} {long}{name}\n", pod.ip)
}

/// Directory of what is not a volume of the user's; no volume can have this name.
const OWN: &str = ".leno";
