use super::{Action, DeploymentGoal, JobGoal, JobState, PodView, deployment, job, share, stateful_set};

fn pod(name: &str, hash: &str, ready: bool) -> PodView {
    PodView { name: name.into(), hash: hash.into(), ready, ..PodView::default() }
}

fn goal(replicas: usize) -> DeploymentGoal {
    DeploymentGoal {
        replicas,
        hash: "new".into(),
        surge: share("25%", replicas, true),
        unavailable: share("25%", replicas, false),
        recreate: false,
    }
}

fn delete(name: &str) -> Action {
    Action::Delete(name.into())
}

#[test]
fn pods_are_made_until_there_are_enough() {
    assert_eq!(deployment(&goal(2), &[]), [Action::Create, Action::Create]);
    assert_eq!(deployment(&goal(2), &[pod("a", "new", false)]), [Action::Create]);
    assert_eq!(deployment(&goal(1), &[pod("a", "new", true)]), []);
}

#[test]
fn a_single_pod_is_replaced_without_a_gap() {
    let old = pod("old", "old", true);
    assert_eq!(deployment(&goal(1), std::slice::from_ref(&old)), [Action::Create]);
    let starting = [old.clone(), pod("new", "new", false)];
    assert_eq!(deployment(&goal(1), &starting), [], "the old one serves until the new one is ready");
    let started = [old, pod("new", "new", true)];
    assert_eq!(deployment(&goal(1), &started), [delete("old")]);
}

#[test]
fn many_pods_are_replaced_within_their_bounds() {
    let mut pods: Vec<PodView> = (0..4).map(|n| pod(&format!("old-{n}"), "old", true)).collect();
    // surge 1, unavailable 1
    assert_eq!(deployment(&goal(4), &pods), [Action::Create, delete("old-0")]);
    pods[0].deleting = true;
    pods.push(pod("new-0", "new", false));
    assert_eq!(deployment(&goal(4), &pods), [Action::Create]);
}

#[test]
fn old_pods_that_serve_nobody_go_at_once() {
    let pods = [pod("a", "old", false), pod("b", "new", false)];
    assert_eq!(deployment(&goal(1), &pods), [delete("a")]);
}

#[test]
fn recreate_ends_the_old_before_it_makes_the_new() {
    let recreate = DeploymentGoal { recreate: true, ..goal(1) };
    let mut old = pod("old", "old", true);
    assert_eq!(deployment(&recreate, &[old.clone()]), [delete("old")]);
    old.deleting = true;
    assert_eq!(deployment(&recreate, &[old]), []);
    assert_eq!(deployment(&recreate, &[]), [Action::Create]);
}

#[test]
fn scaling_down_ends_those_that_are_not_ready_first() {
    let pods = [pod("a", "new", true), pod("b", "new", false)];
    assert_eq!(deployment(&goal(1), &pods), [delete("b")]);
    assert_eq!(deployment(&goal(0), &[pod("a", "new", true)]), [delete("a")]);
}

#[test]
fn shares_are_numbers_or_percentages() {
    assert_eq!((share("25%", 1, true), share("25%", 1, false), share("2", 9, true)), (1, 0, 2));
}

#[test]
fn stateful_pods_come_in_order_and_go_in_reverse() {
    let set = |replicas, pods: &[PodView]| stateful_set("db", replicas, "new", false, pods);
    assert_eq!(set(2, &[]), [Action::CreateNumber(0)]);
    assert_eq!(set(2, &[pod("db-0", "new", false)]), []);
    assert_eq!(set(2, &[pod("db-0", "new", true)]), [Action::CreateNumber(1)]);
    let both = [pod("db-0", "new", true), pod("db-1", "new", true)];
    assert_eq!(set(2, &both), []);
    assert_eq!(set(1, &both), [delete("db-1")]);
    let stale = [pod("db-0", "old", true), pod("db-1", "old", true)];
    assert_eq!(set(2, &stale), [delete("db-1")]);
    assert_eq!(stateful_set("db", 2, "new", true, &[]), [Action::CreateNumber(0), Action::CreateNumber(1)]);
}

#[test]
fn a_job_is_done_when_enough_ended_well_and_fails_after_too_many_failures() {
    let goal = JobGoal { parallelism: 2, completions: Some(3), backoff_limit: 1 };
    let ended = |well| PodView { ended: Some(well), ..pod("x", "", false) };
    assert_eq!(job(&goal, &[]), (JobState::Active, vec![Action::Create, Action::Create]));
    assert_eq!(job(&goal, &[ended(true), ended(true)]), (JobState::Active, vec![Action::Create]));
    assert_eq!(job(&goal, &[ended(true), ended(true), ended(true)]), (JobState::Complete, vec![]));
    assert_eq!(job(&goal, &[ended(false), ended(false), pod("y", "", true)]), (JobState::Failed, vec![delete("y")]));
}
