//! The last second or so of a track, as plaintext: for repair, and for the copies in RED.

use crate::PayloadType;
use crate::rtp::red::{self, Copied};
use crate::rtp::{ExtSeq, RtpTime};

/// Bytes kept per track: about three seconds of plain Opus at 32 kbit/s, one with RED.
const CAPACITY: usize = 16 * 1024;
/// Packets kept at the most.
const SLOTS: usize = 256;
/// Frames that are copied into RED: a loss of two in a row is made good.
const COPIES: usize = 2;
/// How far back a copied frame may lie, in ticks of 48 kHz: 60 ms, what a jitter buffer waits for.
const MAX_SPAN: u32 = 2_880;
/// RED in a packet fits every path.
const MAX_RED_LEN: usize = 1_100;

/// A packet as it came in, without its header's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) seq: ExtSeq,
    pub(crate) timestamp: RtpTime,
    pub(crate) marker: bool,
    /// The payload type that the publisher has for Opus, which is that of the blocks in RED.
    pub(crate) opus: PayloadType,
    /// Opus, or RED (RFC 2198) that ends with it.
    pub(crate) payload: &'a [u8],
    /// Where in the payload Opus begins: above 0 where there is RED.
    pub(crate) primary: usize,
}

/// Where a remembered packet lies.
#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: ExtSeq,
    timestamp: RtpTime,
    marker: bool,
    opus: PayloadType,
    /// Beginning of its payload, counted from the start of time: bytes older than `CAPACITY` are overwritten.
    at: u64,
    len: u16,
    primary: u16,
}

/// A circular byte buffer with an index by sequence number. Allocates once, with the first packet.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    slots: Box<[Option<Slot>]>,
    written: u64,
}

impl Ring {
    /// Remembers a packet, and gives it back as it is remembered: if it is to be `redundant` and is not RED yet, in RED
    /// with copies of those right before it. What a packet holds is settled here once and for all, so that a repeat has
    /// the same bytes. One with a payload above 16 KiB is not kept.
    pub(crate) fn insert<'a>(&'a mut self, packet: &Packet<'a>, redundant: bool) -> Packet<'a> {
        let Packet { seq, timestamp, marker, opus, payload, primary } = *packet;
        if payload.len() > CAPACITY {
            return *packet;
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; CAPACITY].into();
            self.slots = vec![None; SLOTS].into();
        }
        let copies = if redundant && primary == 0 { self.copies(packet) } else { Copies::default() };
        let (at, len) = (self.reserve(copies.len + payload.len()), copies.len + payload.len());
        let offset = offset_of(at);
        self.write_copies(&copies, opus, offset);
        self.bytes[offset + copies.len..offset + len].copy_from_slice(payload);
        let primary = primary.max(copies.len);
        let short = |len: usize| u16::try_from(len).expect("CAPACITY and a short RED are below 64 KiB");
        let slot = Slot { seq, timestamp, marker, opus, at, len: short(len), primary: short(primary) };
        self.slots[slot_of(seq)] = Some(slot);
        Packet { seq, timestamp, marker, opus, payload: &self.bytes[offset..offset + len], primary }
    }

    /// The packet with this sequence number, if it is still there.
    pub(crate) fn get(&self, seq: ExtSeq) -> Option<Packet<'_>> {
        let Slot { timestamp, marker, opus, at, len, primary, .. } = self.slot(seq)?;
        let offset = offset_of(at);
        let payload = self.bytes.get(offset..offset + usize::from(len))?;
        Some(Packet { seq, timestamp, marker, opus, payload, primary: primary.into() })
    }

    /// Forgets everything: the source numbers its packets anew.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(None);
    }

    fn slot(&self, seq: ExtSeq) -> Option<Slot> {
        let slot = (*self.slots.get(slot_of(seq))?)?;
        (slot.seq == seq && slot.at + CAPACITY as u64 >= self.written).then_some(slot)
    }

    /// Room for a payload, which never wraps around the end, so that it can be lent as one slice.
    fn reserve(&mut self, len: usize) -> u64 {
        let offset = offset_of(self.written);
        if offset + len > CAPACITY {
            self.written += (CAPACITY - offset) as u64;
        }
        let at = self.written;
        self.written += len as u64;
        at
    }

    /// The frames to copy into a packet: those right before it, as far as they are here, recent and short enough.
    fn copies(&self, packet: &Packet<'_>) -> Copies {
        let mut copies = Copies::default();
        let mut total = 1 + packet.payload.len();
        for (back, place) in (1..=COPIES as u64).zip(copies.frames.iter_mut().rev()) {
            let before = packet.seq.0.checked_sub(back).and_then(|seq| self.slot(ExtSeq(seq)));
            let Some(slot) = before else { break };
            let len = usize::from(slot.len - slot.primary);
            let earlier_by = packet.timestamp.0.wrapping_sub(slot.timestamp.0);
            total += red::COPY_HEADER_LEN + len;
            let is_intact = slot.at + CAPACITY as u64 >= self.written + 2 * MAX_RED_LEN as u64;
            let fits = (1..=red::MAX_COPY_LEN).contains(&len) && total <= MAX_RED_LEN;
            if !is_intact || !fits || !(1..=MAX_SPAN).contains(&earlier_by) || slot.opus != packet.opus {
                break;
            }
            *place = Some((slot.at + u64::from(slot.primary), Copied { earlier_by, len }));
            copies.len = total - packet.payload.len();
        }
        copies
    }

    /// Writes all of RED that precedes the primary block.
    fn write_copies(&mut self, copies: &Copies, opus: PayloadType, offset: usize) {
        let frames = || copies.frames.iter().flatten();
        if copies.len == 0 {
            return;
        }
        let head = &mut self.bytes[offset..offset + copies.len];
        let mut end = offset + red::write_headers(head, opus, frames().map(|&(_, copied)| copied));
        for &(at, Copied { len, .. }) in frames() {
            let from = offset_of(at);
            self.bytes.copy_within(from..from + len, end);
            end += len;
        }
    }
}

