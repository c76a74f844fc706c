//! A bot's microphone: whose turn it is to talk, and what goes into each packet.

use std::collections::VecDeque;
use std::time::Duration;

use banter_sfu::rtp::{ExtSeq, RtpHeader, RtpTime};
use banter_sfu::{PayloadType, Ssrc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::sdp;
use crate::speech::{self, Frame};
use crate::stamp::Stamp;

pub const PTIME: Duration = Duration::from_millis(20);
const TICKS_PER_PACKET: u32 = 960; // 20 ms at 48 kHz (RFC 7587 §4.1)
const MAX_FRAME: usize = 400;
/// Frames that RED repeats, as browsers do.
const REPEATED: usize = 2;
/// Timestamps of blocks lie no further back: 14 bits (RFC 2198 §3).
const MAX_OFFSET: u32 = (1 << 14) - 1;
const BLOCK_HEADER: usize = 4;
pub const MAX_PAYLOAD: usize = (1 + REPEATED) * (BLOCK_HEADER + MAX_FRAME);

/// How many of a room's publishers talk at a time, and for how long before others take over.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    pub publishers: u32,
    pub speakers: u32,
    /// In packets.
    pub turn: u32,
    /// A frame in each 20 ms, without pauses.
    pub is_steady: bool,
    pub red: bool,
}

impl Talk {
    /// Whether the publisher `slot` of a room talks at a packet's time.
    fn is_turn_of(&self, slot: u32, packet: u32) -> bool {
        let first = (packet / self.turn) * self.speakers;
        (slot + self.publishers - first % self.publishers) % self.publishers < self.speakers
    }
}

#[derive(Debug)]
pub struct Microphone {
    /// Unique in the run.
    publisher: u32,
    /// Place among the publishers of the room.
    slot: u32,
    ssrc: Ssrc,
    index: ExtSeq,
    timestamp: RtpTime,
    /// Packet times since the run began, so that all rooms take turns together.
    at: u32,
    sent: u32,
    was_quiet: bool,
    /// Where in the recording it begins.
    offset: u32,
    /// The latest frames, for RED.
    recent: VecDeque<(RtpTime, Vec<u8>)>,
}

/// What a microphone gives to be sent.
#[derive(Debug)]
pub struct Spoken {
    pub header: RtpHeader,
    pub index: ExtSeq,
    /// As RFC 6464 §3 has it.
    pub level: u8,
    /// Bytes of the payload.
    pub len: usize,
}

impl Microphone {
    pub fn new(publisher: u32, slot: u32, at: u32, rng: &mut StdRng) -> Self {
        Self {
            publisher,
            slot,
            ssrc: Ssrc(rng.random()),
            index: ExtSeq(u64::from(rng.random_range(0..30_000_u16))),
            timestamp: RtpTime(rng.random()),
            at,
            sent: 0,
            was_quiet: true,
            offset: rng.random_range(0..speech::len()),
            recent: VecDeque::new(),
        }
    }

    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Lets 20 ms pass. What there is to send is written to `payload`.
    pub fn listen(
        &mut self,
        talk: &Talk,
        (due, lag): (Duration, Duration),
        payload: &mut [u8; MAX_PAYLOAD],
    ) -> Option<Spoken> {
        let frame = self.next_frame(talk);
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(TICKS_PER_PACKET);
        if frame.len == 0 {
            self.was_quiet = true;
            return None;
        }
        let mut content = vec![0; usize::from(frame.len).clamp(Stamp::LEN, MAX_FRAME)];
        let stamp = Stamp { due, lag, publisher: self.publisher, number: self.sent };
        stamp.write(content.first_chunk_mut().expect("a stamp is shorter"));
        let (payload_type, len) = match talk.red {
            true => (sdp::RED, self.write_red(timestamp, &content, payload)),
            false => {
                payload[..content.len()].copy_from_slice(&content);
                (sdp::OPUS, content.len())
            }
        };
        if talk.red {
            self.recent.push_back((timestamp, content));
            if self.recent.len() > REPEATED {
                self.recent.pop_front();
            }
        }
        let header = RtpHeader {
            payload_type: PayloadType(payload_type),
            marker: std::mem::take(&mut self.was_quiet),
            seq: self.index.seq(),
            timestamp,
            ssrc: self.ssrc,
        };
        Some(Spoken { header, index: self.index, level: level_byte(frame), len })
    }

    /// What [`Self::listen`] gave has gone out.
    pub fn note_sent(&mut self) {
        self.index = ExtSeq(self.index.0 + 1);
        self.sent += 1;
    }

    /// RFC 2198 §3: a header for each earlier frame, one for this one, and the frames.
    fn write_red(&self, timestamp: RtpTime, content: &[u8], payload: &mut [u8; MAX_PAYLOAD]) -> usize {
        let offset = |earlier: RtpTime| timestamp.distance_from(earlier).unsigned_abs();
        let earlier = || self.recent.iter().filter(|(earlier, _)| offset(*earlier) <= MAX_OFFSET);
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            payload[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        for (at, frame) in earlier() {
            let word = 1 << 31 | u32::from(sdp::OPUS) << 24 | offset(*at) << 10 | frame.len() as u32;
            put(&word.to_be_bytes());
        }
        put(&[sdp::OPUS]);
        earlier().for_each(|(_, frame)| put(frame));
        put(content);
        len
    }

    fn next_frame(&mut self, talk: &Talk) -> Frame {
        let at = self.at;
        self.at += 1;
        match talk.is_turn_of(self.slot, at) {
            true if talk.is_steady => speech::steady(),
            true => speech::talking(self.offset + at),
            false => speech::quiet(at + self.slot),
        }
    }
}

/// RFC 6464 §3: the first bit says that it is a voice.
fn level_byte(frame: Frame) -> u8 {
    u8::from(frame.level < 127) << 7 | frame.level
}

#[cfg(test)]
mod tests {
    use banter_sfu::rtp::red::Red;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn so_many_talk_at_a_time_and_everybody_has_a_turn() {
        let talk = Talk { publishers: 10, speakers: 3, turn: 200, is_steady: true, red: false };
        let mut talked = [0; 10];
        for turn in 0..10 {
            let talking: Vec<u32> = (0..10).filter(|&slot| talk.is_turn_of(slot, turn * 200 + 7)).collect();
            assert_eq!(talking.len(), 3, "{talking:?}");
            talking.iter().for_each(|&slot| talked[slot as usize] += 1);
        }
        assert_eq!(talked, [3; 10]);
    }

    #[test]
    fn a_packet_of_red_brings_the_two_frames_before() {
        let talk = Talk { publishers: 1, speakers: 1, turn: 200, is_steady: true, red: true };
        let mut microphone = Microphone::new(7, 0, 0, &mut StdRng::seed_from_u64(1));
        let mut payload = [0; MAX_PAYLOAD];
        let mut last = None;
        for packet in 0..3 {
            last = microphone.listen(&talk, (PTIME * packet, Duration::ZERO), &mut payload);
            microphone.note_sent();
        }
        let Spoken { header, index, len, .. } = last.expect("it talks without pauses");
        let red = Red::parse(&payload[..len]).expect("it is RED");
        let number = |payload: &[u8]| Stamp::read(payload).map(|stamp| stamp.number);
        assert_eq!(number(red.primary.payload), Some(2));
        let earlier: Vec<_> = red
            .recover(index, header.timestamp)
            .map(|frame| (index.0 - frame.index.0, number(frame.block.payload)))
            .collect();
        assert_eq!(earlier, [(2, Some(0)), (1, Some(1))]);
    }
}
