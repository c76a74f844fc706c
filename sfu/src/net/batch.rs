//! One media port: datagrams in and out of the kernel by the batch, with the local address each way.
//!
//! On Linux one system call moves up to 32 messages, and datagrams of equal size to one destination travel as one
//! message that the kernel cuts (UDP GSO). Elsewhere it is one call per datagram and no local addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Instant;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::pending::Pending;
use crate::Outbox;
use crate::counters::counters;

#[cfg(target_os = "linux")]
mod grouping;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod steering;

#[cfg(target_os = "linux")]
use linux::Io;
#[cfg(target_os = "linux")]
pub(super) use linux::Steering;
#[cfg(not(target_os = "linux"))]
use portable::Io;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::Steering;

/// Whether several sockets can share a port so that each gets a part of what arrives.
pub(super) const SHARES_PORTS: bool = cfg!(target_os = "linux");

/// Datagrams that one call of [`MediaSocket::receive`] takes.
const BATCH: usize = 32;
/// The longest datagram that is received: an Ethernet frame holds less, and nobody fragments media.
const MAX_DATAGRAM: usize = 2048;
/// What to ask of the kernel for each direction: a burst of 20 ms to 1,000 listeners with room to spare. It grants less
/// where `net.core.rmem_max` and `wmem_max` are lower.
const BUFFER_BYTES: usize = 4 << 20;

counters! {
    /// What went through a socket since it was bound.
    SocketCounters, SharedSocketCounters {
        /// Datagrams delivered.
        received,
        received_bytes,
        receive_calls,
        /// Of those delivered: for another worker on the same port.
        handed_over,
        /// Longer than a media datagram may be, and not delivered.
        oversized,
        sent,
        sent_bytes,
        send_calls,
        /// Of those sent: cut by the kernel out of a larger message.
        segmented,
        /// Kept back because the socket's queue was full; in the end each is sent, dropped or failed.
        delayed,
        /// Not sent because the socket's queue was full for too long, or the device's was full.
        dropped,
        /// Not sent because the destination cannot be reached, or not from here.
        failed,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    No,
    Yes,
}

/// A UDP socket for media, non-blocking. Register it with a [`mio::Poll`] and call [`MediaSocket::receive`] on readiness
/// until [`ReceiveBatch::may_have_more`] says no.
#[derive(Debug)]
pub struct MediaSocket {
    socket: mio::net::UdpSocket,
    local: SocketAddr,
    io: Io,
    /// What the socket did not take.
    pending: Pending,
    /// Readiness to write is asked for.
    is_watched: bool,
    counters: SocketCounters,
}

impl MediaSocket {
    /// Binds the first free port of a range; `0..=0` means any. The address `::` stands for IPv4 too, and becomes
    /// `0.0.0.0` on a host without IPv6.
    pub fn bind(address: IpAddr, ports: RangeInclusive<u16>) -> io::Result<Self> {
        let mut taken = None;
        for port in ports {
            match Self::bind_port(address, port, Sharing::No) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = Some(error),
                bound => return bound,
            }
        }
        Err(taken.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the port range is empty")))
    }

    /// Binds a port that others of this program may bind as well, in this way; 0 means any. Whoever is not of this user cannot.
    pub fn bind_shared(address: IpAddr, port: u16) -> io::Result<Self> {
        Self::bind_port(address, port, Sharing::Yes)
    }

    fn bind_port(address: IpAddr, port: u16, sharing: Sharing) -> io::Result<Self> {
        match Self::bind_at(SocketAddr::new(address, port), sharing) {
            Err(error) if address.is_unspecified() && address.is_ipv6() && lacks_ipv6(&error) => {
                Self::bind_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), sharing)
            }
            bound => bound,
        }
    }

    fn bind_at(address: SocketAddr, sharing: Sharing) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_nonblocking(true)?;
        // Smaller buffers lose packets under load and are no reason not to start.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        let io = Io::new(&socket, address.is_ipv6())?;
        #[cfg(target_os = "linux")]
        socket.set_reuse_port(sharing == Sharing::Yes)?;
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let local = socket.local_addr()?;
        debug!(%local, "media port bound");
        let socket = mio::net::UdpSocket::from_std(socket);
        let counters = SocketCounters::default();
        Ok(Self { socket, local, io, pending: Pending::default(), is_watched: false, counters })
    }

    /// The address that was bound, which may be a wildcard, and the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub fn counters(&self) -> SocketCounters {
        self.counters
    }

    pub(super) fn count_handed_over(&mut self) {
        self.counters.handed_over += 1;
    }

    /// The means to have datagrams put on the right one of the sockets that share this one's port.
    pub(super) fn steering(&self) -> io::Result<Steering> {
        Steering::of(&self.socket)
    }

    /// Replaces the batch by what waits in the kernel, up to 32 datagrams.
    pub fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<()> {
        batch.received.clear();
        batch.more = false;
        self.io.receive(&self.socket, batch, &mut self.counters)
    }

    /// Sends every datagram, those to one destination in their order. Never blocks: what a full socket does not take waits,
    /// and what comes after it too. See [`Self::watch`].
    pub fn send(&mut self, outbox: &Outbox, now: Instant) {
        let (kept, dropped) = if self.pending.is_empty() {
            let unsent = self.io.send(&self.socket, outbox, &mut self.counters);
            let kept = unsent.iter().filter_map(|&at| outbox.get(at));
            (unsent.len(), kept.map(|datagram| self.pending.push(datagram, now)).sum::<u64>())
        } else {
            (outbox.len(), outbox.iter().map(|datagram| self.pending.push(datagram, now)).sum())
        };
        self.counters.delayed += kept as u64;
        self.counters.dropped += dropped;
    }

    /// Sends what has waited, oldest first and without what is too old: the socket takes more.
    pub fn resume(&mut self, now: Instant) {
        self.counters.dropped += self.pending.expire(now);
        while let Some(outbox) = self.pending.offer() {
            let unsent = self.io.send(&self.socket, outbox, &mut self.counters);
            let is_full = !unsent.is_empty();
            self.pending.settle(unsent);
            if is_full {
                break;
            }
        }
    }

    /// Has the poll say when [`Self::resume`] is due, as long as something waits. To ask always would cost a wake-up for
    /// each datagram that the device has sent.
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let is_waiting = !self.pending.is_empty();
        if is_waiting == std::mem::replace(&mut self.is_watched, is_waiting) {
            return Ok(());
        }
        let writable = is_waiting.then_some(Interest::WRITABLE);
        let interests = writable.map_or(Interest::READABLE, |writable| Interest::READABLE | writable);
        self.socket.reregister(registry, token, interests)
    }
}

