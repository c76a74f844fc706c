//! Data channels (RFC 8831): SCTP over DTLS by `sctp-proto`, with channels opened in-band by either side.

#[cfg(any(test, all(fuzzing, feature = "sim")))]
pub(crate) mod fuzzing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use super::dcep::Message;
use crate::rtp::srtp::DtlsRole;

/// Largest message in either direction, as `a=max-message-size` should say (RFC 8841 §6).
pub const MAX_MESSAGE_SIZE: usize = 64 * 1024;
/// A message that is relayed grows by its sender's names, and may come back from another of our kind.
const MAX_SENT_SIZE: usize = MAX_MESSAGE_SIZE + 2048;
/// What a peer that reads too slowly may make us keep, over all its channels.
const MAX_BUFFERED: usize = 512 * 1024;
/// A channel takes no message while so much is under way on it: where everything is delivered, and where messages are
/// for now or never and old ones had better not delay new ones.
const RELIABLE_WINDOW: usize = 192 * 1024;
const LOSSY_WINDOW: usize = 64 * 1024;
/// What a peer may have in reassembly: some messages of full size at once.
const RECEIVE_BUFFER: u32 = 256 * 1024;
/// Channels that one peer may have at a time. LiveKit's clients open three.
const MAX_CHANNELS: usize = 64;
/// Leaves room for the headers of SCTP and DTLS below the MTU of 1,200 bytes.
const MAX_PAYLOAD: u32 = 1120;
/// What one peer may send in a second, over all its channels, and at once after a pause. A message costs its bytes and
/// [`MESSAGE_COST`], so that this is about a thousand small messages, or 1.8 MiB in LiveKit's chunks of 15 KiB.
const INTAKE_PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;
const INTAKE_BURST: f64 = 2.0 * 1024.0 * 1024.0;
const MESSAGE_COST: f64 = 2048.0;
/// What has to be allowed again before reading goes on, so that it goes on in strides.
const INTAKE_STRIDE: f64 = 32.0 * 1024.0;
/// SCTP knows no addresses here, but its crate wants one: TEST-NET-1 (RFC 5737).
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);

/// One configuration serves all associations.
static ENDPOINT: LazyLock<Arc<EndpointConfig>> = LazyLock::new(|| {
    let mut config = EndpointConfig::new();
    config.max_payload_size(MAX_PAYLOAD);
    Arc::new(config)
});
static TRANSPORT: LazyLock<Arc<TransportConfig>> = LazyLock::new(|| {
    let config = TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_BUFFER)
        .with_max_receive_message_size(MAX_SENT_SIZE as u32)
        .with_max_send_message_size(MAX_SENT_SIZE as u32)
        // ICE says when a peer is gone.
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(500)
        .with_rto_min_ms(400)
        .with_rto_max_ms(5000);
    Arc::new(config)
});

/// A data channel: the number of its SCTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

/// What a data channel is called and promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    pub label: String,
    pub ordered: bool,
    pub reliability: Reliability,
}

/// How hard a channel tries to deliver a message (RFC 8831 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    Full,
    /// Gives a message up after this many repeats.
    Retransmits(u32),
    /// Gives a message up after this time; milliseconds count.
    Lifetime(Duration),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the data channel is not open")]
    NotOpen,
    #[error("the message is longer than {MAX_SENT_SIZE} bytes")]
    TooLong,
    #[error("the peer does not keep up and its buffer is full")]
    Full,
}

#[derive(Debug)]
pub(super) enum ChannelEvent {
    Packet(Bytes),
    Open { channel: ChannelId, spec: ChannelSpec },
    Data { channel: ChannelId, binary: bool, bytes: Bytes },
    Closed { channel: ChannelId },
}

#[derive(Debug)]
pub(super) struct Channels {
    endpoint: Endpoint,
    /// The one association; `None` until the peer begins it.
    association: Option<(AssociationHandle, Association)>,
    is_established: bool,
    channels: BTreeMap<ChannelId, Channel>,
    intake: Intake,
    /// Streams with messages that are not read yet, because the peer sends too much.
    held: BTreeSet<ChannelId>,
    packets: VecDeque<Bytes>,
    events: VecDeque<ChannelEvent>,
}

#[derive(Debug)]
enum Channel {
    /// Ours, and nothing said about it yet.
    Wanted(ChannelSpec),
    /// Ours; the peer has not acknowledged it.
    Opening(ChannelSpec),
    /// A stream that the peer sends on, without having said what it is.
    Unannounced,
    /// Takes messages while less than `window` bytes are under way on it.
    Open { window: usize },
}

/// How much is read of a peer's messages. What it sends beyond that stays in the association's receive buffer, which
/// fills: then the peer is slowed down by SCTP, and nothing of what it sends reliably is lost.
#[derive(Debug, Default)]
struct Intake {
    /// Spent of [`INTAKE_BURST`], at the time of the latest message.
    spent: f64,
    at: Option<Instant>,
}

