//! A tap that goes on: the sidecars are asked twice a second, and what is wanted is passed on as lines of JSON.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use leno_core::names::port;
use leno_core::tap::Tapped;
use serde::Serialize;
use tokio::sync::mpsc::Sender;

use super::pick::{self, Subject};
use super::sidecar::Sidecar;
use super::{Filter, MOST_SIDECARS, Pace};
use crate::api::{Shared, lock};
use crate::gather::{self, Control};
use crate::identity::Identity;
use crate::rules::{RuleRef, Rules};
use crate::window::ProxyId;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose sidecars.
    pub subject: Subject,
    /// Which requests.
    pub filter: Filter,
    /// At most so many a second.
    pub max_rps: u32,
    /// With headers.
    pub headers: bool,
}

/// Where to ask.
#[derive(Clone, Debug)]
pub struct Places {
    /// Who the sidecars are.
    pub window: Shared,
    /// Where they are.
    pub control: Control,
    /// With which certificate.
    pub identity: Arc<Identity>,
}

/// A line of the stream about the tap itself; the others are a [`Told`] each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// Sidecars that are asked.
    pub sidecars: usize,
    /// Those that would be asked if there were no limit.
    pub of: usize,
    /// Requests beyond the limit a second so far.
    pub paced: u64,
    /// Requests that sidecars could not keep until they were asked.
    pub missed: u64,
    /// Sidecars that do not answer, and why.
    pub problems: Vec<Problem>,
}

/// A sidecar that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Why.
    pub why: String,
}

/// One request, with the rule that it went by.
#[derive(Debug, Serialize)]
pub struct Told<'t> {
    /// The request.
    #[serde(flatten)]
    pub request: &'t Tapped,
    /// The rule of its route, of one that failed.
    pub rule: Option<&'t RuleRef>,
}

/// Follows until whoever reads the lines is gone. `rules` gives the rules in force.
pub async fn follow<F>(places: Places, ask: Ask, lines: Sender<String>, rules: impl Fn() -> F)
where
    F: Future<Output = Rules>,
{
    let mut tap = Following { places, sidecars: Vec::new(), asked: BTreeSet::new(), state: State::default() };
    let mut pace = Pace::new(ask.max_rps);
    let (mut listed, mut said): (Option<Instant>, Option<(Instant, State)>) = (None, None);
    loop {
        if listed.is_none_or(|at| at.elapsed() >= LIST) {
            tap.list(&ask).await;
            listed = Some(Instant::now());
        }
        let found = tap.fetch(&ask).await;
        let mut text = String::new();
        let known = if found.iter().any(|t| !t.words.is_empty()) { rules().await } else { Rules::default() };
        for request in found.iter().filter(|_| pace.may(Instant::now())) {
            let rule = rule(&known, request);
            text.push_str(&serde_json::to_string(&Told { request, rule }).unwrap_or_default());
            text.push('\n');
        }
        tap.state.paced = pace.held;
        if said.as_ref().is_none_or(|(at, state)| *state != tap.state || at.elapsed() >= BEAT) {
            let state = serde_json::json!({ "tap": tap.state });
            text.push_str(&format!("{state}\n"));
            said = Some((Instant::now(), tap.state.clone()));
        }
        if !text.is_empty() && lines.send(text).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = lines.closed() => return,
        }
    }
}

struct Following {
    places: Places,
    sidecars: Vec<Sidecar>,
    asked: BTreeSet<ProxyId>,
    state: State,
}

impl Following {
    /// Takes in pods that came, lets go of those that went.
    async fn list(&mut self, ask: &Ask) {
        // While the control plane is away, those known are asked on.
        let Ok(listed) = gather::list(&self.places.control).await else { return };
        let wanted = pick::sidecars(&lock(&self.places.window), &ask.subject, &ask.filter);
        let mut there: Vec<_> =
            listed.into_iter().map(|l| (l.id(), l.ip)).filter(|(id, _)| wanted.contains(id)).collect();
        there.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.state.of = there.len();
        there.truncate(MOST_SIDECARS);
        self.asked = there.iter().map(|(id, _)| id.clone()).collect();
        self.sidecars.retain(|s| self.asked.contains(&s.id));
        for (id, ip) in there {
            if !self.sidecars.iter().any(|s| s.id == id) {
                self.sidecars.push(Sidecar::new(id, SocketAddr::new(ip, port::STATUS)));
            }
        }
        self.state.sidecars = self.sidecars.len();
    }

    /// What ended and is wanted, in order.
    async fn fetch(&mut self, ask: &Ask) -> Vec<Tapped> {
        let config = match self.places.identity.client().await {
            Ok(config) => config,
            Err(why) => {
                self.state.problems = vec![Problem { namespace: String::new(), pod: String::new(), why }];
                return Vec::new();
            }
        };
        let answers = join_all(self.sidecars.iter_mut().map(|s| s.fetch(&config, ask.headers))).await;
        self.state.missed += answers.iter().map(|taps| taps.missed).sum::<u64>();
        let problem = |s: &Sidecar| {
            let (namespace, pod) = (s.id.namespace.clone(), s.id.pod.clone());
            s.problem.clone().map(|why| Problem { namespace, pod, why })
        };
        self.state.problems = self.sidecars.iter().filter_map(problem).take(MOST_PROBLEMS).collect();
        let all = answers.into_iter().flat_map(|taps| taps.requests);
        let mut found: Vec<_> = all.filter(|t| ask.filter.takes(t) && pick::tells(t, &self.asked)).collect();
        found.sort_by_key(|t| t.at_ms);
        found
    }
}

fn rule<'r>(rules: &'r Rules, request: &Tapped) -> Option<&'r RuleRef> {
    let (service, namespace) = request.service.split_once('.')?;
    rules.route(namespace, service, &request.route).filter(|_| !request.words.is_empty())
}

/// Between two questions.
const PERIOD: Duration = Duration::from_millis(500);
/// Between two looks at which sidecars there are.
const LIST: Duration = Duration::from_secs(5);
/// A line at least so often, so that a reader who went is noticed.
const BEAT: Duration = Duration::from_secs(5);
/// Sidecars named that do not answer.
const MOST_PROBLEMS: usize = 5;
