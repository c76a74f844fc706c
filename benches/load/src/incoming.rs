//! One stream that a bot hears, as its headers tell: what came, what did not, and when each packet's turn was.

use std::time::{Duration, Instant};

use banter_sfu::Ssrc;
use banter_sfu::rtp::rtcp::ReportBlock;
use banter_sfu::rtp::{ExtSeq, ReceiveStats, RtpTime, SeqNo};

use crate::stamp::Stamp;

/// Packets for which it is remembered whether they came.
const WINDOW: u64 = 64;
/// A stamp is read at least so often, in packets: once a second of talk.
const READ_EVERY: u32 = 50;
/// A packet that seems to be older than this, or from the future, says that timestamps have begun anew.
const PLAUSIBLE: Duration = Duration::from_secs(5);
/// Between two requests for the same packet, and how many there are.
const ASK_AGAIN: Duration = Duration::from_millis(40);
const MAX_ASKED: u8 = 4;
/// Packets that are asked for at a time.
const MAX_MISSING: usize = 32;

/// The part of an RTP header that says which packet it is (RFC 3550 §5.1). It is in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub ssrc: Ssrc,
    pub seq: SeqNo,
    pub timestamp: RtpTime,
    pub payload_type: u8,
}

impl Head {
    pub fn read(packet: &[u8]) -> Option<Self> {
        let &[_, kind, s0, s1, t0, t1, t2, t3, x0, x1, x2, x3] = packet.first_chunk()?;
        Some(Self {
            ssrc: Ssrc(u32::from_be_bytes([x0, x1, x2, x3])),
            seq: SeqNo(u16::from_be_bytes([s0, s1])),
            timestamp: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
            payload_type: kind & 0x7F,
        })
    }
}

/// Where a packet stands among those that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After all others; so many before it have not come.
    Ahead {
        missing: u64,
    },
    /// Behind one that came earlier: a gap is filled.
    Behind,
    Repeated,
}

#[derive(Debug)]
pub struct Incoming {
    stats: ReceiveStats,
    /// Before the first packet there is none.
    highest: Option<ExtSeq>,
    /// Bit n: the packet n before the highest has come.
    came: u64,
    /// The latest stamp that was read, and the timestamp of its packet.
    anchor: Option<(RtpTime, Stamp)>,
    unread: u32,
    missing: Vec<Missing>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    index: ExtSeq,
    asked: u8,
    ask_at: Instant,
}

impl Incoming {
    pub fn new() -> Self {
        Self {
            stats: ReceiveStats::new(48_000),
            highest: None,
            came: 0,
            anchor: None,
            unread: 0,
            missing: Vec::new(),
        }
    }

    pub fn index(&self, seq: SeqNo) -> ExtSeq {
        self.highest.map_or(ExtSeq::first(seq), |highest| highest.estimate(seq))
    }

    /// Whether the stamp is to be read for want of a fresh one. With `is_red` also where the packet can make up for others.
    pub fn must_read(&self, head: Head, is_red: bool, at: Duration) -> bool {
        let has_gap = || {
            let before = self.highest.map(|highest| self.index(head.seq).0.saturating_sub(highest.0));
            before.is_some_and(|ahead| ahead > 1) || self.came & 0b110 != 0b110
        };
        let is_fresh = self.unread < READ_EVERY
            && self.due(head.timestamp).is_some_and(|due| at.abs_diff(due) < PLAUSIBLE);
        !is_fresh || (is_red && has_gap())
    }

    pub fn note_stamp(&mut self, timestamp: RtpTime, stamp: Stamp) {
        self.anchor = Some((timestamp, stamp));
        self.unread = 0;
    }

    /// Who speaks, as of the latest stamp.
    pub fn publisher(&self) -> Option<u32> {
        self.anchor.map(|(_, stamp)| stamp.publisher)
    }

    /// When a packet's turn was, told by its timestamp: servers shift these by a fixed amount.
    pub fn due(&self, timestamp: RtpTime) -> Option<Duration> {
        let (anchor, stamp) = self.anchor?;
        let nanos = i64::from(timestamp.distance_from(anchor)) * 1_000_000 / 48;
        let magnitude = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 { stamp.due.checked_sub(magnitude) } else { Some(stamp.due + magnitude) }
    }

    /// Counts a packet.
    pub fn note_packet(&mut self, head: Head, now: Instant) -> Place {
        let index = self.index(head.seq);
        let place = self.mark(index, now);
        if place != Place::Repeated {
            self.unread += 1;
            self.stats.handle_packet(index, head.timestamp, now);
        }
        place
    }

    /// Takes a packet's content from another one; false if it was there already.
    pub fn recover(&mut self, index: ExtSeq, now: Instant) -> bool {
        self.highest.is_some_and(|highest| index < highest) && self.mark(index, now) == Place::Behind
    }

