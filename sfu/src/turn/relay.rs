//! What passes between clients and peers (RFC 8656 §11, §12). Nothing here is signed: the 5-tuple, the permission, the
//! channel, the filter of peers and the rate decide, for every datagram anew. No datagram costs a heap allocation.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use rand::Rng;

use super::Client;
use super::channel::{CHANNEL_HEADER_LEN, ChannelData, ChannelNumber};
use super::server::{Action, Server};
use super::stun::{
    ATTRIBUTE_HEADER_LEN, AttributeType, Class, Family, HEADER_LEN, MAGIC_COOKIE, MAX_ADDRESS_LEN, Method,
    TransactionId, message_type, padding, write_xor_address,
};
use crate::framing::MAX_FRAME_LEN;

/// Room to leave before a payload that is to be wrapped.
pub const MAX_PREFIX_LEN: usize = HEADER_LEN + ATTRIBUTE_HEADER_LEN + MAX_ADDRESS_LEN + ATTRIBUTE_HEADER_LEN;
/// Room to leave after it.
pub const MAX_SUFFIX_LEN: usize = 3;
/// Longest payload that is wrapped: with anything around it, it fits a frame.
pub const MAX_PAYLOAD_LEN: usize = MAX_FRAME_LEN - MAX_PREFIX_LEN - MAX_SUFFIX_LEN;

/// What a datagram counts besides its payload, as its IPv4 and UDP headers do: empty ones are not for free.
const DATAGRAM_OVERHEAD: usize = 28;

/// To whom a datagram for a relayed address goes, and what is to stand around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapping {
    pub client: Client,
    form: Form,
    payload_len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Channel(ChannelNumber),
    /// A Data indication.
    Indication {
        peer: SocketAddr,
        id: TransactionId,
    },
}

impl Wrapping {
    /// Bytes before the payload, [`MAX_PREFIX_LEN`] at most.
    pub fn prefix_len(&self) -> usize {
        match self.form {
            Form::Channel(_) => CHANNEL_HEADER_LEN,
            Form::Indication { peer, .. } => match Family::of(peer) {
                Family::V4 => MAX_PREFIX_LEN - 12,
                Family::V6 => MAX_PREFIX_LEN,
            },
        }
    }

    /// Bytes after the payload, [`MAX_SUFFIX_LEN`] at most.
    pub fn suffix_len(&self) -> usize {
        match self.form {
            // Padding that a datagram does not need (RFC 8656 §12.5).
            Form::Channel(_) if !self.client.transport.is_stream() => 0,
            Form::Channel(_) | Form::Indication { .. } => padding(self.payload_len),
        }
    }

    /// Bytes of the whole.
    pub fn frame_len(&self) -> usize {
        self.prefix_len() + self.payload_len + self.suffix_len()
    }

