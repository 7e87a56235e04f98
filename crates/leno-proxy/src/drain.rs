//! How the proxy ends: on SIGTERM, SIGINT or `/quitquitquit`, after what is under way.

use std::sync::Arc;

use tokio::sync::Notify;

pub use leno_kit::drain::{Active, Drain, Trigger};

/// Asks the process to end, from inside: what `/quitquitquit` calls.
#[derive(Clone, Debug, Default)]
pub struct Quit(Arc<Notify>);

impl Quit {
    /// Asks. The proxy then drains as it does on SIGTERM.
    pub fn ask(&self) {
        // A permit is kept if nobody waits yet.
        self.0.notify_one();
    }

    /// Resolves once somebody asked.
    pub async fn asked(&self) {
        self.0.notified().await;
    }
}
