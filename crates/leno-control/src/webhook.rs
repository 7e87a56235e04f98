//! What the API server asks before it takes an object: `/inject` gives pods their sidecar, `/validate` judges Leno's objects.
//!
//! Both are pure functions from the bytes of an `AdmissionReview` to the answer ([`inject::admit_pod`],
//! [`validate::validate`]); [`serve`] puts them behind HTTPS.

pub mod inject;
pub mod patch;
mod review;
mod server;
pub mod validate;

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use leno_config::LowerContext;
use leno_install::{InjectSettings, NamespaceMeta};

pub use server::{MAX_BODY, serve};

/// Finds what a namespace says; `None` while it is not known.
pub type Namespaces = dyn Fn(&str) -> Option<Arc<NamespaceMeta>> + Send + Sync;

/// What the webhooks decide by. Its settings can be replaced while it serves.
pub struct Injector {
    settings: ArcSwap<InjectSettings>,
    namespaces: Box<Namespaces>,
    context: LowerContext,
    /// What was answered so far.
    pub counters: Arc<Counters>,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Injector {
    /// With settings and a way to know namespaces; `context` is how objects are read.
    pub fn new(
        settings: InjectSettings,
        context: LowerContext,
        namespaces: impl Fn(&str) -> Option<Arc<NamespaceMeta>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            namespaces: Box::new(namespaces),
            context,
            counters: Arc::default(),
        }
    }

    /// Counts where others read it.
    #[must_use]
    pub fn counted_by(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// Takes over new settings: pods made from now on have them.
    pub fn set(&self, settings: InjectSettings) {
        self.settings.store(Arc::new(settings));
    }
}

/// Counters, under istiod's names.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    injected: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    passed: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    /// The text for Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, help, counter) in [
            ("sidecar_injection_requests_total", "Total number of sidecar injection requests.", &self.requests),
            ("sidecar_injection_success_total", "Total number of successful sidecar injections.", &self.injected),
            ("sidecar_injection_skip_total", "Total number of skipped sidecar injections.", &self.skipped),
            ("sidecar_injection_failure_total", "Total number of failed sidecar injections.", &self.failed),
            ("galley_validation_passed", "Resources that passed validation.", &self.passed),
            ("galley_validation_failed", "Resources that failed validation.", &self.refused),
        ] {
            let value = counter.load(Ordering::Relaxed);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}");
        }
        out
    }
}

#[cfg(test)]
mod tests;
