//! STUN and TURN (RFC 8489, RFC 8656) for clients that cannot reach a media port directly.
//!
//! The only peer that a relayed address is for is this process: **a relayed address is a path inside of it**, and no
//! relay socket exists. [`Server::handle`] takes what a client sends and says what becomes of it: an answer to the
//! client, or a datagram from the client's relayed address. [`Server::wrap`] takes what is to be sent to a relayed address
//! and says to which client it goes and in what wrapping. So nothing else on this host or its network can be reached
//! through it, whatever a client asks for.
//!
//! Where to start: [`Server`] (what arrives), `request` (what may be asked for), `relay` (what is passed on). Before any
//! of it come `auth` (who asks), [`credentials`] and `limits`; [`stun`] is the codec.
//!
//! Not offered, on purpose: relaying over TCP (RFC 6062), mobility (RFC 8016), OAuth (RFC 7635), what RFC 3489 and
//! RFC 5780 ask of STUN servers, anonymous usernames (USERHASH needs a table of users), and peers other than ours.

mod allocation;
mod answer;
mod auth;
mod channel;
mod config;
#[cfg(any(test, all(fuzzing, feature = "sim")))]
mod consistency;
mod counters;
pub mod credentials;
mod expiry;
mod limits;
mod peers;
mod permission;
mod pool;
mod relay;
mod request;
mod revocation;
mod server;
pub mod stun;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::ops::Range;

pub use channel::ChannelNumber;
pub use config::{Config, ConfigError, Limits};
pub use counters::Counters;
pub use peers::PeerFilter;
pub use relay::{MAX_PAYLOAD_LEN, MAX_PREFIX_LEN, MAX_SUFFIX_LEN, Wrapping};
pub use server::Server;

use stun::{AttributeType, Family, HEADER_LEN, MAGIC_COOKIE};

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// True where messages lie in a stream: ChannelData is padded there, and junk ends it.
    pub fn is_stream(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

/// Both ends between which a client and the server talk: what RFC 8656 calls the 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    pub transport: Transport,
    /// The address of ours at which its messages arrive, and from which it is answered.
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Client {
    pub fn carrier(&self) -> Carrier {
        Carrier { transport: self.transport, family: Family::of(self.remote) }
    }
}

/// What a client's messages travel by, whatever the family of its relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier {
    pub transport: Transport,
    pub family: Family,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Nothing is to be done.
    Nothing,
    /// One message for the same client, on the way that its own came.
    Reply(&'a [u8]),
    /// A datagram that the client sends from its relayed address.
    Relay {
        from: SocketAddr,
        /// One of the peers that are allowed: an address of ours.
        to: SocketAddr,
        /// Where in the message the datagram lies.
        payload: Range<usize>,
    },
    /// The stream carries no messages (any more): it is to be closed.
    Close,
}

/// True for datagrams on a media port that are this server's and not ICE's: ChannelData, TURN's requests and
/// indications, and Binding requests that name no user, which ICE's always do (RFC 8445 §7.1.1, RFC 7983 §7).
pub fn is_for_turn(datagram: &[u8]) -> bool {
    let Some(header) = datagram.first_chunk::<HEADER_LEN>() else {
        return matches!(datagram.first(), Some(0x40..=0x4F));
    };
    match (header[0], header[1]) {
        (0x40..=0x4F, _) => true,
        _ if header[4..8] != MAGIC_COOKIE => false,
        // Allocate, Refresh, CreatePermission and ChannelBind requests, and Send indications.
        (0x00, 0x03 | 0x04 | 0x08 | 0x09 | 0x16) => true,
        (0x00, 0x01) => stun::Message::parse(datagram)
            .is_ok_and(|request| request.attribute(AttributeType::USERNAME).is_none()),
        _ => false,
    }
}
