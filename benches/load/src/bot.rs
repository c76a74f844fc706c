//! A participant's media, without sockets: one or two connections, a microphone, and what was heard.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use banter_sfu::rtp::{ExtSeq, Extension, RtpHeader, RtpTime};
use banter_sfu::transport::{IceRole, Identity};
use banter_sfu::{PayloadType, Ssrc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::connection::Connection;
use crate::sdp::{self, Section};
use crate::speech::{self, Frame};
use crate::stamp::Stamp;

pub const PTIME: Duration = Duration::from_millis(20);
const TICKS_PER_PACKET: u32 = 960; // 20 ms at 48 kHz (RFC 7587 §4.1)
const MAX_FRAME: usize = 400;

/// How many of a room's publishers talk at a time, and for how long before others take over.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    pub publishers: u32,
    pub speakers: u32,
    /// In packets.
    pub turn: u32,
    /// A frame in each 20 ms, without pauses.
    pub is_steady: bool,
}

impl Talk {
    /// Whether the publisher `slot` of a room talks at a packet's time.
    fn is_turn_of(&self, slot: u32, packet: u32) -> bool {
        let first = (packet / self.turn) * self.speakers;
        (slot + self.publishers - first % self.publishers) % self.publishers < self.speakers
    }
}

/// Which connection a message is about: LiveKit's signal targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Publisher,
    Subscriber,
}

#[derive(Debug)]
pub struct Microphone {
    /// Unique in the run.
    pub publisher: u32,
    /// Place among the publishers of the room.
    pub slot: u32,
    ssrc: Ssrc,
    index: ExtSeq,
    timestamp: RtpTime,
    /// Packet times since the run began, so that all rooms take turns together.
    at: u32,
    sent: u32,
    was_quiet: bool,
    /// Where in the recording it begins.
    offset: u32,
}

#[derive(Debug)]
pub struct Bot {
    pub publisher: Connection,
    /// With two connections the one on which the server offers.
    pub subscriber: Option<Connection>,
    sections: Vec<Section>,
    pub microphone: Option<Microphone>,
    pub began: Instant,
    pub was_connected: bool,
    pub has_heard: bool,
    /// Others in its room when all are there.
    pub listeners: u64,
}

impl Bot {
    pub fn new(
        identity: &Identity,
        addresses: (SocketAddr, Option<SocketAddr>),
        (began, listeners): (Instant, u64),
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        let (publisher, subscriber) = addresses;
        Self {
            publisher: Connection::new(identity, IceRole::Controlling, publisher, rng, now),
            subscriber: subscriber.map(|at| Connection::new(identity, IceRole::Controlled, at, rng, now)),
            sections: Vec::new(),
            microphone: None,
            began,
            was_connected: false,
            has_heard: false,
            listeners,
        }
    }

    /// Adds sections to hear on, with the next offer.
    pub fn hear(&mut self, sections: u32) {
        self.sections.extend((0..sections).map(|_| Section::Hear));
    }

    /// Adds a microphone, with the next offer.
    pub fn speak(&mut self, publisher: u32, slot: u32, cid: String, at: u32, rng: &mut StdRng) {
        let ssrc = Ssrc(rng.random());
        self.sections.push(Section::Speak { ssrc, cid });
        self.microphone = Some(Microphone {
            publisher,
            slot,
            ssrc,
            index: ExtSeq(u64::from(rng.random_range(0..30_000_u16))),
            timestamp: RtpTime(rng.random()),
            at,
            sent: 0,
            was_quiet: true,
            offset: rng.random_range(0..speech::len()),
        });
    }

    pub fn offer(&mut self) -> String {
        self.publisher.offer(&self.sections)
    }

    pub fn connection(&mut self, target: Target) -> &mut Connection {
        match (target, &mut self.subscriber) {
            (Target::Subscriber, Some(subscriber)) => subscriber,
            _ => &mut self.publisher,
        }
    }

    /// Whether it is where it can hear, or speak if that is all it does.
    pub fn is_connected(&self) -> bool {
        self.subscriber.as_ref().unwrap_or(&self.publisher).is_connected()
    }

    /// Lets 20 ms of the microphone pass; true if a packet went out.
    pub fn speak_frame(&mut self, talk: &Talk, now: Duration, send: impl FnMut(SocketAddr, &[u8])) -> bool {
        let Some(microphone) = &mut self.microphone else { return false };
        let frame = microphone.next_frame(talk);
        let timestamp = microphone.timestamp;
        microphone.timestamp = timestamp.wrapping_add(TICKS_PER_PACKET);
        if frame.len == 0 {
            microphone.was_quiet = true;
            return false;
        }
        let header = RtpHeader {
            payload_type: PayloadType(sdp::OPUS),
            marker: microphone.was_quiet,
            seq: microphone.index.seq(),
            timestamp,
            ssrc: microphone.ssrc,
        };
        let mut payload = [0; MAX_FRAME];
        let stamp = Stamp { sent: now, publisher: microphone.publisher, number: microphone.sent };
        stamp.write(payload.first_chunk_mut().expect("a stamp is shorter"));
        let payload = &payload[..usize::from(frame.len).clamp(Stamp::LEN, MAX_FRAME)];
        let level = Extension { id: sdp::AUDIO_LEVEL, value: &[level_byte(frame)] };
        if !self.publisher.send_rtp(&header, microphone.index, level, payload, send) {
            return false;
        }
        microphone.index = ExtSeq(microphone.index.0 + 1);
        microphone.sent += 1;
        microphone.was_quiet = false;
        true
    }
}

impl Microphone {
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
    use super::*;

    #[test]
    fn so_many_talk_at_a_time_and_everybody_has_a_turn() {
        let talk = Talk { publishers: 10, speakers: 3, turn: 200, is_steady: true };
        let mut talked = [0; 10];
        for turn in 0..10 {
            let talking: Vec<u32> = (0..10).filter(|&slot| talk.is_turn_of(slot, turn * 200 + 7)).collect();
            assert_eq!(talking.len(), 3, "{talking:?}");
            talking.iter().for_each(|&slot| talked[slot as usize] += 1);
        }
        assert_eq!(talked, [3; 10]);
    }
}