impl Source for MediaSocket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }
}

#[cfg(unix)]
fn lacks_ipv6(error: &io::Error) -> bool {
    // The second is what a host says where IPv6 is switched off.
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(not(unix))]
fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported
}

/// Memory for one batch of received datagrams, allocated once.
#[derive(Debug)]
pub struct ReceiveBatch {
    buffers: Box<[[u8; MAX_DATAGRAM]]>,
    /// About the first buffers, in order.
    received: Vec<Arrival>,
    more: bool,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    from: SocketAddr,
    to: Option<IpAddr>,
    /// 0 when there is nothing to deliver.
    len: usize,
}

/// One received datagram.
#[derive(Debug)]
pub struct Received<'a> {
    pub from: SocketAddr,
    /// The local address that it was sent to, where the system tells.
    pub to: Option<IpAddr>,
    pub payload: &'a mut [u8],
}

impl ReceiveBatch {
    pub fn new() -> Self {
        Self {
            buffers: vec![[0; MAX_DATAGRAM]; BATCH].into(),
            received: Vec::with_capacity(BATCH),
            more: false,
        }
    }

    /// Whether more may be waiting than the latest [`MediaSocket::receive`] took. If not, the socket was found empty, and
    /// its readiness will be reported anew.
    pub fn may_have_more(&self) -> bool {
        self.more
    }

