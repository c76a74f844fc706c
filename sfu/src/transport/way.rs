//! A connection that may be reached by one way only, so that a test of the network tells about that way.

use std::net::SocketAddr;

use super::ice::{LocalAddresses, Path, Protocol};
use crate::relayed;
use crate::turn::Transport;

/// The one way by which a connection may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Udp4,
    Udp6,
    /// ICE over TCP, of either address family.
    Tcp,
    /// Through our own TURN server, to which the client talks by this.
    Relayed(Transport),
}

impl Way {
    /// Of `addresses` those by which a connection is found this way. TURN is told of the addresses for datagrams: they are
    /// what it relays to.
    pub(crate) fn among(self, addresses: LocalAddresses) -> LocalAddresses {
        let LocalAddresses { mut udp, tcp } = addresses;
        match self {
            Self::Udp4 => udp.retain(SocketAddr::is_ipv4),
            Self::Udp6 => udp.retain(SocketAddr::is_ipv6),
            Self::Tcp => return LocalAddresses { udp: Vec::new(), tcp },
            Self::Relayed(_) => {}
        }
        LocalAddresses { udp, tcp: Vec::new() }
    }

    /// Whether what comes on `path` has come this way.
    pub(super) fn takes(self, path: Path) -> bool {
        match self {
            Self::Udp4 => path.protocol == Protocol::Udp && path.local.is_ipv4(),
            Self::Udp6 => path.protocol == Protocol::Udp && path.local.is_ipv6(),
            Self::Tcp => path.protocol == Protocol::Tcp,
            Self::Relayed(transport) => {
                matches!(path.protocol, Protocol::Relayed(by) if by.transport == transport)
            }
        }
    }

    /// Whether the peer is to be looked for at an address that it has signalled.
    pub(super) fn leads_to(self, remote: SocketAddr) -> bool {
        let is_relayed = relayed::is_relayed(remote.ip());
        match self {
            Self::Udp4 => remote.is_ipv4() && !is_relayed,
            Self::Udp6 => remote.is_ipv6() && !is_relayed,
            // The peer opens the stream.
            Self::Tcp => false,
            Self::Relayed(_) => is_relayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Carrier;
    use crate::turn::stun::Family;

    const WAYS: [Way; 5] =
        [Way::Udp4, Way::Udp6, Way::Tcp, Way::Relayed(Transport::Udp), Way::Relayed(Transport::Tls)];

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn by(transport: Transport) -> Carrier {
        Carrier { transport, family: Family::V4 }
    }

    #[test]
    fn a_path_is_of_one_way() {
        let local = [address("192.0.2.1:50000"), address("[2001:db8::1]:50000")];
        let remote = address("198.51.100.7:4000");
        for (path, way) in [
            (Path::udp(local[0], remote), Way::Udp4),
            (Path::udp(local[1], remote), Way::Udp6),
            (Path::tcp(local[0], remote), Way::Tcp),
            (Path::tcp(local[1], remote), Way::Tcp),
            (Path::relayed(local[0], address("192.0.0.8:49152"), by(Transport::Udp)), WAYS[3]),
            (Path::relayed(local[1], address("[100::8]:49152"), by(Transport::Tls)), WAYS[4]),
        ] {
            assert_eq!(WAYS.map(|other| other.takes(path)), WAYS.map(|other| other == way), "{path:?}");
        }
    }

    #[test]
    fn a_peer_is_looked_for_where_its_way_leads() {
        for (remote, ways) in [
            ("198.51.100.7:4000", [true, false, false, false, false]),
            ("[2001:db8::7]:4000", [false, true, false, false, false]),
            ("192.0.0.8:49152", [false, false, false, true, true]),
            ("[100::8]:49152", [false, false, false, true, true]),
        ] {
            assert_eq!(WAYS.map(|way| way.leads_to(address(remote))), ways, "{remote}");
        }
    }

    #[test]
    fn a_client_is_told_of_the_addresses_of_its_way() {
        let (v4, v6) = (address("192.0.2.1:50000"), address("[2001:db8::1]:50000"));
        let all = || LocalAddresses { udp: vec![v4, v6], tcp: vec![address("192.0.2.1:7881")] };
        assert_eq!(Way::Udp4.among(all()).udp, [v4]);
        assert_eq!(Way::Udp6.among(all()).udp, [v6]);
        assert_eq!(Way::Relayed(Transport::Tcp).among(all()).udp, [v4, v6]);
        assert!(Way::Tcp.among(all()).udp.is_empty());
        assert_eq!(WAYS.map(|way| way.among(all()).tcp.len()), [0, 0, 1, 0, 0]);
    }
}