impl Intake {
    fn is_open(&mut self, now: Instant) -> bool {
        if let Some(at) = self.at.replace(now) {
            let passed = now.saturating_duration_since(at).as_secs_f64();
            self.spent = (self.spent - passed * INTAKE_PER_SECOND).max(0.0);
        }
        self.spent < INTAKE_BURST
    }

    fn take(&mut self, message: usize) {
        self.spent += message as f64 + MESSAGE_COST;
    }

    /// When enough is allowed again.
    fn opens_at(&self) -> Option<Instant> {
        let missing = (self.spent - INTAKE_BURST).max(0.0) + INTAKE_STRIDE;
        Some(self.at? + Duration::from_secs_f64(missing / INTAKE_PER_SECOND))
    }
}

impl Channels {
    pub(super) fn new(role: DtlsRole, wanted: Vec<(ChannelId, ChannelSpec)>) -> Self {
        let mut server = ServerConfig::default();
        server.transport = Arc::clone(&TRANSPORT);
        let mut endpoint = Endpoint::new(Arc::clone(&ENDPOINT), Some(Arc::new(server)));
        // Either side may begin (RFC 8832 leaves it open); ours does where it also began DTLS.
        let association = match role {
            DtlsRole::Client => {
                let mut config = ClientConfig::new();
                config.transport = Arc::clone(&TRANSPORT);
                endpoint.connect(config, PEER).ok()
            }
            DtlsRole::Server => None,
        };
        let channels = wanted.into_iter().map(|(channel, spec)| (channel, Channel::Wanted(spec))).collect();
        Self {
            endpoint,
            association,
            is_established: false,
            channels,
            intake: Intake::default(),
            held: BTreeSet::new(),
            packets: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub(super) fn open(&mut self, channel: ChannelId, spec: ChannelSpec) {
        self.channels.entry(channel).or_insert(Channel::Wanted(spec));
        self.open_wanted();
    }

    pub(super) fn close(&mut self, channel: ChannelId) {
        if let Some((_, association)) = &mut self.association
            && let Ok(mut stream) = association.stream(channel.0)
        {
            // Fails only where the association is no more, and the stream with it.
            let _ = stream.close();
        }
        self.remove(channel);
    }

    pub(super) fn send(&mut self, channel: ChannelId, binary: bool, message: &[u8]) -> Result<(), SendError> {
        if message.len() > MAX_SENT_SIZE {
            return Err(SendError::TooLong);
        }
        let (Some(&Channel::Open { window }), Some((_, association))) =
            (self.channels.get(&channel), &mut self.association)
        else {
            return Err(SendError::NotOpen);
        };
        let mut buffered = |channel: &ChannelId| association.stream(channel.0).ok()?.buffered_amount().ok();
        let total: usize = self.channels.keys().filter_map(&mut buffered).sum();
        if buffered(&channel).is_some_and(|buffered| buffered >= window) || total >= MAX_BUFFERED {
            return Err(SendError::Full);
        }
        // An empty message travels as one byte with an identifier of its own (RFC 8831 §6.6).
        let (identifier, bytes) = match (binary, message.is_empty()) {
            (true, false) => (PayloadProtocolIdentifier::Binary, message),
            (true, true) => (PayloadProtocolIdentifier::BinaryEmpty, &[0][..]),
            (false, false) => (PayloadProtocolIdentifier::String, message),
            (false, true) => (PayloadProtocolIdentifier::StringEmpty, &[0][..]),
        };
        let mut stream = association.stream(channel.0).map_err(|_gone| SendError::NotOpen)?;
        stream.write_with_ppi(bytes, identifier).map(|_len| ()).map_err(|_closing| SendError::NotOpen)
    }

    pub(super) fn handle_datagram(&mut self, bytes: Vec<u8>, now: Instant) {
        match self.endpoint.handle(now, PEER, None, None, bytes.into()) {
            Some((handle, DatagramEvent::NewAssociation(association))) if self.association.is_none() => {
                self.association = Some((handle, association));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((current, association)) = &mut self.association
                    && *current == handle
                {
                    association.handle_event(event);
                }
            }
            // A second association is a repeat of the first's beginning that was overtaken.
            Some((_, DatagramEvent::NewAssociation(_))) | None => {}
        }
        self.take_association_events(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
            self.take_association_events(now);
        }
        if !self.held.is_empty() && self.intake.opens_at().is_some_and(|at| at <= now) {
            for channel in std::mem::take(&mut self.held) {
                self.read(channel, now);
            }
        }
    }

    pub(super) fn poll_event(&mut self, now: Instant) -> Option<ChannelEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.packets.is_empty() {
            self.gather_packets(now);
        }
        self.packets.pop_front().map(ChannelEvent::Packet)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let association = self.association.as_ref()?.1.poll_timeout();
        let held = if self.held.is_empty() { None } else { self.intake.opens_at() };
        association.into_iter().chain(held).min()
    }

    fn gather_packets(&mut self, now: Instant) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take_packets(transmit.payload, &mut self.packets);
        }
        if let Some((_, association)) = &mut self.association {
            while let Some(transmit) = association.poll_transmit(now) {
                take_packets(transmit.payload, &mut self.packets);
            }
        }
    }

    fn take_association_events(&mut self, now: Instant) {
        loop {
            let Some((handle, association)) = &mut self.association else { return };
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    association.handle_event(event);
                }
            }
            while association.accept_stream().is_some() {}
            match association.poll() {
                Some(Event::Connected) => {
                    self.is_established = true;
                    let mut begun = association.stream_ids();
                    begun.sort_unstable();
                    for id in begun {
                        self.read(ChannelId(id), now);
                    }
                    self.open_wanted();
                }
                Some(Event::AssociationLost { reason }) => {
                    tracing::debug!(%reason, "SCTP association lost");
                    self.close_all();
                }
                Some(Event::Stream(StreamEvent::Readable { id } | StreamEvent::Opened { id })) => {
                    self.read(ChannelId(id), now);
                }
                // The crate answers the peer's reset of its direction with that of ours (RFC 8831 §6.7).
                Some(Event::Stream(StreamEvent::Finished { id })) => self.forget(ChannelId(id)),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn open_wanted(&mut self) {
        let Some((_, association)) = &mut self.association else { return };
        if !self.is_established {
            return;
        }
        let mut refused = Vec::new();
        for (&id, channel) in &mut self.channels {
            let Channel::Wanted(spec) = channel else { continue };
            let opened =
                association.open_stream(id.0, PayloadProtocolIdentifier::Binary).and_then(|mut stream| {
                    let open = Message::Open(spec.clone()).encode();
                    // The opening message is ordered and reliable whatever the channel is to be (RFC 8832 §6).
                    stream.write_with_ppi(&open, PayloadProtocolIdentifier::Dcep)?;
                    let (kind, value) = to_stream(spec.reliability);
                    stream.set_reliability_params(!spec.ordered, kind, value)
                });
            match opened {
                Ok(()) => *channel = Channel::Opening(spec.clone()),
                Err(error) => {
                    tracing::debug!(channel = id.0, %error, "data channel not opened");
                    refused.push(id);
                }
            }
        }
        for id in refused {
            self.remove(id);
        }
    }

    fn read(&mut self, id: ChannelId, now: Instant) {
        // Messages may overtake the end of the association's handshake, but answers may not.
        if !self.is_established {
            return;
        }
        if !self.channels.contains_key(&id) {
            if self.channels.len() >= MAX_CHANNELS {
                return self.close(id);
            }
            self.channels.insert(id, Channel::Unannounced);
        }
        loop {
            if !self.intake.is_open(now) {
                self.held.insert(id);
                return;
            }
            let Some((_, association)) = &mut self.association else { return };
            let Ok(mut stream) = association.stream(id.0) else { return };
            let Ok(Some(chunks)) = stream.read() else { return };
            self.intake.take(chunks.len());
            let mut bytes = vec![0; chunks.len()];
            if chunks.read(&mut bytes).is_err() {
                return self.close(id);
            }
            match chunks.ppi {
                PayloadProtocolIdentifier::Dcep => self.handle_establishment(id, &bytes),
                PayloadProtocolIdentifier::Binary => self.deliver(id, true, bytes),
                PayloadProtocolIdentifier::BinaryEmpty => self.deliver(id, true, Vec::new()),
                PayloadProtocolIdentifier::String => self.deliver(id, false, bytes),
                PayloadProtocolIdentifier::StringEmpty => self.deliver(id, false, Vec::new()),
                PayloadProtocolIdentifier::Unknown => {}
            }
        }
    }

    fn handle_establishment(&mut self, id: ChannelId, bytes: &[u8]) {
        match (Message::decode(bytes), self.channels.get(&id)) {
            (Some(Message::Open(spec)), Some(Channel::Unannounced)) => self.accept(id, spec),
            (Some(Message::Ack), Some(Channel::Opening(spec))) => {
                let spec = spec.clone();
                self.set_open(id, spec);
            }
            // What we announced may be acknowledged late, after a first message that did as well.
            (Some(Message::Ack), Some(Channel::Open { .. })) => {}
            _ => {
                tracing::debug!(channel = id.0, "data channel establishment out of order");
                self.close(id);
            }
        }
    }

    fn accept(&mut self, id: ChannelId, spec: ChannelSpec) {
        let Some((_, association)) = &mut self.association else { return };
        let acknowledged = association.stream(id.0).and_then(|mut stream| {
            stream.write_with_ppi(&Message::Ack.encode(), PayloadProtocolIdentifier::Dcep)?;
            let (kind, value) = to_stream(spec.reliability);
            stream.set_reliability_params(!spec.ordered, kind, value)
        });
        match acknowledged {
            Ok(()) => self.set_open(id, spec),
            Err(_) => self.close(id),
        }
    }

    fn set_open(&mut self, channel: ChannelId, spec: ChannelSpec) {
        let window = match spec.reliability {
            Reliability::Full => RELIABLE_WINDOW,
            Reliability::Retransmits(_) | Reliability::Lifetime(_) => LOSSY_WINDOW,
        };
        self.channels.insert(channel, Channel::Open { window });
        self.events.push_back(ChannelEvent::Open { channel, spec });
    }

    fn deliver(&mut self, channel: ChannelId, binary: bool, bytes: Vec<u8>) {
        match self.channels.get(&channel) {
            Some(Channel::Open { .. }) => {}
            // Only somebody who has seen our opening message can send here (RFC 8832 §6).
            Some(Channel::Opening(spec)) => {
                let spec = spec.clone();
                self.set_open(channel, spec);
            }
            // A channel that both sides are to know of beforehand, as LiveKit's newest clients have them until told
            // that we do not.
            Some(Channel::Unannounced | Channel::Wanted(_)) | None => return,
        }
        self.events.push_back(ChannelEvent::Data { channel, binary, bytes: bytes.into() });
    }

    /// The stream is no more, by the peer's wish.
    fn forget(&mut self, channel: ChannelId) {
        // A channel that is only wanted is the next user of this number and waits for its turn.
        if !matches!(self.channels.get(&channel), Some(Channel::Wanted(_))) {
            self.remove(channel);
        }
    }

    fn close_all(&mut self) {
        self.is_established = false;
        while let Some((&channel, _)) = self.channels.first_key_value() {
            self.remove(channel);
        }
    }

    /// Drops a channel; those that the caller asked for or was told of are reported.
    fn remove(&mut self, channel: ChannelId) {
        match self.channels.remove(&channel) {
            Some(Channel::Wanted(_) | Channel::Opening(_) | Channel::Open { .. }) => {
                self.events.push_back(ChannelEvent::Closed { channel });
            }
            Some(Channel::Unannounced) | None => {}
        }
    }
}

