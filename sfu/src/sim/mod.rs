//! Both ends of a call in virtual time: clocks, links and peers for tests, without a socket or a wait.
//!
//! A [`World`] holds nodes and the [`Net`] between them, and steps from event to event: an arrival, or the time at which
//! a node wanted to be woken. What links do is drawn from one seed. The cores draw some randomness of their own, so a
//! run repeats in what is lost and late, not in every byte.

mod connection;
mod description;
mod hearing;
mod meeting;
mod net;
mod peer;
mod turn;
mod witness;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use hearing::Hearing;
pub use meeting::Meeting;
pub use net::{Datagram, Link, Net};
pub use peer::{Peer, track_label};
pub use turn::{Answer, TurnClient};

/// Something with addresses that takes and sends datagrams: a core under test.
pub trait Node {
    /// The addresses at which it receives. Asked once, when it joins the world.
    fn addresses(&self) -> Vec<SocketAddr>;

    fn handle_datagram(&mut self, datagram: Datagram, now: Instant);

    fn handle_timeout(&mut self, now: Instant);

    /// Adds what is to be sent and says when to call [`Self::handle_timeout`]. Called after everything else.
    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant;
}

/// Nodes, the network between them and the time they share.
#[derive(Debug)]
pub struct World<N> {
    now: Instant,
    net: Net,
    nodes: Vec<N>,
    wakes: Vec<Instant>,
    node_by_address: HashMap<SocketAddr, usize>,
    outgoing: Vec<Datagram>,
}

impl<N: Node> World<N> {
    pub fn new(net: Net) -> Self {
        Self {
            now: beginning(),
            net,
            nodes: Vec::new(),
            wakes: Vec::new(),
            node_by_address: HashMap::new(),
            outgoing: Vec::new(),
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn net(&mut self) -> &mut Net {
        &mut self.net
    }

    /// Adds a node and returns its number.
    pub fn add(&mut self, node: N) -> usize {
        let number = self.nodes.len();
        for address in node.addresses() {
            let taken = self.node_by_address.insert(address, number);
            assert!(taken.is_none(), "{address} belongs to two nodes");
        }
        self.nodes.push(node);
        self.wakes.push(self.now);
        self.settle(number);
        number
    }

    pub fn node(&self, number: usize) -> &N {
        &self.nodes[number]
    }

    /// Does something with a node, then sends what it has to send.
    pub fn act<T>(&mut self, number: usize, action: impl FnOnce(&mut N, Instant) -> T) -> T {
        let result = action(&mut self.nodes[number], self.now);
        self.settle(number);
        result
    }

    pub fn node_mut(&mut self, number: usize) -> &mut N {
        &mut self.nodes[number]
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step_before(end) {}
    }

    /// Handles the next event, if it is not after `end`; else lets time pass until then and is false.
    pub fn step_before(&mut self, end: Instant) -> bool {
        if self.next_event() > end {
            self.now = end;
            return false;
        }
        self.step();
        true
    }

    /// Runs until `done`, which is asked after every event. False when `limit` passes before.
    #[must_use]
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if !self.step_before(end) {
                return done(self);
            }
        }
        true
    }

    fn next_event(&self) -> Instant {
        let wake = self.wakes.iter().copied().min();
        wake.into_iter().chain(self.net.next_arrival()).min().unwrap_or(self.now).max(self.now)
    }

    fn step(&mut self) {
        self.now = self.next_event();
        if let Some(datagram) = self.net.receive(self.now) {
            // Nobody at home: the datagram is lost, as on any network.
            if let Some(&number) = self.node_by_address.get(&datagram.to) {
                self.nodes[number].handle_datagram(datagram, self.now);
                self.settle(number);
            }
            return;
        }
        for number in 0..self.nodes.len() {
            if self.wakes[number] <= self.now {
                self.nodes[number].handle_timeout(self.now);
                self.settle(number);
                // A node that wants to be woken at once again, for ever, would stop the world.
                self.wakes[number] = self.wakes[number].max(self.now + Duration::from_micros(1));
            }
        }
    }

    fn settle(&mut self, number: usize) {
        self.wakes[number] = self.nodes[number].poll(self.now, &mut self.outgoing);
        for datagram in self.outgoing.drain(..) {
            self.net.send(datagram, self.now);
        }
    }
}

/// When a world begins: an hour ahead, so that the real clock, which SCTP reads once, is always in its past.
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
pub(crate) fn beginning() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
