//! The last second or so of a track, as plaintext, for repair.

use crate::PayloadType;
use crate::rtp::{ExtSeq, RtpTime};

/// Bytes kept per track: about three seconds of plain Opus at 32 kbit/s, one with RED.
const CAPACITY: usize = 16 * 1024;
/// Packets kept at the most.
const SLOTS: usize = 256;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Opus,
    /// RFC 2198, with the payload type that its primary block bears.
    Red {
        primary: PayloadType,
    },
}

/// A packet as it came in, without its header's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) seq: ExtSeq,
    pub(crate) timestamp: RtpTime,
    pub(crate) marker: bool,
    pub(crate) coding: Coding,
    pub(crate) payload: &'a [u8],
}

/// Where a remembered packet lies.
#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: ExtSeq,
    timestamp: RtpTime,
    marker: bool,
    coding: Coding,
    /// Beginning of its payload, counted from the start of time: bytes older than `CAPACITY` are overwritten.
    at: u64,
    len: u16,
}

/// A circular byte buffer with an index by sequence number. Allocates once, with the first packet.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    slots: Box<[Option<Slot>]>,
    written: u64,
}

impl Ring {
    /// Remembers a packet. One with a payload above 16 KiB is not kept.
    pub(crate) fn insert(&mut self, packet: &Packet<'_>) {
        let Packet { seq, timestamp, marker, coding, payload } = *packet;
        if payload.len() > CAPACITY {
            return;
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; CAPACITY].into();
            self.slots = vec![None; SLOTS].into();
        }
        // A payload never wraps around the end, so that it can be lent as one slice.
        let offset = (self.written % CAPACITY as u64) as usize;
        if offset + payload.len() > CAPACITY {
            self.written += (CAPACITY - offset) as u64;
        }
        let at = self.written;
        let offset = (at % CAPACITY as u64) as usize;
        self.bytes[offset..offset + payload.len()].copy_from_slice(payload);
        self.written += payload.len() as u64;
        let len = u16::try_from(payload.len()).expect("checked against CAPACITY above");
        self.slots[slot_of(seq)] = Some(Slot { seq, timestamp, marker, coding, at, len });
    }

    /// The packet with this sequence number, if it is still there.
    pub(crate) fn get(&self, seq: ExtSeq) -> Option<Packet<'_>> {
        let slot = (*self.slots.get(slot_of(seq))?)?;
        if slot.seq != seq || slot.at + (CAPACITY as u64) < self.written {
            return None;
        }
        let offset = (slot.at % CAPACITY as u64) as usize;
        let payload = self.bytes.get(offset..offset + usize::from(slot.len))?;
        let Slot { timestamp, marker, coding, .. } = slot;
        Some(Packet { seq, timestamp, marker, coding, payload })
    }

    /// Forgets everything: the source numbers its packets anew.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(None);
    }
}

fn slot_of(seq: ExtSeq) -> usize {
    (seq.0 % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(seq: u64, payload: &[u8]) -> Packet<'_> {
        Packet {
            seq: ExtSeq(seq),
            timestamp: RtpTime(seq as u32 * 960),
            marker: false,
            coding: Coding::Opus,
            payload,
        }
    }

    #[test]
    fn recent_packets_are_found_and_old_ones_are_not() {
        let mut ring = Ring::default();
        for seq in 0..1_000 {
            ring.insert(&packet(seq, &[seq as u8; 80]));
        }
        assert_eq!(ring.get(ExtSeq(999)), Some(packet(999, &[231; 80])));
        assert!(ring.get(ExtSeq(900)).is_some(), "two seconds old");
        assert_eq!(ring.get(ExtSeq(500)), None);
        assert_eq!(ring.get(ExtSeq(1_000)), None);
        ring.clear();
        assert_eq!(ring.get(ExtSeq(999)), None);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_put_in(sizes in proptest::collection::vec(0usize..1_400, 1..200)) {
            let mut ring = Ring::default();
            for (seq, &len) in sizes.iter().enumerate() {
                ring.insert(&packet(seq as u64, &vec![seq as u8; len]));
                prop_assert!(ring.get(ExtSeq(seq as u64)).is_some());
                for (earlier, &len) in sizes.iter().enumerate().take(seq) {
                    if let Some(found) = ring.get(ExtSeq(earlier as u64)) {
                        prop_assert_eq!(found.payload, &vec![earlier as u8; len][..]);
                    }
                }
            }
        }
    }
}
