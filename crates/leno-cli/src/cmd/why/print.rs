//! The answer for people: a line for each decision, and at the end what would come back. Fits 80 columns, and the usual answer 24
//! lines: what was said already, of the name or of another destination, is not said again unless all is asked for.

use std::collections::BTreeSet;

use leno_core::model::traffic::Balancer;
use leno_core::why::words::{self, percent};
use leno_core::why::{Branch, Candidate, Outcome, State, Step};

use super::Answer;
use crate::table::{Look, Screen};

/// The answer as text. `wide`: nothing is folded, every pod is shown.
pub(super) fn text(answer: &Answer<'_>, screen: &Screen, wide: bool) -> String {
    let width = if wide { usize::MAX } else { screen.width.unwrap_or(usize::MAX).max(NARROWEST) };
    let mut page = Page { out: String::new(), screen, width, wide, named: BTreeSet::new(), told: Told::default() };
    page.head(answer);
    for step in answer.trace.steps.iter().filter(|s| wide || !is_told_by(answer.name, s)) {
        page.step(step, "");
    }
    let many = answer.trace.branches.len() > 1;
    for branch in &answer.trace.branches {
        page.branch(branch, many);
    }
    page.outcomes(&answer.trace.outcomes);
    page.out
}

struct Page<'s> {
    out: String,
    screen: &'s Screen,
    width: usize,
    wide: bool,
    /// Places that were named already.
    named: BTreeSet<String>,
    told: Told,
}

/// What was told last, to be told once where the next is alike.
#[derive(Default)]
struct Told {
    /// Of a destination: how a pod is chosen, and limits.
    branch: Vec<Step>,
    /// Of its pods.
    pods: Vec<Step>,
}

impl Page<'_> {
    fn head(&mut self, answer: &Answer<'_>) {
        let asked = answer.asked;
        let what = match asked.method.as_str() {
            "" => format!("connection to {}", asked.authority),
            method => format!("{method} {}{}", asked.authority, asked.path),
        };
        self.line(&format!("{what}, from {}", answer.from), 0, Look::Plain);
        if !answer.name.is_empty() {
            self.item("name", answer.name, "", Look::Plain);
        }
    }

    fn step(&mut self, step: &Step, indent: &str) {
        let look = if step.stops { Look::Bad } else { Look::Plain };
        let place = self.new_place(step);
        let what = if step.what == "authorization" { "policies" } else { &step.what };
        self.item(&format!("{indent}{what}"), &step.says, &place, look);
        let shown = if self.wide || step.more.len() <= MORE + 1 { step.more.len() } else { MORE };
        for more in step.more.iter().take(shown) {
            self.line(more, COLUMN + 2, Look::Faint);
        }
        if shown < step.more.len() {
            let rest = format!("and {} more, by -o wide", step.more.len() - shown);
            self.line(&rest, COLUMN + 2, Look::Faint);
        }
    }

    /// Where it stands, unless that was said before.
    fn new_place(&mut self, step: &Step) -> String {
        let place = place(step);
        if self.wide || self.named.insert(place.clone()) { place } else { String::new() }
    }

    fn branch(&mut self, branch: &Branch, many: bool) {
        let indent = if many { "  " } else { "" };
        let mut steps = branch.steps.as_slice();
        if many || branch.weight.is_some() {
            let service = branch.service.as_ref().map(ToString::to_string).unwrap_or_default();
            let subset = branch.subset.as_ref().map(|s| format!(" subset {s}")).unwrap_or_default();
            let weight = branch.weight.filter(|_| many).map(|w| format!(" (weight {w})")).unwrap_or_default();
            let mut says = format!("{}{weight} {service}:{}{subset}", percent(branch.share), branch.port);
            let mut by = String::new();
            // The subset's labels, which the step repeats its name for.
            if let (Some(name), [first, rest @ ..]) = (&branch.subset, steps)
                && let Some(labels) = first.says.strip_prefix(name.as_str()).filter(|_| !self.wide && !first.stops)
            {
                says.push_str(labels);
                by = self.new_place(first);
                steps = rest;
            }
            self.item("to", &says, &by, Look::Plain);
        }
        let choice = branch.candidates.iter().filter(|c| c.share > 0.0).count() > 1;
        for step in steps {
            let plain = !choice && step.says == words::balancer(&Balancer::default());
            if !self.wide && !step.stops && (plain || self.told.branch.contains(step)) {
                continue;
            }
            self.step(step, indent);
        }
        self.told.branch = branch.steps.clone();
        self.candidates(branch, indent);
    }

    /// Pods that are alike in everything but their address are told of together.
    fn candidates(&mut self, branch: &Branch, indent: &str) {
        let mut groups: Vec<Vec<&Candidate>> = Vec::new();
        for candidate in &branch.candidates {
            let like = |g: &&mut Vec<&Candidate>| g.first().is_some_and(|c| !self.wide && alike(c, candidate));
            match groups.iter_mut().find(like) {
                Some(group) => group.push(candidate),
                None => groups.push(vec![candidate]),
            }
        }
        for group in groups {
            let Some(first) = group.first() else { continue };
            let share: f64 = group.iter().map(|c| c.share).sum();
            let state = match first.state {
                State::Ready if first.share <= 0.0 => ", gets none".to_owned(),
                State::Ready => format!(", {}", percent(share)),
                State::Unready => ", not ready: gets none".to_owned(),
                State::Ejected => ", ejected for failing too often in a row".to_owned(),
            };
            let names: Vec<String> = group.iter().take(SHOWN).map(|c| pod(c)).collect();
            let more = group.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let look = if first.state == State::Ready { Look::Plain } else { Look::Warn };
            let callee = first.inbound.iter().flat_map(|i| &i.steps);
            let steps: Vec<Step> = first.steps.iter().chain(callee).cloned().collect();
            let again = first.share > 0.0 && !self.wide && steps == self.told.pods;
            let rest = if again { "; the rest as above" } else { "" };
            self.item(&format!("{indent}pod"), &format!("{}{more}{state}{rest}", names.join(", ")), "", look);
            if again || first.share <= 0.0 {
                continue;
            }
            for (at, step) in steps.iter().enumerate() {
                let indent = if at < first.steps.len() { indent.to_owned() } else { format!("{indent}> ") };
                self.step(step, &indent);
            }
            self.told.pods = steps;
        }
    }

    fn outcomes(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let share = if outcomes.len() > 1 { format!("{} ", percent(outcome.share)) } else { String::new() };
            let to =
                if outcome.to.is_empty() || outcomes.len() == 1 { String::new() } else { format!(" [{}]", outcome.to) };
            let what = match outcome.status {
                None => String::new(),
                Some(0) => "no answer, the connection is closed: ".to_owned(),
                Some(status) => format!("{status}: "),
            };
            let flag = if outcome.flag == "-" { String::new() } else { format!(" ({})", outcome.flag) };
            let look = if outcome.reason.is_failure() { Look::Bad } else { Look::Good };
            self.item("=>", &format!("{share}{what}{}{flag}{to}", outcome.words), "", look);
        }
    }

    fn item(&mut self, label: &str, says: &str, place: &str, look: Look) {
        let width = self.width.saturating_sub(COLUMN);
        let mut lines = fold(says, width);
        if !place.is_empty() {
            // Whole where it can be, so that it can be clicked or copied.
            let place = format!("[{place}]");
            match lines.last_mut() {
                Some(last) if last.chars().count() + 1 + place.chars().count() <= width => {
                    last.push_str(&format!(" {place}"));
                }
                _ => lines.extend(fold(&place, width)),
            }
        }
        for (at, line) in lines.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let painted = self.screen.paint(label, Look::Faint);
            let pad = " ".repeat(COLUMN.saturating_sub(label.chars().count()).max(1));
            self.out.push_str(&format!("{painted}{pad}{}\n", self.screen.paint(line, look)));
        }
    }

    fn line(&mut self, text: &str, indent: usize, look: Look) {
        for line in fold(text, self.width.saturating_sub(indent)) {
            self.out.push_str(&format!("{}{}\n", " ".repeat(indent), self.screen.paint(&line, look)));
        }
    }
}

