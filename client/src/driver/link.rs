//! Sockets for media: datagrams of one or several addresses of this machine, or one stream.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use banter_sfu::framing::{Deframer, Framing, rfc4571_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::socket::Stream;

/// What may wait to be read.
const QUEUE: usize = 1024;
const MAX_DATAGRAM: usize = 2048;

/// A datagram, or what was in a frame.
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    /// The address of ours where it came.
    pub(super) at: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// Closed when it is dropped.
pub(super) struct Link {
    arrivals: mpsc::Receiver<Arrival>,
    out: Out,
    /// Readers, which end with it.
    _tasks: JoinSet<()>,
}

enum Out {
    Datagrams(Vec<Arc<UdpSocket>>),
    Stream {
        half: WriteHalf<Box<dyn Stream>>,
        framing: Framing,
    },
    /// Until the server has said where to go.
    Nowhere,
}

impl Link {
    pub(super) fn nowhere() -> Self {
        Self { arrivals: mpsc::channel(1).1, out: Out::Nowhere, _tasks: JoinSet::new() }
    }

    /// A socket at each of these addresses, with a port of the system's choice.
    pub(super) async fn datagrams(addresses: &[IpAddr]) -> io::Result<(Self, Vec<SocketAddr>)> {
        let (into, arrivals) = mpsc::channel(QUEUE);
        let (mut sockets, mut locals, mut tasks) = (Vec::new(), Vec::new(), JoinSet::new());
        for address in addresses {
            let socket = Arc::new(UdpSocket::bind((*address, 0)).await?);
            never_fragment(&socket, *address);
            let local = socket.local_addr()?;
            tasks.spawn(read_datagrams(socket.clone(), local, into.clone()));
            sockets.push(socket);
            locals.push(local);
        }
        Ok((Self { arrivals, out: Out::Datagrams(sockets), _tasks: tasks }, locals))
    }

    pub(super) fn stream(
        stream: Box<dyn Stream>,
        framing: Framing,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        let (into, arrivals) = mpsc::channel(QUEUE);
        let (read, half) = tokio::io::split(stream);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_frames(read, framing, local, remote, into));
        Self { arrivals, out: Out::Stream { half, framing }, _tasks: tasks }
    }

    /// The next arrival; never, when the link is lost. Can be cancelled.
    pub(super) async fn next(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }

    /// Sends. What cannot be sent is lost, as it is on any network.
    pub(super) async fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        match &mut self.out {
            Out::Datagrams(sockets) => {
                let ours = sockets.iter().find(|socket| socket.local_addr().is_ok_and(|local| local == from));
                if let Some(socket) = ours {
                    let _ = socket.send_to(bytes, to).await;
                }
            }
            Out::Stream { half, framing } => {
                let header = match framing {
                    Framing::Turn => None,
                    Framing::Rfc4571 => rfc4571_header(bytes.len()),
                };
                let mut frame = header.map(Vec::from).unwrap_or_default();
                frame.extend(bytes);
                let _ = half.write_all(&frame).await;
                let _ = half.flush().await;
            }
            Out::Nowhere => {}
        }
    }
}

/// Packets that are too large are to be lost, and not cut: that is what is measured.
#[cfg(target_os = "linux")]
fn never_fragment(socket: &UdpSocket, address: IpAddr) {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    // Where it cannot be said, larger datagrams than those that pass whole are measured.
    let _ = match address {
        IpAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE),
        IpAddr::V6(_) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE),
    };
}

#[cfg(not(target_os = "linux"))]
fn never_fragment(_: &UdpSocket, _: IpAddr) {}

async fn read_datagrams(socket: Arc<UdpSocket>, at: SocketAddr, into: mpsc::Sender<Arrival>) {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => {
                if into.send(Arrival { from, at, bytes: buffer[..len].to_vec() }).await.is_err() {
                    return;
                }
            }
            // What an earlier datagram has met with, such as a port that nobody listens at.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn read_frames(
    mut stream: ReadHalf<Box<dyn Stream>>,
    framing: Framing,
    at: SocketAddr,
    from: SocketAddr,
    into: mpsc::Sender<Arrival>,
) {
    let mut deframer = Deframer::new(framing);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        let mut input = &mut buffer[..len];
        while let Ok(Some(frame)) = deframer.next_frame(&mut input) {
            if into.send(Arrival { from, at, bytes: frame.to_vec() }).await.is_err() {
                return;
            }
        }
    }
}

/// Addresses of this machine at which it may be reached from elsewhere; with `is_local` those that only it itself reaches.
pub(super) fn own_addresses(is_v6: bool, is_local: bool) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces.iter().filter(|interface| !interface.is_link_local()).map(if_addrs::Interface::ip);
    let mut addresses: Vec<IpAddr> =
        own.filter(|address| address.is_ipv6() == is_v6 && address.is_loopback() == is_local).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Whether the system knows a way to an address. Nothing is sent.
pub(super) fn has_route(to: SocketAddr) -> bool {
    let socket = std::net::UdpSocket::bind((any(to.ip()), 0));
    socket.is_ok_and(|socket| socket.connect(to).is_ok())
}

/// Where a socket is bound that any address of the same family may be reached from.
pub(super) fn any(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
