use super::{Histogram, index, middle};
use std::time::Duration;

#[test]
fn buckets_are_in_order_and_narrow() {
    for us in (0..5_000).chain([10_000, 123_456, 9_999_999, u32::MAX - 1, u32::MAX]) {
        let found = middle(index(us));
        let error = found.abs_diff(u64::from(us));
        assert!(error * 1024 <= u64::from(us), "{us} became {found}");
        assert!(us == 0 || index(us) >= index(us - 1));
    }
}

#[test]
fn quantiles_are_by_nearest_rank() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.quantile(0.5), None);
    for ms in 1..=100 {
        histogram.record(Duration::from_millis(ms));
    }
    for (q, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
        let found = histogram.quantile(q).expect("a value");
        assert!((found - expected).abs() / expected < 0.001, "{q}: {found}");
    }
    assert_eq!(histogram.total(), 100);
    assert_eq!(histogram.mean(), Some(50.5));
}
