//! Who is sent RED (RFC 2198): those who report that they miss packets, until they have missed none for some time.

use crate::rtp::ExtSeq;
use crate::rtp::rtcp::ReportBlock;

/// Packets that a judgement takes: half a second of speech, and of some lines a report.
const MIN_PACKETS: u32 = 25;
/// The loss that makes copies worth twice the bytes, in percent and in packets.
const ON_PERCENT: u32 = 2;
const ON_PACKETS: u32 = 2;
/// Packets of which fewer than this many percent are lost, one after the other, that end it: half a minute of speech.
const CLEAN_PERCENT: u32 = 1;
const OFF_AFTER: u32 = 1_500;

/// Whether one subscriber is sent RED, and from which number on.
///
/// A number stands for the same bytes for ever, so a change applies to numbers that have not been used. How those before
/// the change went out is known until the next one; older ones are neither sent nor repeated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Redundancy {
    is_on: bool,
    /// Numbers from here on go out as `is_on` says, those before the other way.
    since: ExtSeq,
    known_from: ExtSeq,
    judged: Option<Totals>,
    /// Repeats that the subscriber has asked for since: where they arrive, its reports know of no loss.
    asked: u32,
    /// Packets since the last that count as a loss.
    clean: u32,
}

/// What a subscriber has reported since the beginning of the stream; both wrap.
#[derive(Clone, Copy, Debug)]
struct Totals {
    expected: u32,
    lost: u32,
}

impl Redundancy {
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the packet with this number goes out in RED where it can; `None` when that is not known any more.
    #[inline]
    pub(crate) fn of(&self, number: ExtSeq) -> Option<bool> {
        if number >= self.since {
            return Some(self.is_on);
        }
        (number >= self.known_from).then_some(!self.is_on)
    }

    /// Takes a report of the subscriber. `next` is the first number that has not been used.
    ///
    /// What was lost on its way to us is a gap in the subscriber's numbers too, and counts: if the publisher sends RED, that
    /// helps against either.
    pub(crate) fn note(&mut self, report: &ReportBlock, next: ExtSeq) {
        let totals = Totals { expected: report.highest_seq, lost: report.cumulative_lost.cast_unsigned() };
        let Some(before) = self.judged else {
            self.judged = Some(totals);
            self.asked = 0;
            return;
        };
        let expected = totals.expected.wrapping_sub(before.expected);
        if expected < MIN_PACKETS {
            return;
        }
        self.judged = Some(totals);
        // Repeats that came meanwhile can make it negative.
        let lost = totals.lost.wrapping_sub(before.lost).cast_signed().max(0).cast_unsigned();
        let asked = std::mem::take(&mut self.asked);
        self.judge(expected, lost.saturating_add(asked), next);
    }

    /// The subscriber asks for a packet again.
    pub(crate) fn note_asked(&mut self) {
        self.asked = self.asked.saturating_add(1);
    }

    fn judge(&mut self, expected: u32, lost: u32, next: ExtSeq) {
        let is_at_least = |percent: u32| u64::from(lost) * 100 >= u64::from(expected) * u64::from(percent);
        self.clean = if is_at_least(CLEAN_PERCENT) { 0 } else { self.clean.saturating_add(expected) };
        if !self.is_on && lost >= ON_PACKETS && is_at_least(ON_PERCENT) {
            self.switch(true, next);
        } else if self.is_on && self.clean >= OFF_AFTER {
            self.switch(false, next);
        }
    }

    fn switch(&mut self, is_on: bool, next: ExtSeq) {
        self.known_from = self.since;
        self.since = next;
        self.is_on = is_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;
    use proptest::prelude::*;

    /// A subscriber's account of a stream.
    #[derive(Default)]
    struct Account {
        redundancy: Redundancy,
        expected: u32,
        lost: i32,
    }

    impl Account {
        /// So many packets later it reports so many more lost.
        fn report(&mut self, packets: u32, lost: i32) -> bool {
            self.expected += packets;
            self.lost += lost;
            let report = ReportBlock {
                ssrc: Ssrc(7),
                fraction_lost: 0,
                cumulative_lost: self.lost,
                highest_seq: self.expected,
                jitter: 0,
                last_sender_report: 0,
                delay_since_sender_report: 0,
            };
            self.redundancy.note(&report, ExtSeq(self.expected.into()));
            self.redundancy.is_on()
        }
    }

    #[test]
    fn loss_turns_it_on_with_one_report_and_half_a_minute_without_turns_it_off() {
        let mut account = Account::default();
        assert!(!account.report(50, 10), "what was lost before the first report is unknown");
        assert!(!account.report(250, 1));
        assert!(account.report(50, 2));
        for _ in 0..29 {
            assert!(account.report(50, 0));
        }
        assert!(account.report(250, 3), "lost again");
        for _ in 0..29 {
            assert!(account.report(50, 0));
        }
        assert!(!account.report(50, 0));
    }

    #[test]
    fn a_few_packets_say_nothing_and_repeats_are_no_loss() {
        let mut account = Account::default();
        account.report(50, 0);
        for _ in 0..10 {
            assert!(!account.report(2, 1));
        }
        assert!(!account.report(50, -10), "all have come after all");
        assert!(account.report(50, 5));
    }

    #[test]
    fn what_is_repaired_is_a_loss_all_the_same() {
        let mut account = Account::default();
        account.redundancy.note_asked();
        account.report(50, 0);
        account.redundancy.note_asked();
        assert!(!account.report(50, 0));
        (0..3).for_each(|_| account.redundancy.note_asked());
        assert!(account.report(50, 0));
    }

    #[test]
    fn a_number_goes_out_one_way_for_as_long_as_that_is_known() {
        let mut redundancy = Redundancy::default();
        assert_eq!(redundancy.of(ExtSeq(0)), Some(false));
        redundancy.switch(true, ExtSeq(100));
        assert_eq!([99, 100].map(|number| redundancy.of(ExtSeq(number))), [Some(false), Some(true)]);
        redundancy.switch(false, ExtSeq(200));
        let known = [99, 100, 199, 200].map(|number| redundancy.of(ExtSeq(number)));
        assert_eq!(known, [None, Some(true), Some(true), Some(false)]);
    }

    proptest! {
        #[test]
        fn no_number_ever_goes_out_both_ways(steps in proptest::collection::vec((0u64..50, any::<bool>()), 1..60)) {
            let mut redundancy = Redundancy::default();
            let mut sent = std::collections::BTreeMap::new();
            let mut next = 0;
            for (more, is_on) in steps {
                for number in 0..next + more {
                    if let Some(way) = redundancy.of(ExtSeq(number)) {
                        prop_assert_eq!(*sent.entry(number).or_insert(way), way);
                    }
                }
                next += more;
                if is_on != redundancy.is_on() {
                    redundancy.switch(is_on, ExtSeq(next));
                }
            }
        }
    }
}
