//! What a worker's core is told once, at its start.

use std::net::{IpAddr, SocketAddr};

use crate::LoudestSpeakers;
use crate::transport::LocalAddresses;

/// One worker's place in the network and its limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which worker it is, below 64.
    pub worker: u8,
    /// Addresses of this machine under which the worker's socket can be reached, most wanted first.
    pub addresses: Vec<IpAddr>,
    /// Addresses of a router in front, whose ports are ours as well.
    pub external: Vec<IpAddr>,
    /// The worker's UDP port.
    pub port: u16,
    /// Other workers have the same port: they have to know whose peers are where.
    pub shares_port: bool,
    /// The ports at which streams are accepted, for whichever worker they belong to. The first is named to clients.
    pub tcp_ports: Vec<u16>,
    /// Who is heard in a large room.
    pub loudest: LoudestSpeakers,
}

impl Config {
    /// Every transport address at which a datagram for this worker can arrive.
    pub(crate) fn local(&self) -> LocalAddresses {
        let at = |port| self.addresses.iter().map(move |&address| SocketAddr::new(address, port));
        LocalAddresses {
            udp: at(self.port).collect(),
            tcp: self.tcp_ports.iter().copied().flat_map(at).collect(),
        }
    }

    /// The candidates to name to a client that came in by `used`: that address, then a router's, then the machine's own.
    ///
    /// A loopback address is of use only to a client on this machine, so it is named to those who came by one, and where
    /// there is nothing else.
    pub(crate) fn advertised(&self, used: &[IpAddr]) -> LocalAddresses {
        let local_client = used.iter().any(IpAddr::is_loopback);
        let own = self.addresses.iter().filter(|address| local_client || !address.is_loopback());
        let mut candidates: Vec<IpAddr> = Vec::new();
        let used = used.iter().filter(|address| !address.is_unspecified());
        for &address in used.chain(&self.external).chain(own) {
            if !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        if candidates.is_empty() {
            candidates.clone_from(&self.addresses);
        }
        let at = |port| candidates.iter().map(move |&address| SocketAddr::new(address, port)).collect();
        LocalAddresses {
            udp: at(self.port),
            tcp: self.tcp_ports.first().copied().map(at).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(addresses: &[&str]) -> Config {
        Config {
            addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
            worker: 0,
            external: Vec::new(),
            port: 50_000,
            shares_port: false,
            tcp_ports: vec![7881, 443],
            loudest: LoudestSpeakers::OFF,
        }
    }

    fn advertised(config: &Config, used: &[&str]) -> Vec<String> {
        let used: Vec<IpAddr> = used.iter().map(|text| text.parse().expect("an address")).collect();
        config.advertised(&used).udp.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_address_that_the_client_used_comes_first_even_if_it_is_not_ours() {
        let config = config(&["192.168.1.5", "127.0.0.1"]);
        assert_eq!(advertised(&config, &["203.0.113.9"]), ["203.0.113.9:50000", "192.168.1.5:50000"]);
    }

    #[test]
    fn a_routers_address_goes_before_ours() {
        let config =
            Config { external: vec!["203.0.113.1".parse().expect("an address")], ..config(&["10.0.0.5"]) };
        assert_eq!(advertised(&config, &[]), ["203.0.113.1:50000", "10.0.0.5:50000"]);
        assert_eq!(advertised(&config, &["203.0.113.1"]), ["203.0.113.1:50000", "10.0.0.5:50000"]);
    }

    #[test]
    fn loopback_is_for_clients_that_came_by_it_or_where_there_is_nothing_else() {
        let both = config(&["192.168.1.5", "127.0.0.1"]);
        assert_eq!(advertised(&both, &[]), ["192.168.1.5:50000"]);
        assert_eq!(advertised(&both, &["127.0.0.1"]), ["127.0.0.1:50000", "192.168.1.5:50000"]);
        assert_eq!(advertised(&config(&["127.0.0.1", "::1"]), &[]), ["127.0.0.1:50000", "[::1]:50000"]);
    }
}
