//! Asking the sidecars: what they would do, from their own live state.

use anyhow::{Context as _, bail};
use leno_control::world::Pod;
use leno_core::names::port;
use leno_core::why::{Arriving, Asked, Inbound, MAX_QUESTION, Trace, to_hex};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{self, Access};

/// What the caller's sidecar would do with a request.
///
/// # Errors
/// When it does not answer.
pub(super) fn outbound(mesh: &dyn Access, caller: &Pod, asked: &Asked) -> anyhow::Result<Trace> {
    let pod = pod(&caller.facts.namespace, &caller.facts.name);
    ask(mesh, &pod, "asked", asked)
        .with_context(|| format!("the sidecar of {}/{} (`{}` says how it is)", pod.namespace, pod.name, mesh.hint()))
}

/// What a callee's sidecar would do with what arrives; `None`, with a word on standard error, where it does not answer.
pub(super) fn inbound(mesh: &dyn Access, namespace: &str, name: &str, arriving: &Arriving) -> Option<Inbound> {
    match ask(mesh, &pod(namespace, name), "arriving", arriving) {
        Ok(inbound) => Some(inbound),
        Err(error) => {
            eprintln!(
                "the sidecar of {namespace}/{name} does not answer ({error:#}): its part is worked out from objects"
            );
            None
        }
    }
}

fn pod(namespace: &str, name: &str) -> access::Pod {
    access::Pod { namespace: namespace.to_owned(), name: name.to_owned(), meshed: true, ..access::Pod::default() }
}

fn ask<Q: Serialize, A: DeserializeOwned>(
    mesh: &dyn Access,
    pod: &access::Pod,
    what: &str,
    question: &Q,
) -> anyhow::Result<A> {
    let json = serde_json::to_vec(question)?;
    if json.len() > MAX_QUESTION {
        bail!("the request is too long to be asked about: {} bytes, at most {MAX_QUESTION}", json.len());
    }
    let value = access::pod_json(mesh, pod, port::ADMIN, &format!("/leno/v1/why?{what}={}", to_hex(&json)))?;
    serde_json::from_value(value).context("the sidecar's answer (is it of another version?)")
}

/// Callees that are asked themselves; what the others would do is worked out from objects.
pub(super) const MOST: usize = 16;
