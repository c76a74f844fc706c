//! Channels: four bytes in front of a datagram in place of 36 or more (RFC 8656 §12).

use std::net::SocketAddr;
use std::time::Instant;

use super::expiry::CHANNEL_LIFETIME;
use super::stun::ErrorCode;

/// Number and length before the payload (RFC 8656 §12.4).
pub(super) const CHANNEL_HEADER_LEN: usize = 4;

/// A number that stands for a peer: 0x4000 to 0x4FFF (RFC 8656 §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    pub fn new(number: u16) -> Option<Self> {
        (0x4000..=0x4FFF).contains(&number).then_some(Self(number))
    }

    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// A ChannelData message taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelData {
    pub(super) number: ChannelNumber,
    pub(super) payload_len: usize,
}

impl ChannelData {
    /// `None` if the number is none of a channel or the length goes beyond the message. What comes after the payload is
    /// padding.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[high, low, len_high, len_low], rest) = bytes.split_first_chunk::<CHANNEL_HEADER_LEN>()?;
        let number = ChannelNumber::new(u16::from_be_bytes([high, low]))?;
        let payload_len = usize::from(u16::from_be_bytes([len_high, len_low]));
        (payload_len <= rest.len()).then_some(Self { number, payload_len })
    }
}

/// The channels of one allocation. Few enough to be looked through.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<Channel>);

#[derive(Debug)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    expires: Instant,
}

impl Channels {
    pub(super) fn peer(&self, number: ChannelNumber, now: Instant) -> Option<SocketAddr> {
        Some(self.0.iter().find(|channel| channel.number == number && now < channel.expires)?.peer)
    }

    pub(super) fn number(&self, peer: SocketAddr, now: Instant) -> Option<ChannelNumber> {
        Some(self.0.iter().find(|channel| channel.peer == peer && now < channel.expires)?.number)
    }

    /// What would come of [`Self::bind`]: number and peer belong together or to nobody (RFC 8656 §12.2).
    pub(super) fn may_bind(
        &self,
        number: ChannelNumber,
        peer: SocketAddr,
        limit: usize,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        match (self.peer(number, now), self.number(peer, now)) {
            (Some(bound), Some(_)) if bound == peer => Ok(()),
            (None, None) if self.0.iter().filter(|channel| now < channel.expires).count() < limit => Ok(()),
            (None, None) => Err(ErrorCode::InsufficientCapacity),
            _ => Err(ErrorCode::BadRequest),
        }
    }

    /// Binds or renews. [`Self::may_bind`] has been asked.
    pub(super) fn bind(&mut self, number: ChannelNumber, peer: SocketAddr, now: Instant) {
        self.0.retain(|channel| now < channel.expires && channel.number != number);
        self.0.push(Channel { number, peer, expires: now + CHANNEL_LIFETIME });
    }

    #[cfg(any(test, all(fuzzing, feature = "sim")))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
