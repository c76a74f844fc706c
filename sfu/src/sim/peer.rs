//! A client in a simulation: real transports, real SRTP, descriptions in LiveKit's layout, and numbered packets in
//! place of speech.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::connection::{Connection, Heard};
use super::description::{self, Purpose, Remote};
use super::hearing::{Hearing, TICKS_PER_PACKET, Utterance, encode_red};
use super::{Datagram, Node};
use crate::net::ConnectionMode;
use crate::rtp::srtp::DtlsRole;
use crate::rtp::{ExtSeq, Extension, RtpHeader, RtpTime};
use crate::transport::{ChannelSpec, FailCause, IceRole, Identity, Reliability};
use crate::{PayloadType, Ssrc, TrackKey};

/// Playing time of one packet.
const PTIME: Duration = Duration::from_millis(20);
/// Sections to hear on that a client offers from the start.
const PREFILLED: usize = 3;

/// A client with one or two peer connections.
#[derive(Debug)]
pub struct Peer {
    /// The one on which it offers.
    publisher: Connection,
    /// The one on which it is offered to, in dual mode.
    subscriber: Option<Connection>,
    purposes: Vec<Purpose>,
    microphone: Option<Microphone>,
    heard: BTreeMap<TrackKey, Hearing>,
    misdelivered: u64,
    next_packet: Instant,
    rng: StdRng,
}

#[derive(Debug)]
struct Microphone {
    track: TrackKey,
    ssrc: Ssrc,
    is_muted: bool,
    /// Decibels below overload (RFC 6464).
    level: u8,
    /// Those of the next packets; `None` where nothing is sent.
    levels: VecDeque<Option<u8>>,
    index: ExtSeq,
    timestamp: RtpTime,
    number: u32,
    /// The server would rather have RED.
    sends_red: bool,
    /// What the server takes of it at the most, in bits per second, if it has said so.
    max_bitrate: Option<u32>,
    before: Option<Utterance>,
}

impl Peer {
    /// A client at `address`; in dual mode its second connection is at the port above.
    pub fn new(
        mode: ConnectionMode,
        identity: &Identity,
        address: SocketAddr,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut publisher = Connection::new(identity, IceRole::Controlling, address, &mut rng, now);
        // A client is the DTLS client of its offers, so its streams are the even ones.
        for (stream, label) in [(0, "_reliable"), (2, "_lossy"), (4, "_data_track")] {
            publisher.open_channel(stream, channel(label));
        }
        let subscriber = match mode {
            ConnectionMode::Single => None,
            ConnectionMode::Dual => {
                let address = SocketAddr::new(address.ip(), address.port() + 1);
                Some(Connection::new(identity, IceRole::Controlled, address, &mut rng, now))
            }
        };
        let mut purposes = Vec::new();
        if mode == ConnectionMode::Single {
            purposes.extend(vec![Purpose::Hear; PREFILLED]);
            purposes.extend(vec![Purpose::Video; PREFILLED]);
        }
        purposes.push(Purpose::Data);
        Self {
            publisher,
            subscriber,
            purposes,
            microphone: None,
            heard: BTreeMap::new(),
            misdelivered: 0,
            next_packet: now,
            rng,
        }
    }

    /// Understands RED, and sends it where the server would rather have it. It does not from the start.
    pub fn set_red(&mut self, red: bool) {
        for connection in self.connections_mut() {
            connection.red = red;
        }
    }

    /// Asks for what is lost, or does not. It does from the start.
    pub fn set_repairs(&mut self, repairs: bool) {
        for connection in self.connections_mut() {
            connection.repairs = repairs;
        }
    }

    /// Begins to speak, with the next offer.
    pub fn speak(&mut self, track: TrackKey, cid: &str, now: Instant) {
        self.next_packet = now;
        let ssrc = Ssrc(self.rng.random());
        self.purposes.push(Purpose::Speak { ssrc, cid: cid.to_owned() });
        self.microphone = Some(Microphone {
            track,
            ssrc,
            is_muted: false,
            level: 30,
            levels: VecDeque::new(),
            // Just below the end, so that every call has a rollover.
            index: ExtSeq(u64::from(self.rng.random_range(65_000..=u16::MAX))),
            timestamp: RtpTime(self.rng.random()),
            number: 0,
            sends_red: false,
            max_bitrate: None,
            before: None,
        });
    }