    /// The datagrams in the order of arrival.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Received<'_>> {
        let arrivals = self.received.iter().zip(self.buffers.iter_mut());
        arrivals.filter(|(arrival, _)| arrival.len > 0).map(|(arrival, buffer)| Received {
            from: arrival.from,
            to: arrival.to,
            payload: &mut buffer[..arrival.len],
        })
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv6Addr, UdpSocket};
    use std::time::Duration;

    use super::*;

    const ANY_PORT: RangeInclusive<u16> = 0..=0;
    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    const DUAL_STACK: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    #[test]
    fn a_dual_stack_port_knows_each_peer_by_its_plain_address() {
        let mut media = MediaSocket::bind(DUAL_STACK, ANY_PORT).unwrap();
        for loopback in [LOCALHOST, Ipv6Addr::LOCALHOST.into()] {
            let peer = peer_at(loopback);
            peer.send_to(b"hello", (loopback, media.port())).unwrap();
            let (from, to, payload) = media.receive_one();
            assert_eq!((from, &payload[..]), (peer.local_addr().unwrap(), &b"hello"[..]));
            assert_eq!(to, if cfg!(target_os = "linux") { Some(loopback) } else { None });

            media.send_all(&[(from, to, b"welcome".to_vec())]);
            assert_eq!(receive_from(&peer), (SocketAddr::new(loopback, media.port()), b"welcome".to_vec()));
        }
        assert_eq!((media.counters().received, media.counters().sent), (2, 2));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_puts_what_comes_from_a_known_peer_on_its_workers_socket() {
        for (bind, loopback) in
            [(LOCALHOST, LOCALHOST), (DUAL_STACK, LOCALHOST), (DUAL_STACK, Ipv6Addr::LOCALHOST.into())]
        {
            let mut sockets = vec![MediaSocket::bind_shared(bind, 0).unwrap()];
            let port = sockets[0].port();
            sockets.extend((1..4).map(|_| MediaSocket::bind_shared(bind, port).unwrap()));
            let peers: Vec<UdpSocket> = (0..40).map(|_| peer_at(loopback)).collect();
            let workers: BTreeMap<_, _> =
                peers.iter().zip(0..).map(|(peer, n)| (peer.local_addr().unwrap(), n % 4)).collect();
            sockets[0].steering().unwrap().set(&workers).unwrap();
            for (peer, worker) in peers.iter().zip((0..4).cycle()) {
                peer.send_to(b"hello", (loopback, port)).unwrap();
                let (from, _, _) = sockets[worker].receive_one();
                assert_eq!(from, peer.local_addr().unwrap());
            }
            // A stranger arrives somewhere.
            peer_at(loopback).send_to(b"hello", (loopback, port)).unwrap();
            let mut batch = ReceiveBatch::new();
            let arrived = |batch: &mut ReceiveBatch, socket: &mut MediaSocket| {
                socket.receive(batch).unwrap();
                batch.iter_mut().count()
            };
            assert_eq!(sockets.iter_mut().map(|socket| arrived(&mut batch, socket)).sum::<usize>(), 1);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        for wildcard in [DUAL_STACK, Ipv4Addr::UNSPECIFIED.into()] {
            let mut media = MediaSocket::bind(wildcard, ANY_PORT).unwrap();
            let peer = peer_at(LOCALHOST);
            peer.send_to(b"?", (SECOND, media.port())).unwrap();
            let (from, to, _) = media.receive_one();
            assert_eq!(to, Some(SECOND));
            media.send_all(&[(from, to, b"!".to_vec())]);
            assert_eq!(receive_from(&peer).0, SocketAddr::new(SECOND, media.port()));
        }
    }

    #[test]
    fn a_burst_arrives_whole_and_in_order() {
        for family in [LOCALHOST, Ipv6Addr::LOCALHOST.into()] {
            let mut media = MediaSocket::bind(family, ANY_PORT).unwrap();
            let peers: Vec<_> = (0..7).map(|_| peer_at(family)).collect();
            let mut expected: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
            let mut burst = Vec::new();
            for n in 0..350_usize {
                let payload = vec![n as u8; [100, 100, 90, 120, 1300][n % 5] + n / 200];
                expected.entry(n % 7).or_default().push(payload.clone());
                burst.push((peers[n % 7].local_addr().unwrap(), None, payload));
            }
            media.send_all(&burst);
            for (at, expected) in expected {
                let received: Vec<_> = expected.iter().map(|_| receive_from(&peers[at]).1).collect();
                assert_eq!(received, expected);
            }
            let bytes = burst.iter().map(|(.., payload)| payload.len() as u64).sum();
            assert_eq!((media.counters().sent, media.counters().sent_bytes), (350, bytes));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn equal_datagrams_to_one_peer_share_a_message() {
        let mut media = MediaSocket::bind(DUAL_STACK, ANY_PORT).unwrap();
        let (left, right) = (peer_at(LOCALHOST), peer_at(LOCALHOST));
        let to = |peer: &UdpSocket, len: usize| {
            (peer.local_addr().unwrap(), Some(LOCALHOST), vec![len as u8; len])
        };
        let burst =
            [to(&left, 100), to(&right, 70), to(&left, 100), to(&right, 70), to(&left, 60), to(&left, 100)];
        media.send_all(&burst);
        let lens = |peer, count| (0..count).map(|_| receive_from(peer).1.len()).collect::<Vec<_>>();
        assert_eq!(lens(&left, 4), [100, 100, 60, 100]);
        assert_eq!(lens(&right, 2), [70, 70]);
        let counters = media.counters();
        assert_eq!((counters.sent, counters.segmented, counters.send_calls), (6, 5, 1));
    }

    /// Without checksums the kernel refuses to cut (EINVAL), as it does where a device cannot.
    #[cfg(target_os = "linux")]
    #[test]
    fn where_cutting_is_refused_the_datagrams_go_one_by_one() {
        let mut media = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        linux::disable_checksums(&media.socket);
        let peer = peer_at(LOCALHOST);
        let burst = vec![(peer.local_addr().unwrap(), None, vec![5; 100]); 70];
        media.send_all(&burst);
        for _ in 0..70 {
            assert_eq!(receive_from(&peer).1.len(), 100);
        }
        let counters = media.counters();
        assert_eq!((counters.sent, counters.segmented, counters.failed), (70, 0, 0));
    }

    #[test]
    fn an_impossible_destination_holds_nobody_up() {
        let mut media = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        let peer = peer_at(LOCALHOST);
        let good = peer.local_addr().unwrap();
        let impossible = [SocketAddr::new(LOCALHOST, 0), SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 9)];
        media.send_all(&[
            (impossible[0], None, vec![1]),
            (good, None, vec![2]),
            (impossible[1], None, vec![3]),
            (good, None, vec![4]),
        ]);
        assert_eq!([receive_from(&peer).1, receive_from(&peer).1], [[2], [4]]);
        assert_eq!((media.counters().sent, media.counters().failed), (2, 2));
    }

    #[test]
    fn a_peer_that_is_gone_holds_nobody_up() {
        let mut media = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        let gone = peer_at(LOCALHOST).local_addr().unwrap();
        let peer = peer_at(LOCALHOST);
        for n in 0..20 {
            media.send_all(&[(gone, None, vec![0]), (peer.local_addr().unwrap(), None, vec![n])]);
            assert_eq!(receive_from(&peer).1, [n]);
        }
        peer.send_to(b"still here", media.local_addr()).unwrap();
        assert_eq!(media.receive_one().2, b"still here");
    }

    #[test]
    fn oversized_datagrams_are_counted_and_left_out() {
        let mut media = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        let peer = peer_at(LOCALHOST);
        peer.send_to(&[0; MAX_DATAGRAM + 1], media.local_addr()).unwrap();
        peer.send_to(&[], media.local_addr()).unwrap();
        peer.send_to(b"fits", media.local_addr()).unwrap();
        assert_eq!(media.receive_one().2, b"fits");
        assert_eq!((media.counters().oversized, media.counters().received), (1, 2));
    }

    #[test]
    fn a_batch_says_when_the_socket_is_empty() {
        let mut media = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        let peer = peer_at(LOCALHOST);
        for _ in 0..BATCH + 8 {
            peer.send_to(b"x", media.local_addr()).unwrap();
        }
        let mut batch = ReceiveBatch::new();
        let mut taken = Vec::new();
        wait_until(|| {
            media.receive(&mut batch).unwrap();
            taken.push((batch.iter_mut().count(), batch.may_have_more()));
            taken.iter().map(|(count, _)| count).sum::<usize>() == BATCH + 8
        });
        assert_eq!(taken, [(BATCH, true), (8, false)]);
    }

    #[test]
    fn the_first_free_port_of_the_range_is_taken() {
        let mut sockets = Vec::new();
        let first = MediaSocket::bind(LOCALHOST, ANY_PORT).unwrap();
        let range = first.port()..=first.port().saturating_add(20);
        for _ in 0..3 {
            let socket = MediaSocket::bind(LOCALHOST, range.clone()).unwrap();
            assert!(range.contains(&socket.port()) && socket.port() != first.port());
            sockets.push(socket);
        }
        let taken = MediaSocket::bind(LOCALHOST, first.port()..=first.port()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        #[expect(clippy::reversed_empty_ranges, reason = "the mistake under test")]
        let empty = MediaSocket::bind(LOCALHOST, 2..=1).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_portable_way_sends_and_receives_the_same() {
        let mut media = MediaSocket::bind(DUAL_STACK, ANY_PORT).unwrap();
        let ipv6 = media.local_addr().is_ipv6();
        let socket = socket2::SockRef::from(&media.socket).try_clone().unwrap();
        let mut portable = portable::Io::new(&socket, ipv6).unwrap();
        let peer = peer_at(LOCALHOST);
        peer.send_to(&[0; MAX_DATAGRAM + 1], (LOCALHOST, media.port())).unwrap();
        peer.send_to(b"hello", (LOCALHOST, media.port())).unwrap();
        let mut batch = ReceiveBatch::new();
        let mut counters = SocketCounters::default();
        wait_until(|| {
            portable.receive(&media.socket, &mut batch, &mut counters).unwrap();
            batch.iter_mut().count() == 1
        });
        let from = batch.iter_mut().next().unwrap().from;
        assert_eq!((from, counters.oversized), (peer.local_addr().unwrap(), 1));

        let mut outbox = Outbox::default();
        outbox.push(SocketAddr::new(LOCALHOST, 0), None, b"nowhere");
        outbox.push(from, None, b"welcome");
        assert_eq!(portable.send(&media.socket, &outbox, &mut counters), [0; 0]);
        assert_eq!(receive_from(&peer).1, b"welcome");
        assert_eq!((counters.sent, counters.failed), (1, 1));
        media.receive(&mut batch).unwrap();
        assert_eq!(batch.iter_mut().count(), 0);
    }

    impl MediaSocket {
        fn port(&self) -> u16 {
            self.local_addr().port()
        }

        fn receive_one(&mut self) -> (SocketAddr, Option<IpAddr>, Vec<u8>) {
            let mut batch = ReceiveBatch::new();
            let mut all = Vec::new();
            wait_until(|| {
                self.receive(&mut batch).unwrap();
                all.extend(
                    batch.iter_mut().map(|datagram| (datagram.from, datagram.to, datagram.payload.to_vec())),
                );
                !all.is_empty()
            });
            assert_eq!(all.len(), 1);
            all.remove(0)
        }

        fn send_all(&mut self, datagrams: &[(SocketAddr, Option<IpAddr>, Vec<u8>)]) {
            let mut outbox = Outbox::default();
            for (to, from, payload) in datagrams {
                outbox.push(*to, *from, payload);
            }
            self.send(&outbox, now());
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the tests use real sockets, and so the clock")]
    fn now() -> Instant {
        Instant::now()
    }

    fn peer_at(address: IpAddr) -> UdpSocket {
        let peer = UdpSocket::bind((address, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer
    }

    fn receive_from(peer: &UdpSocket) -> (SocketAddr, Vec<u8>) {
        let mut buffer = [0; 2 * MAX_DATAGRAM];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        (from, buffer[..len].to_vec())
    }

    /// Polls without readiness, so that every socket state is seen; gives up after some seconds.
    fn wait_until(mut condition: impl FnMut() -> bool) {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing arrived");
    }
}
