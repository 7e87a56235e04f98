//! What a route rule does with a request before it goes anywhere.

use std::sync::Arc;
use std::time::Duration;

use super::outbound::Walk;
use super::{Asked, Failure, Retrying, Share, Spoken, Step, branch, words};
use crate::Reason;
use crate::decide::cors;
use crate::decide::retry::{self, Attempt, FailureKind, RetryFacts, Verdict};
use crate::decide::route::{self as decide, RequestFacts, RouteDecision};
use crate::id::Origin;
use crate::model::route::{Abort, Fault, HttpMatch, RetryPolicy, RouteAction};
use crate::model::{HttpRoute, RouteTable};

impl Walk<'_> {
    /// Places of the rule in its table, and of the alternative that matched.
    pub(super) fn choose(
        &mut self,
        table: Option<&RouteTable>,
        port: u16,
    ) -> Result<Option<(usize, Option<usize>)>, Failure> {
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
                let says = if table.http.is_empty() {
                    "its table has no rule for requests: to the service itself".to_owned()
                } else {
                    format!("no rule speaks of port {port}: to the service itself")
                };
                self.step(Step::new("route", says).by(Some(&table.origin), 0));
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
                self.rule = Some(place_of(index, route));
                let says = format!("{}: {by}", rule_name(index, route));
                self.step(Step::new("route", says).by(Some(route.origin_in(table)), route.line).with(misses(index)));
                Ok(Some((index, matched)))
            }
        }
    }

    pub(super) fn answers_itself(&mut self, rule: &HttpRoute, _port: u16, origin: &Origin) -> Result<(), Failure> {
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

    pub(super) fn answers_directly(
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
    pub(super) fn faults(&mut self, rule: &HttpRoute, budget: Option<Duration>, origin: &Origin) {
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

    pub(super) fn time_and_retries(&mut self, rule: Option<&HttpRoute>, origin: Option<&Origin>) -> Option<Duration> {
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

    pub(super) fn rewrite(
        &mut self,
        rule: &HttpRoute,
        matched: Option<&HttpMatch>,
        origin: &Origin,
    ) -> Result<(), Failure> {
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

/// The rule's place in its object; `at` is that in the table, which several objects may have made.
fn place_of(at: usize, rule: &HttpRoute) -> usize {
    rule.origin.as_ref().map_or(at, |o| usize::try_from(o.index).unwrap_or(at))
}

fn rule_name(at: usize, rule: &HttpRoute) -> String {
    let at = place_of(at, rule);
    if rule.name.is_empty() { format!("rule {}", at + 1) } else { format!("rule {} `{}`", at + 1, rule.name) }
}

fn miss(rule: &HttpRoute, facts: &RequestFacts<'_>) -> String {
    let misses =
        rule.matches.iter().filter_map(|m| decide::first_miss(m, facts).map(|miss| words::miss(m, miss, facts)));
    misses.collect::<Vec<_>>().join("; or ")
}
