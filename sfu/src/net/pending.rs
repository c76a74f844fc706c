//! Datagrams that a full socket did not take. What is full is the way out, not one receiver, so all wait their turn, for
//! as long as sound is worth something: bounded in age and in bytes, and the oldest goes first.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::{Outbox, Transmit};

/// What has waited longer is dropped: as on streams.
const MAX_AGE: Duration = Duration::from_millis(200);
/// Bytes that may wait: what 1,000 listeners are sent of one speaker in 150 ms.
const MAX_BYTES: usize = 1 << 20;
/// Datagrams that are offered at a time.
const PORTION: usize = 64;

/// A queue of datagrams.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// Bytes that have been let go of at the front, since the beginning.
    forgotten: usize,
    queue: VecDeque<Waiting>,
    portion: Outbox,
    offered: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    to: SocketAddr,
    from: Option<IpAddr>,
    /// Where its bytes begin, counted from the beginning.
    at: usize,
    len: usize,
    since: Instant,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a datagram; returns how many had to go for it.
    pub(super) fn push(&mut self, datagram: Transmit<'_>, now: Instant) -> u64 {
        let Transmit { to, from, payload } = datagram;
        let before = self.queue.len();
        while self.waiting_bytes() + payload.len() > MAX_BYTES && self.queue.pop_front().is_some() {}
        let dropped = before - self.queue.len();
        self.compact();
        let at = self.forgotten + self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.queue.push_back(Waiting { to, from, at, len: payload.len(), since: now });
        dropped as u64
    }

    /// Drops what is too old, and returns how many that were.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.queue.len();
        while self.queue.front().is_some_and(|first| now >= first.since + MAX_AGE) {
            self.queue.pop_front();
        }
        (before - self.queue.len()) as u64
    }

    /// The oldest datagrams, to be sent; `None` when nothing waits. Follow with [`Self::settle`].
    pub(super) fn offer(&mut self) -> Option<&Outbox> {
        self.portion.clear();
        self.offered.clear();
        self.offered.extend(self.queue.drain(..self.queue.len().min(PORTION)));
        for waiting in &self.offered {
            let start = waiting.at - self.forgotten;
            self.portion.push(waiting.to, waiting.from, &self.bytes[start..start + waiting.len]);
        }
        (!self.portion.is_empty()).then_some(&self.portion)
    }

    /// Takes back what was not sent of the latest offer, by its positions.
    pub(super) fn settle(&mut self, unsent: &[usize]) {
        let mut unsent = unsent.to_vec();
        unsent.sort_unstable();
        unsent.iter().rev().for_each(|&at| self.queue.push_front(self.offered[at]));
        self.compact();
    }

    fn waiting_bytes(&self) -> usize {
        let start = self.queue.front().map_or(self.forgotten + self.bytes.len(), |first| first.at);
        self.forgotten + self.bytes.len() - start
    }

    /// Lets go of bytes that nothing waits in, once they are the greater part.
    fn compact(&mut self) {
        let done = self.bytes.len() - self.waiting_bytes();
        if 2 * done >= self.bytes.len() {
            self.bytes.drain(..done);
            self.forgotten += done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim;
    use proptest::prelude::*;

    fn datagram(payload: &[u8]) -> Transmit<'_> {
        Transmit { to: "192.0.2.1:9".parse().expect("an address"), from: None, payload }
    }

    /// Offers until so many have been taken, or nothing is left.
    fn take(pending: &mut Pending, mut room: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        while let Some(outbox) = pending.offer() {
            let fits = outbox.len().min(room);
            room -= fits;
            taken.extend(outbox.iter().take(fits).map(|transmit| transmit.payload.to_vec()));
            let unsent: Vec<usize> = (fits..outbox.len()).rev().collect();
            pending.settle(&unsent);
            if !unsent.is_empty() {
                break;
            }
        }
        taken
    }

    #[test]
    fn what_waits_goes_out_in_order_however_little_is_taken() {
        let now = sim::beginning();
        let mut pending = Pending::default();
        let payloads: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; usize::from(n % 7)]).collect();
        for payload in &payloads {
            assert_eq!(pending.push(datagram(payload), now), 0);
        }
        let mut taken = Vec::new();
        while !pending.is_empty() {
            taken.extend(take(&mut pending, 7));
        }
        assert_eq!(taken, payloads);
        assert!(pending.bytes.is_empty());
    }

    #[test]
    fn what_is_old_goes_and_what_is_fresh_stays() {
        let now = sim::beginning();
        let mut pending = Pending::default();
        pending.push(datagram(b"old"), now);
        pending.push(datagram(b"fresh"), now + Duration::from_millis(1));
        assert_eq!(pending.expire(now + MAX_AGE - Duration::from_millis(1)), 0);
        assert_eq!(pending.expire(now + MAX_AGE), 1);
        assert_eq!(take(&mut pending, 9), [b"fresh"]);
        assert_eq!(pending.expire(now + 2 * MAX_AGE), 0);
    }

    #[test]
    fn a_socket_that_takes_nothing_costs_a_bounded_amount_and_the_oldest_go() {
        let now = sim::beginning();
        let mut pending = Pending::default();
        let dropped: u64 = (0..5_000_u32)
            .map(|n| {
                let mut payload = [0; 1_000];
                payload[..4].copy_from_slice(&n.to_be_bytes());
                pending.push(datagram(&payload), now)
            })
            .sum();
        let kept = MAX_BYTES / 1_000;
        assert_eq!(dropped, 5_000 - kept as u64);
        assert!(pending.bytes.len() <= 2 * MAX_BYTES + 1_000, "{}", pending.bytes.len());
        let first = take(&mut pending, 1);
        assert_eq!(first[0][..4], (5_000 - kept as u32).to_be_bytes());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_is_counted(
            steps in proptest::collection::vec((0usize..1_200, 0usize..80, 0u64..60), 1..300),
        ) {
            let mut now = sim::beginning();
            let mut pending = Pending::default();
            let (mut pushed, mut taken, mut dropped) = (0, 0, 0);
            for (len, room, wait) in steps {
                now += Duration::from_millis(wait);
                for _ in 0..40 {
                    dropped += pending.push(datagram(&vec![1; len]), now);
                    pushed += 1;
                }
                dropped += pending.expire(now);
                taken += take(&mut pending, room).len() as u64;
                prop_assert_eq!(pushed, taken + dropped + pending.queue.len() as u64);
            }
        }
    }
}