/// Whether the line about the name has said it: which service the address is.
fn is_told_by(name: &str, step: &Step) -> bool {
    let service = step.says.split_once(" is service ").and_then(|(_, rest)| rest.split_once(", port "));
    step.what == "destination"
        && !step.stops
        && service.is_some_and(|(service, _)| name.contains(&format!(" is service {service},")))
}

fn pod(candidate: &Candidate) -> String {
    if candidate.pod.is_empty() {
        candidate.address.to_string()
    } else {
        format!("{} {}", candidate.pod, candidate.address)
    }
}

fn alike(a: &Candidate, b: &Candidate) -> bool {
    let steps = |c: &Candidate| c.inbound.as_ref().map(|i| (i.steps.clone(), i.stopped.clone()));
    (a.state, a.secured, &a.steps, &a.stopped, steps(a), a.share > 0.0)
        == (b.state, b.secured, &b.steps, &b.stopped, steps(b), b.share > 0.0)
}

/// The object that says so, and where it stands: `VirtualService shop/catalog, canary.yaml:14`.
fn place(step: &Step) -> String {
    let Some(origin) = &step.origin else { return String::new() };
    let source = match (origin.source.rsplit_once(':'), step.line) {
        (Some((file, _)), line) if line > 0 => format!(", {file}:{line}"),
        _ if origin.source.is_empty() => String::new(),
        _ => format!(", {}", origin.source),
    };
    format!("{} {}/{}{source}", origin.kind, origin.namespace, origin.name)
}

/// Lines of at most `width` characters, broken between words.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        let Some(line) = lines.last_mut() else { break };
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines
}

/// Where what is said begins.
const COLUMN: usize = 14;
/// Terminals are taken to be at least so wide.
const NARROWEST: usize = 40;
/// Pods of a group that are named.
const SHOWN: usize = 2;
/// Lines under a decision: rules that do not match, policies.
const MORE: usize = 3;
