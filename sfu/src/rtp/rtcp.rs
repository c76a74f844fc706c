//! RTCP (RFC 3550 §6) and its generic NACK (RFC 4585 §6.2.1): compound packets as an iterator, written into a
//! caller's buffer.

use std::time::Duration;

use super::header::{RtpTime, SeqNo};
use crate::Ssrc;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205; // RFC 4585 §6.1
const GENERIC_NACK: u8 = 1; // RFC 4585 §6.2
const CNAME: u8 = 1; // RFC 3550 §6.5.1

const HEADER_LEN: usize = 4;
const SENDER_INFO_LEN: usize = 20;
const REPORT_BLOCK_LEN: usize = 24;
const MAX_COUNT: usize = 31; // five bits, RFC 3550 §6.4.1

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// Wall time as NTP has it: seconds since 1900 in the upper 32 bits, their fraction in the lower (RFC 3550 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Converts a wall time given as what has passed since the Unix epoch.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(NTP_UNIX_OFFSET);
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    /// The middle 32 bits, by which reports refer to a sender report: seconds and fraction, 16 bits each.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What a sender says of its stream at one instant (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ntp: NtpTime,
    /// The same instant on the stream's clock.
    pub rtp: RtpTime,
    pub packets: u32,
    /// Payload bytes, without headers and padding.
    pub octets: u32,
}

/// What a receiver says of one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: Ssrc,
    /// Lost since the previous report, in 256ths.
    pub fraction_lost: u8,
    /// Lost since the beginning, 24 bits on the wire; negative when duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// The low 32 bits of the highest index received.
    pub highest_seq: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// [`NtpTime::middle`] of the latest sender report; 0 when there was none.
    pub last_sender_report: u32,
    /// Time since its arrival in 65,536ths of a second.
    pub delay_since_sender_report: u32,
}

impl ReportBlock {
    /// The round-trip time that this report shows on arriving at `now` (RFC 3550 §6.4.1). `None` before the peer has
    /// seen a sender report.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        if self.last_sender_report == 0 {
            return None;
        }
        let away = now.middle().wrapping_sub(self.last_sender_report);
        let travelled = away.wrapping_sub(self.delay_since_sender_report).cast_signed();
        // Clocks of 15 µs grain on both sides can make a short way come out below zero.
        Some(from_65536ths(travelled.max(0).cast_unsigned()))
    }
}

fn from_65536ths(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

pub(super) fn to_65536ths(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// One packet of a compound.
#[derive(Clone, Debug)]
pub enum RtcpItem<'a> {
    SenderReport {
        sender: Ssrc,
        info: SenderInfo,
        reports: ReportBlocks<'a>,
    },
    ReceiverReport {
        sender: Ssrc,
        reports: ReportBlocks<'a>,
    },
    /// Packets that `sender` misses from the stream `media`.
    Nack {
        sender: Ssrc,
        media: Ssrc,
        lost: Nacks<'a>,
    },
    Bye {
        sources: Sources<'a>,
    },
    /// A kind that nobody here reads: other feedback, extended reports, application data.
    Unknown {
        packet_type: u8,
    },
}

/// The packets of a compound in order, source descriptions left out. Ends early at the first malformed one.
#[derive(Clone, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    pub fn new(packet: &'a [u8]) -> Self {
        Self { rest: packet }
    }

    /// Count (or format), type and body of the next packet.
    fn next_packet(&mut self) -> Option<(u8, u8, &'a [u8])> {
        let (&[first, packet_type, w0, w1], rest) = self.rest.split_first_chunk::<HEADER_LEN>()?;
        if first >> 6 != 2 {
            return None;
        }
        let (mut body, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes([w0, w1])))?;
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            body = body.get(..body.len().checked_sub(padding)?)?;
        }
        self.rest = rest;
        Some((first & 0x1F, packet_type, body))
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = RtcpItem<'a>;

    fn next(&mut self) -> Option<RtcpItem<'a>> {
        loop {
            let (count, packet_type, body) = self.next_packet()?;
            let item = match packet_type {
                RECEIVER_REPORT => receiver_report(count, body),
                SENDER_REPORT => sender_report(count, body),
                TRANSPORT_FEEDBACK if count == GENERIC_NACK => nack(body),
                BYE => bye(count, body),
                SOURCE_DESCRIPTION => continue,
                _ => Some(RtcpItem::Unknown { packet_type }),
            };
            if item.is_none() {
                self.rest = &[];
            }
            return item;
        }
    }
}

