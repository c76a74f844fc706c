//! One peer connection of a participant: its negotiation, its transport, its SRTP, and what it carries.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::data::Purpose;
use crate::net::{MediaPath, PeerConnection};
use crate::rtp::srtp::{Inbound, Outbound};
use crate::sdp::{LocalDescription, Negotiation};
use crate::transport::{ChannelId, Path, Protocol, Transport};
use crate::{Ssrc, TrackKey};

/// Addresses that one peer may have validated at a time; more is a peer that hops, and the oldest are let go.
const VALIDATED_ADDRESSES: usize = 16;
/// STUN transactions of ours whose answers are awaited at a time.
const PROBES: usize = 64;

/// A peer's end of a path: what arrives from there is looked up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Remote {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
}

impl From<Path> for Remote {
    fn from(Path { protocol, remote, .. }: Path) -> Self {
        Self { protocol, address: remote }
    }
}

/// What a core has found out about an address, for the workers with which it shares a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A peer of ours knows our credentials there.
    Validated,
    /// A peer of ours receives there: whoever had it has it no more.
    Nominated,
    /// No peer of ours is there any more.
    Released,
}

/// The id that pairs a STUN answer with its question (RFC 8489 §5).
pub(crate) type TransactionId = [u8; 12];

#[derive(Debug)]
pub(crate) struct Connection {
    /// Slab index.
    pub(crate) participant: usize,
    pub(crate) which: PeerConnection,
    pub(crate) negotiation: Negotiation,
    pub(crate) transport: Transport,
    pub(crate) local: LocalDescription,
    /// Credentials under which datagrams may still come: the present ones, and those before an ICE restart.
    pub(crate) ufrags: Vec<String>,
    pub(crate) inbound: Option<Inbound>,
    pub(crate) egress: Egress,
    /// The path as it was last told of.
    pub(crate) told_path: Option<MediaPath>,
    /// Where the peer is by ICE's validation, oldest first.
    pub(crate) validated: VecDeque<Remote>,
    /// STUN questions of ours, oldest first.
    pub(crate) probes: VecDeque<TransactionId>,
    /// The publication (slab index) behind each SSRC of the peer.
    pub(crate) streams: Vec<(Ssrc, usize)>,
    /// The track behind each SSRC of ours.
    pub(crate) sending: BTreeMap<Ssrc, TrackKey>,
    /// Data channels that are open, oldest first.
    pub(crate) channels: Vec<(ChannelId, Purpose)>,
    /// What the wheel will wake us for.
    pub(crate) deadline: Option<Instant>,
    /// When the next RTCP reports are due, and how many were.
    pub(crate) report_at: Instant,
    pub(crate) reports: u64,
    /// Who we are in receiver reports.
    pub(crate) reporter: Ssrc,
    pub(crate) failed: bool,
}

/// Where and how media leaves: complete once ICE has nominated a pair and DTLS is up.
#[derive(Debug, Default)]
pub(crate) struct Egress {
    pub(crate) outbound: Option<Outbound>,
    pub(crate) path: Option<Path>,
}

impl Connection {
    pub(crate) fn is_connected(&self) -> bool {
        !self.failed && self.egress.outbound.is_some()
    }

    /// Notes a validated address; returns one that is given up for it.
    pub(crate) fn validate(&mut self, remote: Remote) -> Option<Remote> {
        self.validated.retain(|&known| known != remote);
        self.validated.push_back(remote);
        if self.validated.len() > VALIDATED_ADDRESSES { self.validated.pop_front() } else { None }
    }

    /// Notes a STUN question of ours; returns one that is given up for it.
    pub(crate) fn probe(&mut self, id: TransactionId) -> Option<TransactionId> {
        self.probes.push_back(id);
        if self.probes.len() > PROBES { self.probes.pop_front() } else { None }
    }

    /// The data channel to send on. A client that has opened two of a kind means the newer.
    pub(crate) fn channel_for(&self, purpose: Purpose) -> Option<ChannelId> {
        self.channels.iter().rev().find(|(_, other)| *other == purpose).map(|&(channel, _)| channel)
    }

    /// The publication that an SSRC of the peer belongs to.
    pub(crate) fn publication_of(&self, ssrc: Ssrc) -> Option<usize> {
        // A handful at the most: a search is faster than a hash.
        self.streams.iter().find(|(known, _)| *known == ssrc).map(|&(_, publication)| publication)
    }
}
