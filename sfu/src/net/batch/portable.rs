//! One datagram per call, through the standard library: for systems other than Linux.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::{Arrival, MAX_DATAGRAM, ReceiveBatch, SocketCounters};
use crate::Outbox;

/// Ports are not shared here.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Steering;

#[cfg(not(target_os = "linux"))]
impl Steering {
    pub fn of(_socket: &mio::net::UdpSocket) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn set(&self, _worker_by_peer: &std::collections::BTreeMap<SocketAddr, usize>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[derive(Debug)]
pub(super) struct Io {
    /// The socket speaks IPv6, in which IPv4 is mapped.
    ipv6: bool,
    /// Positions of what the socket did not take.
    unsent: Vec<usize>,
}

impl Io {
    pub fn new(_socket: &socket2::Socket, ipv6: bool) -> io::Result<Self> {
        Ok(Self { ipv6, unsent: Vec::new() })
    }

    pub fn receive(
        &mut self,
        socket: &mio::net::UdpSocket,
        batch: &mut ReceiveBatch,
        counters: &mut SocketCounters,
    ) -> io::Result<()> {
        for buffer in &mut batch.buffers {
            let (len, from) = match receive_one(socket, buffer, counters) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // What has arrived before is delivered first; the error comes again if it lasts.
                Err(_) if !batch.received.is_empty() => break,
                Err(error) => return Err(error),
            };
            // A buffer filled to its end may have been too short; no media datagram is that long.
            let oversized = len == MAX_DATAGRAM;
            counters.oversized += u64::from(oversized);
            counters.received += u64::from(!oversized);
            counters.received_bytes += if oversized { 0 } else { len as u64 };
            let len = if oversized { 0 } else { len };
            batch.received.push(Arrival { from: canonical(from), to: None, len });
        }
        batch.more = true;
        Ok(())
    }

    /// Sends datagrams until the socket is full; returns the positions of those that it did not take.
    pub fn send(
        &mut self,
        socket: &mio::net::UdpSocket,
        outbox: &Outbox,
        counters: &mut SocketCounters,
    ) -> &[usize] {
        self.unsent.clear();
        for (at, transmit) in outbox.iter().enumerate() {
            let to = if self.ipv6 { mapped(transmit.to) } else { transmit.to };
            counters.send_calls += 1;
            match socket.send_to(transmit.payload, to) {
                Ok(len) => {
                    counters.sent += 1;
                    counters.sent_bytes += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.extend(at..outbox.len());
                    break;
                }
                Err(_) => counters.failed += 1,
            }
        }
        &self.unsent
    }
}

/// Receives past the errors that concern some earlier datagram of ours: they end with the answer that caused them.
fn receive_one(
    socket: &mio::net::UdpSocket,
    buffer: &mut [u8],
    counters: &mut SocketCounters,
) -> io::Result<(usize, SocketAddr)> {
    loop {
        counters.receive_calls += 1;
        match socket.recv_from(buffer) {
            Err(error) if is_of_a_peer(&error) => {}
            received => return received,
        }
    }
}

fn is_of_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable
    )
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        },
        SocketAddr::V4(_) => address,
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
        SocketAddr::V6(_) => address,
    }
}
