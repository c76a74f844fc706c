//! TURN on a worker: what clients send through it, and what it sends to them.
//!
//! A client's datagram for a peer is handed to the core as one from the relayed address, here or on the worker that it is for. What
//! the core sends to a relayed address is wrapped by the worker that gave that address out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use super::batch::MediaSocket;
use super::handle::Command;
use super::handover::Neighbours;
use super::streams::Streams;
use crate::outbox::Frames;
use crate::transport::Path;
use crate::turn::{self, Client, MAX_PREFIX_LEN, MAX_SUFFIX_LEN, Outcome, PeerFilter, Transport};
use crate::{Outbox, relayed};

/// Addresses of ours that only clients have named, by coming in there. The oldest makes way for a new one.
const MAX_LEARNED: usize = 64;

/// One worker's TURN server and the ways out.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) server: turn::Server,
    /// Where a worker listens for TURN beside its media port.
    pub(super) socket: Option<MediaSocket>,
    number: usize,
    neighbours: Neighbours,
    /// Addresses that clients were told, the machine's own first.
    addresses: VecDeque<IpAddr>,
    own_addresses: usize,
    /// For the socket of TURN.
    outbox: Outbox,
    /// From our core, for clients of others.
    departures: Vec<Frames>,
    scratch: Vec<u8>,
}

/// A datagram from a relayed address to some worker's core.
pub(super) struct Passed<'a> {
    pub(super) path: Path,
    pub(super) datagram: &'a mut [u8],
}

impl Relay {
    pub(super) fn new(
        server: turn::Server,
        socket: Option<MediaSocket>,
        number: usize,
        neighbours: Neighbours,
        addresses: &[IpAddr],
    ) -> Self {
        let departures = neighbours.links.iter().map(|_| Frames::default()).collect();
        let mut relay = Self {
            server,
            socket,
            number,
            addresses: addresses.iter().copied().collect(),
            own_addresses: addresses.len(),
            outbox: Outbox::default(),
            departures,
            scratch: vec![0; MAX_PREFIX_LEN + turn::MAX_PAYLOAD_LEN + MAX_SUFFIX_LEN],
            neighbours,
        };
        relay.set_peers();
        relay
    }

    /// A client is told of further addresses: all workers have to know.
    pub(super) fn name_addresses(&self, addresses: &[IpAddr]) {
        for &address in addresses.iter().filter(|address| !self.addresses.contains(address)) {
            for link in self.neighbours.links.iter() {
                link.send(Command::NameAddress { address });
            }
        }
    }

    /// Lets clients reach the media ports at this address too.
    pub(super) fn learn_address(&mut self, address: IpAddr) {
        if self.addresses.contains(&address) {
            return;
        }
        if self.addresses.len() - self.own_addresses >= MAX_LEARNED {
            self.addresses.remove(self.own_addresses);
        }
        self.addresses.push_back(address);
        self.set_peers();
    }

    fn set_peers(&mut self) {
        let ports = &self.neighbours.ports;
        let peers =
            self.addresses.iter().flat_map(|&ip| ports.iter().map(move |&port| SocketAddr::new(ip, port)));
        self.server.set_peers(PeerFilter::new(peers));
    }

    /// Takes a message of a client. What it sends to a peer, on whichever worker, is answered; the rest is dealt with.
    pub(super) fn handle<'a>(
        &mut self,
        client: Client,
        message: &'a mut [u8],
        media: &mut Outbox,
        streams: &mut Streams,
        now: Instant,
    ) -> Option<Passed<'a>> {
        #[expect(clippy::disallowed_methods, reason = "the driver owns the clock")]
        let wall = SystemTime::now();
        match self.server.handle(client, message, now, wall) {
            Outcome::Nothing => {}
            Outcome::Reply(reply) => {
                let turn_port = self.socket.as_ref().map(|socket| socket.local_addr().port());
                send(client, reply, turn_port, [media, &mut self.outbox], streams, now);
            }
            Outcome::Relay { from, to, payload } => {
                let path = Path::relayed(to, from, client.carrier());
                return Some(Passed { path, datagram: &mut message[payload] });
            }
            Outcome::Close => streams.refuse((client.local, client.remote)),
        }
        None
    }

    /// Sends a datagram of a core of ours to a relayed address.
    pub(super) fn send(
        &mut self,
        path: Path,
        datagram: &[u8],
        media: &mut Outbox,
        streams: &mut Streams,
        now: Instant,
    ) {
        match relayed::worker_of(path.remote.port(), self.neighbours.links.len()) {
            Some(owner) if owner == self.number => self.wrap(path, datagram, media, streams, now),
            Some(owner) => self.departures[owner].push(path, datagram),
            None => {}
        }
    }

    /// Sends a datagram to a relayed address that this worker has given out.
    pub(super) fn wrap(
        &mut self,
        path: Path,
        datagram: &[u8],
        media: &mut Outbox,
        streams: &mut Streams,
        now: Instant,
    ) {
        let Some(wrapping) = self.server.wrap(path.remote, path.local, datagram.len(), now) else { return };
        let frame = &mut self.scratch[..wrapping.frame_len()];
        let at = wrapping.prefix_len();
        frame[at..at + datagram.len()].copy_from_slice(datagram);
        wrapping.write(frame);
        let turn_port = self.socket.as_ref().map(|socket| socket.local_addr().port());
        send(wrapping.client, frame, turn_port, [media, &mut self.outbox], streams, now);
    }

    /// Sends what has gathered: to clients by the socket of TURN, and to other workers.
    pub(super) fn flush(&mut self, now: Instant) {
        if let Some(socket) = &mut self.socket
            && !self.outbox.is_empty()
        {
            socket.send(&self.outbox, now);
            self.outbox.clear();
        }
        for (link, departures) in self.neighbours.links.iter().zip(&mut self.departures) {
            if !departures.is_empty() {
                link.send(Command::ToClients { datagrams: std::mem::take(departures) });
            }
        }
    }

    /// Makes the credentials of a participant who has left open nothing any more, on every worker.
    pub(super) fn revoke(&self, participant: &str) {
        for link in self.neighbours.links.iter() {
            link.send(Command::RevokeRelay { participant: participant.to_owned() });
        }
    }
}

/// Sends a message to a client on the way that its own came (RFC 8656 §5).
fn send(
    client: Client,
    message: &[u8],
    turn_port: Option<u16>,
    [media, turn]: [&mut Outbox; 2],
    streams: &mut Streams,
    now: Instant,
) {
    let Client { transport, local, remote } = client;
    match transport {
        Transport::Udp if Some(local.port()) == turn_port => turn.push(remote, Some(local.ip()), message),
        Transport::Udp => media.push(remote, Some(local.ip()), message),
        Transport::Tcp | Transport::Tls => streams.send((local, remote), [message, &[]], now),
    }
}

/// A stream's two ends as a client's.
pub(super) fn client((local, remote): (SocketAddr, SocketAddr), is_tls: bool) -> Client {
    Client { transport: if is_tls { Transport::Tls } else { Transport::Tcp }, local, remote }
}