    /// Writes what stands before and after the payload, which is in its place already.
    ///
    /// # Panics
    /// When `frame` has not just [`Self::frame_len`] bytes.
    pub fn write(&self, frame: &mut [u8]) {
        assert_eq!(frame.len(), self.frame_len(), "a frame has room for payload, prefix and suffix");
        let (prefix, rest) = frame.split_at_mut(self.prefix_len());
        rest[self.payload_len..].fill(0);
        let payload_len = (self.payload_len as u16).to_be_bytes();
        match self.form {
            Form::Channel(number) => {
                prefix[..2].copy_from_slice(&number.to_bytes());
                prefix[2..].copy_from_slice(&payload_len);
            }
            Form::Indication { peer, id } => {
                let len = self.frame_len() - HEADER_LEN;
                prefix[..2].copy_from_slice(&message_type(Class::Indication, Method::Data));
                prefix[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                prefix[4..8].copy_from_slice(&MAGIC_COOKIE);
                prefix[8..HEADER_LEN].copy_from_slice(&id.0);
                write_attributes(&mut prefix[HEADER_LEN..], peer, id, payload_len);
            }
        }
    }
}

/// XOR-PEER-ADDRESS, and the header of DATA.
fn write_attributes(out: &mut [u8], peer: SocketAddr, id: TransactionId, payload_len: [u8; 2]) {
    let (header, rest) = out.split_at_mut(ATTRIBUTE_HEADER_LEN);
    let len = write_xor_address(rest, peer, id);
    header[..2].copy_from_slice(&AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes());
    header[2..].copy_from_slice(&(len as u16).to_be_bytes());
    let data = &mut rest[len..];
    data[..2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
    data[2..].copy_from_slice(&payload_len);
}

impl Server {
    /// How a datagram of `len` bytes that `peer`, spelled as in the [`super::PeerFilter`], sends to a relayed address gets
    /// to the client that has it. `None` if nobody has it, if he gave the peer no permission, or if it is too much; that
    /// is counted. The caller puts the payload behind room for the prefix and calls [`Wrapping::write`].
    pub fn wrap(
        &mut self,
        relayed: SocketAddr,
        peer: SocketAddr,
        len: usize,
        now: Instant,
    ) -> Option<Wrapping> {
        self.handle_timeout(now);
        let allocation = self.pool.allocation(relayed).map(|index| &mut self.allocations[index]);
        let Some(allocation) = allocation.filter(|allocation| allocation.permissions.allow(peer.ip(), now))
        else {
            self.counters.unpermitted += 1;
            return None;
        };
        if len > MAX_PAYLOAD_LEN || !allocation.receiving.take(len + DATAGRAM_OVERHEAD, self.receiving, now) {
            self.counters.throttled += 1;
            return None;
        }
        let form = match allocation.channels.number(peer, now) {
            Some(number) => Form::Channel(number),
            None => {
                let mut id = [0; 12];
                self.rng.fill_bytes(&mut id);
                Form::Indication { peer, id: TransactionId(id) }
            }
        };
        self.counters.received += 1;
        self.counters.received_bytes += len as u64;
        Some(Wrapping { client: allocation.client, form, payload_len: len })
    }

    /// RFC 8656 §12.6.
    pub(super) fn handle_channel_data(&mut self, client: Client, bytes: &[u8], now: Instant) -> Action {
        let Some(ChannelData { number, payload_len }) = ChannelData::parse(bytes) else {
            return self.refuse_junk(client);
        };
        let index = self.allocation_by_client.get(&client).copied();
        let bound =
            index.and_then(|index| Some((index, self.allocations[index].channels.peer(number, now)?)));
        match bound {
            Some((index, peer)) => {
                let payload = CHANNEL_HEADER_LEN..CHANNEL_HEADER_LEN + payload_len;
                self.pass_on(index, peer, payload, bytes, now)
            }
            None => self.drop_unpermitted(),
        }
    }

    /// RFC 8656 §11.2.
    pub(super) fn handle_send(&mut self, client: Client, bytes: &[u8], now: Instant) -> Action {
        let Some(&index) = self.allocation_by_client.get(&client) else { return self.drop_unpermitted() };
        let Some(indication) = self.parse(bytes) else { return Action::Nothing };
        let peer = indication.xor_address(AttributeType::XOR_PEER_ADDRESS).flatten();
        let data = indication.attribute(AttributeType::DATA);
        let (Some(peer), Some(data), false) = (peer, data, indication.has_unknown_attributes()) else {
            self.counters.ignored += 1;
            return Action::Nothing;
        };
        self.pass_on(index, peer, data.at..data.at + data.value.len(), bytes, now)
    }

    /// Lets a datagram leave from the relayed address, if its peer may have it.
    fn pass_on(
        &mut self,
        index: usize,
        peer: SocketAddr,
        payload: Range<usize>,
        bytes: &[u8],
        now: Instant,
    ) -> Action {
        let allocation = &self.allocations[index];
        let from = allocation.relayed(Family::of(peer));
        let Some(from) = from.filter(|_| allocation.permissions.allow(peer.ip(), now)) else {
            return self.drop_unpermitted();
        };
        // A permission knows no ports, and the peers may have changed since it was given.
        if !self.is_peer(peer) {
            self.counters.forbidden += 1;
            return Action::Nothing;
        }
        if !self.allocations[index].sending.take(payload.len() + DATAGRAM_OVERHEAD, self.sending, now) {
            self.counters.throttled += 1;
            return Action::Nothing;
        }
        self.counters.sent += 1;
        self.counters.sent_bytes += payload.len() as u64;
        if self.is_echo(peer) {
            return self.send_back(from, peer, &bytes[payload], now);
        }
        Action::Relay { from, to: peer, payload }
    }

    /// What the peer of tests does.
    fn send_back(&mut self, relayed: SocketAddr, peer: SocketAddr, payload: &[u8], now: Instant) -> Action {
        let Some(wrapping) = self.wrap(relayed, peer, payload.len(), now) else { return Action::Nothing };
        let prefix_len = wrapping.prefix_len();
        self.reply.clear();
        self.reply.resize(wrapping.frame_len(), 0);
        self.reply[prefix_len..prefix_len + payload.len()].copy_from_slice(payload);
        wrapping.write(&mut self.reply);
        Action::Reply
    }

    fn drop_unpermitted(&mut self) -> Action {
        self.counters.unpermitted += 1;
        Action::Nothing
    }
}
