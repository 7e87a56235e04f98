//! Which of many changes have reached which proxies.

use std::collections::HashMap;
use std::time::Instant;

/// Changes of services, each of which is to reach some proxies. A proxy may never be told of one: where the service changes
/// again first, it is told of the later one alone. That has delivered the earlier one too, since the proxy is now as new as it
/// should be.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// The values that each service was given, in order.
    given: HashMap<usize, Vec<u32>>,
    /// How many of them each proxy has got, by proxy and service.
    got: HashMap<(usize, usize), usize>,
    /// Deliveries to come.
    waiting: usize,
    done: Vec<Delivery>,
    overtaken: usize,
}

/// A change has reached a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The service.
    pub(crate) service: usize,
    /// Which of its changes, from 0.
    pub(crate) change: usize,
    /// When.
    pub(crate) at: Instant,
}

impl Deliveries {
    /// A service is given a value that so many proxies are to be told of. Which of its changes that is, from 0.
    pub(crate) fn give(&mut self, service: usize, value: u32, proxies: usize) -> usize {
        self.waiting += proxies;
        let values = self.given.entry(service).or_default();
        values.push(value);
        values.len() - 1
    }

    /// A proxy was told of a value. One that the service was not given, or that is older than what the proxy has, is nothing.
    pub(crate) fn arrive(&mut self, proxy: usize, service: usize, value: u32, at: Instant) {
        let values = self.given.get(&service).map_or(&[][..], Vec::as_slice);
        let got = self.got.entry((proxy, service)).or_default();
        let Some(place) = values[*got..].iter().position(|given| *given == value) else { return };
        let changes = *got..=*got + place;
        self.overtaken += place;
        self.waiting -= place + 1;
        *got += place + 1;
        self.done.extend(changes.map(|change| Delivery { service, change, at }));
    }

    /// Deliveries to come.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// What has arrived.
    pub(crate) fn done(&self) -> &[Delivery] {
        &self.done
    }

    /// The share of it that a later change has delivered, from 0 to 1.
    pub(crate) fn overtaken(&self) -> f64 {
        if self.done.is_empty() { 0.0 } else { self.overtaken as f64 / self.done.len() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Service 7 is given values that one proxy is to be told of.
    fn give(deliveries: &mut Deliveries, values: &[u32]) {
        for value in values {
            deliveries.give(7, *value, 1);
        }
    }

    #[test]
    fn each_change_is_awaited_from_each_proxy() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        assert_eq!((deliveries.give(7, 1, 2), deliveries.give(8, 1, 1), deliveries.give(7, 2, 2)), (0, 0, 1));
        assert_eq!(deliveries.waiting(), 5);
        for (proxy, service, value) in [(0, 7, 1), (1, 7, 1), (0, 7, 2), (1, 8, 1), (1, 7, 2)] {
            deliveries.arrive(proxy, service, value, now);
        }
        assert_eq!((deliveries.waiting(), deliveries.done().len()), (0, 5));
        assert_eq!(deliveries.done()[2], Delivery { service: 7, change: 1, at: now });
        assert_eq!(deliveries.overtaken(), 0.0);
    }

    #[test]
    fn a_later_value_delivers_the_earlier_ones() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        give(&mut deliveries, &[1, 2, 3, 4]);
        deliveries.arrive(0, 7, 1, now);
        deliveries.arrive(0, 7, 4, now);
        assert_eq!(deliveries.waiting(), 0);
        assert_eq!(deliveries.done().iter().map(|d| d.change).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(deliveries.overtaken(), 0.5);
    }

    #[test]
    fn old_and_unknown_values_deliver_nothing() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        give(&mut deliveries, &[1, 2, 3]);
        for (service, value) in [(7, 2), (7, 2), (7, 1), (7, 9), (8, 1)] {
            deliveries.arrive(0, service, value, now);
        }
        assert_eq!((deliveries.waiting(), deliveries.done().len()), (1, 2));
    }

    #[test]
    fn values_may_come_again() {
        let (mut deliveries, now) = (Deliveries::default(), Instant::now());
        give(&mut deliveries, &[1, 2, 1]);
        deliveries.arrive(0, 7, 1, now);
        assert_eq!(deliveries.waiting(), 2);
        deliveries.arrive(0, 7, 1, now);
        assert_eq!(deliveries.waiting(), 0);
    }
}
