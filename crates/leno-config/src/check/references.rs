//! What pods refer to: accounts, configuration, users.

use super::{Set, spec_path};
use crate::diagnostic::{Diagnostic, Severity};
use crate::k8s::{Container, PodSpec, Volume};
use crate::object::{Object, Path};

pub(super) fn check(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (object, template) in &set.pods {
        let at = spec_path(object);
        let mut pod = Pod { set, object, found: &mut found };
        pod.account(&template.spec, &at);
        pod.sidecar_uid(&template.spec, &at);
        for (index, volume) in template.spec.volumes.iter().enumerate() {
            pod.volume(volume, &at.key("volumes").index(index));
        }
        for (field, containers) in
            [("initContainers", &template.spec.init_containers), ("containers", &template.spec.containers)]
        {
            for (index, container) in containers.iter().enumerate() {
                pod.container(container, &at.key(field).index(index));
            }
        }
    }
    found
}

/// Objects that Kubernetes and Istio make by themselves.
const MADE_BY_THEMSELVES: &[&str] = &["kube-root-ca.crt", "istio-ca-root-cert"];

struct Pod<'s, 'o> {
    set: &'s Set<'o>,
    object: &'o Object,
    found: &'s mut Vec<Diagnostic>,
}

impl Pod<'_, '_> {
    fn warn(&mut self, path: &Path, message: String) -> &mut Diagnostic {
        self.found.push(self.object.diagnostic(Severity::Warning, path, message));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    fn account(&mut self, spec: &PodSpec, path: &Path) {
        let account = spec.account();
        if account != "default" && !self.set.has("ServiceAccount", self.object.namespace(), account) {
            let at = path.key("serviceAccountName");
            self.warn(&at, format!("there is no ServiceAccount `{account}`: it is made"));
        }
    }

    /// Whatever runs as the sidecar's user is not intercepted.
    fn sidecar_uid(&mut self, spec: &PodSpec, path: &Path) {
        let uid = Some(leno_core::names::PROXY_UID);
        let of_pod = spec.security_context.as_ref().and_then(|c| c.run_as_user);
        let any = spec.all_containers().any(|c| {
            c.name != "istio-proxy" && c.security_context.as_ref().and_then(|s| s.run_as_user).or(of_pod) == uid
        });
        if any {
            let message = "runs as user 1337, which is the sidecar's: its traffic goes past the mesh".to_owned();
            self.warn(&path.key("securityContext"), message).code = Some("IST0144");
        }
    }

    fn reference(&mut self, kind: &str, name: &str, optional: bool, path: &Path) {
        let namespace = self.object.namespace();
        if optional || name.is_empty() || MADE_BY_THEMSELVES.contains(&name) || self.set.has(kind, namespace, name) {
            return;
        }
        let message = format!("there is no {kind} `{name}` in namespace {namespace}: the pod waits for it");
        self.warn(path, message);
    }

    fn volume(&mut self, volume: &Volume, path: &Path) {
        if let Some(map) = &volume.config_map {
            self.reference("ConfigMap", &map.name, map.optional, &path.keys("configMap.name"));
        }
        if let Some(secret) = &volume.secret {
            self.reference("Secret", &secret.secret_name, secret.optional, &path.keys("secret.secretName"));
        }
        for (index, source) in volume.projected.iter().flat_map(|p| &p.sources).enumerate() {
            let at = path.keys("projected.sources").index(index);
            if let Some(map) = &source.config_map {
                self.reference("ConfigMap", &map.name, map.optional, &at.keys("configMap.name"));
            }
            if let Some(secret) = &source.secret {
                self.reference("Secret", &secret.name, secret.optional, &at.keys("secret.name"));
            }
        }
    }

    fn container(&mut self, container: &Container, path: &Path) {
        for (index, env) in container.env.iter().enumerate() {
            let at = path.key("env").index(index).key("valueFrom");
            let Some(from) = &env.value_from else { continue };
            if let Some(key) = &from.config_map_key_ref {
                self.key("ConfigMap", &["data", "binaryData"], key, &at.key("configMapKeyRef"));
            }
            if let Some(key) = &from.secret_key_ref {
                self.key("Secret", &["data", "stringData"], key, &at.key("secretKeyRef"));
            }
        }
        for (index, from) in container.env_from.iter().enumerate() {
            let at = path.key("envFrom").index(index);
            if let Some(map) = &from.config_map_ref {
                self.reference("ConfigMap", &map.name, map.optional, &at.keys("configMapRef.name"));
            }
            if let Some(secret) = &from.secret_ref {
                self.reference("Secret", &secret.name, secret.optional, &at.keys("secretRef.name"));
            }
        }
    }

    fn key(&mut self, kind: &str, fields: &[&str], key: &crate::k8s::KeyRef, path: &Path) {
        let namespace = self.object.namespace();
        let owner = self.set.of_kind(kind).find(|o| o.namespace() == namespace && o.name == key.name);
        let Some(owner) = owner else {
            return self.reference(kind, &key.name, key.optional, &path.key("name"));
        };
        let there = fields.iter().any(|f| owner.json.get(*f).is_some_and(|data| data.get(&key.key).is_some()));
        if !there && !key.optional {
            let message = format!("{kind} `{}` has no key `{}`: the pod waits for it", key.name, key.key);
            self.warn(&path.key("key"), message);
        }
    }
}
