//! The order in which datagrams are sent: those to one destination together, where that lets them share a message.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use crate::{Outbox, demux};

/// Datagrams to one destination that are put in order of length; more are the backlog of somebody who was away.
const MAX_SORTED: usize = 16;
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
    /// The positions of datagrams in sending order. Those to one destination stay in theirs, unless they are packets of
    /// different streams: then the longest comes first, for the kernel cuts a message into pieces of one length, of which only
    /// the last may be shorter.
    pub(super) fn group(&mut self, outbox: &Outbox) -> &[usize] {
        let count = outbox.len();
        self.order.clear();
        if count < 2 || !self.chain(outbox.iter().map(|transmit| transmit.to)) {
            self.order.extend(0..count);
            return &self.order;
        }
        for first in 0..count {
            let (mut at, start) = (first, self.order.len());
            // What has been taken along with an earlier one points to itself.
            while self.next[at] as usize != at {
                self.order.push(at);
                let next = std::mem::replace(&mut self.next[at], at as u32);
                if next == NOWHERE {
                    break;
                }
                at = next as usize;
            }
            let group = &mut self.order[start..];
            if group.len() > 1 && are_streams_apart(outbox, group) {
                group.sort_unstable_by_key(|&at| (Reverse(length(outbox, at)), at));
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

/// Whether each datagram is RTP of another stream: which of them comes first is all the same.
fn are_streams_apart(outbox: &Outbox, group: &[usize]) -> bool {
    let ssrc = |at: usize| {
        let payload = outbox.get(at)?.payload;
        (demux::kind(payload) == Some(demux::Kind::Rtp)).then_some(payload.get(8..12)?)
    };
    let is_another = |(number, &at): (usize, &usize)| {
        let own = ssrc(at);
        own.is_some() && group[..number].iter().all(|&before| ssrc(before) != own)
    };
    group.len() <= MAX_SORTED && group.iter().enumerate().all(is_another)
}

fn length(outbox: &Outbox, at: usize) -> usize {
    outbox.get(at).map_or(0, |transmit| transmit.payload.len())
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
        let mut outbox = Outbox::default();
        ports.iter().for_each(|&port| outbox.push(at(port), None, b"no RTP"));
        let order = grouping.group(&outbox).to_vec();
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
    fn the_longest_comes_first_where_all_are_of_different_streams() {
        let order = |packets: &[(u8, usize)]| {
            let mut outbox = Outbox::default();
            for &(ssrc, len) in packets {
                let mut packet = vec![0; len];
                (packet[0], packet[1], packet[11]) = (0x80, 111, ssrc);
                outbox.push(at(9), None, &packet);
            }
            Grouping::default().group(&outbox).to_vec()
        };
        assert_eq!(order(&[(1, 80), (2, 120), (3, 100), (4, 120)]), [1, 3, 2, 0]);
        assert_eq!(order(&[(1, 80), (2, 100), (1, 120)]), [0, 1, 2], "one stream stays in its order");
        assert_eq!(order(&[(1, 80), (2, 20)]), [0, 1]);
        assert_eq!(
            order(&(0..17).map(|n| (n, 40 + usize::from(n))).collect::<Vec<_>>()),
            (0..17).collect::<Vec<_>>()
        );
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
