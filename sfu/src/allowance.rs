//! How much a publisher is asked to send: less, while much of it is lost on its way to us.
//!
//! A line that loses a tenth of what is sent is most often one that is full. Half the bits fit where all did not, and speech
//! at 16 kbit/s is still clear (RFC 7587 §3.1.1).

/// Bits per second that a publisher on a lossy line is asked for.
pub(crate) const REDUCED: u32 = 16_000;

/// An interval is bad from this loss on, and good up to that one, in percent; what lies between changes nothing.
const BAD_PERCENT: u64 = 10;
const GOOD_PERCENT: u64 = 2;
/// Bad intervals in a row that end in a request for less: ten seconds of speech.
const BAD_INTERVALS: u32 = 2;
/// Good intervals in a row that end in a request for all of it again: a minute of speech. If it then goes wrong once more, it
/// is twice as many the next time, up to ten minutes, for each request is a negotiation.
const GOOD_INTERVALS: u32 = 12;
const MAX_GOOD_INTERVALS: u32 = 120;

/// What one publisher is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    is_reduced: bool,
    /// Intervals in a row that speak for a change.
    streak: u32,
    /// Good intervals that it takes.
    patience: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { is_reduced: false, streak: 0, patience: GOOD_INTERVALS }
    }
}

impl Allowance {
    /// The most that the publisher is to send on average, in bits per second; `None` leaves it to the publisher.
    pub(crate) fn bitrate(&self) -> Option<u32> {
        self.is_reduced.then_some(REDUCED)
    }

    /// Takes what an interval of some seconds has shown, in packets; true if something else is to be asked for.
    pub(crate) fn judge(&mut self, sent: u64, lost: u64) -> bool {
        let speaks_for_change = match self.is_reduced {
            true => lost * 100 <= sent * GOOD_PERCENT,
            false => lost * 100 >= sent * BAD_PERCENT,
        };
        self.streak = if speaks_for_change { self.streak + 1 } else { 0 };
        let needed = if self.is_reduced { self.patience } else { BAD_INTERVALS };
        if self.streak < needed {
            return false;
        }
        if self.is_reduced {
            self.patience = (2 * self.patience).min(MAX_GOOD_INTERVALS);
        }
        self.streak = 0;
        self.is_reduced = !self.is_reduced;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals with this loss, in percent, until something else is asked for.
    fn intervals(allowance: &mut Allowance, percent: u64) -> usize {
        1 + (0..1_000).take_while(|_| !allowance.judge(100, percent)).count()
    }

    #[test]
    fn less_is_asked_for_after_ten_bad_seconds_and_all_of_it_after_a_good_minute() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.bitrate(), None);
        assert_eq!(intervals(&mut allowance, 10), 2);
        assert_eq!(allowance.bitrate(), Some(REDUCED));
        assert_eq!(intervals(&mut allowance, 2), 12);
        assert_eq!(allowance.bitrate(), None);
    }

    #[test]
    fn one_bad_interval_and_a_middling_line_change_nothing() {
        let mut allowance = Allowance::default();
        assert!(!(0..100).any(|n| allowance.judge(250, if n % 2 == 0 { 100 } else { 10 })));
        intervals(&mut allowance, 50);
        assert!(!(0..100).any(|_| allowance.judge(250, 15)));
        assert_eq!(allowance.bitrate(), Some(REDUCED));
    }

    #[test]
    fn a_line_that_stands_only_the_lower_rate_is_left_alone_longer_each_time() {
        let mut allowance = Allowance::default();
        let mut good = || {
            intervals(&mut allowance, 20);
            intervals(&mut allowance, 0)
        };
        assert_eq!([good(), good(), good(), good(), good(), good()], [12, 24, 48, 96, 120, 120]);
    }
}