fn to_stream(reliability: Reliability) -> (ReliabilityType, u32) {
    match reliability {
        Reliability::Full => (ReliabilityType::Reliable, 0),
        Reliability::Retransmits(count) => (ReliabilityType::Rexmit, count),
        Reliability::Lifetime(lifetime) => {
            (ReliabilityType::Timed, u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX))
        }
    }
}

fn take_packets(payload: Payload, packets: &mut VecDeque<Bytes>) {
    if let Payload::RawEncode(encoded) = payload {
        packets.extend(encoded);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damaged_packets_of_an_authentic_peer_never_panic(
            damage in proptest::collection::vec((any::<usize>(), 12..200usize, any::<u8>()), 1..30),
        ) {
            let now = Instant::now();
            let [mut client, mut server] = [DtlsRole::Client, DtlsRole::Server].map(|role| Channels::new(role, Vec::new()));
            let spec = ChannelSpec { label: "x".to_owned(), ordered: true, reliability: Reliability::Full };
            client.open(ChannelId(0), spec);
            let mut damage = damage.into_iter().cycle();
            for round in 0..20 {
                let now = now + Duration::from_millis(100 * round);
                client.handle_timeout(now);
                server.handle_timeout(now);
                let _ = client.send(ChannelId(0), true, &[7; 3000]);
                for packet in packets(&mut client, now) {
                    let (which, at, bits) = damage.next().expect("a cycle has no end");
                    if which % 3 == 0 {
                        server.handle_datagram(damaged(&packet, at, bits), now);
                    }
                    server.handle_datagram(packet, now);
                }
                for packet in packets(&mut server, now) {
                    client.handle_datagram(packet, now);
                }
            }
        }
    }

    fn packets(channels: &mut Channels, now: Instant) -> Vec<Vec<u8>> {
        let events = std::iter::from_fn(|| channels.poll_event(now));
        let packet = |event| match event {
            ChannelEvent::Packet(bytes) => Some(bytes.to_vec()),
            _ => None,
        };
        events.filter_map(packet).collect()
    }

    /// A packet with something wrong in it that its checksum covers up.
    fn damaged(packet: &[u8], at: usize, bits: u8) -> Vec<u8> {
        let mut packet = packet.to_vec();
        let at = at % packet.len();
        packet[at] ^= bits;
        packet[8..12].fill(0);
        let checksum = crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
        packet
    }

    /// RFC 9260 appendix A, bit by bit.
    fn crc32c(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg()))
        })
    }
}
