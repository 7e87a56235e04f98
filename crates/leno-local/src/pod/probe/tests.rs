use leno_config::k8s::Probe;

use super::Counter;

#[test]
fn a_threshold_is_reached_by_answers_in_a_row() {
    let mut counter = Counter::new(&Probe { success_threshold: 2, failure_threshold: 3, ..Probe::default() });
    assert_eq!(counter.note(true), None);
    assert_eq!(counter.note(false), None);
    assert_eq!(counter.note(true), None);
    assert_eq!(counter.note(true), Some(true));
    assert_eq!(counter.note(false), None);
    assert_eq!(counter.note(false), None);
    assert_eq!(counter.note(false), Some(false));
    assert_eq!(counter.note(true), None, "two are needed again");
}
