//! What a connected and authentic peer that means harm can do to data channels: the establishment protocol's messages
//! as bytes, and whole histories of an association. For fuzzing, and for the tests that replay its seeds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use sctp_proto::PayloadProtocolIdentifier;

use super::{Association, ChannelEvent, ChannelId, ChannelSpec, Channels, MAX_CHANNELS, Reliability};
use crate::rtp::srtp::DtlsRole;
use crate::sim;
use crate::transport::dcep::Message;

const MAX_STEPS: usize = 64;
/// Longest message that is worth its time: it has to be cut into several chunks.
const MAX_LEN: u16 = 4096;

/// An even first byte is followed by a message of the establishment protocol, an odd one by [`Step`]s.
pub fn dcep(input: &[u8]) {
    match input.split_first() {
        Some((kind, message)) if kind % 2 == 0 => read_and_write(message),
        Some((_, steps)) => Pair::connected().play(steps),
        None => {}
    }
}

/// What is read can be written and read again.
fn read_and_write(bytes: &[u8]) {
    if let Some(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()), Some(message));
    }
}

/// What either side does next.
#[derive(Debug, Arbitrary)]
enum Step {
    /// The peer sends a message on a stream, opened or not.
    Say {
        stream: Number,
        kind: Kind,
        bytes: Vec<u8>,
    },
    /// The peer opens a channel in the proper way.
    Announce {
        stream: Number,
        label: String,
        ordered: bool,
        retransmits: Option<u8>,
    },
    Reset(Number),
    Open(Number),
    Send(Number, u16),
    Close(Number),
    Wait(u8),
    /// The peer's next packet comes twice.
    Repeat,
}

/// Of a stream. There are few, so that the steps meet on them, and one that is beyond all that are in use.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Number {
    Near(u8),
    Last,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Kind {
    Dcep,
    Binary,
    BinaryEmpty,
    String,
    StringEmpty,
    Unknown,
}

/// Our end and the peer's, on a network that loses nothing.
struct Pair {
    ours: Channels,
    peers: Channels,
    now: Instant,
    /// Channels that we were told are open.
    open: BTreeSet<ChannelId>,
    /// How many channels we have asked for.
    wanted: usize,
    repeats: bool,
}

impl Pair {
    fn connected() -> Self {
        let [ours, peers] = [DtlsRole::Server, DtlsRole::Client].map(|role| Channels::new(role, Vec::new()));
        let now = sim::beginning();
        let mut pair = Self { ours, peers, now, open: BTreeSet::new(), wanted: 0, repeats: false };
        pair.settle();
        assert!(pair.ours.is_established && pair.peers.is_established);
        pair
    }

    fn play(&mut self, steps: &[u8]) {
        let mut steps = Unstructured::new(steps);
        for _ in 0..MAX_STEPS {
            if steps.is_empty() {
                break;
            }
            let Ok(step) = steps.arbitrary() else { break };
            self.act(step);
            self.settle();
            assert!(self.ours.channels.len() <= MAX_CHANNELS + self.wanted);
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Say { stream, kind, bytes } => self.say(stream, kind.identifier(), &bytes),
            Step::Announce { stream, label, ordered, retransmits } => {
                let retransmits = retransmits.map(|count| Reliability::Retransmits(count.into()));
                let reliability = retransmits.unwrap_or(Reliability::Full);
                // Whoever announces a channel knows that labels have a bound.
                let label = label.chars().take(64).collect();
                let open = Message::Open(ChannelSpec { label, ordered, reliability }).encode();
                self.say(stream, PayloadProtocolIdentifier::Dcep, &open);
            }
            Step::Reset(stream) => {
                if let Some(association) = association(&mut self.peers)
                    && let Ok(mut stream) = association.stream(stream.into())
                {
                    let _ = stream.close();
                }
            }
            Step::Open(channel) => {
                self.wanted += 1;
                let spec =
                    ChannelSpec { label: "ours".to_owned(), ordered: true, reliability: Reliability::Full };
                self.ours.open(ChannelId(channel.into()), spec);
            }
            Step::Send(channel, len) => {
                let _ =
                    self.ours.send(ChannelId(channel.into()), len % 2 == 0, &vec![7; (len % MAX_LEN).into()]);
            }
            Step::Close(channel) => {
                let channel = ChannelId(channel.into());
                self.ours.close(channel);
            }
            Step::Wait(hundredths) => self.now += Duration::from_millis(10) * u32::from(hundredths),
            Step::Repeat => self.repeats = true,
        }
    }

    fn say(&mut self, stream: Number, identifier: PayloadProtocolIdentifier, bytes: &[u8]) {
        let Some(association) = association(&mut self.peers) else { return };
        let id = stream.into();
        if association.stream(id).is_err() {
            let _ = association.open_stream(id, identifier);
        }
        if let Ok(mut stream) = association.stream(id) {
            let _ = stream.write_with_ppi(bytes, identifier);
        }
    }

    /// Lets both ends do what they have to do, until neither says anything.
    fn settle(&mut self) {
        self.ours.handle_timeout(self.now);
        self.peers.handle_timeout(self.now);
        loop {
            let answers = self.take_ours();
            let is_quiet = answers.is_empty();
            for packet in answers {
                self.peers.handle_datagram(packet, self.now);
            }
            let packets = packets(&mut self.peers, self.now);
            if is_quiet && packets.is_empty() {
                return;
            }
            for packet in packets {
                if std::mem::take(&mut self.repeats) {
                    self.ours.handle_datagram(packet.clone(), self.now);
                }
                self.ours.handle_datagram(packet, self.now);
            }
        }
    }

    /// What we have to send. Messages come on open channels only, and a channel opens once.
    fn take_ours(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(event) = self.ours.poll_event(self.now) {
            match event {
                ChannelEvent::Packet(bytes) => packets.push(bytes.to_vec()),
                ChannelEvent::Open { channel, .. } => {
                    assert!(self.open.insert(channel), "{channel:?} opened twice");
                }
                ChannelEvent::Data { channel, .. } => {
                    assert!(self.open.contains(&channel), "data on {channel:?}, which is not open");
                }
                ChannelEvent::Closed { channel } => {
                    self.open.remove(&channel);
                }
            }
        }
        packets
    }
}

impl From<Number> for u16 {
    fn from(number: Number) -> Self {
        match number {
            Number::Near(number) => (number % 8).into(),
            Number::Last => u16::MAX,
        }
    }
}

impl Kind {
    fn identifier(self) -> PayloadProtocolIdentifier {
        match self {
            Self::Dcep => PayloadProtocolIdentifier::Dcep,
            Self::Binary => PayloadProtocolIdentifier::Binary,
            Self::BinaryEmpty => PayloadProtocolIdentifier::BinaryEmpty,
            Self::String => PayloadProtocolIdentifier::String,
            Self::StringEmpty => PayloadProtocolIdentifier::StringEmpty,
            Self::Unknown => PayloadProtocolIdentifier::Unknown,
        }
    }
}

fn association(channels: &mut Channels) -> Option<&mut Association> {
    channels.association.as_mut().map(|(_, association)| association)
}

fn packets(channels: &mut Channels, now: Instant) -> Vec<Vec<u8>> {
    let packet = |event| match event {
        ChannelEvent::Packet(bytes) => Some(bytes.to_vec()),
        _ => None,
    };
    std::iter::from_fn(|| channels.poll_event(now)).filter_map(packet).collect()
}
