//! What would come back, added up over all destinations and their pods.

use super::{Branch, Candidate, Failure, Outcome, Retrying, Trace};
use crate::Reason;

/// Fills [`Trace::outcomes`] in, once what the callees' sidecars say is known.
///
/// A try that fails in a way that is repeated goes to another pod, so that pods that work make up for those that do not,
/// as far as the number of retries goes.
pub fn conclude(trace: &mut Trace) {
    let mut all: Vec<Outcome> = Vec::new();
    let mut left = 1.0;
    for early in &trace.early {
        add(&mut all, outcome(early.share, &early.failure, ""));
        left -= early.share;
    }
    if let Some(failure) = &trace.stopped {
        add(&mut all, outcome(left, failure, ""));
    } else {
        for branch in &trace.branches {
            let share = left * branch.share;
            if share <= 0.0 {
                continue;
            }
            for one in of_branch(branch, share, trace.retry) {
                add(&mut all, one);
            }
        }
    }
    trace.outcomes = all;
}

fn of_branch(branch: &Branch, share: f64, retry: Retrying) -> Vec<Outcome> {
    let to = name(branch);
    if let Some(failure) = &branch.stopped {
        return vec![outcome(share, failure, &to)];
    }
    let used: Vec<&Candidate> = branch.candidates.iter().filter(|c| c.share > 0.0).collect();
    let mut ends: Vec<(f64, Option<Failure>, bool)> =
        used.iter().map(|c| end(c, retry)).zip(&used).map(|((failure, again), c)| (c.share, failure, again)).collect();
    // Which of them a retry makes good: with `f` of `n` failing so, a request fails where each of its tries met one.
    let failing = ends.iter().filter(|(_, f, again)| f.is_some() && *again).count();
    let works = ends.iter().any(|(_, f, _)| f.is_none());
    let mut retried = 0.0;
    if works && failing > 0 {
        let kept = all_fail(failing, used.len(), retry.attempts);
        for (share, failure, again) in &mut ends {
            if failure.is_some() && *again {
                let rest = *share * kept;
                retried += *share - rest;
                *share = rest;
            }
        }
    }
    let mut all: Vec<Outcome> = Vec::new();
    for (part, failure, _) in ends {
        let part = part * share;
        match failure {
            Some(failure) if part > 0.0 => add(&mut all, outcome(part, &failure, &to)),
            Some(_) => {}
            None => add(&mut all, answered(part, "", &to)),
        }
    }
    if retried > 0.0 {
        add(&mut all, answered(retried * share, "after a retry on another pod", &to));
    }
    all
}

/// The probability that a request whose first try met one of `failing` among `all` meets only such ones in `retries` more,
/// on other pods each time.
#[expect(clippy::cast_precision_loss)]
fn all_fail(failing: usize, all: usize, retries: u32) -> f64 {
    let mut kept = 1.0;
    for tried in 1..=retries as usize {
        let left = all.saturating_sub(tried);
        if left == 0 {
            break;
        }
        kept *= failing.saturating_sub(tried) as f64 / left as f64;
    }
    kept
}

/// How one pod ends it for the client, and whether that is tried again elsewhere.
fn end(candidate: &Candidate, retry: Retrying) -> (Option<Failure>, bool) {
    match (&candidate.stopped, candidate.inbound.as_ref().and_then(|i| i.stopped.as_ref())) {
        (Some(failure), _) => {
            let status = if retry.requests { failure.status } else { 0 };
            (Some(Failure { status, ..failure.clone() }), retry.connect)
        }
        // The callee closes the connection: a sidecar that carries requests makes an answer of that.
        (None, Some(failure)) if failure.status == 0 && retry.requests => {
            (Some(Failure { reason: Reason::UpstreamReset, status: 503, detail: detail(failure) }), retry.reset)
        }
        (None, Some(failure)) => (Some(failure.clone()), retry.denied && failure.status != 0),
        (None, None) => (None, false),
    }
}

fn detail(failure: &Failure) -> String {
    let more = if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
    format!("{}{more}", failure.reason.sentence())
}

fn name(branch: &Branch) -> String {
    let Some(service) = &branch.service else { return String::new() };
    let subset = branch.subset.as_ref().map(|s| format!(" {s}")).unwrap_or_default();
    format!("{service}:{}{subset}", branch.port)
}

fn outcome(share: f64, failure: &Failure, to: &str) -> Outcome {
    let more = if failure.detail.is_empty() { String::new() } else { format!(": {}", failure.detail) };
    Outcome {
        share,
        reason: failure.reason,
        flag: failure.reason.flag().to_owned(),
        status: Some(failure.status),
        words: format!("{}{more}", failure.reason.sentence()),
        to: to.to_owned(),
    }
}

fn answered(share: f64, how: &str, to: &str) -> Outcome {
    let how = if how.is_empty() { String::new() } else { format!(", {how}") };
    Outcome {
        share,
        reason: Reason::Answered,
        flag: Reason::Answered.flag().to_owned(),
        status: None,
        words: format!("the application answers{how}"),
        to: to.to_owned(),
    }
}

/// Adds it to one that says the same.
fn add(all: &mut Vec<Outcome>, one: Outcome) {
    let same =
        |o: &&mut Outcome| o.reason == one.reason && o.status == one.status && o.to == one.to && o.words == one.words;
    match all.iter_mut().find(same) {
        Some(have) => have.share += one.share,
        None => all.push(one),
    }
}
