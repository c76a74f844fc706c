//! Datagrams on their way: links that lose, delay, reorder and repeat, and address translation.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What a datagram meets between its sender's host and the rest of the world, in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    delay: Duration,
    jitter: Duration,
    loss: f64,
    duplicate: f64,
}

impl Link {
    /// A cable: 1 ms, nothing lost.
    pub fn cable() -> Self {
        Self { delay: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0.0, duplicate: 0.0 }
    }

    /// A wireless network at home: 5 ms, up to 10 more.
    pub fn wifi() -> Self {
        Self::cable().delay(Duration::from_millis(5)).jitter(Duration::from_millis(10))
    }

    /// One way.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Up to this much is added to each datagram's delay, evenly spread, so that datagrams overtake each other.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// The share of datagrams that never arrive, 0 to 1.
    #[must_use]
    pub fn loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The share of datagrams that arrive twice, 0 to 1.
    #[must_use]
    pub fn duplicate(self, duplicate: f64) -> Self {
        Self { duplicate, ..self }
    }
}

/// A UDP datagram as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// The network: every host behind its link, all links meeting in one place.
#[derive(Debug)]
pub struct Net {
    rng: StdRng,
    link: Link,
    links: BTreeMap<SocketAddr, Link>,
    /// The public address of hosts behind a translator, and back.
    outside_by_inside: BTreeMap<SocketAddr, SocketAddr>,
    inside_by_outside: BTreeMap<SocketAddr, SocketAddr>,
    travelling: BinaryHeap<Reverse<Travelling>>,
    sent: u64,
    lost: u64,
    departures: u64,
}

impl Net {
    /// A network of cables. The seed decides everything that happens by chance.
    pub fn seeded(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            link: Link::cable(),
            links: BTreeMap::new(),
            outside_by_inside: BTreeMap::new(),
            inside_by_outside: BTreeMap::new(),
            travelling: BinaryHeap::new(),
            sent: 0,
            lost: 0,
            departures: 0,
        }
    }

    /// The link of every host that has none of its own.
    #[must_use]
    pub fn with_link(self, link: Link) -> Self {
        Self { link, ..self }
    }

    /// The link of one host from now on.
    pub fn set_link(&mut self, host: SocketAddr, link: Link) {
        self.links.insert(host, link);
    }

    /// Translates a host's address from now on, in both directions. Its earlier public address is nobody's.
    pub fn translate(&mut self, inside: SocketAddr, outside: SocketAddr) {
        if let Some(earlier) = self.outside_by_inside.insert(inside, outside) {
            self.inside_by_outside.remove(&earlier);
        }
        self.inside_by_outside.insert(outside, inside);
    }

    /// Datagrams sent so far, and how many of them never arrived.
    pub fn counters(&self) -> (u64, u64) {
        (self.sent, self.lost)
    }

    /// Sets a datagram on its way.
    pub fn send(&mut self, datagram: Datagram, now: Instant) {
        self.sent += 1;
        let Datagram { from, to, bytes } = datagram;
        let receiver = self.inside_by_outside.get(&to).copied().unwrap_or(to);
        let is_translated = self.outside_by_inside.contains_key(&to);
        let path = [self.link_of(from), self.link_of(receiver)];
        // A translated host has no address but its public one.
        if is_translated || path.iter().any(|link| self.rng.random_bool(link.loss)) {
            self.lost += 1;
            return;
        }
        let from = self.outside_by_inside.get(&from).copied().unwrap_or(from);
        let datagram = Datagram { from, to: receiver, bytes };
        if path.iter().any(|link| self.rng.random_bool(link.duplicate)) {
            self.travel(datagram.clone(), path, now);
        }
        self.travel(datagram, path, now);
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.travelling.peek().map(|Reverse(travelling)| travelling.at)
    }

    /// The next datagram that has arrived by now.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        if self.next_arrival()? > now {
            return None;
        }
        self.travelling.pop().map(|Reverse(travelling)| travelling.datagram)
    }

    fn link_of(&self, host: SocketAddr) -> Link {
        self.links.get(&host).copied().unwrap_or(self.link)
    }

    fn travel(&mut self, datagram: Datagram, path: [Link; 2], now: Instant) {
        let delay: Duration =
            path.iter().map(|link| link.delay + link.jitter.mul_f64(self.rng.random_range(0.0..1.0))).sum();
        self.departures += 1;
        let departure = self.departures;
        self.travelling.push(Reverse(Travelling { at: now + delay, departure, datagram }));
    }
}

/// Ordered by arrival; those that arrive together, by departure.
#[derive(Debug)]
struct Travelling {
    at: Instant,
    departure: u64,
    datagram: Datagram,
}

impl Ord for Travelling {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.departure).cmp(&(other.at, other.departure))
    }
}

impl PartialOrd for Travelling {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Travelling {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Travelling {}
