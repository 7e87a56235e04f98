use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::{hash_of, rfc3339, uid};

#[test]
fn times_are_written_as_the_calendar_has_them() {
    for (seconds, text) in
        [(0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_735_689_599, "2024-12-31T23:59:59Z")]
    {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
    }
}

#[test]
fn a_template_has_one_hash_until_it_changes_or_is_restarted() {
    let template = json!({"spec": {"containers": []}});
    assert_eq!(hash_of(&template, ""), hash_of(&template, ""));
    assert_ne!(hash_of(&template, ""), hash_of(&template, "again"));
}

#[test]
fn uids_look_like_uids() {
    assert_eq!(uid().len(), 36);
    assert_ne!(uid(), uid());
}
