//! The caller's sidecar: what the address is, which rule, which destinations. [`super::dialled`] and [`super::rules`] have the parts.

use std::sync::Arc;

use super::branch::{self, Target};
use super::dialled::Dialled;
use super::{Asked, Backend, Caller, Failure, Found, Known, Retrying, Spoken, Step, Trace, plain, words};
use crate::Reason;
use crate::decide::cluster;
use crate::decide::destination;
use crate::decide::route::{self as decide, ConnectionDecision, ConnectionFacts};
use crate::model::route::{RouteAction, WeightedBackend};

/// Judges a request as the caller's sidecar does, up to what arrives at each pod that it may reach.
#[must_use]
pub fn outbound(known: &dyn Known, asked: &Asked) -> Trace {
    let mut walk = Walk { known, caller: known.caller(), asked: asked.clone(), rule: None, trace: Trace::default() };
    if let Err(failure) = walk.run() {
        if let Some(last) = walk.trace.steps.last_mut() {
            last.stops = true;
        }
        walk.trace.stopped = Some(failure);
    }
    walk.trace
}

/// What a request has gone through so far.
pub(super) struct Walk<'k> {
    pub(super) known: &'k dyn Known,
    pub(super) caller: Caller,
    /// As the application asked it, then as rules have changed it.
    pub(super) asked: Asked,
    /// Place of the rule in its table, once it is chosen.
    pub(super) rule: Option<usize>,
    pub(super) trace: Trace,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        if !self.caller.meshed || self.asked.bypass.is_some() {
            return plain::run(self);
        }
        self.step(Step::new("interception", format!("{} is redirected to the caller's sidecar", self.asked.dialled)));
        let dialled = self.dialled()?;
        if self.speaks_http(&dialled) { self.http(&dialled) } else { self.opaque(&dialled) }
    }

    pub(super) fn step(&mut self, mut step: Step) {
        step.rule = step.origin.as_ref().and(self.rule);
        self.trace.steps.push(step);
    }

    fn http(&mut self, dialled: &Dialled) -> Result<(), Failure> {
        let (view, port, pinned) = match dialled {
            Dialled::Service(view, port) => (view, *port, false),
            Dialled::Pod(_, Some((view, port)))
                if destination::names_service(
                    &self.asked.authority,
                    &self.caller.viewer.namespace,
                    &view.service.id,
                ) =>
            {
                (view, port.service_port, true)
            }
            Dialled::Pod(_, service) => {
                let says = match service {
                    Some((view, _)) => {
                        format!("the request does not name service {}, so that its rules do not apply", view.service.id)
                    }
                    None => "no service, so no rule".to_owned(),
                };
                self.step(Step::new("route", says));
                return self.at_address(dialled);
            }
            Dialled::Outside | Dialled::Itself => return self.at_address(dialled),
        };
        let table = view.routes.clone();
        let rule = self.choose(table.as_deref(), port)?;
        let Some((table, rule, matched)) = table.as_deref().zip(rule).map(|(t, (r, m))| (t, &t.http[r], m)) else {
            self.time_and_retries(None, None);
            let target = Target { pinned, opaque: false };
            let own = Backend { service: &view.service.id, subset: None, port };
            let only = branch::service(self, own, None, 1.0, &target);
            self.trace.branches.push(only);
            return Ok(());
        };
        let matched = matched.and_then(|m| rule.matches.get(m));
        let origin = rule.origin_in(table);
        self.answers_itself(rule, port, origin)?;
        let budget = self.time_and_retries(Some(rule), Some(origin));
        self.faults(rule, budget, origin);
        if let Some(failure) = self.answers_directly(rule, matched, port, origin) {
            return Err(failure);
        }
        self.rewrite(rule, matched, origin)?;
        for mirror in &rule.mirrors {
            let says = format!(
                "{} are copied to {}; nobody waits for the copies",
                words::percent(mirror.percent / 100.0),
                words::backend(&mirror.backend)
            );
            self.step(Step::new("mirror", says).by(Some(origin), rule.line));
        }
        match &rule.action {
            RouteAction::Forward(backends) if !backends.is_empty() => {
                self.weighted(backends, port, &Target { pinned, opaque: false })
            }
            _ => {
                let own = Backend { service: &view.service.id, subset: None, port };
                let only = branch::service(self, own, None, 1.0, &Target { pinned, opaque: false });
                self.trace.branches.push(only);
                Ok(())
            }
        }
    }

    fn weighted(&mut self, backends: &[WeightedBackend], dialled: u16, target: &Target) -> Result<(), Failure> {
        let total: u64 = backends.iter().map(|b| u64::from(b.weight)).sum();
        if decide::pick_backend(backends, 0.0).is_none() {
            self.step(Step::new("weights", "all weights of the rule are 0"));
            return Err(Failure::of(Reason::NoHealthyUpstream, "all weights of the rule are 0"));
        }
        for weighted in backends {
            #[expect(clippy::cast_precision_loss)]
            let share = if backends.len() == 1 { 1.0 } else { f64::from(weighted.weight) / total as f64 };
            let to = &weighted.backend;
            let port = match self.known.service(&to.service) {
                Found::Found(view) => cluster::port_of(&view.service, to.port, dialled),
                Found::Absent | Found::Unknown => to.port.unwrap_or(dialled),
            };
            let of = Backend { service: &to.service, subset: to.subset.as_deref(), port };
            let one = branch::service(self, of, Some(weighted), share, target);
            self.trace.branches.push(one);
        }
        Ok(())
    }

    fn opaque(&mut self, dialled: &Dialled) -> Result<(), Failure> {
        self.trace.retry = Retrying { attempts: CONNECT_TRIES - 1, connect: true, ..Retrying::default() };
        let Dialled::Service(view, port) = dialled else { return self.at_address(dialled) };
        let viewer = Arc::clone(&self.caller.viewer);
        let facts = ConnectionFacts {
            port: *port,
            destination: self.asked.dialled.ip(),
            source_labels: &viewer.labels,
            source_namespace: &viewer.namespace,
        };
        let table = view.routes.as_deref();
        let origin = table.map(|t| &t.origin);
        let sni = (self.asked.spoken == Spoken::Tls).then(|| host_of(&self.asked.authority));
        let target = Target { pinned: false, opaque: true };
        let backends: &[WeightedBackend] = match sni.map(|s| decide::tls_route(table, &facts, Some(s))) {
            Some(ConnectionDecision::Rule { route, index }) => {
                self.step(Step::new("route", format!("TLS rule {} takes the name", index + 1)).by(origin, 0));
                &route.backends
            }
            Some(ConnectionDecision::NotFound) => {
                self.step(
                    Step::new("route", format!("no TLS rule takes the name {}", sni.unwrap_or_default())).by(origin, 0),
                );
                let detail = origin.map(ToString::to_string).unwrap_or_default();
                return Err(Failure::closed(Reason::RouteNotFound, detail));
            }
            Some(ConnectionDecision::Service) | None => match decide::tcp_route(table, &facts) {
                ConnectionDecision::Rule { route, index } => {
                    self.step(Step::new("route", format!("TCP rule {}", index + 1)).by(origin, 0));
                    &route.backends
                }
                ConnectionDecision::Service | ConnectionDecision::NotFound => {
                    self.step(
                        Step::new("route", "no rule for connections: to the service itself")
                            .by(origin.filter(|_| table.is_some_and(|t| !t.http.is_empty())), 0),
                    );
                    let own = Backend { service: &view.service.id, subset: None, port: *port };
                    let only = branch::service(self, own, None, 1.0, &target);
                    self.trace.branches.push(only);
                    return Ok(());
                }
            },
        };
        self.weighted(backends, *port, &target).map_err(|f| Failure { status: 0, ..f })
    }

    fn at_address(&mut self, dialled: &Dialled) -> Result<(), Failure> {
        let http = self.asked.spoken.is_http();
        if http {
            self.time_and_retries(None, None);
        }
        let workload = match dialled {
            Dialled::Pod(workload, _) => Some(workload),
            Dialled::Service(..) | Dialled::Outside | Dialled::Itself => None,
        };
        let only = branch::address(self, workload, !http);
        self.trace.branches.push(only);
        Ok(())
    }
}

/// A host without its port.
pub(super) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Endpoints that are tried until an opaque connection is made.
pub const CONNECT_TRIES: u32 = 3;
