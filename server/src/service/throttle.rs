//! Limits on attempts: a bucket of tokens per key that refills with time (as a virtual schedule, after GCRA).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bucket is empty until this much time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {} seconds", .0.as_secs() + 1)]
pub struct Throttled(pub Duration);

/// `burst` attempts at once, and one more after each `refill`.
#[derive(Debug)]
pub struct Throttle<K> {
    burst: u32,
    refill: Duration,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    /// When the bucket of a key will be full again. Keys with a full bucket need no entry.
    full_at_by_key: HashMap<K, Instant>,
    /// Full buckets are swept out when this many keys are known. It moves with the number that is left, so that a flood
    /// of keys does not make every attempt a sweep.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 10_000;

impl<K: Hash + Eq> Throttle<K> {
    pub fn new(burst: u32, refill: Duration) -> Self {
        let buckets = Buckets { full_at_by_key: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { burst, refill, buckets: Mutex::new(buckets) }
    }

    /// Takes one token.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Throttled> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.sweep(now);
        let full_at = buckets.full_at_by_key.get(&key).map_or(now, |&at| at.max(now)) + self.refill;
        let missing = full_at - now;
        let capacity = self.refill * self.burst;
        if missing > capacity {
            return Err(Throttled(missing - capacity));
        }
        buckets.full_at_by_key.insert(key, full_at);
        Ok(())
    }

    /// Puts a token back: the attempt turned out to be a good one.
    pub fn give_back(&self, key: &K) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = buckets.full_at_by_key.get_mut(key) {
            *full_at -= self.refill;
        }
    }
}

impl<K: Hash + Eq> Buckets<K> {
    fn sweep(&mut self, now: Instant) {
        if self.full_at_by_key.len() < self.sweep_at {
            return;
        }
        self.full_at_by_key.retain(|_, full_at| *full_at > now);
        self.sweep_at = FIRST_SWEEP.max(2 * self.full_at_by_key.len());
    }
}

/// Where an attempt comes from, as limits see it: an IPv4 address, or an IPv6 network of 64 bits, since every host
/// there has as many addresses as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
            v4 => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_refill() {
        let throttle = Throttle::new(3, Duration::from_secs(10));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(throttle.take("ada", start), Ok(()));
        }
        assert_eq!(throttle.take("ada", start), Err(Throttled(Duration::from_secs(10))));
        assert_eq!(throttle.take("bob", start), Ok(()), "others are not touched");
        let later = start + Duration::from_secs(10);
        assert_eq!(throttle.take("ada", later), Ok(()));
        assert!(throttle.take("ada", later).is_err());
    }

    #[test]
    fn good_attempts_cost_nothing() {
        let throttle = Throttle::new(2, Duration::from_secs(10));
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(throttle.take("ada", start), Ok(()));
            throttle.give_back(&"ada");
        }
    }

    #[test]
    fn keys_with_full_buckets_are_forgotten() {
        let throttle = Throttle::new(1, Duration::from_secs(1));
        let start = Instant::now();
        for n in 0..FIRST_SWEEP {
            assert_eq!(throttle.take(n, start), Ok(()));
        }
        assert_eq!(throttle.take(FIRST_SWEEP, start + Duration::from_secs(2)), Ok(()));
        assert_eq!(throttle.buckets.lock().expect("not poisoned").full_at_by_key.len(), 1);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
