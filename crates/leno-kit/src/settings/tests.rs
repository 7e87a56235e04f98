use std::net::IpAddr;

use super::*;

fn reader(pairs: &'static [(&'static str, &'static str)]) -> Reader<'static> {
    Reader::new(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
}

#[test]
fn all_mistakes_are_reported_together() {
    let mut r = reader(&[("PORT", "eighty"), ("WAIT", "5 parsecs"), ("EMPTY", " ")]);
    let port: Option<u16> = r.parsed("PORT");
    let wait = r.duration("WAIT");
    let name = r.required("EMPTY");
    assert_eq!((port, wait, name.as_str()), (None, None, ""));
    let BadSettings(problems) = r.finish(()).unwrap_err();
    let names: Vec<_> = problems.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["PORT", "WAIT", "EMPTY"]);
}

#[test]
fn good_settings_pass() {
    let mut r = reader(&[("IP", " 10.0.0.1 "), ("WAIT", "1m30s")]);
    assert_eq!(r.parsed::<IpAddr>("IP"), Some(IpAddr::from([10, 0, 0, 1])));
    assert_eq!(r.duration("WAIT"), Some(Duration::from_secs(90)));
    assert_eq!(r.text("OTHER"), None);
    assert!(r.finish(()).is_ok());
}

#[test]
fn spans_of_time() {
    for (text, expected) in [
        ("500ms", Some(Duration::from_millis(500))),
        ("5s", Some(Duration::from_secs(5))),
        ("5", Some(Duration::from_secs(5))),
        ("1.5s", Some(Duration::from_millis(1500))),
        ("24h", Some(Duration::from_secs(86_400))),
        ("90d", Some(Duration::from_secs(7_776_000))),
        ("", None),
        ("s", None),
        ("-5s", None),
        ("5y", None),
        ("5s5", None),
        ("999999999999999999999999h", None),
        ("inf", None),
        ("NaN", None),
    ] {
        assert_eq!(duration(text).ok(), expected, "{text}");
    }
}
