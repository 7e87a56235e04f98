//! The caller's sidecar: what the address is, which rule, which destinations, how long and how often.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::branch::{self, Target};
use super::{Asked, Backend, Caller, Failure, Found, Known, Retrying, Share, Spoken, Step, Trace, View, plain, words};
use crate::Reason;
use crate::decide::destination::{self, Meaning};
use crate::decide::protocol::protocol_of_port;
use crate::decide::retry::{self, Attempt, FailureKind, RetryFacts, Verdict};
use crate::decide::route::{self as decide, ConnectionDecision, ConnectionFacts, RequestFacts, RouteDecision};
use crate::decide::{cluster, cors};
use crate::id::{Origin, ServiceId};
use crate::model::route::{Abort, Fault, HttpMatch, RetryPolicy, RouteAction, WeightedBackend};
use crate::model::{HttpRoute, Protocol, RouteTable, Workload, WorkloadPort};

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
    rule: Option<usize>,
    pub(super) trace: Trace,
}

/// What was dialled.
enum Dialled {
    Service(View, u16),
    Pod(Arc<Workload>, Option<(View, WorkloadPort)>),
    Outside,
    Itself,
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

    fn dialled(&mut self) -> Result<Dialled, Failure> {
        let at = self.asked.dialled;
        let own = self.caller.own.contains(&at.ip());
        let address = match self.known.address(at.ip()) {
            Found::Found(address) => Some(address),
            Found::Absent => None,
            Found::Unknown => return Err(self.unknown(&format!("what {} is", at.ip()))),
        };
        let meaning = match destination::meaning(at, own, address.as_deref(), self.caller.mesh.allow_any) {
            Ok(meaning) => meaning,
            Err(reason) => {
                self.step(Step::new(
                    "destination",
                    format!("{at} is not in the mesh, which refuses what it does not know (REGISTRY_ONLY)"),
                ));
                return Err(Failure::closed(reason, at.to_string()));
            }
        };
        match meaning {
            Meaning::Itself => {
                self.step(Step::new(
                    "destination",
                    format!("{at} is the caller's own pod: no rule and no policy applies"),
                ));
                Ok(Dialled::Itself)
            }
            Meaning::Outside => {
                let says = format!("{at} is not in the mesh: passed through as it is (ALLOW_ANY)");
                self.step(Step::new("destination", says));
                Ok(Dialled::Outside)
            }
            Meaning::Service(id) => self.service(id, at),
            Meaning::Pod { workload, port } => {
                let service = match port.map(|p| (self.known.service(&p.service), p)) {
                    Some((Found::Found(view), port)) => Some((view, port.clone())),
                    _ => None,
                };
                let by = service.as_ref().map_or_else(
                    || "no service names this port of it".to_owned(),
                    |(_, p)| format!("port {} of service {}", p.service_port, p.service),
                );
                self.step(Step::new(
                    "destination",
                    format!("{at} is pod {}/{}: {by}", workload.namespace, workload.pod),
                ));
                Ok(Dialled::Pod(Arc::clone(workload), service))
            }
        }
    }

    fn service(&mut self, id: &ServiceId, at: SocketAddr) -> Result<Dialled, Failure> {
        let view = match self.known.service(id) {
            Found::Found(view) => view,
            Found::Absent => return Err(Failure::closed(Reason::ClusterNotFound, format!("service {id}"))),
            Found::Unknown => return Err(self.unknown(&format!("service {id}"))),
        };
        if view.service.port(at.port()).is_some() {
            self.step(Step::new("destination", format!("{at} is service {id}, port {}", at.port())));
            return Ok(Dialled::Service(view, at.port()));
        }
        let ports: Vec<String> = view.service.ports.iter().map(|p| p.port.to_string()).collect();
        let says = format!("{at} is service {id}, which has no port {}; it has {}", at.port(), ports.join(", "));
        self.step(Step::new("destination", says));
        // As with kube-proxy such a port leads nowhere.
        Err(Failure::closed(Reason::ClusterNotFound, format!("service {id} has no port {}", at.port())))
    }