fn receiver_report(count: u8, body: &[u8]) -> Option<RtcpItem<'_>> {
    let (sender, rest) = split_ssrc(body)?;
    Some(RtcpItem::ReceiverReport { sender, reports: ReportBlocks::new(count, rest)? })
}

fn sender_report(count: u8, body: &[u8]) -> Option<RtcpItem<'_>> {
    let (sender, rest) = split_ssrc(body)?;
    let (info, rest) = rest.split_first_chunk::<SENDER_INFO_LEN>()?;
    let word = |at: usize| u32::from_be_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    let info = SenderInfo {
        ntp: NtpTime(u64::from(word(0)) << 32 | u64::from(word(4))),
        rtp: RtpTime(word(8)),
        packets: word(12),
        octets: word(16),
    };
    Some(RtcpItem::SenderReport { sender, info, reports: ReportBlocks::new(count, rest)? })
}

fn nack(body: &[u8]) -> Option<RtcpItem<'_>> {
    let (sender, rest) = split_ssrc(body)?;
    let (media, rest) = split_ssrc(rest)?;
    Some(RtcpItem::Nack { sender, media, lost: Nacks { rest } })
}

fn bye(count: u8, body: &[u8]) -> Option<RtcpItem<'_>> {
    Some(RtcpItem::Bye { sources: Sources { rest: body.get(..4 * usize::from(count))? } })
}

fn split_ssrc(bytes: &[u8]) -> Option<(Ssrc, &[u8])> {
    let (ssrc, rest) = bytes.split_first_chunk()?;
    Some((Ssrc(u32::from_be_bytes(*ssrc)), rest))
}

/// The report blocks of one sender or receiver report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn new(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self { rest: body.get(..REPORT_BLOCK_LEN * usize::from(count))? })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<REPORT_BLOCK_LEN>()?;
        self.rest = rest;
        let word = |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        Some(ReportBlock {
            ssrc: Ssrc(word(0)),
            fraction_lost: block[4],
            // Shifted out and back, so that bit 23 becomes the sign.
            cumulative_lost: (word(4) << 8).cast_signed() >> 8,
            highest_seq: word(8),
            jitter: word(12),
            last_sender_report: word(16),
            delay_since_sender_report: word(20),
        })
    }
}

/// The pairs of a generic NACK.
#[derive(Clone, Debug)]
pub struct Nacks<'a> {
    rest: &'a [u8],
}

/// A lost packet and which of the 16 after it are lost too (RFC 4585 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NackPair {
    pub first: SeqNo,
    /// Bit n: `first + n + 1` is lost.
    pub following: u16,
}

impl NackPair {
    /// Every sequence number that is lost, in order.
    pub fn lost(self) -> impl Iterator<Item = SeqNo> {
        let following = (0..16u16).filter(move |n| self.following >> n & 1 == 1);
        std::iter::once(self.first).chain(following.map(move |n| SeqNo(self.first.0.wrapping_add(n + 1))))
    }
}

impl Iterator for Nacks<'_> {
    type Item = NackPair;

    fn next(&mut self) -> Option<NackPair> {
        let (&[p0, p1, b0, b1], rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(NackPair { first: SeqNo(u16::from_be_bytes([p0, p1])), following: u16::from_be_bytes([b0, b1]) })
    }
}

/// The streams that a BYE ends.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    rest: &'a [u8],
}

