use std::time::Duration;

use proptest::prelude::*;

use super::{duration, milli_quantity, millis_duration, unix_seconds};

#[test]
fn durations() {
    for (text, millis) in [
        ("5s", 5000),
        ("0.5s", 500),
        ("1m", 60_000),
        ("100ms", 100),
        ("1h", 3_600_000),
        ("1m30s", 90_000),
        ("1.5h", 5_400_000),
        ("0", 0),
        ("0s", 0),
        (".5s", 500),
        ("1.s", 1000),
        ("0.000000000s", 0),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(duration("1.000000001s"), Ok(Duration::new(1, 1)));
    assert_eq!(duration("3us"), Ok(Duration::from_micros(3)));
    for text in ["", "5", "s", "-1s", "5 s", "5x", "1..5s", "ms5", "1e3s", "999999999h", "５s", "1s1"] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert!(millis_duration("500us").is_err());
    assert!(millis_duration("0s").is_ok());
}

#[test]
fn quantities() {
    for (text, want) in [
        ("900m", 900),
        ("1", 1000),
        ("0", 0),
        ("0.9", 900),
        ("90", 90_000),
        ("1k", 1_000_000),
        ("1Ki", 1_024_000),
        ("1e2", 100_000),
        ("1E-3", 1),
        ("1n", 1),
        ("0.0001", 1),
        (".5", 500),
    ] {
        assert_eq!(milli_quantity(text), Ok(want), "{text}");
    }
    for text in [
        "",
        "m",
        "-1",
        "1.2.3",
        "1x",
        "1e99",
        "1e-9999999999",
        "90%",
        "99999999999999999999999999",
        "1e2147483647",
        ".",
    ] {
        assert!(milli_quantity(text).is_err(), "{text}");
    }
}

#[test]
fn times() {
    assert_eq!(unix_seconds("1970-01-01T00:00:00Z"), 0);
    assert_eq!(unix_seconds("2026-11-22T18:26:31Z"), 1_795_371_991);
    assert_eq!(unix_seconds("2026-11-22T19:26:31.123+01:00"), 1_795_371_991);
    assert_eq!(unix_seconds("2000-02-29T12:00:00Z"), 951_825_600);
    assert_eq!(unix_seconds("yesterday"), 0);
    assert_eq!(unix_seconds(""), 0);
}

proptest! {
    #[test]
    fn never_panic(text in "[0-9.nuµmskMGKihe+:TZE-]{0,24}|\\PC{0,12}") {
        let _ = (duration(&text), milli_quantity(&text), unix_seconds(&text));
    }

    #[test]
    fn whole_milliseconds_are_exact(n in 0_u64..1_000_000_000_000) {
        prop_assert_eq!(duration(&format!("{n}ms")), Ok(Duration::from_millis(n)));
    }
}
