use std::time::Duration;

use proptest::prelude::*;

use super::{HashRing, PeakEwma, RoundRobin, hash_key, p2c, random, remix};

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A stream of numbers that look random.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |i: u64| remix(seed ^ i.wrapping_mul(0x2545_f491_4f6c_dd1d)))
}

#[test]
fn a_peak_is_believed_at_once_and_forgotten_slowly() {
    let mut ewma = PeakEwma::new(s(0.0));
    assert_eq!(ewma.estimate(s(0.0)), s(0.030));
    ewma.record(s(1.0), s(1.0));
    assert_eq!(ewma.estimate(s(1.0)), s(1.0));
    ewma.record(s(0.001), s(2.0));
    assert!(ewma.estimate(s(2.0)) > s(0.9), "one good answer does not redeem");
    for i in 0..100 {
        ewma.record(s(0.001), s(3.0 + f64::from(i)));
    }
    assert!(ewma.estimate(s(103.0)) < s(0.002));
}

#[test]
fn a_slow_endpoint_is_tried_again_after_a_silence() {
    let mut slow = PeakEwma::new(s(0.0));
    slow.record(s(2.0), s(0.0));
    let mut fast = PeakEwma::new(s(0.0));
    let mut now = s(0.0);
    while slow.load(now, 0) > fast.load(now, 0) {
        now += s(1.0);
        fast.record(s(0.01), now);
        assert!(now < s(120.0));
    }
}

#[test]
fn requests_in_flight_add_to_the_load_even_after_a_silence() {
    let ewma = PeakEwma::new(s(0.0));
    assert!((ewma.load(s(0.0), 2) - 0.09).abs() < 1e-9);
    assert!(ewma.load(s(1e6), 1) > ewma.load(s(1e6), 0));
    let mut back = ewma;
    back.record(s(0.01), s(5.0));
    back.record(s(0.01), s(4.0));
    assert!(back.load(s(3.0), 0).is_finite(), "a clock that goes backwards does no harm");
}

#[test]
fn the_less_loaded_of_two_is_chosen() {
    for (r1, r2) in numbers(1).zip(numbers(2)).take(200) {
        let chosen = p2c(|i| if i == 0 { 1.0 } else { 9.0 }, 2, r1, r2, |_| true);
        assert_eq!(chosen, Some(0));
    }
}

#[test]
fn what_is_not_usable_is_never_chosen() {
    for (r1, r2) in numbers(3).zip(numbers(4)).take(500) {
        assert_eq!(p2c(|_| 1.0, 5, r1, r2, |i| i == 3), Some(3));
        assert_eq!(p2c(|_| 1.0, 5, r1, r2, |_| false), None);
        assert_eq!(p2c(|_| 1.0, 0, r1, r2, |_| true), None);
        assert!(matches!(p2c(|_| 1.0, 5, r1, r2, |i| i != 2), Some(0 | 1 | 3 | 4)));
        assert_eq!(random(4, r1, |i| i == 1), Some(1));
        assert_eq!(random(0, r1, |_| true), None);
    }
}

#[test]
fn equal_loads_are_spread_evenly_also_around_holes() {
    let mut hits = [0u32; 6];
    for (r1, r2) in numbers(5).zip(numbers(6)).take(40_000) {
        hits[p2c(|_| 1.0, 6, r1, r2, |i| i != 1 && i != 4).unwrap()] += 1;
    }
    let mut plain = [0u32; 6];
    for r in numbers(7).take(40_000) {
        plain[random(6, r, |i| i != 1 && i != 4).unwrap()] += 1;
    }
    for hits in [hits, plain] {
        for (i, n) in hits.into_iter().enumerate() {
            let expected = if i == 1 || i == 4 { 0..=0 } else { 9_600..=10_400 };
            assert!(expected.contains(&n), "{i}: {n}");
        }
    }
}

#[test]
fn two_choices_follow_the_load() {
    // Three endpoints, one ten times as slow; each request in flight for its endpoint's time.
    let times = [1u64, 1, 10];
    let mut in_flight: [Vec<u64>; 3] = Default::default();
    let mut hits = [0u32; 3];
    for (now, (r1, r2)) in (0u64..).zip(numbers(8).zip(numbers(9))).take(10_000) {
        for queue in &mut in_flight {
            queue.retain(|end| *end > now);
        }
        let chosen = p2c(|i| times[i] as f64 * (in_flight[i].len() + 1) as f64, 3, r1, r2, |_| true).unwrap();
        in_flight[chosen].push(now + times[chosen]);
        hits[chosen] += 1;
    }
    assert!(hits[2] < 500, "{hits:?}");
}

