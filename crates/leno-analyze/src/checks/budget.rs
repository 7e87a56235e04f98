//! What sidecars add to what a namespace may use.

use leno_config::Object;
use leno_config::quantity::milli_quantity;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, text};
use crate::set::{Set, Workload};

pub(super) const CODES: &[&Code] = &[&EXCEEDED, &NEEDS_LIMITS];

/// With their sidecars, the pods of a namespace ask for more than its quota allows.
static EXCEEDED: Code = Code {
    id: "LENO0110",
    name: "SidecarsExceedQuota",
    level: Level::Warning,
    what: "A ResourceQuota bounds what the pods of a namespace may request. The workloads there fit without sidecars and do \
           not with them: some pods will not be made.",
    mend: "Raise the quota by what the message says, or lower the sidecars' requests (`sidecar.istio.io/proxyCPU`, \
           `sidecar.istio.io/proxyMemory`).",
};

/// A quota on limits, and sidecars without limits.
static NEEDS_LIMITS: Code = Code {
    id: "LENO0111",
    name: "QuotaNeedsSidecarLimits",
    level: Level::Warning,
    what: "A ResourceQuota bounds the limits of the pods of a namespace, so that every container must have them; the sidecar \
           has none, and no LimitRange gives it any. Pods with a sidecar are refused.",
    mend: "Give sidecars limits with `sidecar.istio.io/proxyCPULimit` and `sidecar.istio.io/proxyMemoryLimit` on the pod \
           template, or give the namespace a LimitRange with default limits.",
};

/// What a sidecar asks for, in thousandths of a core and of a byte: 10m and 16Mi.
const CPU: u64 = 10;
const MEMORY: u64 = 16 * 1024 * 1024 * 1000;

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for quota in set.of("", "ResourceQuota").filter(|q| q.json.pointer("/spec/scopes").is_none()) {
        if quota.json.pointer("/spec/scopeSelector").is_some() {
            continue;
        }
        requests(set, out, quota, "cpu", CPU, ["sidecar.istio.io/proxyCPU", "config.linkerd.io/proxy-cpu-request"]);
        let keys = ["sidecar.istio.io/proxyMemory", "config.linkerd.io/proxy-memory-request"];
        requests(set, out, quota, "memory", MEMORY, keys);
        for (kind, keys) in [
            ("cpu", ["sidecar.istio.io/proxyCPULimit", "config.linkerd.io/proxy-cpu-limit"]),
            ("memory", ["sidecar.istio.io/proxyMemoryLimit", "config.linkerd.io/proxy-memory-limit"]),
        ] {
            limits(set, out, quota, kind, keys);
        }
    }
}

fn hard(quota: &Object, names: &[&str]) -> Option<u64> {
    let hard = quota.json.pointer("/spec/hard")?;
    names.iter().find_map(|name| milli(hard.get(*name)?))
}

fn milli(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => milli_quantity(text).ok(),
        Value::Number(number) => milli_quantity(&number.to_string()).ok(),
        _ => None,
    }
}

/// Workloads of the quota's namespace that make pods, with how many pods.
fn makers<'s, 'o>(set: &'s Set<'o>, quota: &Object) -> Vec<(&'s Workload<'o>, u64)> {
    let of_namespace = set.templates().filter(|w| w.namespace() == quota.namespace() && !w.has_ended());
    of_namespace
        .filter_map(|w| match w.object.kind.as_str() {
            "Deployment" | "StatefulSet" | "ReplicaSet" => {
                Some((w, w.object.json.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)))
            }
            "Pod" => Some((w, 1)),
            // How many pods a DaemonSet has is not to be seen here, and Jobs come and go.
            _ => None,
        })
        .collect()
}

fn requests(set: &Set<'_>, out: &mut Report, quota: &Object, kind: &str, default: u64, keys: [&str; 2]) {
    let Some(hard) = hard(quota, &[&format!("requests.{kind}"), kind]) else { return };
    let (mut without, mut sidecars, mut pods) = (0_u64, 0_u64, 0_u64);
    for (workload, replicas) in makers(set, quota) {
        let own: Option<u64> =
            workload.own_containers().filter(|c| !c.is_init).map(|c| request(c.json, kind)).sum::<Option<u64>>();
        // A container without requests is refused by the quota, or gets those of a LimitRange: nothing is sure then.
        let Some(own) = own else { return };
        without = without.saturating_add(own.saturating_mul(replicas));
        if set.is_meshed(workload) {
            let asked = keys.iter().find_map(|k| milli_quantity(workload.annotations.get(*k)?).ok()).unwrap_or(default);
            sidecars = sidecars.saturating_add(asked.saturating_mul(replicas));
            pods = pods.saturating_add(replicas);
        }
    }
    let with = without.saturating_add(sidecars);
    if pods > 0 && without <= hard && with > hard {
        let message = format!(
            "With {pods} sidecars the workloads request {} of {kind}, and the quota allows {}.",
            show(kind, with),
            show(kind, hard)
        );
        out.at(&EXCEEDED, quota, "spec.hard", message);
    }
}

fn request(container: &Value, kind: &str) -> Option<u64> {
    let of = |list: &str| milli(container.pointer(&format!("/resources/{list}/{kind}"))?);
    of("requests").or_else(|| of("limits"))
}

fn show(kind: &str, milli: u64) -> String {
    match kind {
        "cpu" => format!("{milli}m"),
        _ => format!("{}Mi", milli.div_ceil(1000 * 1024 * 1024)),
    }
}

fn limits(set: &Set<'_>, out: &mut Report, quota: &Object, kind: &str, keys: [&str; 2]) {
    if hard(quota, &[&format!("limits.{kind}")]).is_none() || has_default_limit(set, quota.namespace(), kind) {
        return;
    }
    for (workload, _) in makers(set, quota) {
        let given = keys.iter().any(|k| workload.annotations.contains_key(*k));
        let live = workload.containers().iter().any(|c| text(c.json, "/name") == Some("istio-proxy"));
        if set.is_meshed(workload) && !given && !live {
            let message = format!(
                "ResourceQuota {} bounds limits.{kind}, and the sidecar of {} has no {kind} limit.",
                quota.name,
                workload.object.describe()
            );
            out.add(&NEEDS_LIMITS, workload.object, &workload.at.key("spec"), message);
        }
    }
}

fn has_default_limit(set: &Set<'_>, namespace: &str, kind: &str) -> bool {
    set.of("", "LimitRange").filter(|l| l.namespace() == namespace).any(|range| {
        list(&range.json, "/spec/limits")
            .iter()
            .any(|l| text(l, "/type") == Some("Container") && l.pointer(&format!("/default/{kind}")).is_some())
    })
}
