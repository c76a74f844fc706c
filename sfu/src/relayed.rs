//! Relayed addresses: paths inside this process that look like addresses to everybody else.
//!
//! What is sent to one never reaches a network: it is wrapped for the TURN client that has it. So they need to be nobody's
//! real address, which no address of this machine or of its network is for certain: a client behind the same router may
//! have any port of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The dummy address, which is never assigned to a host (RFC 7600 §4.8).
pub(crate) const IPV4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// From the prefix that routers discard (RFC 6666 §4).
pub(crate) const IPV6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// Ports of relayed addresses (RFC 8656 §7.2).
const FIRST_PORT: u16 = 49_152;
const PORTS: usize = 1 << 14;

pub(crate) fn is_relayed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4 == IPV4,
        IpAddr::V6(v6) => v6 == IPV6,
    }
}

/// The ports that one of `workers` (64 at the most) gives out.
pub(crate) fn ports(worker: usize, workers: usize) -> RangeInclusive<u16> {
    let share = PORTS / workers;
    let first = FIRST_PORT + (worker * share) as u16;
    first..=first + (share - 1) as u16
}

/// The worker that has given out a port; `None` if that is none of theirs.
pub(crate) fn worker_of(port: u16, workers: usize) -> Option<usize> {
    let worker = usize::from(port.checked_sub(FIRST_PORT)?) / (PORTS / workers);
    (worker < workers).then_some(worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_one_owner() {
        for workers in 1..=64 {
            for worker in 0..workers {
                let ports = ports(worker, workers);
                for port in [*ports.start(), *ports.end()] {
                    assert_eq!(worker_of(port, workers), Some(worker), "{port} of {workers}");
                }
            }
            assert_eq!(worker_of(FIRST_PORT - 1, workers), None);
        }
        assert_eq!(worker_of(u16::MAX, 1), Some(0));
    }
}
