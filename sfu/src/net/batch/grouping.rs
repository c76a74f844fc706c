//! The order in which datagrams are sent: those to one destination together, where that lets them share a message.

use std::net::{IpAddr, SocketAddr};

/// "None" among positions.
const NOWHERE: u32 = u32::MAX;

/// Puts datagrams in order. Destinations keep theirs, by first appearance: who decides on them has a reason.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    order: Vec<usize>,
    /// The next datagram to the same destination.
    next: Vec<u32>,
    /// By hash, with open addressing; entries of an earlier round are free.
    table: Vec<Entry>,
    round: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    round: u32,
    hash: u32,
    last: u32,
}

impl Grouping {
    /// The positions of `destinations` in sending order. Those of one destination stay in theirs.
    pub(super) fn group(&mut self, destinations: impl ExactSizeIterator<Item = SocketAddr>) -> &[usize] {
        let count = destinations.len();
        self.order.clear();
        if count < 2 || !self.chain(destinations) {
            self.order.extend(0..count);
            return &self.order;
        }
        for first in 0..count {
            let mut at = first;
            // What has been taken along with an earlier one points to itself.
            while self.next[at] as usize != at {
                self.order.push(at);
                let next = std::mem::replace(&mut self.next[at], at as u32);
                if next == NOWHERE {
                    break;
                }
                at = next as usize;
            }
        }
        &self.order
    }

    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Links each datagram to the next one with its destination; false if there is none such.
    fn chain(&mut self, destinations: impl ExactSizeIterator<Item = SocketAddr>) -> bool {
        self.start_round(destinations.len());
        let mask = self.table.len() - 1;
        let mut any = false;
        for (at, to) in (0u32..).zip(destinations) {
            let hash = hash(to);
            let mut place = hash as usize & mask;
            let entry = loop {
                let entry = &mut self.table[place];
                // Two destinations of one hash come together too: that does no harm.
                if entry.round != self.round || entry.hash == hash {
                    break entry;
                }
                place = (place + 1) & mask;
            };
            if entry.round == self.round {
                self.next[entry.last as usize] = at;
                any = true;
            }
            *entry = Entry { round: self.round, hash, last: at };
        }
        any
    }

    fn start_round(&mut self, count: usize) {
        self.next.clear();
        self.next.resize(count, NOWHERE);
        self.round = self.round.wrapping_add(1);
        let size = (2 * count).next_power_of_two();
        if self.table.len() < size || self.round == 0 {
            self.round = 1;
            self.table.clear();
            self.table.resize(size.max(self.table.len()), Entry { round: 0, hash: 0, last: NOWHERE });
        }
    }
}

/// Tells destinations apart well enough to look for equal ones, which are compared again.
fn hash(address: SocketAddr) -> u32 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let ip = match address.ip() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    ((ip.wrapping_mul(MIX) ^ u64::from(address.port())).wrapping_mul(MIX) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    fn grouped(grouping: &mut Grouping, ports: &[u16]) -> Vec<usize> {
        let order = grouping.group(ports.iter().map(|&port| at(port))).to_vec();
        assert_eq!(order, grouping.order());
        order
    }

    #[test]
    fn destinations_come_in_the_order_of_their_first_appearance() {
        let mut grouping = Grouping::default();
        assert_eq!(grouped(&mut grouping, &[9, 7, 9, 8, 7, 9]), [0, 2, 5, 1, 4, 3]);
        assert_eq!(grouped(&mut grouping, &[9, 7, 8]), [0, 1, 2]);
        assert_eq!(grouped(&mut grouping, &[9]), [0]);
        assert_eq!(grouped(&mut grouping, &[]), [0; 0]);
    }

    #[test]
    fn rounds_may_be_counted_past_the_end() {
        let mut grouping = Grouping { round: u32::MAX - 1, ..Grouping::default() };
        for _ in 0..4 {
            assert_eq!(grouped(&mut grouping, &[1, 2, 1]), [0, 2, 1]);
        }
    }

    proptest! {
        #[test]
        fn every_datagram_is_sent_once_and_each_destination_in_one_piece(
            rounds in proptest::collection::vec(proptest::collection::vec(0u16..20, 0..200), 1..4),
        ) {
            let mut grouping = Grouping::default();
            for ports in rounds {
                let order = grouped(&mut grouping, &ports);
                let mut expected: Vec<usize> = (0..ports.len()).collect();
                let first = |at: &usize| ports.iter().position(|port| *port == ports[*at]);
                expected.sort_by_key(|at| (first(at), *at));
                prop_assert_eq!(order, expected);
            }
        }
    }
}
