//! Durations, counted in buckets that are 3 % wide: constant memory, and no sorting.

use std::time::Duration;

/// Buckets for each doubling.
const STEPS: usize = 32;
/// Doublings from a microsecond on: the last bucket begins at 17 s.
const DOUBLINGS: usize = 25;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * DOUBLINGS], total: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub fn add(&mut self, value: Duration) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub fn len(&self) -> u64 {
        self.total
    }

    /// The value that a share of all values, 0 to 1, does not exceed; `None` without values.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(upper_end(found).min(self.max))
    }
}

fn bucket(value: Duration) -> usize {
    let micros = value.as_micros().max(1) as f64;
    ((micros.log2() * STEPS as f64) as usize).min(STEPS * DOUBLINGS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    Duration::from_secs_f64(((bucket + 1) as f64 / STEPS as f64).exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_three_per_cent() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|millis| histogram.add(Duration::from_millis(millis)));
        for (share, expected) in [(0.5, 0.5), (0.95, 0.95), (0.99, 0.99), (1.0, 1.0)] {
            let found = histogram.quantile(share).expect("there are values").as_secs_f64();
            assert!((found / expected - 1.0).abs() < 0.03, "{share}: {found}");
        }
        assert_eq!(histogram.len(), 1000);
    }

    #[test]
    fn two_are_one_with_the_values_of_both() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (1..=50).for_each(|millis| low.add(Duration::from_millis(millis)));
        (51..=100).for_each(|millis| high.add(Duration::from_millis(millis)));
        low.merge(&high);
        assert_eq!((low.len(), low.quantile(1.0)), (100, Some(Duration::from_millis(100))));
    }
}
