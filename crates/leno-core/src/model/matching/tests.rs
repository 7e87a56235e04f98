use proptest::prelude::*;

use super::{Pattern, StringMatch};

fn pattern(source: &str) -> Pattern {
    Pattern::new(source).unwrap()
}

#[test]
fn a_pattern_is_for_the_whole_string() {
    assert!(pattern("a|bc").is_match("bc"));
    assert!(!pattern("a|bc").is_match("abc"));
    assert!(!pattern("a").is_match("a\n"));
    assert!(!pattern("(?m)a").is_match("a\nb"));
}

#[test]
fn a_pattern_that_would_slip_out_of_its_anchors_is_refused() {
    assert!(Pattern::new("a)|(?:b").is_err());
    assert!(Pattern::new("(").is_err());
}

#[test]
fn case_is_ignored_only_when_asked() {
    let prefix = StringMatch::Prefix("/Api".into());
    assert!(!prefix.matches("/api/x"));
    assert!(prefix.matches_ignoring_case("/aPI/x"));
    assert!(!prefix.matches_ignoring_case("/ap"));
    assert!(!StringMatch::Prefix("/é".into()).matches_ignoring_case("/e\u{301}"));
    assert!(StringMatch::Exact("A".into()).matches_ignoring_case("a"));
    assert!(StringMatch::Present.matches(""));
}

#[test]
fn groups_are_written_with_backslashes() {
    let p = pattern("/v(\\d)/(.*)");
    assert_eq!(p.rewrite("/v1/x", r"/\2/\1"), "/x/1");
    assert_eq!(p.rewrite("/v1/x", r"/$1/\\"), r"/$1/\");
    assert_eq!(p.rewrite("/v1/x", r"/\1a"), "/1a");
    assert_eq!(p.rewrite("/none", "x"), "/none");
}

proptest! {
    #[test]
    fn any_rewrite_is_survived(value in ".{0,20}", substitution in ".{0,20}") {
        let _ = pattern("(a*)([^/]*)").rewrite(&value, &substitution);
    }
}
