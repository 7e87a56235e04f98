//! Settings, wiring, and the life of the process: bind, run, drain.

mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use leno_kit::LogHandle;

use crate::discovery::Discovery;
use crate::drain::{Drain, Quit};
use crate::identity::Identity;
use crate::telemetry::Telemetry;

pub use settings::{Ports, Settings};

/// What every part of the proxy is given: settings and handles, nothing of their insides. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// Settings of this process; they do not change.
    pub settings: Arc<Settings>,
    /// What the mesh is.
    pub discovery: Discovery,
    /// Who this pod is.
    pub identity: Identity,
    /// Where outcomes are reported.
    pub telemetry: Telemetry,
    /// When to stop taking work.
    pub drain: Drain,
    /// Asks the process to end.
    pub quit: Quit,
    /// Changes the log's level.
    pub log: LogHandle,
    /// When the process started.
    pub started: SystemTime,
}

impl App {
    /// Joins parts made by the caller: how tests build a proxy without a control plane.
    #[must_use]
    pub fn new(settings: Settings, discovery: Discovery, identity: Identity, drain: Drain) -> Self {
        let telemetry = Telemetry::new(Arc::clone(&discovery.own().workload));
        Self {
            settings: Arc::new(settings),
            discovery,
            identity,
            telemetry,
            drain,
            quit: Quit::default(),
            log: LogHandle::detached(),
            started: SystemTime::now(),
        }
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