impl Iterator for Sources<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (ssrc, rest) = split_ssrc(self.rest)?;
        self.rest = rest;
        Some(ssrc)
    }
}

/// Why a packet was not added to a compound. What was written before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpWriteError {
    #[error("the buffer is full")]
    NoRoom,
    #[error("more than 31 entries, or a name longer than 255 bytes")]
    TooMany,
}

/// Writes a compound packet. It must begin with a report and contain a CNAME (RFC 3550 §6.1), which is up to the caller.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundWriter<'a> {
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn sender_report(
        &mut self,
        sender: Ssrc,
        info: &SenderInfo,
        reports: &[ReportBlock],
    ) -> Result<(), RtcpWriteError> {
        let body_len = 4 + SENDER_INFO_LEN + REPORT_BLOCK_LEN * reports.len();
        let mut body = self.begin(SENDER_REPORT, reports.len(), body_len)?;
        body.word(sender.0);
        body.word((info.ntp.0 >> 32) as u32);
        body.word(info.ntp.0 as u32);
        body.word(info.rtp.0);
        body.word(info.packets);
        body.word(info.octets);
        body.report_blocks(reports);
        Ok(())
    }

    pub fn receiver_report(&mut self, sender: Ssrc, reports: &[ReportBlock]) -> Result<(), RtcpWriteError> {
        let mut body = self.begin(RECEIVER_REPORT, reports.len(), 4 + REPORT_BLOCK_LEN * reports.len())?;
        body.word(sender.0);
        body.report_blocks(reports);
        Ok(())
    }

    /// A source description of one stream with its canonical name, up to 255 bytes.
    pub fn cname(&mut self, source: Ssrc, name: &str) -> Result<(), RtcpWriteError> {
        let name_len = u8::try_from(name.len()).map_err(|_| RtcpWriteError::TooMany)?;
        // At least one zero byte ends the list of items (RFC 3550 §6.5).
        let items_len = (2 + name.len() + 1).next_multiple_of(4);
        let mut body = self.begin(SOURCE_DESCRIPTION, 1, 4 + items_len)?;
        body.word(source.0);
        body.bytes(&[CNAME, name_len]);
        body.bytes(name.as_bytes());
        body.0.fill(0);
        Ok(())
    }

    pub fn bye(&mut self, sources: &[Ssrc]) -> Result<(), RtcpWriteError> {
        let mut body = self.begin(BYE, sources.len(), 4 * sources.len())?;
        for source in sources {
            body.word(source.0);
        }
        Ok(())
    }

    /// Asks for packets of `media` again. They are best given in order; 17 neighbours share one word.
    pub fn nack(
        &mut self,
        sender: Ssrc,
        media: Ssrc,
        lost: impl Iterator<Item = SeqNo> + Clone,
    ) -> Result<(), RtcpWriteError> {
        let body_len = 8 + 4 * nack_pairs(lost.clone()).count();
        let mut body = self.begin(TRANSPORT_FEEDBACK, usize::from(GENERIC_NACK), body_len)?;
        body.word(sender.0);
        body.word(media.0);
        for pair in nack_pairs(lost) {
            body.word(u32::from(pair.first.0) << 16 | u32::from(pair.following));
        }
        Ok(())
    }

    /// Writes a packet's header and hands out its body, which the caller must fill.
    fn begin(&mut self, packet_type: u8, count: usize, body_len: usize) -> Result<Body<'_>, RtcpWriteError> {
        let words = u16::try_from(body_len / 4).map_err(|_| RtcpWriteError::NoRoom)?;
        if count > MAX_COUNT {
            return Err(RtcpWriteError::TooMany);
        }
        let end = self.len + HEADER_LEN + body_len;
        let packet = self.buf.get_mut(self.len..end).ok_or(RtcpWriteError::NoRoom)?;
        self.len = end;
        let mut packet = Body(packet);
        packet.bytes(&[0x80 | count as u8, packet_type]);
        packet.bytes(&words.to_be_bytes());
        Ok(packet)
    }
}

