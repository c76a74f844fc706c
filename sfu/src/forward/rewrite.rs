//! Sequence numbers and timestamps towards one subscriber.

use super::numbering::Numbering;
use crate::rtp::{ExtSeq, RtpTime, SeqNo};

/// Maps a publisher's numbering to one subscriber's (RFC 7667 §3.7: the selective forwarding middlebox).
///
/// The outgoing number is a pure function of the incoming one while [`Numbering`]'s anchor holds, so a repeated packet is
/// byte-identical and its SRTP nonce is used for one plaintext only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewriter {
    numbering: Numbering,
    /// Added to incoming timestamps; kept over pauses, so that time runs on.
    timestamp_offset: u32,
}

impl Rewriter {
    /// `first_seq` is the random start of outgoing numbers (RFC 3550 §5.1), `timestamp_offset` likewise.
    pub(crate) fn new(first_seq: u16, timestamp_offset: u32) -> Self {
        // The lower half of the first cycle, so that a receiver that misses the first packets still guesses the
        // rollover counter right (RFC 3711 §3.3.1).
        let first = ExtSeq(u64::from(first_seq & 0x7FFF));
        Self { numbering: Numbering::starting_at(first), timestamp_offset }
    }

    /// See [`Numbering::outgoing`].
    pub(crate) fn outgoing(&mut self, incoming: ExtSeq) -> Option<ExtSeq> {
        self.numbering.outgoing(incoming)
    }

    /// See [`Numbering::named`].
    pub(crate) fn named(&self, outgoing: SeqNo) -> Option<(ExtSeq, ExtSeq)> {
        self.numbering.named(outgoing)
    }

    /// See [`Numbering::next`].
    pub(crate) fn next_seq(&self) -> ExtSeq {
        self.numbering.next()
    }

    pub(crate) fn timestamp(&self, incoming: RtpTime) -> RtpTime {
        incoming.wrapping_add(self.timestamp_offset)
    }

    /// The next packet continues the numbering without a gap, whatever its own number: after a pause or a mute.
    pub(crate) fn detach(&mut self) {
        self.numbering.detach();
    }

    /// The source starts anew with its own clock: its `incoming` timestamp becomes `outgoing`.
    pub(crate) fn restart(&mut self, incoming: RtpTime, outgoing: RtpTime) {
        self.numbering.detach();
        self.timestamp_offset = outgoing.0.wrapping_sub(incoming.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pause_closes_up_and_gaps_stay() {
        let mut rewriter = Rewriter::new(100, 7);
        assert_eq!(rewriter.outgoing(ExtSeq(5_000)), Some(ExtSeq(100)));
        assert_eq!(rewriter.outgoing(ExtSeq(5_003)), Some(ExtSeq(103)), "a loss upstream stays a loss");
        assert_eq!(rewriter.outgoing(ExtSeq(5_001)), Some(ExtSeq(101)), "reordering is kept");
        rewriter.detach();
        assert_eq!(rewriter.outgoing(ExtSeq(6_000)), Some(ExtSeq(104)));
        assert_eq!(rewriter.outgoing(ExtSeq(5_999)), None, "from before the anchor");
        assert_eq!(rewriter.timestamp(RtpTime(u32::MAX)), RtpTime(6));
    }

    #[test]
    fn a_named_number_leads_back_to_its_packet() {
        let mut rewriter = Rewriter::new(0x7FFF, 0);
        for incoming in 70_000..150_000 {
            rewriter.outgoing(ExtSeq(incoming));
        }
        let sent = ExtSeq(0x7FFF + 79_990);
        assert_eq!(rewriter.named(sent.seq()), Some((ExtSeq(149_990), sent)));
        rewriter.detach();
        assert_eq!(rewriter.named(sent.seq()), None, "nothing is repaired across an anchor");
    }

    #[test]
    fn a_restarted_source_goes_on_in_time() {
        let mut rewriter = Rewriter::new(0, 5);
        rewriter.outgoing(ExtSeq(70));
        rewriter.restart(RtpTime(1_000_000), RtpTime(4_800));
        assert_eq!(rewriter.outgoing(ExtSeq(3)), Some(ExtSeq(1)));
        assert_eq!(rewriter.timestamp(RtpTime(1_000_960)), RtpTime(5_760));
    }

    proptest! {
        #[test]
        fn no_outgoing_number_ever_serves_two_packets(steps in proptest::collection::vec((0u64..200, any::<bool>()), 1..300)) {
            let mut rewriter = Rewriter::new(0, 0);
            let mut packet_by_number = std::collections::BTreeMap::new();
            let mut epoch = 0;
            for (incoming, detach) in steps {
                if detach {
                    rewriter.detach();
                    epoch += 1;
                }
                if let Some(outgoing) = rewriter.outgoing(ExtSeq(incoming)) {
                    let earlier = *packet_by_number.entry(outgoing).or_insert((epoch, incoming));
                    prop_assert_eq!(earlier, (epoch, incoming));
                }
            }
        }
    }
}
