//! What the bots count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::stamp::Stamp;

/// Of every so many packets of a publisher the spread among listeners is measured.
const SKEW_SAMPLE: u32 = 25;
/// Later than this a packet is of no use to a jitter buffer of usual size.
const LATE: Duration = Duration::from_millis(200);

/// Counts of the packets that were sent in a window of time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// On the harness's clock.
    window: Option<(Duration, Duration)>,
    pub sent: u64,
    /// Copies that should have come of them.
    pub expected: u64,
    pub received: u64,
    pub received_bytes: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub late: u64,
    pub latency: Histogram,
    /// From the first word of a join to a connected transport, and to the first packet heard.
    pub connected: Histogram,
    pub first_sound: Histogram,
    spread: BTreeMap<(u32, u32), (Duration, Duration)>,
}

impl Tally {
    /// Begins anew with what is sent from `from` to `to`. What joins took is kept.
    pub fn restart(&mut self, from: Duration, to: Duration) {
        let Self { connected, first_sound, .. } = std::mem::take(self);
        *self = Self { window: Some((from, to)), connected, first_sound, ..Self::default() };
    }

    pub fn note_sent(&mut self, at: Duration, listeners: u64) {
        if self.is_inside(at) {
            self.sent += 1;
            self.expected += listeners;
        }
    }

    pub fn note_received(&mut self, stamp: Stamp, is_late: bool, bytes: usize, at: Duration) {
        if !self.is_inside(stamp.sent) {
            return;
        }
        let latency = at.saturating_sub(stamp.sent);
        self.received += 1;
        self.received_bytes += bytes as u64;
        self.reordered += u64::from(is_late);
        self.late += u64::from(latency > LATE);
        self.latency.add(latency);
        if stamp.number.is_multiple_of(SKEW_SAMPLE) {
            let (first, last) = self.spread.entry((stamp.publisher, stamp.number)).or_insert((at, at));
            *first = at.min(*first);
            *last = at.max(*last);
        }
    }

    /// How much later the last listener hears a packet than the first.
    pub fn skew(&self) -> Histogram {
        let mut skew = Histogram::default();
        self.spread.values().for_each(|(first, last)| skew.add(last.saturating_sub(*first)));
        skew
    }

    pub fn lost(&self) -> f64 {
        match self.expected {
            0 => 0.0,
            expected => (expected.saturating_sub(self.received)) as f64 / expected as f64,
        }
    }

    fn is_inside(&self, at: Duration) -> bool {
        self.window.is_some_and(|(from, to)| (from..to).contains(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts_and_what_is_missing_is_lost() {
        let at = Duration::from_millis;
        let mut tally = Tally::default();
        tally.restart(at(100), at(200));
        for sent in [99, 100, 199, 200] {
            tally.note_sent(at(sent), 2);
        }
        assert_eq!((tally.sent, tally.expected), (2, 4));
        for (number, sent, heard) in [(1, 99, 100), (25, 100, 101), (25, 100, 104), (26, 199, 500)] {
            let stamp = Stamp { sent: at(sent), publisher: 0, number };
            tally.note_received(stamp, false, 100, at(heard));
        }
        assert_eq!((tally.received, tally.late, tally.lost()), (3, 1, 0.25));
        let skew = tally.skew();
        assert_eq!((skew.len(), skew.quantile(1.0)), (1, Some(at(3))));
    }
}
