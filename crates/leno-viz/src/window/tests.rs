//! Resets, gaps, joining and limits, under a clock made by hand.

use std::time::Duration;

use leno_core::id::Direction;
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples, TcpLabels, TcpSample};
use leno_core::sketch::Sketch;

use super::{LeftOut, ProxyId, Window};

const MINUTE: Duration = Duration::from_secs(60);
/// When the windows of these tests begin.
const BEGIN: u64 = 1_000_000;

#[test]
fn what_happened_before_the_window_began_is_not_counted() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    window.record(samples(BEGIN - 50_000, 1000), BEGIN + 1000);
    window.record(samples(BEGIN - 50_000, 1010), BEGIN + 6000);
    assert_eq!(count(&window, MINUTE, BEGIN + 6000), (10, 5.0));
}

#[test]
fn a_proxy_that_starts_later_counts_from_its_start() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    window.record(samples(BEGIN + 10_000, 40), BEGIN + 14_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 14_000), (40, 4.0));
}

#[test]
fn a_restarted_proxy_counts_anew_and_nothing_becomes_negative() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    window.record(samples(BEGIN + 1, 100), BEGIN + 5000);
    // Same pod, new process: fewer requests in all, and once as many by chance.
    window.record(samples(BEGIN + 7000, 30), BEGIN + 10_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 10_000).0, 130);
    window.record(samples(BEGIN + 11_000, 30), BEGIN + 15_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 15_000).0, 160);
}

#[test]
fn a_series_that_its_proxy_forgot_starts_at_zero_again() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    let started = BEGIN + 1;
    window.record(samples(started, 100), BEGIN + 5000);
    window.record(Samples { requests: Vec::new(), ..samples(started, 0) }, BEGIN + 10_000);
    window.record(samples(started, 100), BEGIN + 15_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 15_000).0, 200, "both hundreds are real");
    window.record(samples(started, 20), BEGIN + 20_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 20_000).0, 220, "forgotten and back between two scrapes");
}

#[test]
fn rates_are_over_the_time_that_was_watched() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    let started = BEGIN - 1;
    for i in 0..=24 {
        window.record(samples(started, i * 50), BEGIN + i * 5000);
    }
    let now = BEGIN + 24 * 5000;
    for (asked, covered) in [(60, 60.0), (30, 30.0), (7, 5.0), (8, 10.0), (600, 120.0)] {
        let (count, seconds) = count(&window, Duration::from_secs(asked), now + 3000);
        assert_eq!(seconds, covered, "{asked} s asked");
        assert_eq!(count as f64 / seconds, 10.0, "{asked} s asked");
    }
}

#[test]
fn a_failed_scrape_delays_its_counts_and_loses_none() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    window.record(samples(BEGIN - 1, 0), BEGIN);
    window.record(samples(BEGIN - 1, 50), BEGIN + 5000);
    window.record(samples(BEGIN - 1, 200), BEGIN + 20_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 20_000), (200, 20.0));
}

#[test]
fn pods_that_went_away_stay_until_the_window_passes() {
    let mut window = Window::new(2 * MINUTE, BEGIN);
    let id = ProxyId { namespace: "shop".to_owned(), pod: "web-1".to_owned() };
    window.record(samples(BEGIN + 1, 60), BEGIN + 5000);
    window.gone(&id);
    let later = BEGIN + 5000 + 60_000;
    window.trim(later);
    assert_eq!(count(&window, 2 * MINUTE, later), (60, 120.0));
    assert!(!window.proxies().next().unwrap().1.alive);
    window.trim(BEGIN + 5000 + 121_000);
    assert_eq!(window.proxies().count(), 0);
    assert_eq!(window.size(), (0, 0));
}

#[test]
fn all_frames_are_as_fine_as_the_scrapes_where_there_is_room() {
    let window = filled(Window::new(30 * MINUTE, BEGIN));
    let (_, proxy) = window.proxies().next().unwrap();
    assert_eq!(count(&window, 30 * MINUTE, END), (3600, 1800.0));
    assert!(proxy.frames.iter().all(|f| f.end - f.start == 5000), "{} frames", proxy.frames.len());
    assert_eq!(window.left_out(), LeftOut::default());
    assert_eq!(window.size().0, sizes(&window), "the account is right");
}

#[test]
fn old_frames_are_joined_where_memory_is_short_and_nothing_is_lost() {
    let window = filled(Window::new(30 * MINUTE, BEGIN).with_budget(30_000, 10_000));
    let (_, proxy) = window.proxies().next().unwrap();
    assert_eq!(count(&window, 30 * MINUTE, END), (3600, 1800.0));
    assert!(proxy.frames.iter().all(|f| f.end - f.start <= 30_000));
    assert!(proxy.frames.iter().zip(proxy.frames.iter().skip(1)).all(|(a, b)| a.end == b.start), "without gaps");
    let fine = proxy.frames.iter().filter(|f| f.end - f.start == 5000).count();
    assert!(fine >= 24, "the last two minutes are as fine as the scrapes: {fine}");
    let left_out = window.left_out();
    assert!(left_out.joined > 0 && left_out.dropped == 0 && left_out.requests == 0, "{left_out:?}");
    assert!(window.size().0 <= 30_000);
    assert_eq!(window.size().0, sizes(&window), "the account is right");
}

#[test]
fn memory_is_bounded_by_dropping_the_oldest() {
    let window = filled(Window::new(30 * MINUTE, BEGIN).with_budget(3000, 10_000));
    assert!(window.size().0 <= 3000, "{:?}", window.size());
    assert_eq!(count(&window, MINUTE, END), (120, 60.0), "what is recent is kept");
    assert!(window.left_out().dropped > 0, "{:?}", window.left_out());
}

