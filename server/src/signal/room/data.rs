//! Messages on data channels: who may send them, to whom they go, and which are repeats.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use banter_protocol::data_packet::{Content, DataPacket, Delivery, Sender, Stamp};
use banter_sfu::ParticipantKey;
use banter_sfu::net::DataKind;
use banter_sfu::transport::MAX_MESSAGE_SIZE;
use bytes::Bytes;
use livekit_protocol::participant_info::Kind;
use livekit_protocol::{self as proto, DataChannelReceiveState};
use prost::Message;
use tracing::debug;

use super::participant::{Participant, Stage};
use super::{MediaCommand, Now, Room};
use crate::signal::SendDataError;

/// Nonces that are remembered, to tell repeats of a message.
const NONCES: usize = 100;
/// How long reliable packets can be had again, and how many bytes of them.
const RECENT_TIME: Duration = Duration::from_secs(2);
const RECENT_BYTES: usize = 1024 * 1024;
const RECENT_PACKETS: usize = 2048;

/// What a room remembers of the packets that it has passed on.
#[derive(Debug, Default)]
pub(super) struct DataRelay {
    nonces: VecDeque<Vec<u8>>,
    /// Numbered reliable packets, oldest first.
    recent: VecDeque<Recent>,
    recent_bytes: usize,
}

#[derive(Debug)]
struct Recent {
    at: Instant,
    sender_sid: String,
    sequence: u32,
    to: Vec<ParticipantKey>,
    message: Bytes,
}

/// For whom a packet is.
struct Destinations<'a> {
    /// Empty means everyone; else they overrule the sids.
    identities: BTreeSet<&'a str>,
    sids: BTreeSet<&'a str>,
    delivery: Delivery,
    /// Only those who may subscribe to metrics.
    metrics: bool,
}

impl Room {
    /// A participant has sent a message on a data channel.
    pub(super) fn data_received(&mut self, key: ParticipantKey, kind: DataKind, message: Bytes, now: Now) {
        let Some(sender) = self.participants.get(&key) else { return };
        if !sender.grant.may_publish_data() {
            debug!(participant = sender.sid.as_str(), "data dropped: its sender may not publish data");
            return;
        }
        match kind {
            DataKind::Reliable => self.relay(key, Delivery::Reliable, &message, now),
            DataKind::Lossy => self.relay(key, Delivery::Lossy, &message, now),
            DataKind::Raw { .. } => {
                let active = |other: &Participant| other.stage == Stage::Active;
                let to = self.participants.iter().filter(|(other, found)| **other != key && active(found));
                let to = to.map(|(other, _)| *other).collect();
                self.media_data(to, kind, message);
            }
        }
    }

    /// Sends a packet in nobody's name. `destination_identities` is for whom; nobody named means everyone, unless the
    /// packet names sids in older clients' way.
    pub(in crate::signal) fn send_data(
        &mut self,
        mut packet: proto::DataPacket,
        destination_identities: Vec<String>,
    ) -> Result<(), SendDataError> {
        packet.destination_identities = destination_identities;
        let bytes = packet.encode_to_vec();
        if bytes.len() > MAX_MESSAGE_SIZE {
            return Err(SendDataError::TooLong);
        }
        let read = DataPacket::parse(&bytes).expect("what we have encoded is well formed");
        let delivery = match i32::from(proto::data_packet::Kind::Lossy) {
            #[expect(deprecated, reason = "it is how callers choose the channel")]
            lossy if packet.kind == lossy => Delivery::Lossy,
            _ => Delivery::Reliable,
        };
        if self.data.is_repeat(read.content) {
            return Ok(());
        }
        let to = self.recipients(None, &Destinations::of(&read, delivery));
        self.media_data(to, data_kind(delivery), bytes.into());
        Ok(())
    }

    /// Sends a participant again what it may have missed: by the sid of each publisher, everything after a number.
    pub(super) fn replay_data(&mut self, key: ParticipantKey, states: &[DataChannelReceiveState], now: Now) {
        self.data.forget_old(now.instant);
        let missed = |recent: &&Recent| {
            let state = states.iter().find(|state| state.publisher_sid == recent.sender_sid);
            recent.to.contains(&key) && state.is_some_and(|state| recent.sequence > state.last_seq)
        };
        let missed: Vec<Bytes> =
            self.data.recent.iter().filter(missed).map(|recent| recent.message.clone()).collect();
        for message in missed {
            self.media_data(vec![key], DataKind::Reliable, message);
        }
    }

