//! Data channels of a room's participants: what comes in becomes events, what goes out waits in turn for a slow reader.
//!
//! A reliable message is handed to the recipient's channel at once if there is room; else it waits in the participant's
//! [`Backlog`], whose bytes all recipients of a broadcast share. Other messages are for now or never, but for those to a
//! client that is about to open its channels: whoever sees somebody come in expects to be able to tell them something.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::{debug, warn};

use crate::ParticipantKey;
use crate::connection::Connection;
use crate::net::{DataKind, Event, PeerConnection};
use crate::room::Participant;
use crate::rtp::srtp::DtlsRole;
use crate::sfu::Sfu;
use crate::transport::{ChannelId, ChannelSpec, Reliability, SendError};

/// What may wait for one participant beside what its channel has taken. A reader that is further behind loses messages.
const MAX_BACKLOG: usize = 1024 * 1024;
/// The same for lossy messages, which wait only for a channel to open: as much as may be under way on it.
const MAX_EARLY: usize = 64 * 1024;
/// Messages that may wait, so that small ones do not cost more in keeping than in bytes.
const MAX_BACKLOG_MESSAGES: usize = 2048;
/// How long a message waits for a channel that is not open: about the time in which a joining client opens its own.
const OPENING_TIME: Duration = Duration::from_secs(2);

const RELIABLE: &str = "_reliable";
const LOSSY: &str = "_lossy";
const DATA_TRACK: &str = "_data_track";

/// What a data channel is for, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Reliable,
    Lossy,
    DataTrack,
    /// Any other label: what is sent on it goes to everybody's channels of that sort as it is.
    Raw,
}

/// Messages that a participant has yet to be sent, oldest first.
#[derive(Debug)]
pub(crate) struct Backlog {
    max_bytes: usize,
    messages: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// Messages were dropped since it was last empty: that is said once.
    overflowed: bool,
}

impl Sfu {
    /// Sends a message to participants, over the connection on which each hears. Unknown keys are ignored.
    pub fn send_data(&mut self, to: &[ParticipantKey], kind: DataKind, message: &Bytes, now: Instant) {
        for key in to {
            let Some(&participant) = self.participant_by_key.get(key) else { continue };
            let connection = self.participants[participant].hears_on();
            if self.connections[connection].failed {
                continue;
            }
            self.contain(connection, |sfu| {
                sfu.send_data_on(connection, kind, message, now);
                sfu.drive(connection, now);
            });
        }
    }

    fn send_data_on(&mut self, connection: usize, kind: DataKind, message: &Bytes, now: Instant) {
        match kind {
            DataKind::Reliable => self.send_reliable(connection, message, now),
            DataKind::Lossy => match self.connections[connection].channel_for(Purpose::Lossy) {
                Some(channel) => self.send_or_drop(connection, channel, true, message),
                None => self.hold_lossy(connection, message, now),
            },
            DataKind::Raw { binary } => {
                for (channel, purpose) in self.connections[connection].channels.clone() {
                    if purpose == Purpose::Raw {
                        self.send_or_drop(connection, channel, binary, message);
                    }
                }
            }
        }
    }

    fn send_reliable(&mut self, connection: usize, message: &Bytes, now: Instant) {
        let channel = self.connections[connection].channel_for(Purpose::Reliable);
        let participant = &mut self.participants[self.connections[connection].participant];
        if let Some(channel) = channel
            && participant.backlog.messages.is_empty()
        {
            match self.connections[connection].transport.send(channel, true, message) {
                Ok(()) => return self.counters.data_sent += 1,
                Err(SendError::Full) => {}
                Err(SendError::NotOpen | SendError::TooLong) => return self.counters.data_dropped += 1,
            }
        }
        if channel.is_none() {
            self.counters.data_dropped += participant.backlog.expire(now);
        }
        if !participant.backlog.push(message.clone(), now) {
            self.counters.data_dropped += 1;
            if !std::mem::replace(&mut participant.backlog.overflowed, true) {
                warn!(participant = %participant.key, "a client reads too slowly: reliable data is dropped");
            }
        }
    }

    fn hold_lossy(&mut self, connection: usize, message: &Bytes, now: Instant) {
        let early = &mut self.participants[self.connections[connection].participant].early;
        self.counters.data_dropped += early.expire(now);
        self.counters.data_dropped += u64::from(!early.push(message.clone(), now));
    }

    fn send_or_drop(&mut self, connection: usize, channel: ChannelId, binary: bool, message: &[u8]) {
        match self.connections[connection].transport.send(channel, binary, message) {
            Ok(()) => self.counters.data_sent += 1,
            Err(SendError::Full | SendError::NotOpen | SendError::TooLong) => self.counters.data_dropped += 1,
        }
    }