#[test]
fn series_without_room_are_counted_and_those_that_are_known_go_on() {
    let mut window = Window::new(30 * MINUTE, BEGIN).with_budget(100_000, 1000);
    window.record(samples(BEGIN + 1, 10), BEGIN + 5000);
    let more = |count| {
        let mut more = samples(BEGIN + 1, count);
        let mut other = more.requests[0].clone();
        other.labels.route = "other".to_owned();
        more.requests.insert(0, other);
        more.requests.swap(0, 1);
        more
    };
    window.record(more(30), BEGIN + 10_000);
    assert_eq!(count(&window, MINUTE, BEGIN + 10_000).0, 30, "of the known series all");
    assert_eq!(window.left_out().requests, 30, "of the other none");
    assert!(window.size().1 <= 1000, "{:?}", window.size());
}

#[test]
fn tries_are_counted_beside_requests() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    let with = |count, tries, retries| {
        let mut samples = samples(BEGIN + 1, count);
        (samples.requests[0].tries, samples.requests[0].retries) = (tries, retries);
        samples
    };
    window.record(with(10, 13, 3), BEGIN + 5000);
    window.record(with(20, 30, 10), BEGIN + 10_000);
    let (_, proxy) = window.proxies().next().unwrap();
    let seen: Vec<_> = proxy.frames.iter().flat_map(super::Frame::requests).map(|(_, c)| c.get()).collect();
    assert_eq!((seen[1].tries, seen[1].retries), (17, 7));
}

/// Half an hour of one request in half a second.
fn filled(mut window: Window) -> Window {
    for i in 0..=360 {
        window.record(samples(BEGIN - 1, i * 10), BEGIN + i * 5000);
    }
    window
}

fn sizes(window: &Window) -> usize {
    window.proxies().flat_map(|(_, proxy)| &proxy.frames).map(super::Frame::size).sum()
}

/// When it ends.
const END: u64 = BEGIN + 360 * 5000;

#[test]
fn a_series_is_one_however_many_frames_it_is_in() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    for step in 1..=4 {
        window.record(samples(BEGIN + 1, step * 10), BEGIN + step * 5000);
    }
    let (_, proxy) = window.proxies().next().unwrap();
    let span = proxy.span(MINUTE, BEGIN + 20_000);
    let requests = span.requests();
    assert_eq!((span.frames.len(), requests.len()), (4, 1));
    let sum = requests[0].1.get();
    assert_eq!((requests[0].1.count(), sum.count, sum.sketch.count()), (40, 40, 40));
}

#[test]
fn open_connections_are_counted_as_they_are_now() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    let with = |opened, closed| Samples { tcp: vec![tcp(opened, closed)], ..samples(BEGIN - 1, 0) };
    window.record(with(10, 3), BEGIN);
    window.record(with(12, 11), BEGIN + 5000);
    let (id, proxy) = window.proxies().next().unwrap();
    assert_eq!(proxy.open[0].1, 1);
    let span = proxy.span(MINUTE, BEGIN + 5000);
    let connections = span.frames[0].tcp().next().unwrap().1;
    assert_eq!((connections.opened, connections.closed), (2, 8));
    let id = id.clone();
    window.gone(&id);
    assert!(window.proxies().next().unwrap().1.open.is_empty(), "its connections ended with it");
}

#[test]
fn a_clock_that_jumps_back_breaks_nothing() {
    let mut window = Window::new(30 * MINUTE, BEGIN);
    window.record(samples(BEGIN - 1, 0), BEGIN + 50_000);
    window.record(samples(BEGIN - 1, 10), BEGIN + 10_000);
    window.record(samples(BEGIN - 1, 20), BEGIN + 15_000);
    let (count, seconds) = count(&window, MINUTE, BEGIN + 15_000);
    assert!(count >= 10 && seconds > 0.0, "{count} in {seconds}");
}

fn count(window: &Window, length: Duration, now: u64) -> (u64, f64) {
    let (_, proxy) = window.proxies().next().expect("one proxy");
    let span = proxy.span(length, now);
    let requests = span.frames.iter().flat_map(|f| f.requests());
    (requests.map(|(_, coded)| coded.get().count).sum(), span.covered.seconds())
}

/// Samples of a proxy that has seen `count` requests of 10 ms since it started.
fn samples(started_ms: u64, count: u64) -> Samples {
    let mut sketch = Sketch::new();
    (0..count).for_each(|_| sketch.record(Duration::from_millis(10)));
    let labels = RequestLabels {
        direction: Direction::Inbound,
        source: PeerLabels::default(),
        destination: PeerLabels::default(),
        service: None,
        route: String::new(),
        mtls: true,
        status: 200,
        grpc: None,
        reason: "answered".to_owned(),
        policy: String::new(),
    };
    Samples {
        namespace: "shop".to_owned(),
        pod: "web-1".to_owned(),
        workload: "web".to_owned(),
        kind: "deployment".to_owned(),
        version: "0.1.0".to_owned(),
        started_ms,
        requests: vec![RequestSample { labels, flags: "-".to_owned(), count, tries: count, retries: 0, sketch }],
        tcp: Vec::new(),
    }
}

fn tcp(opened: u64, closed: u64) -> TcpSample {
    let labels = TcpLabels {
        direction: Direction::Inbound,
        source: PeerLabels::default(),
        destination: PeerLabels::default(),
        service: None,
        mtls: true,
    };
    TcpSample { labels, opened, closed, sent: 0, received: 0 }
}
