//! What is known of the address at which the internet sees this machine: a value.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// From a STUN server and from the router itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// What a STUN server sees.
    pub seen: Option<Ipv4Addr>,
    /// What the router says to be its own; unspecified if it says that it has none.
    pub router: Option<Ipv4Addr>,
}

impl Outside {
    /// The address to name to clients: what is seen from there goes before what a router believes.
    pub fn address(self) -> Option<Ipv4Addr> {
        self.seen.or(self.router.filter(|address| is_public(&(*address).into())))
    }

    /// Whether the router is itself behind another one that translates addresses, as carriers have them (RFC 6888): then
    /// what it forwards is never asked for. One that has no address yet, where nobody is seen either, is only not online.
    pub fn is_behind_another_nat(self) -> bool {
        match (self.router, self.seen) {
            (Some(router), seen) if router.is_unspecified() => seen.is_some(),
            (Some(router), _) if !is_public(&router.into()) => true,
            (Some(router), Some(seen)) => router != seen,
            (Some(_), None) | (None, _) => false,
        }
    }

    /// [`Self::is_behind_another_nat`] in plain words, with what can be done.
    pub fn verdict(self) -> Option<String> {
        let seen = self.seen.map(|seen| format!(", and the internet sees us at {seen}")).unwrap_or_default();
        let own = match self.router {
            Some(router) if router.is_unspecified() => "the router has no address of its own".to_owned(),
            Some(router) => format!("the router's own address is {router}"),
            None => return None,
        };
        self.is_behind_another_nat().then(|| {
            format!(
                "{own}{seen}: it is itself behind another NAT (carrier-grade NAT), so forwarding cannot work; ask the \
                 provider for a public address, or use IPv6 or a rented relay"
            )
        })
    }
}

/// Whether it is an IPv4 address that the internet knows.
pub fn is_public(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xC0 == 64; // RFC 6598
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_the_internets() {
        for (text, public) in [
            ("192.168.1.5", false),
            ("10.0.0.1", false),
            ("172.20.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("0.0.0.0", false),
            ("2001:db8::1", false),
            ("203.0.113.7", true),
            ("::ffff:203.0.113.7", true),
        ] {
            assert_eq!(is_public(&text.parse().expect("an address")), public, "{text}");
        }
    }

    #[test]
    fn what_is_seen_from_outside_is_named_before_what_a_router_says() {
        for (seen, router, named) in [
            (None, None, None),
            (Some("203.0.113.7"), None, Some("203.0.113.7")),
            (None, Some("203.0.113.7"), Some("203.0.113.7")),
            (Some("203.0.113.7"), Some("203.0.113.8"), Some("203.0.113.7")),
            (None, Some("100.64.3.2"), None),
            (None, Some("0.0.0.0"), None),
        ] {
            let outside = outside(seen, router);
            assert_eq!(outside.address(), named.map(address), "{outside:?}");
        }
    }

    #[test]
    fn a_router_behind_another_one_is_found_out() {
        for (seen, router, behind) in [
            (None, None, false),
            (Some("203.0.113.7"), None, false),
            (Some("203.0.113.7"), Some("203.0.113.7"), false),
            (None, Some("203.0.113.7"), false),
            (Some("203.0.113.7"), Some("203.0.113.8"), true),
            (Some("203.0.113.7"), Some("100.64.3.2"), true),
            (None, Some("100.64.3.2"), true),
            (None, Some("192.168.0.2"), true),
            (Some("203.0.113.7"), Some("0.0.0.0"), true),
            (None, Some("0.0.0.0"), false),
        ] {
            let outside = outside(seen, router);
            assert_eq!(outside.is_behind_another_nat(), behind, "{outside:?}");
            assert_eq!(outside.verdict().is_some(), behind, "{outside:?}");
        }
        let verdict = outside(Some("203.0.113.7"), Some("100.64.3.2")).verdict().expect("a verdict");
        assert!(verdict.contains("100.64.3.2, and the internet sees us at 203.0.113.7"), "{verdict}");
    }

    fn outside(seen: Option<&str>, router: Option<&str>) -> Outside {
        Outside { seen: seen.map(address), router: router.map(address) }
    }

    fn address(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }
}
