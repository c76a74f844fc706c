//! What is said and heard in a simulation: numbered packets, and the account of their arrival.

use crate::TrackKey;
use crate::rtp::{ExtSeq, RtpTime};

/// 20 ms at 48 kHz (RFC 7587 §4.1).
pub(super) const TICKS_PER_PACKET: u32 = 960;

/// Bytes of one payload: 20 ms of Opus at 32 kbit/s.
const PAYLOAD_LEN: usize = 80;
/// First byte of a SILK-less 20 ms Opus packet (RFC 6716 §3.1), for those who look.
const OPUS_TOC: u8 = 0xFC;

/// What stands in for one packet of Opus: who says it, and as which of their packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utterance {
    pub(super) track: TrackKey,
    pub(super) number: u32,
    /// The timestamp that the speaker gave it.
    pub(super) spoken: RtpTime,
}

impl Utterance {
    pub(super) fn encode(self) -> [u8; PAYLOAD_LEN] {
        let mut payload = [0; PAYLOAD_LEN];
        payload[0] = OPUS_TOC;
        payload[1..9].copy_from_slice(&self.track.0.to_be_bytes());
        payload[9..13].copy_from_slice(&self.number.to_be_bytes());
        payload[13..17].copy_from_slice(&self.spoken.0.to_be_bytes());
        payload
    }

    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let (&[OPUS_TOC, t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3, s0, s1, s2, s3], _) =
            payload.split_first_chunk()?
        else {
            return None;
        };
        (payload.len() == PAYLOAD_LEN).then_some(Self {
            track: TrackKey(u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
            number: u32::from_be_bytes([n0, n1, n2, n3]),
            spoken: RtpTime(u32::from_be_bytes([s0, s1, s2, s3])),
        })
    }
}

/// RED with one redundant block (RFC 2198 §3): the packet before, where there is one, then this one.
pub(super) fn encode_red(opus: u8, before: Option<Utterance>, now: Utterance) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some(before) = before {
        let offset = now.spoken.0.wrapping_sub(before.spoken.0);
        let block = 1 << 31 | u32::from(opus) << 24 | offset << 10 | PAYLOAD_LEN as u32;
        payload.extend(block.to_be_bytes());
    }
    payload.push(opus);
    payload.extend(before.into_iter().flat_map(Utterance::encode));
    payload.extend(now.encode());
    payload
}

/// The blocks of a RED payload, oldest first.
pub(super) fn decode_red(payload: &[u8]) -> Option<Vec<Utterance>> {
    let mut lengths = Vec::new();
    let mut rest = payload;
    while rest.first()? & 0x80 != 0 {
        let (&[_, _, high, low], after) = rest.split_first_chunk()?;
        lengths.push(usize::from(high & 0x03) << 8 | usize::from(low));
        rest = after;
    }
    let mut blocks = rest.get(1..)?;
    let mut utterances = Vec::new();
    for length in lengths {
        let (block, after) = blocks.split_at_checked(length)?;
        utterances.push(Utterance::decode(block)?);
        blocks = after;
    }
    utterances.push(Utterance::decode(blocks)?);
    Some(utterances)
}

/// What one peer has heard of one track.
#[derive(Clone, Debug, Default)]
pub struct Hearing {
    /// Packets that arrived, each counted once.
    pub packets: u64,
    /// Packets that SRTP let through and that had been heard before.
    pub repeated: u64,
    /// Packets whose distance on the clock from the first is not what the speaker gave them.
    pub out_of_time: u64,
    /// Packets that came as RED, with what came before them.
    pub redundant: u64,
    /// Packets that named the section that they belong to.
    pub introduced: u64,
    /// Packets marked as the first of a talk spurt.
    pub marked: u64,
    /// Packets that follow the one before by number and not in time, and are not marked.
    pub unmarked: u64,
    numbers: Numbers,
    /// What came by itself or as a copy.
    known: Numbers,
    extent: Option<Extent>,
    /// Number and timestamp of the packet with the highest number.
    latest: Option<(ExtSeq, RtpTime)>,
}