    /// Stops speaking, with the next offer.
    pub fn hush(&mut self) {
        self.microphone = None;
        for purpose in &mut self.purposes {
            if matches!(purpose, Purpose::Speak { .. }) {
                *purpose = Purpose::Silent;
            }
        }
    }

    /// A muted microphone sends nothing and its clock runs on.
    pub fn set_muted(&mut self, muted: bool) {
        if let Some(microphone) = &mut self.microphone {
            microphone.is_muted = muted;
        }
    }

    /// How loud it says that it is, in decibels below overload: 127 is silence.
    pub fn set_level(&mut self, below_overload: u8) {
        if let Some(microphone) = &mut self.microphone {
            microphone.level = below_overload;
        }
    }

    /// How loud its next packets are, one after the other; `None` stands for one that is not sent, as of silence.
    pub fn play(&mut self, levels: impl IntoIterator<Item = Option<u8>>) {
        if let Some(microphone) = &mut self.microphone {
            microphone.levels.extend(levels);
        }
    }

    /// Adds sections to hear on, with the next offer.
    pub fn add_hearing(&mut self, sections: u32) {
        for _ in 0..sections {
            self.purposes.push(Purpose::Hear);
        }
    }

    /// New ICE credentials, with the next offer.
    pub fn restart_ice(&mut self, now: Instant) {
        self.publisher.restart_ice(&mut self.rng, now);
    }

    /// Says in its descriptions that its certificate is another one.
    pub fn claim_fingerprint(&mut self, fingerprint: &str) {
        for connection in self.connections_mut() {
            connection.claim_fingerprint(fingerprint);
        }
    }

    pub fn create_offer(&mut self) -> String {
        let version = self.publisher.next_version();
        description::offer(&self.publisher.local(), &self.purposes, version)
    }

    /// Takes the answer to its latest offer.
    pub fn handle_answer(&mut self, sdp: &str, now: Instant) {
        let remote = Remote::read(sdp);
        assert_eq!(remote.sections.len(), self.purposes.len(), "an answer has the offer's sections");
        let role = if remote.setup == "active" { DtlsRole::Server } else { DtlsRole::Client };
        self.publisher.set_remote(&remote, role, now);
        if let Some(microphone) = &mut self.microphone {
            let speaking = |purpose: &Purpose| matches!(purpose, Purpose::Speak { ssrc, .. } if *ssrc == microphone.ssrc);
            let section = self.purposes.iter().position(speaking).map(|at| &remote.sections[at]);
            microphone.max_bitrate = section.and_then(|section| section.max_bitrate);
            let preferred = section.and_then(|section| section.formats.split(' ').next());
            microphone.sends_red = preferred == Some(&description::RED.to_string());
        }
    }

    /// Answers an offer on its second connection.
    pub fn handle_offer(&mut self, sdp: &str, now: Instant) -> String {
        let remote = Remote::read(sdp);
        let connection = self.subscriber.as_mut().expect("only a client with two connections is offered to");
        if connection.is_restarted_by(&remote) {
            connection.restart_ice(&mut self.rng, now);
        }
        let version = connection.next_version();
        let answer = description::answer(&connection.local(), &remote, version);
        connection.set_remote(&remote, DtlsRole::Client, now);
        answer
    }

    /// Sends a message on the data channel with this label, which it has opened itself; false if it cannot at present.
    pub fn send_data(&mut self, label: &str, message: &[u8]) -> bool {
        self.publisher.send_data(label, message)
    }

    /// The messages received on data channels with this label, in the order of arrival.
    pub fn data(&self, label: &str) -> Vec<&[u8]> {
        let messages = self.connections().flat_map(|connection| &connection.data);
        messages.filter(|(known, _)| known == label).map(|(_, message)| message.as_slice()).collect()
    }

    /// Ends its connections.
    pub fn close(&mut self) {
        self.microphone = None;
        for connection in self.connections_mut() {
            connection.close();
        }
    }

    /// Whether all its connections that have been described are up.
    pub fn is_connected(&self) -> bool {
        self.connections().all(Connection::is_connected)
    }

    /// Why one of its connections is gone.
    pub fn failure(&self) -> Option<FailCause> {
        self.connections().find_map(Connection::failure)
    }

    /// What it has heard of a track.
    pub fn heard(&self, track: TrackKey) -> Hearing {
        self.heard.get(&track).cloned().unwrap_or_default()
    }