/// What is left to fill of a packet whose length is settled.
struct Body<'a>(&'a mut [u8]);

impl Body<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.0 = rest;
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn report_blocks(&mut self, reports: &[ReportBlock]) {
        for report in reports {
            self.word(report.ssrc.0);
            let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned() & 0xFF_FFFF;
            self.word(u32::from(report.fraction_lost) << 24 | lost);
            self.word(report.highest_seq);
            self.word(report.jitter);
            self.word(report.last_sender_report);
            self.word(report.delay_since_sender_report);
        }
    }
}

fn nack_pairs(lost: impl Iterator<Item = SeqNo>) -> impl Iterator<Item = NackPair> {
    let mut lost = lost.peekable();
    std::iter::from_fn(move || {
        let first = lost.next()?;
        let mut following = 0;
        while let Some(seq) = lost.next_if(|seq| (0..=16).contains(&seq.distance_from(first))) {
            following |= (1u32 << seq.distance_from(first) >> 1) as u16;
        }
        Some(NackPair { first, following })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SENDER: Ssrc = Ssrc(0x4D61_7273);
    const INFO: SenderInfo = SenderInfo {
        ntp: NtpTime(0x4E54_5031_4E54_5032),
        rtp: RtpTime(0x5254_5020),
        packets: 0x42A,
        octets: 0xE930,
    };
    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(0x4C75_6E61),
        fraction_lost: 12,
        cumulative_lost: -3,
        highest_seq: 0x1_0042,
        jitter: 77,
        last_sender_report: 5,
        delay_since_sender_report: 6,
    };

    #[test]
    fn a_compound_comes_back_as_written() {
        let mut buf = [0xFF; 300];
        let mut writer = CompoundWriter::new(&mut buf);
        writer.sender_report(SENDER, &INFO, &[BLOCK]).unwrap();
        writer.cname(SENDER, "PA_abc|TR_def").unwrap();
        writer.nack(SENDER, BLOCK.ssrc, [1, 2, 17, 18, 65_535].into_iter().map(SeqNo)).unwrap();
        writer.bye(&[SENDER, BLOCK.ssrc]).unwrap();
        let len = writer.len();

        let items: Vec<_> = Compound::new(&buf[..len]).collect();
        let [
            RtcpItem::SenderReport { sender: SENDER, info: INFO, reports },
            RtcpItem::Nack { sender: SENDER, media, lost },
            RtcpItem::Bye { sources },
        ] = &items[..]
        else {
            panic!("{items:?}");
        };
        assert_eq!(reports.clone().collect::<Vec<_>>(), [BLOCK]);
        assert_eq!(*media, BLOCK.ssrc);
        assert_eq!(lost.clone().count(), 3);
        let lost: Vec<_> = lost.clone().flat_map(NackPair::lost).map(|seq| seq.0).collect();
        assert_eq!(lost, [1, 2, 17, 18, 65_535]);
        assert_eq!(sources.clone().collect::<Vec<_>>(), [SENDER, BLOCK.ssrc]);
    }

    #[test]
    fn a_receiver_report_may_be_empty() {
        let mut buf = [0; 8];
        CompoundWriter::new(&mut buf).receiver_report(SENDER, &[]).unwrap();
        assert_eq!(buf, [0x80, 201, 0, 1, 0x4D, 0x61, 0x72, 0x73]);
        let Some(RtcpItem::ReceiverReport { sender: SENDER, mut reports }) = Compound::new(&buf).next()
        else {
            panic!("a receiver report was written");
        };
        assert_eq!(reports.next(), None);
    }

    #[test]
    fn names_are_padded_to_whole_words() {
        for (name, words) in [("", 2), ("a", 2), ("ab", 3), ("abcde", 3), ("abcdef", 4)] {
            let mut buf = [0xFF; 64];
            let mut writer = CompoundWriter::new(&mut buf);
            writer.cname(SENDER, name).unwrap();
            let len = writer.len();
            assert_eq!((len, usize::from(buf[3])), (4 + 4 * words, words));
            assert_eq!(buf[8..10], [1, name.len() as u8]);
            assert!(buf[10 + name.len()..len].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn nacks_wrap_with_the_sequence_numbers() {
        let pairs: Vec<_> = nack_pairs([65_534, 65_535, 0, 14, 15].into_iter().map(SeqNo)).collect();
        let expected = [
            NackPair { first: SeqNo(65_534), following: 1 | 1 << 1 | 1 << 15 },
            NackPair { first: SeqNo(15), following: 0 },
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_leaves_the_rest() {
        let mut buf = [0; 20];
        let mut writer = CompoundWriter::new(&mut buf);
        writer.receiver_report(SENDER, &[]).unwrap();
        assert_eq!(writer.receiver_report(SENDER, &[BLOCK]), Err(RtcpWriteError::NoRoom));
        assert_eq!(writer.receiver_report(SENDER, &[BLOCK; 32]), Err(RtcpWriteError::TooMany));
        assert_eq!(writer.cname(SENDER, &"x".repeat(256)), Err(RtcpWriteError::TooMany));
        assert_eq!(writer.len(), 8);
    }

    #[test]
    fn reading_stops_at_the_first_malformed_packet() {
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let unknown = [0x80, 207, 0, 0];
        let lying = [0x82, 201, 0, 1, 0, 0, 0, 1];
        let bytes = [&report[..], &unknown, &lying, &report].concat();
        let items: Vec<_> = Compound::new(&bytes).collect();
        assert!(
            matches!(items[..], [RtcpItem::ReceiverReport { .. }, RtcpItem::Unknown { packet_type: 207 }]),
            "{items:?}",
        );
    }

    #[test]
    fn ntp_time_counts_from_1900() {
        let noon = NtpTime::from_unix(Duration::new(1_000_000_000, 500_000_000));
        assert_eq!(noon.0, (1_000_000_000 + NTP_UNIX_OFFSET) << 32 | 1 << 31);
        assert_eq!(noon.middle(), ((1_000_000_000 + NTP_UNIX_OFFSET) as u32 & 0xFFFF) << 16 | 0x8000);
    }

    /// The example of RFC 3550 §6.4.1, figure 2.
    #[test]
    fn the_round_trip_is_what_neither_end_waited() {
        let report =
            ReportBlock { last_sender_report: 0xB705_2000, delay_since_sender_report: 0x0005_4000, ..BLOCK };
        let arrival = NtpTime(0xB710_8000_u64 << 16);
        assert_eq!(report.round_trip(arrival), Some(Duration::from_millis(6_125)));
        assert_eq!(report.round_trip(NtpTime(0xB705_2000_u64 << 16)), Some(Duration::ZERO));
        assert_eq!(ReportBlock { last_sender_report: 0, ..report }.round_trip(arrival), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for item in Compound::new(&bytes) {
                match item {
                    RtcpItem::SenderReport { reports, .. } | RtcpItem::ReceiverReport { reports, .. } => {
                        prop_assert!(reports.count() <= MAX_COUNT);
                    }
                    RtcpItem::Nack { lost, .. } => prop_assert!(lost.flat_map(NackPair::lost).count() <= 17 * 75),
                    RtcpItem::Bye { sources } => prop_assert!(sources.count() <= MAX_COUNT),
                    RtcpItem::Unknown { .. } => {}
                }
            }
        }

        #[test]
        fn nacks_name_exactly_what_is_lost(first: u16, gaps in proptest::collection::vec(1u16..40, 0..60)) {
            let lost: Vec<_> = gaps.iter().scan(first, |seq, gap| {
                *seq = seq.wrapping_add(*gap);
                Some(SeqNo(*seq))
            }).collect();
            let named: Vec<_> = nack_pairs(lost.iter().copied()).flat_map(NackPair::lost).collect();
            prop_assert_eq!(named, lost);
        }
    }
}