    /// Hands over what has been waiting, as far as the channel takes it. True if it took something.
    pub(crate) fn send_backlog(&mut self, connection: usize) -> bool {
        let peer = &mut self.connections[connection];
        let participant = &mut self.participants[peer.participant];
        // The usual case, asked for whenever a connection has done something.
        if participant.backlog.messages.is_empty() || participant.hears_on() != connection {
            return false;
        }
        let Some(channel) = peer.channel_for(Purpose::Reliable) else { return false };
        let backlog = &mut participant.backlog;
        let mut sent = 0;
        while let Some((_, message)) = backlog.messages.front() {
            match peer.transport.send(channel, true, message) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(SendError::NotOpen | SendError::TooLong) => self.counters.data_dropped += 1,
            }
            backlog.pop();
        }
        self.counters.data_sent += sent;
        sent > 0
    }

    /// The connection is up: where we are the ones who offer, we open the channels that clients expect.
    pub(crate) fn open_data_channels(&mut self, connection: usize) {
        let Connection { which, ref mut transport, .. } = self.connections[connection];
        if which != PeerConnection::Subscriber || !transport.has_data() {
            return;
        }
        // RFC 8832 §6.
        let first = match transport.dtls_role() {
            DtlsRole::Client => 0,
            DtlsRole::Server => 1,
        };
        for (number, label) in (0..).zip([RELIABLE, LOSSY, DATA_TRACK]) {
            transport.open_channel(ChannelId(first + 2 * number), spec(label));
        }
    }

    pub(crate) fn channel_opened(
        &mut self,
        connection: usize,
        channel: ChannelId,
        spec: &ChannelSpec,
        now: Instant,
    ) {
        let purpose = match spec.label.as_str() {
            RELIABLE => Purpose::Reliable,
            LOSSY => Purpose::Lossy,
            DATA_TRACK => Purpose::DataTrack,
            _ => Purpose::Raw,
        };
        debug!(connection, channel = channel.0, ?purpose, "data channel open");
        let peer = &mut self.connections[connection];
        peer.channels.retain(|(other, _)| *other != channel);
        peer.channels.push((channel, purpose));
        let Participant { backlog, early, .. } = &mut self.participants[peer.participant];
        match purpose {
            Purpose::Reliable => self.counters.data_dropped += backlog.expire(now),
            Purpose::Lossy => {
                self.counters.data_dropped += early.expire(now);
                for (_, message) in early.take() {
                    self.send_or_drop(connection, channel, true, &message);
                }
            }
            Purpose::DataTrack | Purpose::Raw => {}
        }
    }

    pub(crate) fn channel_closed(&mut self, connection: usize, channel: ChannelId) {
        self.connections[connection].channels.retain(|(other, _)| *other != channel);
    }

    pub(crate) fn data_received(
        &mut self,
        connection: usize,
        channel: ChannelId,
        binary: bool,
        message: Bytes,
    ) {
        let connection = &self.connections[connection];
        let Some(&(_, purpose)) = connection.channels.iter().find(|(other, _)| *other == channel) else {
            return;
        };
        let kind = match purpose {
            Purpose::Reliable => DataKind::Reliable,
            Purpose::Lossy => DataKind::Lossy,
            Purpose::Raw => DataKind::Raw { binary },
            // Nobody can have been told of a track, so this is for nobody.
            Purpose::DataTrack => return self.counters.data_unsupported += 1,
        };
        self.counters.data_received += 1;
        let participant = &self.participants[connection.participant];
        let event = Event::Data { participant: participant.key, kind, message };
        self.events.push_back((participant.room, event));
    }
}

impl Backlog {
    /// For a reliable channel.
    pub(crate) fn reliable() -> Self {
        Self::bounded(MAX_BACKLOG)
    }

    /// For a lossy channel that is not open yet.
    pub(crate) fn early() -> Self {
        Self::bounded(MAX_EARLY)
    }

    fn bounded(max_bytes: usize) -> Self {
        Self { max_bytes, messages: VecDeque::new(), bytes: 0, overflowed: false }
    }

    fn take(&mut self) -> VecDeque<(Instant, Bytes)> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }

    /// Adds a message; false if there is no room for it.
    fn push(&mut self, message: Bytes, now: Instant) -> bool {
        if self.bytes + message.len() > self.max_bytes || self.messages.len() >= MAX_BACKLOG_MESSAGES {
            return false;
        }
        self.bytes += message.len();
        self.messages.push_back((now, message));
        true
    }

    fn pop(&mut self) {
        if let Some((_, message)) = self.messages.pop_front() {
            self.bytes -= message.len();
        }
        self.overflowed &= !self.messages.is_empty();
    }

    /// Drops what has waited too long for a channel; says how many messages that were.
    fn expire(&mut self, now: Instant) -> u64 {
        let before = self.messages.len();
        while let Some((since, _)) = self.messages.front()
            && now.saturating_duration_since(*since) > OPENING_TIME
        {
            self.pop();
        }
        (before - self.messages.len()) as u64
    }
}

fn spec(label: &str) -> ChannelSpec {
    let is_reliable = label == RELIABLE;
    let reliability = if is_reliable { Reliability::Full } else { Reliability::Retransmits(0) };
    ChannelSpec { label: label.to_owned(), ordered: is_reliable, reliability }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim;

    #[test]
    fn a_backlog_is_bounded_in_bytes_and_in_messages() {
        let now = sim::beginning();
        let mut backlog = Backlog::reliable();
        let message = Bytes::from(vec![0; 64 * 1024]);
        assert_eq!((0..100).filter(|_| backlog.push(message.clone(), now)).count(), 16);
        let mut backlog = Backlog::reliable();
        let taken = (0..10_000).filter(|_| backlog.push(Bytes::from_static(b"x"), now)).count();
        assert_eq!(taken, MAX_BACKLOG_MESSAGES);
    }

    #[test]
    fn what_waits_too_long_for_a_channel_is_dropped() {
        let now = sim::beginning();
        let mut backlog = Backlog::reliable();
        assert!(backlog.push(Bytes::from_static(b"one"), now));
        assert!(backlog.push(Bytes::from_static(b"two"), now + Duration::from_secs(1)));
        assert_eq!(backlog.expire(now + Duration::from_millis(2_500)), 1);
        assert_eq!((backlog.bytes, backlog.messages.len()), (3, 1));
    }
}
