//! SMI's `split.smi-spec.io`.

use super::schema::{int_or_text, list, obj, obj_with, text};
use super::{AGE, Definition};

/// `TrafficSplit`. Its versions differ in what a weight may be (a quantity such as `900m`, or a number) and in `matches`; each takes all of it.
pub(super) fn traffic_split() -> Definition {
    let backend = obj_with(&["service"], &[("service", text()), ("weight", int_or_text())]);
    let matches = obj(&[("apiGroup", text()), ("kind", text()), ("name", text())]);
    Definition {
        group: "split.smi-spec.io",
        kind: "TrafficSplit",
        plural: "trafficsplits",
        short: &["ts"],
        versions: &["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"],
        storage: "v1alpha2",
        columns: &[("Service", "string", ".spec.service"), AGE],
        spec_required: true,
        spec: obj_with(
            &["service", "backends"],
            &[("service", text()), ("backends", list(backend)), ("matches", list(matches))],
        ),
    }
}