    fn unknown(&mut self, what: &str) -> Failure {
        self.step(Step::new("destination", format!("the control plane has not told this sidecar of {what}")));
        Failure::closed(Reason::NotReady, what)
    }

    fn speaks_http(&mut self, dialled: &Dialled) -> bool {
        let (declared, port) = match dialled {
            Dialled::Service(view, port) => {
                let port = view.service.port(*port);
                (port.map_or(Protocol::Auto, |p| p.protocol), port.map(|p| (p.name.clone(), p.port)))
            }
            Dialled::Pod(_, Some((_, port))) => (port.protocol, None),
            Dialled::Pod(_, None) | Dialled::Outside | Dialled::Itself => (Protocol::Auto, None),
        };
        let how = match port {
            Some((name, number)) if protocol_of_port(None, &name, number, false) != declared => {
                format!("port {number}, by its appProtocol or as an opaque port")
            }
            Some((name, number)) if !name.is_empty() => format!("port {number} is named `{name}`"),
            Some((_, number)) => format!("port {number} has no name and no appProtocol that says"),
            None => "by the port of the service".to_owned(),
        };
        let spoken = self.asked.spoken;
        let (http, says) = match declared {
            Protocol::Tcp | Protocol::Udp => {
                (false, format!("{}, as declared ({how}): no rule for requests applies", words::protocol(declared)))
            }
            Protocol::Http | Protocol::Http2 | Protocol::Grpc if spoken.is_http() => {
                (true, format!("{}, as declared ({how})", words::protocol(declared)))
            }
            Protocol::Http | Protocol::Http2 | Protocol::Grpc => (
                false,
                format!(
                    "declared as {} ({how}), but the client speaks {}: carried as opaque TCP",
                    words::protocol(declared),
                    spoken_words(spoken)
                ),
            ),
            Protocol::Tls | Protocol::Auto => {
                (spoken.is_http(), format!("{}, told by the first bytes that the client sends", spoken_words(spoken)))
            }
        };
        self.step(Step::new("protocol", says));
        http
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

    /// Places of the rule in its table, and of the alternative that matched.
    fn choose(&mut self, table: Option<&RouteTable>, port: u16) -> Result<Option<(usize, Option<usize>)>, Failure> {
        let Some(table) = table else {
            self.step(Step::new("route", "no route rule speaks of the service: to the service itself"));
            return Ok(None);
        };
        let asked = self.asked.clone();
        let viewer = Arc::clone(&self.caller.viewer);
        let facts = request_facts(&asked, &viewer, port);
        let misses = |upto: usize| -> Vec<String> {
            table
                .http
                .iter()
                .enumerate()
                .take(upto)
                .map(|(at, rule)| format!("{}: {}", rule_name(at, rule), miss(rule, &facts)))
                .collect()
        };
        match decide::route(Some(table), &facts) {
            RouteDecision::Service => {
                self.step(
                    Step::new("route", "its table has no rule for requests: to the service itself")
                        .by(Some(&table.origin), 0),
                );
                Ok(None)
            }
            RouteDecision::NotFound => {
                let says = format!("no rule of {}/{} matches", table.origin.namespace, table.origin.name);
                self.step(Step::new("route", says).by(Some(&table.origin), 0).with(misses(table.http.len())));
                Err(Failure::of(Reason::RouteNotFound, table.origin.to_string()))
            }
            RouteDecision::Rule { route, index, matched } => {
                let matched = matched.and_then(|m| route.matches.iter().position(|o| std::ptr::eq(o, m)));
                let by = matched
                    .and_then(|m| route.matches.get(m))
                    .map_or_else(|| "takes every request".to_owned(), words::conditions);
                self.rule = Some(index);
                let says = format!("{}: {by}", rule_name(index, route));
                self.step(Step::new("route", says).by(Some(route.origin_in(table)), route.line).with(misses(index)));
                Ok(Some((index, matched)))
            }
        }
    }

    fn answers_itself(&mut self, rule: &HttpRoute, _port: u16, origin: &Origin) -> Result<(), Failure> {
        let Some(policy) = &rule.cors else { return Ok(()) };
        let header = |name: &str| self.asked.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        let asks = !header("access-control-request-method").is_empty();
        if !cors::answers_preflight(policy, &self.asked.method, asks, header("origin")) {
            return Ok(());
        }
        self.step(
            Step::new("route", "a CORS preflight of an allowed origin: answered here").by(Some(origin), rule.line),
        );
        Err(Failure { status: 200, ..Failure::of(Reason::CorsPreflight, "") })
    }

    fn answers_directly(
        &mut self,
        rule: &HttpRoute,
        matched: Option<&HttpMatch>,
        port: u16,
        origin: &Origin,
    ) -> Option<Failure> {
        match &rule.action {
            RouteAction::Forward(_) => None,
            RouteAction::Redirect(redirect) => {
                let viewer = Arc::clone(&self.caller.viewer);
                let location = decide::redirect_location(redirect, &request_facts(&self.asked, &viewer, port), matched);
                let status = if redirect.status == 0 { 301 } else { redirect.status };
                self.step(Step::new("route", format!("redirects to {location}")).by(Some(origin), rule.line));
                Some(Failure { status, ..Failure::of(Reason::Redirected, location) })
            }
            RouteAction::Respond { status, .. } => {
                self.step(Step::new("route", format!("answers {status} itself")).by(Some(origin), rule.line));
                Some(Failure { status: *status, ..Failure::of(Reason::DirectResponse, "") })
            }
        }
    }

    /// Injected failures, as shares of all requests.
    fn faults(&mut self, rule: &HttpRoute, budget: Option<Duration>, origin: &Origin) {
        let Some(Fault { delay, abort }) = &rule.fault else { return };
        let mut left = 1.0;
        if let Some((percent, abort)) = abort {
            let share = (percent / 100.0).clamp(0.0, 1.0);
            let (status, what) = match abort {
                Abort::Http(status) => (*status, format!("status {status}")),
                Abort::Grpc(code) => (200, format!("gRPC status {code}")),
            };
            self.step(
                Step::new("fault", format!("{} are failed with {what}", words::percent(share)))
                    .by(Some(origin), rule.line),
            );
            let failure = Failure { status, ..Failure::of(Reason::FaultAbort, "") };
            self.early(share, failure);
            left -= share;
        }
        if let Some((percent, delay)) = delay {
            let share = (percent / 100.0).clamp(0.0, 1.0);
            let late = budget.is_some_and(|b| *delay >= b);
            let then = if late { ", which is longer than the timeout" } else { "" };
            let says = format!("{} are delayed by {}{then}", words::percent(share), words::time(*delay));
            self.step(Step::new("fault", says).by(Some(origin), rule.line));
            // A rule that answers by itself is not under the timeout.
            if late && matches!(rule.action, RouteAction::Forward(_)) {
                self.early(left * share, Failure::of(Reason::Timeout, "the injected delay is longer than the timeout"));
            }
        }
    }

    fn early(&mut self, share: f64, failure: Failure) {
        if share > 0.0 {
            self.trace.early.push(Share { share, failure });
        }
    }

    fn time_and_retries(&mut self, rule: Option<&HttpRoute>, origin: Option<&Origin>) -> Option<Duration> {
        let line = rule.map_or(0, |r| r.line);
        let budget = decide::time_budget(rule, None);
        if rule.is_some_and(|r| !matches!(r.action, RouteAction::Forward(_))) {
            return budget;
        }
        let policy = rule.and_then(|r| r.retry.as_ref());
        let whole = budget.map_or_else(
            || "no limit for the whole request".to_owned(),
            |b| format!("{} for the whole request, retries included", words::time(b)),
        );
        let each = retry::try_limit(budget, rule.and_then(HttpRoute::time_of_try));
        let each = each
            .filter(|(_, reason)| *reason == Reason::PerTryTimeout)
            .map_or_else(String::new, |(t, _)| format!("; {} for each try", words::time(t)));
        let by = budget.and(origin);
        self.step(Step::new("timeout", format!("{whole}{each}")).by(by, if by.is_some() { line } else { 0 }));
        let (says, attempts, by) = match policy {
            Some(policy) => (words::retries(policy), policy.attempts, origin),
            None => {
                let bodies = if retry::is_idempotent(&self.asked.method) {
                    ""
                } else {
                    "; of this method only what no application can have seen"
                };
                (
                    format!("{} by default, where no connection or no answer came{bodies}", retry::DEFAULT_ATTEMPTS),
                    retry::DEFAULT_ATTEMPTS,
                    None,
                )
            }
        };
        self.step(Step::new("retries", says).by(by, if by.is_some() { line } else { 0 }));
        self.trace.retry = retrying(policy, attempts, &self.asked.method);
        budget
    }

    fn rewrite(&mut self, rule: &HttpRoute, matched: Option<&HttpMatch>, origin: &Origin) -> Result<(), Failure> {
        if let Some(rewrite) = &rule.rewrite {
            let path = decide::apply_rewrite(&self.asked.path, rewrite, matched);
            let authority = rewrite.authority.as_deref();
            let named = authority.map(|a| format!(", authority {a}")).unwrap_or_default();
            self.step(Step::new("rewrite", format!("path {path}{named}")).by(Some(origin), rule.line));
            // HTTP/1.1 has its authority in a header, where nobody reads it.
            let read = authority.filter(|_| self.asked.spoken == Spoken::Http2);
            if !self.known.is_target(&path, read) {
                return Err(Failure::of(Reason::ClientProtocol, "a rewrite made an invalid path or authority"));
            }
            self.asked.path = path;
            if let Some(authority) = authority {
                authority.clone_into(&mut self.asked.authority);
            }
        }
        branch::edit(&mut self.asked, &rule.headers.request);
        Ok(())
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

/// Which failed tries are repeated: the question that the proxy asks of each try, for those that configuration can bring
/// about.
fn retrying(policy: Option<&RetryPolicy>, attempts: u32, method: &str) -> Retrying {
    let again = |attempt: Attempt, left: bool| {
        let facts = RetryFacts {
            idempotent_method: retry::is_idempotent(method),
            request_bytes_left: left,
            body_replayable: true,
            grpc: false,
        };
        matches!(retry::should_retry(policy, facts, attempt, 1, || true), Verdict::Retry { .. })
    };
    let denied = Attempt::Answered { status: Reason::PolicyDenied.status(), grpc_status: None, unprocessed: false };
    Retrying {
        attempts,
        requests: true,
        connect: again(Attempt::Failed(FailureKind::Connect), false),
        reset: again(Attempt::Failed(FailureKind::ResetBeforeResponse), true),
        denied: again(denied, true),
    }
}

/// The request as rules judge it.
fn request_facts<'a>(asked: &'a Asked, viewer: &'a crate::merge::Viewer, port: u16) -> RequestFacts<'a> {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    RequestFacts {
        method: &asked.method,
        path,
        query,
        authority: &asked.authority,
        scheme: "http",
        port,
        source_labels: &viewer.labels,
        source_namespace: &viewer.namespace,
        headers: &asked.headers,
    }
}

fn rule_name(at: usize, rule: &HttpRoute) -> String {
    if rule.name.is_empty() { format!("rule {}", at + 1) } else { format!("rule {} `{}`", at + 1, rule.name) }
}

fn miss(rule: &HttpRoute, facts: &RequestFacts<'_>) -> String {
    let misses =
        rule.matches.iter().filter_map(|m| decide::first_miss(m, facts).map(|miss| words::miss(m, miss, facts)));
    misses.collect::<Vec<_>>().join("; or ")
}

pub(super) const fn spoken_words(spoken: Spoken) -> &'static str {
    match spoken {
        Spoken::Http1 => "HTTP/1.1",
        Spoken::Http2 => "HTTP/2",
        Spoken::Tls => "TLS of the application's own",
        Spoken::Opaque => "opaque TCP",
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
