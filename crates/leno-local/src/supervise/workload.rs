//! What a Deployment, `StatefulSet` or Job does next: pure decisions.

/// A pod as its workload sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Name.
    pub name: String,
    /// Hash of the template it was made from.
    pub hash: String,
    /// Takes traffic (and has long enough).
    pub ready: bool,
    /// Was told to end.
    pub deleting: bool,
    /// Ended by itself; whether well.
    pub ended: Option<bool>,
}

impl PodView {
    fn is_alive(&self) -> bool {
        !self.deleting && self.ended.is_none()
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a pod with a name of its own.
    Create,
    /// Make the pod of this number.
    CreateNumber(u32),
    /// Tell a pod to end.
    Delete(String),
}

/// What a Deployment wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentGoal {
    /// Pods.
    pub replicas: usize,
    /// Hash of its template.
    pub hash: String,
    /// Pods beyond `replicas` while they are replaced.
    pub surge: usize,
    /// Pods that may be missing while they are replaced.
    pub unavailable: usize,
    /// End all old ones before the first new one.
    pub recreate: bool,
}

/// Next steps of a Deployment.
#[must_use]
pub fn deployment(goal: &DeploymentGoal, pods: &[PodView]) -> Vec<Action> {
    let mut actions: Vec<Action> =
        pods.iter().filter(|p| p.ended.is_some() && !p.deleting).map(|p| Action::Delete(p.name.clone())).collect();
    let alive: Vec<&PodView> = pods.iter().filter(|p| p.is_alive()).collect();
    let (new, old): (Vec<&PodView>, Vec<&PodView>) = alive.iter().partition(|p| p.hash == goal.hash);
    if goal.recreate {
        actions.extend(old.iter().map(|p| Action::Delete(p.name.clone())));
        if pods.iter().any(|p| p.hash != goal.hash) {
            return actions;
        }
    }
    // Too many of the new ones: the least useful first.
    let mut extra = new.clone();
    extra.sort_by_key(|p| p.ready);
    let surplus = new.len().saturating_sub(goal.replicas);
    actions.extend(extra.iter().take(surplus).map(|p| Action::Delete(p.name.clone())));
    // Neither surge nor room to miss one would stand still for ever; Kubernetes takes one missing then.
    let unavailable = if goal.surge == 0 && goal.unavailable == 0 { 1 } else { goal.unavailable };
    let room = (goal.replicas + goal.surge).saturating_sub(alive.len());
    let missing = goal.replicas.saturating_sub(new.len());
    actions.extend(std::iter::repeat_n(Action::Create, missing.min(room)));
    // Old ones that serve nobody may go at once, the others as far as enough remain.
    let mut available = alive.iter().filter(|p| p.ready).count();
    let least = goal.replicas.saturating_sub(unavailable);
    for pod in &old {
        if pod.ready {
            if available <= least {
                continue;
            }
            available -= 1;
        }
        if !actions.contains(&Action::Delete(pod.name.clone())) {
            actions.push(Action::Delete(pod.name.clone()));
        }
    }
    actions
}

/// A number or a percentage of `of`, rounded as asked.
#[must_use]
pub fn share(text: &str, of: usize, up: bool) -> usize {
    let Some(percent) = text.strip_suffix('%') else { return text.trim().parse().unwrap_or(0) };
    let percent: usize = percent.trim().parse().unwrap_or(0);
    if up { (of * percent).div_ceil(100) } else { of * percent / 100 }
}

/// Next steps of a `StatefulSet` named `name`.
#[must_use]
pub fn stateful_set(name: &str, replicas: u32, hash: &str, parallel: bool, pods: &[PodView]) -> Vec<Action> {
    let of = |n: u32| pods.iter().find(|p| p.name == format!("{name}-{n}"));
    let mut actions = Vec::new();
    for n in 0..replicas {
        match of(n) {
            None => actions.push(Action::CreateNumber(n)),
            Some(pod) if pod.ended.is_some() && !pod.deleting => actions.push(Action::Delete(pod.name.clone())),
            Some(pod) if pod.ready && pod.is_alive() => continue,
            Some(_) => {}
        }
        // One after the other: the next waits for this one.
        if !parallel {
            return actions;
        }
    }
    if !actions.is_empty() {
        return actions;
    }
    let number = |p: &PodView| p.name.rsplit_once('-').and_then(|(_, n)| n.parse::<u32>().ok());
    let highest = |wanted: &dyn Fn(&PodView) -> bool| {
        pods.iter().filter(|p| wanted(p)).max_by_key(|p| number(p)).map(|p| p.name.clone())
    };
    if pods.iter().any(|p| p.deleting) {
        return actions;
    }
    let too_many = highest(&|p| number(p).is_none_or(|n| n >= replicas));
    let stale = || highest(&|p| p.hash != hash);
    actions.extend(too_many.or_else(stale).map(Action::Delete));
    actions
}

/// What a Job wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobGoal {
    /// Pods at a time.
    pub parallelism: usize,
    /// Pods that must end well. `None`: one, and no new ones after it.
    pub completions: Option<usize>,
    /// Failures that are too many.
    pub backoff_limit: usize,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It goes on.
    Active,
    /// It is done.
    Complete,
    /// It failed too often.
    Failed,
}

/// Next steps of a Job, and how far it is.
#[must_use]
pub fn job(goal: &JobGoal, pods: &[PodView]) -> (JobState, Vec<Action>) {
    let succeeded = pods.iter().filter(|p| p.ended == Some(true)).count();
    let failed = pods.iter().filter(|p| p.ended == Some(false)).count();
    let active: Vec<&PodView> = pods.iter().filter(|p| p.is_alive()).collect();
    let end = |state| (state, active.iter().map(|p| Action::Delete(p.name.clone())).collect());
    if failed > goal.backoff_limit {
        return end(JobState::Failed);
    }
    let wanted = match goal.completions {
        Some(completions) if succeeded >= completions => return end(JobState::Complete),
        Some(completions) => goal.parallelism.min(completions - succeeded),
        None if succeeded > 0 && active.is_empty() => return (JobState::Complete, Vec::new()),
        None if succeeded > 0 => 0,
        None => goal.parallelism,
    };
    let missing = wanted.saturating_sub(active.len());
    (JobState::Active, std::iter::repeat_n(Action::Create, missing).collect())
}

#[cfg(test)]
mod tests;
