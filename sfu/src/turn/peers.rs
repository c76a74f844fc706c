//! Whom a client may send to through us.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// The addresses and ports at which our media is received, as announced to clients, and nothing else.
///
/// A list of what is forbidden would have to know every spelling of every private address: mapped and compatible IPv4,
/// NAT64, 6to4, Teredo. Here only what was announced is let through, as it was announced, and another spelling of it is
/// another address. A private or loopback address is allowed where it is announced, as on a LAN and in tests. There
/// is no setting that widens this by networks: a peer that is not this process has no use.
#[derive(Clone, Debug, Default)]
pub struct PeerFilter {
    peers: HashSet<SocketAddr>,
    addresses: HashSet<IpAddr>,
}

impl PeerFilter {
    /// Allows these and no others. What cannot be anybody's address is left out.
    pub fn new(peers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let peers: HashSet<SocketAddr> = peers
            .into_iter()
            .map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()))
            .filter(|peer| peer.port() != 0 && can_be_held(peer.ip()))
            .collect();
        let addresses = peers.iter().map(SocketAddr::ip).collect();
        Self { peers, addresses }
    }

    /// Those that are allowed, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.peers.iter().copied()
    }

    /// True if datagrams may be sent there.
    pub fn allows(&self, peer: SocketAddr) -> bool {
        self.peers.contains(&peer)
    }

    /// True if there is a port at this address that datagrams may be sent to: permissions know no ports (RFC 8656 §9).
    pub fn allows_some_port(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }
}

fn can_be_held(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(ip) if ip.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_only_what_is_announced_is_allowed_port_included() {
        let filter =
            PeerFilter::new(["192.0.2.10:50000", "[2001:db8::10]:50000"].map(|peer| peer.parse().unwrap()));
        assert!(filter.allows("192.0.2.10:50000".parse().unwrap()));
        assert!(filter.allows("[2001:db8::10]:50000".parse().unwrap()));
        assert!(filter.allows_some_port("192.0.2.10".parse().unwrap()));
        for other in ["192.0.2.10:50001", "192.0.2.10:3478", "192.0.2.11:50000", "[2001:db8::11]:50000"] {
            assert!(!filter.allows(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn g2_a_peer_is_held_in_its_canonical_form() {
        let filter = PeerFilter::new(["[::ffff:192.0.2.10]:50000".parse().unwrap()]);
        assert!(filter.allows("192.0.2.10:50000".parse().unwrap()));
        assert!(!filter.allows("[::ffff:192.0.2.10]:50000".parse().unwrap()));
    }

    #[test]
    fn g3_loopback_is_allowed_where_it_is_named_and_nobody_can_be_everybody() {
        let filter = PeerFilter::new(
            [
                "127.0.0.1:50000",
                "0.0.0.0:50000",
                "[::]:50000",
                "255.255.255.255:50000",
                "224.0.0.1:50000",
                "192.0.2.1:0",
            ]
            .map(|peer| peer.parse().unwrap()),
        );
        assert!(filter.allows("127.0.0.1:50000".parse().unwrap()));
        for other in
            ["0.0.0.0:50000", "[::]:50000", "255.255.255.255:50000", "224.0.0.1:50000", "192.0.2.1:0"]
        {
            assert!(!filter.allows(other.parse().unwrap()), "{other}");
            assert!(!filter.allows_some_port(other.parse::<SocketAddr>().unwrap().ip()), "{other}");
        }
    }
}
