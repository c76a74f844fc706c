//! What a server is told at its start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::credentials::Secrets;
use super::peers::PeerFilter;

/// Longest realm: with it a refusal to a stranger takes 160 bytes.
pub(super) const MAX_REALM_LEN: usize = 64;

/// One server's place, secrets and limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// What clients hash into their keys (RFC 8489 §9.2.2): printable ASCII without quotes, 1 to 64 bytes. A change
    /// makes no credentials void.
    pub realm: String,
    /// What credentials are made from.
    pub secrets: Secrets,
    /// The address that relayed IPv4 addresses have; without it there are none.
    pub relayed_ipv4: Option<Ipv4Addr>,
    /// The address that relayed IPv6 addresses have; without it there are none.
    pub relayed_ipv6: Option<Ipv6Addr>,
    /// Ports that relayed addresses have, for either family. As many allocations are possible. It may not contain a
    /// port of a peer, and no two servers with the same relayed address may share a port.
    pub relayed_ports: RangeInclusive<u16>,
    /// Whom clients may send to.
    pub peers: PeerFilter,
    pub limits: Limits,
    /// For tests with public TURN clients: a peer that sends back whatever reaches it, and is allowed besides the others.
    pub echo: Option<SocketAddr>,
}

impl Config {
    /// Without relayed addresses and peers: a STUN server, until these are set.
    pub fn new(secrets: Secrets) -> Self {
        Self {
            realm: "banter".to_owned(),
            secrets,
            relayed_ipv4: None,
            relayed_ipv6: None,
            relayed_ports: 60_001..=u16::MAX,
            peers: PeerFilter::default(),
            limits: Limits::default(),
            echo: None,
        }
    }

    /// True for what is or could be a relayed address.
    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        let is_ours = match address.ip() {
            IpAddr::V4(ip) => self.relayed_ipv4 == Some(ip),
            IpAddr::V6(ip) => self.relayed_ipv6 == Some(ip),
        };
        is_ours && self.relayed_ports.contains(&address.port())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !(1..=MAX_REALM_LEN).contains(&self.realm.len()) || !self.realm.bytes().all(is_plain) {
            return Err(ConfigError::Realm);
        }
        let addresses =
            self.relayed_ipv4.map(IpAddr::V4).into_iter().chain(self.relayed_ipv6.map(IpAddr::V6));
        for address in addresses {
            if address.is_unspecified() || address.is_multicast() || address.to_canonical() != address {
                return Err(ConfigError::RelayedAddress(address));
            }
        }
        if self.relayed_ports.is_empty() || *self.relayed_ports.start() == 0 {
            return Err(ConfigError::RelayedPorts);
        }
        match self.peers.iter().chain(self.echo).filter(|&peer| self.covers(peer)).min() {
            Some(peer) => Err(ConfigError::RelayedPeer(peer)),
            None => Ok(()),
        }
    }
}

/// Why a server cannot be made from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "the TURN realm must be 1 to {MAX_REALM_LEN} printable ASCII characters without quotes; choose another"
    )]
    Realm,
    #[error("{0} cannot be a relayed address; name one at which this machine is reached")]
    RelayedAddress(IpAddr),
    #[error("the range of relayed ports is empty or begins with port 0; name ports between 1 and 65535")]
    RelayedPorts,
    #[error(
        "{0} cannot be both a peer and a relayed address; take its port out of the range of relayed ports"
    )]
    RelayedPeer(SocketAddr),
}

/// How much anyone may take. Whoever wants more is refused; what others have is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Allocations of one participant, with the ports kept for a next one. More let a client try more networks.
    pub allocations_per_participant: usize,
    /// Allocations from one IP address. Raise it where many people share one.
    pub allocations_per_source: usize,
    /// Peers that one allocation may send to at a time.
    pub permissions_per_allocation: usize,
    /// Channels that one allocation may have at a time.
    pub channels_per_allocation: usize,
    /// Bytes per second that one client may send through its allocation, with 28 for each datagram's headers.
    pub sent_bytes_per_second: u32,
    /// The same for what it is sent. Who hears many at a time needs more of it.
    pub received_bytes_per_second: u32,
    /// How much of either rate may be had at once after a silence.
    pub burst: Duration,
    /// Answers per second to those who have not shown who they are, for each IPv4 /24 and IPv6 /56; and at once.
    pub answers_per_source: u32,
    pub answers_per_source_at_once: u32,
    /// The same for all sources together.
    pub answers: u32,
    pub answers_at_once: u32,
    /// Revoked participants that are remembered; beyond it the oldest is forgotten.
    pub revocations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations_per_participant: 12,
            allocations_per_source: 64,
            permissions_per_allocation: 16,
            channels_per_allocation: 16,
            sent_bytes_per_second: 256_000 / 8,
            received_bytes_per_second: 256_000 / 8,
            burst: Duration::from_secs(1),
            answers_per_source: 50,
            answers_per_source_at_once: 100,
            answers: 2_000,
            answers_at_once: 4_000,
            revocations: 65_536,
        }
    }
}
