//! Annotations of Istio, Linkerd and Leno: reading them, and naming those that are not honoured.
//!
//! Linkerd's `config.…` annotations are read from the namespace too, where the pod does not say (Linkerd's rule). A value
//! that cannot be read, and an annotation of a mesh that is not honoured, is a warning, never silence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leno_config::quantity;

use super::{NamespaceMeta, PodMeta};

/// Reads annotations and gathers warnings.
#[derive(Debug)]
pub struct Reader<'a> {
    pod: &'a BTreeMap<String, String>,
    namespace: &'a BTreeMap<String, String>,
    warnings: &'a mut Vec<String>,
    read: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Of a pod in its namespace.
    #[must_use]
    pub const fn new(meta: &'a PodMeta, namespace: &'a NamespaceMeta, warnings: &'a mut Vec<String>) -> Self {
        Self { pod: &meta.annotations, namespace: &namespace.annotations, warnings, read: BTreeSet::new() }
    }

    /// Says something to the user.
    pub fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    /// The text of an annotation.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.read.insert(key.to_owned());
        let inherited = || if is_istio(key) { None } else { self.namespace.get(key) };
        self.pod.get(key).or_else(inherited).map(|v| v.trim().to_owned())
    }

    /// The text of the first of these that is there; the others count as read.
    pub fn first(&mut self, keys: &[&str]) -> Option<(String, String)> {
        let found: Vec<_> = keys.iter().filter_map(|k| Some(((*k).to_owned(), self.text(k)?))).collect();
        found.into_iter().next()
    }

    /// The first of these that `parse` understands.
    pub fn parsed<T>(&mut self, keys: &[&str], parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (key, text) = self.first(keys)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.warn(format!("{key}: {why}; ignored"));
                None
            }
        }
    }

    /// `true` or `false`, and the words that Linkerd has for them.
    pub fn flag(&mut self, keys: &[&str]) -> Option<bool> {
        self.parsed(keys, |text| match text {
            "true" | "enabled" => Ok(true),
            "false" | "disabled" => Ok(false),
            other => Err(format!("`{other}` is neither true nor false")),
        })
    }

    /// A duration, as `5s`.
    pub fn duration(&mut self, keys: &[&str]) -> Option<String> {
        self.parsed(keys, |text| duration(text).map(|()| text.to_owned()))
    }

    /// A quantity, as `100m` or `64Mi`.
    pub fn quantity(&mut self, keys: &[&str]) -> Option<String> {
        self.parsed(keys, |text| match quantity::milli_quantity(text) {
            Ok(0) => Err("zero is no amount".to_owned()),
            Ok(_) => Ok(text.to_owned()),
            Err(e) => Err(e.to_string()),
        })
    }

    /// Items between commas.
    pub fn list(&mut self, key: &str, check: fn(&str) -> bool) -> Vec<String> {
        let Some(text) = self.text(key) else { return Vec::new() };
        let mut out = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            if check(item) {
                out.push(item.to_owned());
            } else {
                self.warn(format!("{key}: `{item}` cannot be read, ignored"));
            }
        }
        out
    }

    /// An include list: absent or `*` is everything, empty is nothing.
    pub fn include(&mut self, key: &str, check: fn(&str) -> bool) -> Option<Vec<String>> {
        match self.text(key)?.as_str() {
            "*" => None,
            _ => Some(self.list(key, check)),
        }
    }

    /// Names the annotations of a mesh that nobody has read. Comes last.
    pub fn warn_of_unread(self) {
        // Of the namespace's, those that Linkerd has pods inherit.
        let inherited = self.namespace.keys().filter(|k| k.starts_with("config.") && !self.pod.contains_key(*k));
        for key in self.pod.keys().chain(inherited) {
            if is_mesh(key) && !self.read.contains(key) && !INERT.contains(&key.as_str()) {
                self.warnings.push(format!("annotation {key} is not honoured"));
            }
        }
    }
}

/// Whether the text is a duration that Leno's programs read: Go's form, days (`90d`), plain seconds.
///
/// # Errors
/// Why not.
pub fn duration(text: &str) -> Result<(), String> {
    let days = text.strip_suffix('d').and_then(|n| n.parse::<u64>().ok()).map(|n| n.saturating_mul(86_400));
    let span = match days.or_else(|| text.parse().ok()) {
        Some(seconds) => Duration::from_secs(seconds),
        None => quantity::duration(text).map_err(|e| e.to_string())?,
    };
    if span >= Duration::from_millis(1) && span <= LONGEST {
        Ok(())
    } else {
        Err(format!("`{text}` is not between 1ms and 90d"))
    }
}

/// Whether the text is a log level or a list such as `info,leno_proxy=debug`: the proxy would not start with another.
///
/// # Errors
/// Why not.
pub fn log_filter(text: &str) -> Result<(), String> {
    const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];
    let good = |part: &str| {
        let (target, level) = part.split_once('=').map_or((None, part), |(t, l)| (Some(t), l));
        let target_good =
            target.is_none_or(|t| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)));
        target_good && LEVELS.contains(&level)
    };
    if text.split(',').all(good) {
        Ok(())
    } else {
        Err(format!("`{text}` is not a log level such as info, or a list such as info,leno_proxy=debug"))
    }
}

/// A port number or `LOW-HIGH`.
#[must_use]
pub fn port_range(text: &str) -> bool {
    let port = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0);
    match text.split_once('-') {
        None => port(text).is_some(),
        Some((low, high)) => matches!((port(low), port(high)), (Some(l), Some(h)) if l <= h),
    }
}

/// An IP network in CIDR form.
#[must_use]
pub fn network(text: &str) -> bool {
    let Some((ip, bits)) = text.split_once('/') else { return text.parse::<std::net::IpAddr>().is_ok() };
    let (Ok(ip), Ok(bits)) = (ip.parse::<std::net::IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if ip.is_ipv4() { 32 } else { 128 }
}

fn domain(key: &str) -> &str {
    key.split_once('/').map_or("", |(domain, _)| domain)
}

fn is_under(key: &str, zone: &str) -> bool {
    domain(key).strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_istio(key: &str) -> bool {
    is_under(key, "istio.io")
}

fn is_mesh(key: &str) -> bool {
    is_istio(key) || is_under(key, "linkerd.io") || is_under(key, "leno.dev")
}

const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// Read elsewhere ([`super::decision`]), or marks that others leave and that ask for nothing.
const INERT: &[&str] = &[
    "sidecar.istio.io/inject",
    "sidecar.istio.io/status",
    "istio.io/rev",
    "galley.istio.io/analyze-suppress",
    "linkerd.io/inject",
    "linkerd.io/created-by",
    "linkerd.io/proxy-version",
    "linkerd.io/trust-root-sha256",
    super::WARNINGS_ANNOTATION,
    super::SKIPPED_ANNOTATION,
];