#[test]
fn round_robin_takes_turns_and_skips() {
    let mut turns = RoundRobin::default();
    let mut pick = |n, skip: usize| turns.pick(n, |i| i != skip);
    let all: Vec<_> = (0..6).map(|_| pick(3, 9).unwrap()).collect();
    assert_eq!(all, [0, 1, 2, 0, 1, 2]);
    assert_eq!(pick(3, 0), Some(1));
    assert_eq!(pick(2, 9), Some(0), "fewer endpoints than before");
    assert_eq!(pick(0, 9), None);
    assert_eq!(RoundRobin::new(u64::MAX).pick(1, |_| false), None);
}

#[test]
fn the_hash_is_xxh64() {
    assert_eq!(hash_key(b""), 0xEF46_DB37_51D8_E999);
    assert_eq!(hash_key(b"a"), 0xD24E_C4F1_A98C_6E5B);
    assert_eq!(hash_key(b"abc"), 0x44BC_2CF5_AD77_0999);
    assert_eq!(hash_key(b"Nobody inspects the spammish repetition"), 0xFBCE_A83C_8A37_8BF1);
}

fn addresses(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("10.244.0.{i}:8080")).collect()
}

#[test]
fn a_ring_has_its_least_size_and_an_empty_one_nothing() {
    assert_eq!(HashRing::new(addresses(3), 1024).len(), 1026);
    assert_eq!(HashRing::new(addresses(3), 0).len(), 3);
    let empty = HashRing::new(addresses(0), 1024);
    assert!(empty.is_empty());
    assert_eq!(empty.lookup(7, |_| true), None);
}

#[test]
fn a_key_stays_with_its_endpoint_and_few_move_when_one_goes() {
    let (before, after) = (HashRing::new(addresses(10), 1024), HashRing::new(addresses(9), 1024));
    let keys: Vec<u64> = (0..5000).map(|i| hash_key(format!("user-{i}").as_bytes())).collect();
    let moved = keys.iter().filter(|k| before.lookup(**k, |_| true) != after.lookup(**k, |_| true)).count();
    // The tenth that went, and what the finer division of the rest moves.
    assert!((350..1200).contains(&moved), "{moved}");
    let mut hits = [0u32; 10];
    for key in &keys {
        hits[before.lookup(*key, |_| true).unwrap()] += 1;
    }
    assert!(hits.iter().all(|n| (250..1000).contains(n)), "{hits:?}");
}

#[test]
fn a_key_whose_endpoint_is_out_goes_to_the_next_and_comes_back() {
    let ring = HashRing::new(addresses(4), 64);
    let key = hash_key(b"k");
    let home = ring.lookup(key, |_| true).unwrap();
    let next = ring.lookup(key, |i| i != home).unwrap();
    assert_ne!(home, next);
    assert_eq!(ring.lookup(key, |i| i != home), Some(next));
    assert_eq!(ring.lookup(key, |_| false), None);
}

proptest! {
    #[test]
    fn the_order_of_endpoints_does_not_move_keys(seed in any::<u64>(), key in any::<u64>()) {
        let names = addresses(7);
        let mut shuffled = names.clone();
        shuffled.sort_by_key(|n| remix(seed ^ hash_key(n.as_bytes())));
        let a = HashRing::new(&names, 256).lookup(key, |_| true).map(|i| &names[i]);
        let b = HashRing::new(&shuffled, 256).lookup(key, |_| true).map(|i| &shuffled[i]);
        prop_assert_eq!(a, b);
    }

    #[test]
    fn a_choice_is_usable_whenever_one_is(mask in prop::collection::vec(any::<bool>(), 0..12), r1 in any::<u64>(), r2 in any::<u64>()) {
        let chosen = p2c(|i| i as f64, mask.len(), r1, r2, |i| mask[i]);
        prop_assert_eq!(chosen.is_some(), mask.contains(&true));
        prop_assert!(chosen.is_none_or(|i| mask[i]));
    }
}