    fn relay(&mut self, key: ParticipantKey, delivery: Delivery, message: &[u8], now: Now) {
        let Some(sender) = self.participants.get_mut(&key) else { return };
        let Ok(packet) = DataPacket::parse(message) else {
            debug!(participant = sender.sid.as_str(), "data dropped: it is no data packet");
            return;
        };
        let is_agent = is_agent(sender);
        let allowed = match packet.content {
            Content::Empty | Content::Speakers => false,
            Content::Transcription => is_agent,
            _ => true,
        };
        let is_numbered = delivery == Delivery::Reliable && packet.sequence > 0;
        let is_old = is_numbered && packet.sequence <= sender.last_sequence;
        if !allowed || is_old {
            debug!(participant = sender.sid.as_str(), is_old, "data dropped: it is a repeat or not allowed");
            return;
        }
        if is_numbered {
            sender.last_sequence = packet.sequence;
        }
        if self.data.is_repeat(packet.content) || self.ends_at_call(key, packet.content) {
            return;
        }
        let sender = &self.participants[&key];
        let stamp = Stamp { delivery, sid: sender.sid.as_str(), sender: name_of(sender, &packet, is_agent) };
        let message = Bytes::from(packet.stamped(&stamp));
        let to = self.recipients(Some(key), &Destinations::of(&packet, delivery));
        if is_numbered {
            let recent = Recent {
                at: now.instant,
                sender_sid: sender.sid.to_string(),
                sequence: packet.sequence,
                to: to.clone(),
                message: message.clone(),
            };
            self.data.remember(recent);
        }
        self.media_data(to, data_kind(delivery), message);
    }

    fn recipients(
        &self,
        sender: Option<ParticipantKey>,
        destinations: &Destinations<'_>,
    ) -> Vec<ParticipantKey> {
        let others = self.participants.iter().filter(|(other, _)| Some(**other) != sender);
        others.filter(|(_, other)| destinations.include(other)).map(|(other, _)| *other).collect()
    }

    pub(super) fn media_data(&mut self, to: Vec<ParticipantKey>, kind: DataKind, message: Bytes) {
        if !to.is_empty() {
            self.media(MediaCommand::SendData { to, kind, message });
        }
    }
}

impl DataRelay {
    /// Whether a message with this nonce has been seen; notes it if not.
    fn is_repeat(&mut self, content: Content<'_>) -> bool {
        let Content::User { nonce } = content else { return false };
        if nonce.is_empty() {
            return false;
        }
        if self.nonces.iter().any(|known| known == nonce) {
            return true;
        }
        if self.nonces.len() == NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(nonce.to_vec());
        false
    }

    fn remember(&mut self, recent: Recent) {
        self.forget_old(recent.at);
        self.recent_bytes += recent.message.len();
        self.recent.push_back(recent);
        while self.recent_bytes > RECENT_BYTES || self.recent.len() > RECENT_PACKETS {
            self.forget_oldest();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.recent.front().is_some_and(|recent| now.saturating_duration_since(recent.at) > RECENT_TIME)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(recent) = self.recent.pop_front() {
            self.recent_bytes -= recent.message.len();
        }
    }
}

impl<'a> Destinations<'a> {
    fn of(packet: &DataPacket<'a>, delivery: Delivery) -> Self {
        Self {
            identities: packet.destination_identities.iter().copied().collect(),
            sids: packet.destination_sids.iter().copied().collect(),
            delivery,
            metrics: packet.content == Content::Metrics,
        }
    }

    fn include(&self, participant: &Participant) -> bool {
        // Reliable packets wait at the media plane for the channels of one who is joining.
        let is_there = participant.stage == Stage::Active || self.delivery == Delivery::Reliable;
        let is_meant = if !self.identities.is_empty() {
            self.identities.contains(participant.identity())
        } else {
            self.sids.is_empty() || self.sids.contains(participant.sid.as_str())
        };
        let may = !self.metrics || participant.grant.can_subscribe_metrics.unwrap_or(false);
        is_there && is_meant && may
    }
}

/// Agents may speak in the name of those whom they transcribe.
fn name_of<'a>(sender: &'a Participant, packet: &DataPacket<'_>, is_agent: bool) -> Sender<'a> {
    let speaks_for_another = is_agent
        && matches!(packet.content, Content::Chat | Content::StreamHeader { is_text: true })
        && !packet.identity.is_empty()
        && packet.identity != sender.identity();
    match () {
        () if speaks_for_another => Sender::Claimed,
        () if sender.grant.hidden => Sender::Identity(""),
        () => Sender::Identity(sender.identity()),
    }
}

fn is_agent(participant: &Participant) -> bool {
    participant.grant.agent || participant.kind() == Kind::Agent
}

fn data_kind(delivery: Delivery) -> DataKind {
    match delivery {
        Delivery::Reliable => DataKind::Reliable,
        Delivery::Lossy => DataKind::Lossy,
    }
}
