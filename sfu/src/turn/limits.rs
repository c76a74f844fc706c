//! How much anyone has taken: rates, as buckets for allocations and a table of a fixed size for strangers, and counts.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::config::Limits;

/// Buckets that all networks share. Two networks may meet in one; who they are depends on a number drawn at the start.
const BUCKETS: usize = 4096;

/// So many units a second, and so long may be caught up with at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    units_per_second: u32,
    burst: Duration,
}

impl Rate {
    pub(super) fn new(units_per_second: u32, burst: Duration) -> Self {
        Self { units_per_second: units_per_second.max(1), burst }
    }

    /// One that lets `at_once` units pass after a silence.
    fn counted(units_per_second: u32, at_once: u32) -> Self {
        let units_per_second = units_per_second.max(1);
        Self { units_per_second, burst: time_for(at_once.into(), units_per_second) }
    }
}

fn time_for(units: u64, units_per_second: u32) -> Duration {
    Duration::from_nanos(units.saturating_mul(1_000_000_000) / u64::from(units_per_second))
}

/// How much of a rate is used up, as the time at which it would be unused again (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    unused_from: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { unused_from: now }
    }

    /// Takes `units`, if the rate has them.
    pub(super) fn take(&mut self, units: usize, rate: Rate, now: Instant) -> bool {
        let Some(unused_from) = self.after(units, rate, now) else { return false };
        self.unused_from = unused_from;
        true
    }

    fn has(&self, units: usize, rate: Rate, now: Instant) -> bool {
        self.after(units, rate, now).is_some()
    }

    fn after(&self, units: usize, rate: Rate, now: Instant) -> Option<Instant> {
        let unused_from = self.unused_from.max(now) + time_for(units as u64, rate.units_per_second);
        (unused_from <= now + rate.burst).then_some(unused_from)
    }
}

/// How often strangers are answered: each network and all together. What it knows of a network is how full a bucket is,
/// which it shares with others, so that nobody can make the table grow.
#[derive(Debug)]
pub(super) struct Answers {
    buckets: Vec<Bucket>,
    all: Bucket,
    rate: Rate,
    rate_of_all: Rate,
    seed: u64,
}

impl Answers {
    pub(super) fn new(limits: &Limits, rng: &mut impl Rng, now: Instant) -> Self {
        Self {
            buckets: vec![Bucket::new(now); BUCKETS],
            all: Bucket::new(now),
            rate: Rate::counted(limits.answers_per_source, limits.answers_per_source_at_once),
            rate_of_all: Rate::counted(limits.answers, limits.answers_at_once),
            seed: rng.next_u64(),
        }
    }

    /// True if whoever is at `source` may be answered once more.
    pub(super) fn has_one_for(&self, source: IpAddr, now: Instant) -> bool {
        self.all.has(1, self.rate_of_all, now) && self.buckets[self.bucket(source)].has(1, self.rate, now)
    }

    /// Counts an answer.
    pub(super) fn count(&mut self, source: IpAddr, now: Instant) {
        let bucket = self.bucket(source);
        self.all.take(1, self.rate_of_all, now);
        self.buckets[bucket].take(1, self.rate, now);
    }

    /// The bucket of the network that an address is in: an IPv4 /24 or an IPv6 /56.
    fn bucket(&self, source: IpAddr) -> usize {
        let network: [u8; 8] = match source.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                [4, a, b, c, 0, 0, 0, 0]
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, ..] = ip.octets();
                [6, a, b, c, d, e, f, g]
            }
        };
        let mut hasher = DefaultHasher::new();
        (self.seed, network).hash(&mut hasher);
        hasher.finish() as usize % BUCKETS
    }
}

/// How many of something each owner has; who has none takes no room.
#[derive(Debug)]
pub(super) struct Tally<K>(HashMap<K, usize>);

impl<K: Eq + Hash> Tally<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn of<Q: Eq + Hash + ?Sized>(&self, owner: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0.get(owner).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, owner: K) {
        *self.0.entry(owner).or_default() += 1;
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, owner: &Q)
    where
        K: Borrow<Q>,
    {
        let Some(count) = self.0.get_mut(owner) else { return };
        *count -= 1;
        if *count == 0 {
            self.0.remove(owner);
        }
    }

    #[cfg(any(test, all(fuzzing, feature = "sim")))]
    pub(super) fn owners(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::beginning;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn g7_a_bucket_lets_through_its_rate_and_a_burst() {
        let start = beginning();
        let rate = Rate::new(32_000, Duration::from_secs(1));
        let mut bucket = Bucket::new(start);
        let passed = (0..100).filter(|_| bucket.take(1000, rate, start)).count();
        assert_eq!(passed, 32);
        // Ten seconds of twice the rate: the burst is used up, half of the rest passes.
        let later = |n: u64| start + Duration::from_secs(5) + Duration::from_micros(15_625 * n);
        let passed = (0..640).filter(|&n| bucket.take(1000, rate, later(n))).count();
        assert!((350..=353).contains(&passed), "{passed}");
    }

    #[test]
    fn g8_a_network_has_its_answers_and_leaves_others_theirs() {
        let start = beginning();
        let limits = Limits { answers_per_source: 10, answers_per_source_at_once: 20, ..Limits::default() };
        let mut answers = Answers::new(&limits, &mut StdRng::seed_from_u64(1), start);
        let mut answered = |source: &str, now| {
            let source = source.parse().unwrap();
            let may = answers.has_one_for(source, now);
            if may {
                answers.count(source, now);
            }
            may
        };
        let spread = (0..100).filter(|host| answered(&format!("198.51.100.{host}"), start)).count();
        assert_eq!(spread, 20);
        let spread = (0..100).filter(|host| answered(&format!("2001:db8:1:22{host:02x}::1"), start)).count();
        assert_eq!(spread, 20);
        assert!(answered("198.51.101.1", start));
        assert!(!answered("::ffff:198.51.100.7", start));
        let second = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| answered("198.51.100.1", second)).count(), 10);
    }

    #[test]
    fn g8_all_networks_together_have_an_end() {
        let start = beginning();
        let limits = Limits { answers: 100, answers_at_once: 200, ..Limits::default() };
        let mut answers = Answers::new(&limits, &mut StdRng::seed_from_u64(1), start);
        let mut answered = 0;
        for network in 0..1000u32 {
            let source = IpAddr::from((0x0B00_0000 + (network << 8)).to_be_bytes());
            if answers.has_one_for(source, start) {
                answers.count(source, start);
                answered += 1;
            }
        }
        assert_eq!(answered, 200);
    }
}
