//! The bots' UDP sockets. On loopback one socket serves many bots: bound to all of 127.0.0.0/8, it gives each connection an
//! address of its own there, so that a system call moves the datagrams of many. Elsewhere each connection has a socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use banter_sfu::Outbox;
use banter_sfu::net::{MediaSocket, ReceiveBatch};
use mio::{Interest, Registry, Token};
use slab::Slab;

/// Connections of one socket: what comes for them at once is to fit its buffer.
const SHARED_BY: usize = 250;
/// Hosts of one network of 127.x.y.0 that are used, and networks of 127.x.
const HOSTS: usize = 250;
/// What waits before it is sent without waiting for more.
const MAX_WAITING: usize = 32;

#[derive(Debug)]
pub struct Ports {
    /// Where bots are to be, as far as the user is concerned.
    local: IpAddr,
    ports: Slab<Port>,
    /// Those with datagrams to send.
    waiting: Vec<usize>,
}

/// A connection's place: which socket, and which address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    port: usize,
    pub address: SocketAddr,
}

#[derive(Debug)]
struct Port {
    socket: MediaSocket,
    outbox: Outbox,
    /// Whose each address is. None is given out twice: what still comes for somebody who has left is nobody's.
    lines: Vec<Option<usize>>,
    used: usize,
}

impl Ports {
    pub fn new(local: IpAddr) -> Self {
        Self { local, ports: Slab::new(), waiting: Vec::new() }
    }

    /// Finds a place for a line. A new socket is registered with the token that `token` makes of its number.
    pub fn open(
        &mut self,
        line: usize,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<Place> {
        let is_shared = self.local == Ipv4Addr::LOCALHOST;
        let free = self.ports.iter().find(|(_, port)| is_shared && port.used < SHARED_BY);
        let number = match free.map(|(number, _)| number) {
            Some(number) => number,
            None => {
                let bound = if is_shared { Ipv4Addr::UNSPECIFIED.into() } else { self.local };
                let mut socket = MediaSocket::bind(bound, 0..=0)?;
                let entry = self.ports.vacant_entry();
                let number = entry.key();
                registry.register(&mut socket, token(number), Interest::READABLE)?;
                entry.insert(Port { socket, outbox: Outbox::default(), lines: Vec::new(), used: 0 });
                number
            }
        };
        let port = &mut self.ports[number];
        let ip = if is_shared { host(port.lines.len()) } else { self.local };
        port.lines.push(Some(line));
        port.used += 1;
        Ok(Place { port: number, address: SocketAddr::new(ip, port.socket.local_addr().port()) })
    }

    /// Gives a place up. What waits to be sent from it is sent.
    pub fn close(&mut self, place: Place, registry: &Registry) -> io::Result<()> {
        self.flush();
        let Some(port) = self.ports.get_mut(place.port) else { return Ok(()) };
        if let Some(line) = port.lines.get_mut(number_of(place.address.ip())) {
            *line = None;
        }
        port.used -= 1;
        if port.used == 0 {
            let mut port = self.ports.remove(place.port);
            registry.deregister(&mut port.socket)?;
        }
        Ok(())
    }

    /// Sends with others at the next [`Self::flush`].
    pub fn send(&mut self, from: Place, to: SocketAddr, bytes: &[u8]) {
        let Some(port) = self.ports.get_mut(from.port) else { return };
        if port.outbox.is_empty() {
            self.waiting.push(from.port);
        }
        port.outbox.push(to, Some(from.address.ip()), bytes);
        if port.outbox.len() >= MAX_WAITING {
            port.flush();
        }
    }

    pub fn flush(&mut self) {
        for port in self.waiting.drain(..) {
            if let Some(port) = self.ports.get_mut(port) {
                port.flush();
            }
        }
    }

    /// Takes what waits in the kernel at a socket, a batch at most.
    pub fn receive(&mut self, port: usize, batch: &mut ReceiveBatch) -> io::Result<()> {
        match self.ports.get_mut(port) {
            Some(port) => port.socket.receive(batch),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The line that a datagram is for.
    pub fn line(&self, port: usize, to: Option<IpAddr>) -> Option<usize> {
        let port = self.ports.get(port)?;
        *port.lines.get(to.map_or(0, number_of))?
    }
}

impl Port {
    fn flush(&mut self) {
        let now = Instant::now();
        // Nobody is woken here when a full socket takes more.
        self.socket.resume(now);
        self.socket.send(&self.outbox, now);
        self.outbox.clear();
    }
}

/// An address for each number, beginning with 127.1.0.1.
pub fn host(number: usize) -> IpAddr {
    let (network, host) = (number / HOSTS, number % HOSTS);
    let octet = |value: usize| u8::try_from(value % HOSTS).expect("it is below 250");
    Ipv4Addr::new(127, octet(network / HOSTS) + 1, octet(network), octet(host) + 1).into()
}

/// Where an address was bound by itself, it is the first.
fn number_of(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) if address.octets()[0] == 127 => {
            let [_, high, network, host] = address.octets().map(usize::from);
            (high.saturating_sub(1) * HOSTS + network) * HOSTS + host.saturating_sub(1)
        }
        IpAddr::V4(_) | IpAddr::V6(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn each_number_has_an_address_of_its_own() {
        assert_eq!(host(0), IpAddr::from([127, 1, 0, 1]));
        assert_eq!(host(62_500), IpAddr::from([127, 2, 0, 1]));
        for number in (0..200_000).step_by(7) {
            assert_eq!(number_of(host(number)), number);
        }
    }

    #[test]
    fn one_socket_serves_many_and_each_hears_its_own() {
        let mut poll = Poll::new().expect("there is polling");
        let mut ports = Ports::new(Ipv4Addr::LOCALHOST.into());
        let places: Vec<_> =
            (0..3).map(|line| ports.open(line, poll.registry(), Token).expect("a place")).collect();
        let peer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for (line, place) in places.iter().enumerate() {
            assert_eq!(place.port, places[0].port);
            ports.send(*place, peer.local_addr().expect("an address"), &[line as u8]);
        }
        ports.flush();
        for place in &places {
            let (mut bytes, expected) = ([0; 8], place.address);
            let (len, from) = peer.recv_from(&mut bytes).expect("it has been sent");
            assert_eq!((len, from), (1, expected));
            peer.send_to(&bytes[..1], from).expect("it is there");
        }
        let mut batch = ReceiveBatch::new();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            poll.poll(&mut Events::with_capacity(8), Some(Duration::from_millis(10))).expect("it polls");
            ports.receive(places[0].port, &mut batch).expect("it is open");
            heard.extend(batch.iter_mut().map(|one| (ports.line(places[0].port, one.to), one.payload[0])));
        }
        assert_eq!(heard, [(Some(0), 0), (Some(1), 1), (Some(2), 2)]);
        ports.close(places[1], poll.registry()).expect("it was open");
        assert_eq!(ports.line(places[1].port, Some(places[1].address.ip())), None);
    }
}