    /// Packets of a track that its numbering says were sent and that did not arrive.
    pub fn lost(&self, track: TrackKey) -> i64 {
        let label = track_label(track);
        self.connections().map(|connection| connection.lost(&label)).sum()
    }

    /// Everything it has heard.
    pub fn all_heard(&self) -> impl Iterator<Item = (TrackKey, &Hearing)> {
        self.heard.iter().map(|(track, hearing)| (*track, hearing))
    }

    /// Packets that were of another track than the description says of their SSRC, or of none.
    pub fn misdelivered(&self) -> u64 {
        self.misdelivered
    }

    /// Packets spoken so far.
    pub fn spoken(&self) -> u32 {
        self.microphone.as_ref().map_or(0, |microphone| microphone.number)
    }

    /// The most that the server takes of its microphone, in bits per second, if it has said so.
    pub fn max_bitrate(&self) -> Option<u32> {
        self.microphone.as_ref().and_then(|microphone| microphone.max_bitrate)
    }

    /// Sender and receiver reports received.
    pub fn reports(&self) -> u64 {
        self.connections().map(|connection| connection.reports).sum()
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.publisher).chain(&self.subscriber)
    }

    fn connections_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        std::iter::once(&mut self.publisher).chain(&mut self.subscriber)
    }

    fn take_heard(&mut self) {
        for connection in std::iter::once(&mut self.publisher).chain(&mut self.subscriber) {
            for Heard { track, utterance, header, index, copies, is_introduced } in connection.heard.drain(..)
            {
                if track == track_label(utterance.track) {
                    let hearing = self.heard.entry(utterance.track).or_default();
                    hearing.introduced += u64::from(is_introduced);
                    hearing.note_spurt(utterance, index, header.marker);
                    hearing.note(utterance, header.timestamp, &copies);
                } else {
                    self.misdelivered += 1;
                }
            }
            self.misdelivered += std::mem::take(&mut connection.unexpected);
        }
    }

    fn speak_packet(&mut self) {
        let Some(microphone) = &mut self.microphone else { return };
        let timestamp = microphone.timestamp;
        microphone.timestamp = timestamp.wrapping_add(TICKS_PER_PACKET);
        if microphone.is_muted || !self.publisher.is_connected() {
            return;
        }
        let Some(level) = microphone.levels.pop_front().unwrap_or(Some(microphone.level)) else { return };
        let index = microphone.index;
        microphone.index = ExtSeq(index.0 + 1);
        microphone.number += 1;
        let utterance =
            Utterance { track: microphone.track, number: microphone.number - 1, spoken: timestamp };
        let before = microphone.before.replace(utterance);
        let (payload_type, payload) = if microphone.sends_red {
            (description::RED, encode_red(description::OPUS, before, utterance))
        } else {
            (description::OPUS, utterance.encode().to_vec())
        };
        let header = RtpHeader {
            payload_type: PayloadType(payload_type),
            marker: microphone.number == 1,
            seq: index.seq(),
            timestamp,
            ssrc: microphone.ssrc,
        };
        let level = Extension { id: description::AUDIO_LEVEL, value: &[0x80 | level] };
        self.publisher.send_rtp(&header, index, level, &payload);
    }
}

/// The name by which a track appears in descriptions.
pub fn track_label(track: TrackKey) -> String {
    format!("TR_{track}")
}

fn channel(label: &str) -> ChannelSpec {
    let is_reliable = label == "_reliable";
    let reliability = if is_reliable { Reliability::Full } else { Reliability::Retransmits(0) };
    ChannelSpec { label: label.to_owned(), ordered: is_reliable, reliability }
}

impl Node for Peer {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.connections().map(|connection| connection.address).collect()
    }

    fn handle_datagram(&mut self, datagram: Datagram, now: Instant) {
        let to = datagram.to;
        if let Some(connection) = self.connections_mut().find(|connection| connection.address == to) {
            connection.handle_datagram(datagram, now);
        }
        self.take_heard();
    }

    fn handle_timeout(&mut self, now: Instant) {
        for connection in self.connections_mut() {
            connection.handle_timeout(now);
        }
        while self.next_packet <= now {
            self.next_packet += PTIME;
            self.speak_packet();
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        let wakes: Vec<Instant> =
            self.connections_mut().map(|connection| connection.poll(now, out)).collect();
        let speaking = self.microphone.as_ref().map(|_| self.next_packet);
        wakes.into_iter().chain(speaking).min().expect("a client has a connection")
    }
}
