//! Rules of a `VirtualService` that no request reaches, because an earlier one takes all that they match.

use leno_config::object::Path;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, text};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&UNREACHABLE, &INEFFECTIVE];

/// Every match of the rule is taken by earlier rules.
static UNREACHABLE: Code = Code {
    id: "IST0130",
    name: "VirtualServiceUnreachableRule",
    level: Level::Warning,
    what: "Rules are tried in order and the first that matches takes the request. This one comes after rules that take \
           everything it matches, so that it is never used.",
    mend: "Put the special rule before the general one, or remove it. A rule without `match` takes everything and must be \
           the last.",
};

/// One match of several in a rule is taken by an earlier rule.
static INEFFECTIVE: Code = Code {
    id: "IST0131",
    name: "VirtualServiceIneffectiveMatch",
    level: Level::Info,
    what: "One match of a rule is taken by an earlier rule already; the rule's other matches are used.",
    mend: "Remove the match, or put the rule before the other.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.virtual_services() {
        for rules in ["http", "tcp", "tls"] {
            let all = list(&object.json, &format!("/spec/{rules}"));
            for (index, rule) in all.iter().enumerate() {
                let path = Path::root().key("spec").key(rules).index(index);
                let (before, _) = all.split_at(index);
                let taken: Vec<Option<usize>> = matches(rule).iter().map(|m| taken_by(m, before)).collect();
                if taken.iter().all(Option::is_some) {
                    let reason = match (list(rule, "/match").is_empty(), taken.first().copied().flatten()) {
                        (true, _) => "only the last rule can have no matches".to_owned(),
                        (false, by) => format!("duplicate/overlapping match in rule #{}", by.unwrap_or_default()),
                    };
                    let message = format!("VirtualService rule {} not used ({reason}).", name(rule, index));
                    out.add(&UNREACHABLE, object, &path, message);
                    continue;
                }
                for (at, by) in taken.iter().enumerate().filter_map(|(at, by)| Some((at, (*by)?))) {
                    let message = format!(
                        "VirtualService rule {} match #{at} is not used (duplicate/overlapping match in rule #{by}).",
                        name(rule, index)
                    );
                    out.add(&INEFFECTIVE, object, &path.key("match").index(at), message);
                }
            }
        }
    }
}

fn name(rule: &Value, index: usize) -> String {
    text(rule, "/name").filter(|n| !n.is_empty()).map_or_else(|| format!("#{index}"), |n| format!("{n:?}"))
}

/// The matches of a rule; none written means one that takes everything.
fn matches(rule: &Value) -> Vec<Value> {
    match list(rule, "/match") {
        [] => vec![Value::Object(serde_json::Map::new())],
        some => some.to_vec(),
    }
}

/// The first rule before that takes everything that `wanted` takes.
fn taken_by(wanted: &Value, before: &[Value]) -> Option<usize> {
    before.iter().position(|rule| matches(rule).iter().any(|m| covers(m, wanted)))
}

/// Whether every request that `narrow` matches is one that `wide` matches. Each condition of `wide` must be implied by one
/// of `narrow`; what is not sure counts as no.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let Some(conditions) = wide.as_object() else { return false };
    let ignores_case = |m: &Value| m.get("ignoreUriCase").and_then(Value::as_bool).unwrap_or(false);
    conditions.iter().all(|(key, condition)| match key.as_str() {
        "name" | "statPrefix" | "ignoreUriCase" => true,
        // Cases differ: only the same text with the same reading is surely covered.
        "uri" if ignores_case(wide) != ignores_case(narrow) => false,
        "uri" | "scheme" | "method" | "authority" => narrow.get(key).is_some_and(|n| string_covers(condition, n)),
        "headers" | "queryParams" => {
            each(condition, |name, c| narrow.get(key).and_then(|n| n.get(name)).is_some_and(|n| string_covers(c, n)))
        }
        "sourceLabels" => each(condition, |name, c| narrow.get(key).and_then(|n| n.get(name)) == Some(c)),
        "gateways" | "sniHosts" | "destinationSubnets" => {
            let (wide, narrow) = (list(condition, ""), narrow.get(key).map(|n| list(n, "")).unwrap_or_default());
            !narrow.is_empty() && narrow.iter().all(|n| wide.contains(n))
        }
        _ => narrow.get(key) == Some(condition),
    })
}

fn each(map: &Value, holds: impl Fn(&str, &Value) -> bool) -> bool {
    map.as_object().is_some_and(|map| map.iter().all(|(name, c)| holds(name, c)))
}

/// Whether a `StringMatch` takes all that another takes.
fn string_covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow || wide.as_object().is_some_and(serde_json::Map::is_empty) {
        return true;
    }
    match (text(wide, "/prefix"), text(narrow, "/prefix").or_else(|| text(narrow, "/exact"))) {
        (Some(wide), Some(narrow)) => narrow.starts_with(wide),
        _ => text(wide, "/regex") == Some(".*") && narrow.as_object().is_some_and(|n| !n.is_empty()),
    }
}
