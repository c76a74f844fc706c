//! The addresses of this machine at which others can reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::AddressFilter;

/// Those of [`reachable`] that `filter` takes.
pub fn offered(bind: IpAddr, filter: &AddressFilter) -> Vec<IpAddr> {
    let interfaces = interfaces();
    let name = |address: &IpAddr| {
        interfaces.iter().find(|interface| interface.ip() == *address).map_or("", |interface| &interface.name)
    };
    let mut addresses = reachable(bind);
    addresses.retain(|address| {
        filter.networks.takes(|network| network.contains(address))
            && filter.interfaces.takes(|known| known == name(address))
    });
    addresses
}

/// Those that a socket bound to `bind` answers at, the ones of use to most clients first and loopback last.
pub fn reachable(bind: IpAddr) -> Vec<IpAddr> {
    if !bind.is_unspecified() {
        return vec![bind];
    }
    let mut addresses: Vec<IpAddr> = interfaces()
        .iter()
        .filter(|interface| !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .filter(|address| bind.is_ipv6() || address.is_ipv4())
        .collect();
    addresses.sort_by_key(|address| rank(*address));
    addresses.dedup();
    if addresses.is_empty() { vec![loopback(bind)] } else { addresses }
}

fn interfaces() -> Vec<if_addrs::Interface> {
    if_addrs::get_if_addrs()
        .inspect_err(|error| tracing::warn!(%error, "the addresses of this machine cannot be read"))
        .unwrap_or_default()
}

fn rank(address: IpAddr) -> (bool, bool, IpAddr) {
    (address.is_loopback(), address.is_ipv6(), address)
}

fn loopback(bind: IpAddr) -> IpAddr {
    if bind.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    #[test]
    fn a_socket_on_one_address_is_reached_there_only() {
        let address: IpAddr = "192.0.2.7".parse().expect("an address");
        assert_eq!(reachable(address), [address]);
    }

    #[test]
    fn only_what_the_filter_takes_is_offered() {
        let bind = Ipv4Addr::UNSPECIFIED.into();
        let loopback: IpNet = "127.0.0.0/8".parse().expect("a network");
        let mut filter = AddressFilter::default();
        filter.networks.included.push(loopback);
        assert!(offered(bind, &filter).iter().all(IpAddr::is_loopback));
        filter.networks.excluded.push(loopback);
        assert!(offered(bind, &filter).is_empty());
    }

    #[test]
    fn loopback_comes_last() {
        let addresses = reachable(Ipv4Addr::UNSPECIFIED.into());
        assert!(addresses.iter().all(IpAddr::is_ipv4));
        assert!(addresses.is_sorted_by_key(IpAddr::is_loopback));
    }
}
