//! A participant's media, without sockets: one or two connections, and a microphone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use banter_sfu::rtp::Extension;
use banter_sfu::transport::{IceRole, Identity};
use rand::rngs::StdRng;

use crate::connection::{Connection, Ends, Manner};
use crate::microphone::{MAX_PAYLOAD, Microphone, Talk};
use crate::sdp::{self, Section};

/// Which connection a message is about: LiveKit's signal targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Publisher,
    Subscriber,
}

/// Who comes in, as far as media is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    pub began: Instant,
    pub has_two_connections: bool,
    /// Others in its room of whom each packet is expected to come, when all are there.
    pub listeners: u64,
    /// It comes and goes: what it hears and says is not counted.
    pub is_visitor: bool,
    /// The stamp of each packet is read.
    pub is_sampled: bool,
}

#[derive(Debug)]
pub struct Bot {
    pub who: Newcomer,
    pub publisher: Connection,
    /// With two connections the one on which the server offers.
    pub subscriber: Option<Connection>,
    sections: Vec<Section>,
    pub microphone: Option<Microphone>,
    pub was_connected: bool,
    pub has_heard: bool,
}

impl Bot {
    pub fn new(
        identity: &Identity,
        who: Newcomer,
        (publisher, subscriber): (Ends, Option<Ends>),
        manner: Manner,
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        let manner = Manner { is_sampled: who.is_sampled, ..manner };
        let mut connect = |role, ends| Connection::new(identity, role, ends, manner, rng, now);
        Self {
            publisher: connect(IceRole::Controlling, publisher),
            subscriber: subscriber.map(|ends| connect(IceRole::Controlled, ends)),
            who,
            sections: Vec::new(),
            microphone: None,
            was_connected: false,
            has_heard: false,
        }
    }

    /// Adds sections to hear on, with the next offer.
    pub fn hear(&mut self, sections: u32) {
        self.sections.extend((0..sections).map(|_| Section::Hear));
    }

    /// Adds a microphone, with the next offer.
    pub fn speak(&mut self, microphone: Microphone, cid: String) {
        self.sections.push(Section::Speak { ssrc: microphone.ssrc(), cid });
        self.microphone = Some(microphone);
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

    /// Lets 20 ms of the microphone pass, whose turn was at `due`; true if a packet went out.
    pub fn speak_frame(
        &mut self,
        talk: &Talk,
        (due, lag): (Duration, Duration),
        send: impl FnMut(SocketAddr, &[u8]),
    ) -> bool {
        let Some(microphone) = &mut self.microphone else { return false };
        let mut payload = [0; MAX_PAYLOAD];
        let Some(spoken) = microphone.listen(talk, (due, lag), &mut payload) else { return false };
        let level = Extension { id: sdp::AUDIO_LEVEL, value: &[spoken.level] };
        let payload = &payload[..spoken.len];
        if !self.publisher.send_rtp(&spoken.header, spoken.index, level, payload, send) {
            return false;
        }
        microphone.note_sent();
        true
    }

    /// Ends both connections; polling them says so to the server.
    pub fn close(&mut self) {
        self.microphone = None;
        self.publisher.close();
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.close();
        }
    }
}