    /// Whether there is something to ask for.
    pub fn is_lacking(&self, now: Instant) -> bool {
        self.missing.iter().any(|missing| missing.ask_at <= now)
    }

    /// What is to be asked for, and again if it does not come.
    pub fn take_wanted(&mut self, now: Instant) -> Vec<SeqNo> {
        let due = self.missing.iter_mut().filter(|missing| missing.ask_at <= now);
        let wanted = due.map(|missing| {
            missing.asked += 1;
            missing.ask_at = now + ASK_AGAIN;
            missing.index.seq()
        });
        let wanted = wanted.collect();
        self.missing.retain(|missing| missing.asked < MAX_ASKED);
        wanted
    }

    pub fn report(&mut self, ssrc: Ssrc, now: Instant) -> Option<ReportBlock> {
        self.stats.report(ssrc, now)
    }

    fn mark(&mut self, index: ExtSeq, now: Instant) -> Place {
        let Some(highest) = self.highest else {
            // What came before the first is not missed.
            (self.highest, self.came) = (Some(index), u64::MAX);
            return Place::Ahead { missing: 0 };
        };
        if index > highest {
            let step = index.0 - highest.0;
            self.highest = Some(index);
            self.came = self.came.checked_shl(step.min(u64::from(u32::MAX)) as u32).unwrap_or(0) | 1;
            self.missing.retain(|missing| index.0 - missing.index.0 < WINDOW);
            let begin = (highest.0 + 1).max(index.0.saturating_sub(MAX_MISSING as u64));
            self.missing.extend((begin..index.0).map(|index| Missing {
                index: ExtSeq(index),
                asked: 0,
                ask_at: now,
            }));
            return Place::Ahead { missing: step - 1 };
        }
        self.missing.retain(|missing| missing.index != index);
        match highest.0 - index.0 {
            behind @ 0..WINDOW if self.came >> behind & 1 == 1 => Place::Repeated,
            behind @ 0..WINDOW => {
                self.came |= 1 << behind;
                Place::Behind
            }
            // Too old to tell.
            _ => Place::Repeated,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the beginning of a test's time has to be some instant")]
mod tests {
    use super::*;

    fn head(seq: u16) -> Head {
        let timestamp = RtpTime(u32::from(seq).wrapping_mul(960));
        Head { ssrc: Ssrc(1), seq: SeqNo(seq), timestamp, payload_type: 111 }
    }

    fn stamp(due: u64) -> Stamp {
        Stamp { due: Duration::from_millis(due), lag: Duration::ZERO, publisher: 3, number: 0 }
    }

    #[test]
    fn gaps_and_what_fills_them_and_repeats_are_told_apart() {
        let (mut stream, now) = (Incoming::new(), Instant::now());
        let mut note = |seq| stream.note_packet(head(seq), now);
        assert_eq!(note(65_534), Place::Ahead { missing: 0 });
        assert_eq!(note(1), Place::Ahead { missing: 2 });
        assert_eq!(note(65_535), Place::Behind);
        assert_eq!(note(65_535), Place::Repeated);
        assert_eq!(note(1), Place::Repeated);
        assert_eq!(note(200), Place::Ahead { missing: 198 });
        assert_eq!(note(2), Place::Repeated, "too old to tell");
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes() {
        let (mut stream, now) = (Incoming::new(), Instant::now());
        stream.note_packet(head(10), now);
        stream.note_packet(head(13), now);
        assert_eq!(stream.take_wanted(now), [SeqNo(11), SeqNo(12)]);
        assert_eq!(stream.take_wanted(now), []);
        stream.note_packet(head(11), now);
        assert_eq!(stream.take_wanted(now + ASK_AGAIN), [SeqNo(12)]);
        assert!(stream.recover(ExtSeq(12), now) && !stream.recover(ExtSeq(12), now));
        assert_eq!(stream.take_wanted(now + 2 * ASK_AGAIN), []);
    }

    #[test]
    fn timestamps_tell_when_a_packets_turn_was() {
        let mut stream = Incoming::new();
        let at = Duration::from_millis(1_005);
        assert!(stream.must_read(head(50), false, at), "there is no stamp yet");
        stream.note_stamp(head(50).timestamp, stamp(1_000));
        assert_eq!(stream.due(head(51).timestamp), Some(Duration::from_millis(1_020)));
        assert_eq!(stream.due(head(49).timestamp), Some(Duration::from_millis(980)));
        assert!(!stream.must_read(head(51), false, at));
        assert!(stream.must_read(head(5_000), false, at), "timestamps began anew");
        assert_eq!(stream.publisher(), Some(3));
    }
}