/// Numbers of utterances, a bit each.
#[derive(Clone, Debug, Default)]
struct Numbers {
    words: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// False if the number is there already.
    fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, number % 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] >> bit & 1 == 0;
        self.words[word] |= 1 << bit;
        self.count += u64::from(is_new);
        is_new
    }
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    first: u32,
    last: u32,
    /// Timestamp as heard minus as spoken.
    clock_offset: u32,
}

impl Hearing {
    /// Looks at how a packet follows the one before.
    pub(super) fn note_spurt(&mut self, utterance: Utterance, index: ExtSeq, marker: bool) {
        self.marked += u64::from(marker);
        if let Some((latest, spoken)) = self.latest {
            let is_next = index.0 == latest.0 + 1;
            let in_time = utterance.spoken == spoken.wrapping_add(TICKS_PER_PACKET);
            self.unmarked += u64::from(is_next && !in_time && !marker);
        }
        if self.latest.is_none_or(|(latest, _)| index > latest) {
            self.latest = Some((index, utterance.spoken));
        }
    }

    /// Takes an utterance that came, with what came with it of those before, oldest first.
    pub(super) fn note(&mut self, utterance: Utterance, heard: RtpTime, copies: &[Utterance]) {
        self.redundant += u64::from(!copies.is_empty());
        let Utterance { number, spoken, .. } = utterance;
        let clock_offset = heard.0.wrapping_sub(spoken.0);
        let extent = self.extent.get_or_insert(Extent { first: number, last: number, clock_offset });
        extent.first = extent.first.min(number);
        extent.last = extent.last.max(number);
        self.out_of_time += u64::from(extent.clock_offset != clock_offset);
        if self.numbers.insert(number) {
            self.packets += 1;
        } else {
            self.repeated += 1;
        }
        self.known.insert(number);
        let first = extent.first;
        for copy in copies.iter().filter(|copy| copy.track == utterance.track && copy.number >= first) {
            self.known.insert(copy.number);
        }
    }

    /// Packets between the first and the last that did not arrive.
    pub fn missing(&self) -> u64 {
        self.extent.map_or(0, |Extent { first, last, .. }| u64::from(last - first) + 1 - self.packets)
    }

    /// Utterances between the first and the last that came neither by themselves nor as a copy: what a decoder has to make up.
    pub fn made_up(&self) -> u64 {
        self.extent.map_or(0, |Extent { first, last, .. }| u64::from(last - first) + 1 - self.known.count)
    }

    /// The number of the latest packet.
    pub fn last(&self) -> Option<u32> {
        self.extent.map(|extent| extent.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_carries_the_packet_before() {
        let [before, now] =
            [1, 2].map(|number| Utterance { track: TrackKey(1), number, spoken: RtpTime(960 * number) });
        assert_eq!(decode_red(&encode_red(111, Some(before), now)), Some(vec![before, now]));
        assert_eq!(decode_red(&encode_red(111, None, now)), Some(vec![now]));
        assert_eq!(decode_red(&[0x80]), None);
    }

    #[test]
    fn an_account_tells_losses_from_repeats() {
        let mut hearing = Hearing::default();
        for number in [3, 4, 7, 4] {
            let [utterance, before] = [number, number - 1].map(|number| Utterance {
                track: TrackKey(1),
                number,
                spoken: RtpTime(960 * number),
            });
            assert_eq!(Utterance::decode(&utterance.encode()), Some(utterance));
            hearing.note(utterance, RtpTime(960 * number + 77), &[before]);
        }
        assert_eq!((hearing.packets, hearing.repeated, hearing.missing(), hearing.out_of_time), (3, 1, 2, 0));
        assert_eq!((hearing.redundant, hearing.made_up()), (4, 1));
    }
}