/// Frames to copy, oldest first, with where they lie.
#[derive(Default)]
struct Copies {
    frames: [Option<(u64, Copied)>; COPIES],
    /// Bytes of RED before its primary block; 0 where nothing is copied.
    len: usize,
}

fn slot_of(seq: ExtSeq) -> usize {
    (seq.0 % SLOTS as u64) as usize
}

fn offset_of(at: u64) -> usize {
    (at % CAPACITY as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::red::Red;
    use proptest::prelude::*;

    const OPUS: PayloadType = PayloadType(111);

    fn packet(seq: u64, payload: &[u8]) -> Packet<'_> {
        Packet {
            seq: ExtSeq(seq),
            timestamp: RtpTime(seq as u32 * 960),
            marker: false,
            opus: OPUS,
            payload,
            primary: 0,
        }
    }

    #[test]
    fn recent_packets_are_found_and_old_ones_are_not() {
        let mut ring = Ring::default();
        for seq in 0..1_000 {
            ring.insert(&packet(seq, &[seq as u8; 80]), false);
        }
        assert_eq!(ring.get(ExtSeq(999)), Some(packet(999, &[231; 80])));
        assert!(ring.get(ExtSeq(900)).is_some(), "two seconds old");
        assert_eq!(ring.get(ExtSeq(500)), None);
        assert_eq!(ring.get(ExtSeq(1_000)), None);
        ring.clear();
        assert_eq!(ring.get(ExtSeq(999)), None);
    }

    #[test]
    fn red_holds_the_frames_right_before_and_ends_with_its_own() {
        let mut ring = Ring::default();
        for seq in 10..13 {
            ring.insert(&packet(seq, &[seq as u8; 80]), false);
        }
        let made = ring.insert(&packet(13, b"new"), true);
        assert_eq!(&made.payload[made.primary..], b"new");
        let red = Red::parse(made.payload).unwrap();
        assert_eq!((red.primary.payload_type, red.primary.payload), (OPUS, &b"new"[..]));
        let copies: Vec<_> = red.recover(made.seq, made.timestamp).collect();
        assert_eq!(copies.len(), COPIES);
        for (copy, seq) in copies.iter().zip([11, 12]) {
            assert_eq!((copy.index, copy.timestamp), (ExtSeq(seq), RtpTime(seq as u32 * 960)));
            assert_eq!(copy.block.payload, [seq as u8; 80]);
        }
        // A later packet copies its frame, not its RED.
        assert_eq!(copied(ring.insert(&packet(14, b"newer"), true)), [&[12; 80][..], b"new"]);
    }

    #[test]
    fn only_what_came_right_before_is_copied() {
        let mut ring = Ring::default();
        ring.insert(&packet(1, b"one"), false);
        assert!(copied(ring.insert(&packet(3, b"after a loss"), true)).is_empty());
        let late = Packet { timestamp: RtpTime(3 * 960 + MAX_SPAN + 1), ..packet(4, b"after a pause") };
        assert!(copied(ring.insert(&late, true)).is_empty());
        ring.insert(&packet(5, &[5; 1_000]), false);
        assert!(copied(ring.insert(&packet(6, &[6; 200]), true)).is_empty(), "too long together");
        ring.insert(&packet(7, &[]), false);
        assert!(copied(ring.insert(&packet(8, b"after nothing"), true)).is_empty());
        let other = Packet { opus: PayloadType(96), ..packet(9, b"another type") };
        assert!(copied(ring.insert(&other, true)).is_empty());
    }

    fn copied(packet: Packet<'_>) -> Vec<Vec<u8>> {
        if packet.primary == 0 {
            return Vec::new();
        }
        let red = Red::parse(packet.payload).unwrap();
        red.recover(packet.seq, packet.timestamp).map(|copy| copy.block.payload.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_put_in(
            packets in proptest::collection::vec((0usize..1_400, any::<bool>()), 1..200),
        ) {
            let mut ring = Ring::default();
            let payload = |seq: usize| vec![seq as u8; packets[seq].0];
            for (seq, &(_, redundant)) in packets.iter().enumerate() {
                let own = payload(seq);
                let made = ring.insert(&packet(seq as u64, &own), redundant);
                prop_assert_eq!(&made.payload[made.primary..], &own);
                let copies = copied(made);
                let before: Vec<_> = (seq - copies.len()..seq).map(payload).collect();
                prop_assert_eq!(copies, before);
                for earlier in 0..=seq {
                    if let Some(found) = ring.get(ExtSeq(earlier as u64)) {
                        prop_assert_eq!(&found.payload[found.primary..], payload(earlier));
                    }
                }
            }
        }
    }
}
