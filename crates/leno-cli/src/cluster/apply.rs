//! Writing objects: server-side apply under one field manager, so that what others set stays theirs.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::api::{Patch, PatchParams};
use kube::core::Request as Builder;
use kube::core::Status;
use serde_json::Value;

use super::kind::title;
use super::{Cluster, Kind, error};

/// Who writes.
pub(crate) const FIELD_MANAGER: &str = "leno";

/// How to write.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ApplyOptions {
    /// Take over fields that another manager set.
    pub(crate) force_conflicts: bool,
    /// Let the server judge, change nothing.
    pub(crate) dry_run: bool,
    /// Take over what `kubectl apply` set: the same objects came through a pipe before.
    pub(crate) from_pipe: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is new.
    Created,
    /// It was there and differs now.
    Changed,
    /// It was there as it should be.
    Unchanged,
}

impl Cluster {
    /// Makes an object be as given.
    ///
    /// # Errors
    /// When the server refuses it: with the field and who owns it on a conflict, with the server's reason otherwise.
    pub(crate) async fn apply(&self, object: &Value, options: ApplyOptions) -> anyhow::Result<Applied> {
        let kind = Kind::of(object)?;
        let name = object["metadata"]["name"].as_str().context("an object without metadata.name")?;
        let space = object["metadata"]["namespace"].as_str();
        let space = if kind.namespaced { Some(space.unwrap_or_else(|| self.default_namespace())) } else { None };
        let before = self.get(&kind, space, name).await?;
        let mut params = PatchParams {
            dry_run: options.dry_run,
            force: options.force_conflicts,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let mut tries = 0;
        let after: Value = loop {
            let request = Builder::new(kind.path(space)).patch(name, &params, &Patch::Apply(object))?;
            match self.client.request(request).await {
                Ok(after) => break after,
                Err(e) if tries < TRIES && error::is_transient(&e) => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                Err(kube::Error::Api(status)) if options.from_pipe && !params.force && all_from_pipe(&status) => {
                    params.force = true;
                }
                Err(kube::Error::Api(status)) if status.code == 409 && !owners(&status).is_empty() => {
                    return Err(conflict(object, &status));
                }
                Err(e) => return Err(error::plain(&e)).with_context(|| title(object)),
            }
        };
        Ok(match before {
            None => Applied::Created,
            Some(before) if before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"] => {
                Applied::Unchanged
            }
            Some(_) => Applied::Changed,
        })
    }

    /// A merge patch, such as one that removes a label by giving it null.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) async fn merge(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> anyhow::Result<()> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Builder::new(kind.path(namespace)).patch(name, &params, &Patch::Merge(patch))?;
        self.client
            .request::<Value>(request)
            .await
            .map_err(|e| error::plain(&e))
            .with_context(|| format!("changing {kind} {name}"))?;
        Ok(())
    }
}

/// `(field, who set it)`
fn owners(status: &Status) -> Vec<(&str, &str)> {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    causes
        .iter()
        .filter(|c| c.reason == "FieldManagerConflict")
        .map(|c| (c.field.as_str(), c.message.as_str()))
        .collect()
}

fn all_from_pipe(status: &Status) -> bool {
    let owners = owners(status);
    let piped = |message: &str| PIPES.iter().any(|p| message.starts_with(&format!("conflict with \"{p}\"")));
    !owners.is_empty() && owners.iter().all(|(_, message)| piped(message))
}

fn conflict(object: &Value, status: &Status) -> anyhow::Error {
    let owners = owners(status);
    let lines: Vec<String> = owners
        .iter()
        .map(|(field, message)| format!("  {field}: set by {}", message.trim_start_matches("conflict with ")))
        .collect();
    anyhow!(
        "{}: others set fields that Leno sets too:\n{}\ngive --force-conflicts to take them over, or leave them out of the other's object",
        title(object),
        lines.join("\n")
    )
}

/// Names under which `kubectl apply` writes; its other verbs have others.
const PIPES: &[&str] = &["kubectl-client-side-apply", "kubectl"];
/// Of a server that is busy, or whose webhooks come up.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::{conflict, owners};
    use serde_json::json;

    #[test]
    fn a_conflict_names_field_and_owner() {
        let status = serde_json::from_value(json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict",
            "details": {"causes": [{
                "reason": "FieldManagerConflict", "field": ".spec.replicas",
                "message": "conflict with \"kubectl-scale\" using apps/v1",
            }]},
        }))
        .unwrap();
        assert_eq!(owners(&status).len(), 1);
        let object = json!({"kind": "Deployment", "metadata": {"namespace": "leno-system", "name": "leno-control"}});
        let text = conflict(&object, &status).to_string();
        assert!(text.starts_with("Deployment leno-system/leno-control: "), "{text}");
        assert!(text.contains("  .spec.replicas: set by \"kubectl-scale\" using apps/v1"), "{text}");
        assert!(text.contains("--force-conflicts"), "{text}");
    }
}
