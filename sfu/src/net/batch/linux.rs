//! The batch calls of Linux: `recvmmsg`, `sendmmsg`, `IP_PKTINFO` and `UDP_SEGMENT`.
//!
//! Addresses and control messages are put together as bytes, so that only the system calls themselves are unsafe.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and setsockopt take pointers; the standard library has none of them"
)]

use std::collections::BTreeMap;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::grouping::Grouping;
use super::steering;
use super::{Arrival, BATCH, MAX_DATAGRAM, ReceiveBatch, SocketCounters};
use crate::{Outbox, Transmit};

/// Segments of one message that every kernel with UDP GSO takes (`UDP_MAX_SEGMENTS`).
const MAX_SEGMENTS: usize = 64;
/// Longer datagrams are not worth cutting, and above the path's MTU they cannot be.
const MAX_SEGMENT_LEN: usize = 1200;
/// Bytes of one message before it is cut: an IP packet less headers and options.
const MAX_MESSAGE_LEN: usize = 65_000;
/// Pieces of memory that the messages of one call may consist of.
const MAX_PIECES: usize = 4 * BATCH;
/// Answers to earlier datagrams (ICMP) that one message may be refused for before it counts as failed.
const MAX_REFUSALS: usize = 16;

const UDP_SEGMENT: libc::c_int = 103; // linux/udp.h

/// Memory for the calls, and what the socket can do.
#[derive(Debug)]
pub(super) struct Io {
    family: Family,
    /// Whether the kernel cuts messages for us (UDP GSO).
    segmentation: bool,
    names: Box<[Name; BATCH]>,
    controls: Box<[Control; BATCH]>,
    grouping: Grouping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    /// IPv4 is mapped into it.
    V6,
}

impl Io {
    pub fn new(socket: &socket2::Socket, ipv6: bool) -> io::Result<Self> {
        let fd = socket.as_raw_fd();
        let family = if ipv6 { Family::V6 } else { Family::V4 };
        match family {
            Family::V4 => set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            Family::V6 => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
        Ok(Self {
            family,
            // 0 is the default and refused only by kernels that do not know the option.
            segmentation: set_option(fd, libc::IPPROTO_UDP, UDP_SEGMENT, 0).is_ok(),
            names: Box::new([Name::EMPTY; BATCH]),
            controls: Box::new([Control::EMPTY; BATCH]),
            grouping: Grouping::default(),
        })
    }

    pub fn receive(
        &mut self,
        socket: &mio::net::UdpSocket,
        batch: &mut ReceiveBatch,
        counters: &mut SocketCounters,
    ) -> io::Result<()> {
        let mut messages = empty_messages();
        let mut pieces = [EMPTY_PIECE; BATCH];
        for (at, message) in messages.iter_mut().enumerate() {
            pieces[at] =
                libc::iovec { iov_base: batch.buffers[at].as_mut_ptr().cast(), iov_len: MAX_DATAGRAM };
            let header = &mut message.msg_hdr;
            header.msg_iov = &raw mut pieces[at];
            header.msg_iovlen = 1;
            header.msg_name = self.names[at].bytes.as_mut_ptr().cast();
            header.msg_namelen = NAME_LEN as libc::socklen_t;
            header.msg_control = self.controls[at].bytes.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_LEN as _;
        }
        let count = loop {
            counters.receive_calls += 1;
            // SAFETY: `messages` holds BATCH headers, each pointing to its own element of `pieces`, `names`, `controls`
            // and through `pieces` of `buffers`, with that element's length; all of them outlive the call, and nothing
            // else refers to them during it.
            let count = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    ptr::null_mut(),
                )
            };
            if let Ok(count) = usize::try_from(count) {
                break count;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(()),
                // About an earlier datagram of ours: the call that tells it also clears it.
                Some(libc::EINTR | libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH) => {}
                _ => return Err(error),
            }
        };
        // Where nothing more waits, the call returns with what there was.
        batch.more = count == BATCH;
        for (at, message) in messages[..count].iter().enumerate() {
            let oversized = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let len = if oversized { 0 } else { message.msg_len as usize };
            counters.oversized += u64::from(oversized);
            counters.received += u64::from(!oversized);
            counters.received_bytes += len as u64;
            #[cfg_attr(
                target_env = "gnu",
                expect(clippy::unnecessary_cast, reason = "musl has a narrower type")
            )]
            let control_len = (message.msg_hdr.msg_controllen as usize).min(CONTROL_LEN);
            batch.received.push(match self.names[at].decode() {
                Some(from) => Arrival { from, to: destination(&self.controls[at].bytes[..control_len]), len },
                None => Arrival { from: NOWHERE, to: None, len: 0 },
            });
        }
        Ok(())
    }

    /// Sends datagrams until the socket is full; returns the positions of those that it did not take.
    pub fn send(
        &mut self,
        socket: &mio::net::UdpSocket,
        outbox: &Outbox,
        counters: &mut SocketCounters,
    ) -> &[usize] {
        self.grouping.group(outbox);
        let mut at = 0;
        // Datagrams before this position are sent one by one.
        let mut single_until = 0;
        let mut refusals = 0;
        while at < outbox.len() {
            let mut sent = [0; BATCH];
            let result = self.send_some(socket.as_raw_fd(), outbox, at, single_until, &mut sent);
            counters.send_calls += 1;
            let error = match result {
                Ok(messages) => {
                    for &datagrams in &sent[..messages] {
                        counters.record(outbox, &self.grouping.order()[at..at + datagrams]);
                        at += datagrams;
                    }
                    refusals = 0;
                    continue;
                }
                Err(error) => error,
            };
            let first = sent[0];
            match error.raw_os_error() {
                Some(libc::EAGAIN) => break,
                Some(libc::EINTR) => {}
                // Says that an earlier datagram was refused; this one was not tried.
                Some(libc::ECONNREFUSED) if refusals < MAX_REFUSALS => refusals += 1,
                // The device cannot (EIO), or this path cannot (EINVAL): the datagrams may go on their own.
                Some(error @ (libc::EIO | libc::EINVAL)) if first > 1 => {
                    self.segmentation &= error != libc::EIO;
                    single_until = at + first;
                }
                Some(libc::ENOBUFS) => {
                    counters.dropped += first as u64;
                    at += first;
                }
                _ => {
                    counters.failed += first as u64;
                    at += first;
                }
            }
        }
        &self.grouping.order()[at..]
    }

    /// Offers messages from a position of the order on to the kernel, as many as one call takes. Returns how many were
    /// taken, and leaves the number of datagrams of each in `datagrams`.
    fn send_some(
        &mut self,
        fd: RawFd,
        outbox: &Outbox,
        mut at: usize,
        single_until: usize,
        datagrams: &mut [usize; BATCH],
    ) -> io::Result<usize> {
        let mut pieces = [EMPTY_PIECE; MAX_PIECES];
        let mut piece_counts = [0; BATCH];
        let (mut message_count, mut piece_count) = (0, 0);
        let order = self.grouping.order();
        while at < order.len() && message_count < BATCH && piece_count < MAX_PIECES {
            let limit = if self.segmentation && at >= single_until { MAX_SEGMENTS } else { 1 };
            let run = Run::gather(outbox, &order[at..], limit, &mut pieces[piece_count..]);
            let segment = (run.datagrams > 1).then_some(run.first.payload.len());
            self.names[message_count].encode(self.family, run.first.to);
            self.controls[message_count].encode(self.family, run.first.from, segment);
            datagrams[message_count] = run.datagrams;
            piece_counts[message_count] = run.pieces;
            at += run.datagrams;
            piece_count += run.pieces;
            message_count += 1;
        }
        let mut messages = empty_messages();
        let mut piece_at = pieces.as_mut_ptr();
        for (at, message) in messages[..message_count].iter_mut().enumerate() {
            let header = &mut message.msg_hdr;
            header.msg_iov = piece_at;
            header.msg_iovlen = piece_counts[at] as _;
            header.msg_name = self.names[at].bytes.as_mut_ptr().cast();
            header.msg_namelen = self.names[at].len as libc::socklen_t;
            header.msg_control = self.controls[at].bytes.as_mut_ptr().cast();
            header.msg_controllen = self.controls[at].len as _;
            piece_at = piece_at.wrapping_add(piece_counts[at]);
        }
        // SAFETY: the first `message_count` headers point to elements of `names`, `controls` and `pieces` with their
        // lengths, and those pieces to payloads in `outbox`; all outlive the call, which only reads them.
        let taken = unsafe {
            libc::sendmmsg(fd, messages.as_mut_ptr(), message_count as libc::c_uint, libc::MSG_DONTWAIT as _)
        };
        usize::try_from(taken).map_err(|_| io::Error::last_os_error())
    }
}

/// Puts datagrams on one of the sockets that share a port.
#[derive(Debug)]
pub struct Steering(OwnedFd);

impl Steering {
    pub fn of(socket: &mio::net::UdpSocket) -> io::Result<Self> {
        socket.as_fd().try_clone_to_owned().map(Self)
    }

    /// From now on, what comes from these peers arrives on the socket with the number of their worker, in the order in which
    /// the sockets were bound.
    pub fn set(&self, worker_by_peer: &BTreeMap<SocketAddr, usize>) -> io::Result<()> {
        let mut program = steering::program(worker_by_peer);
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the pointer and length are those of a program's header, which points to instructions that outlive the call;
        // the call copies them.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl SocketCounters {
    fn record(&mut self, outbox: &Outbox, message: &[usize]) {
        self.sent += message.len() as u64;
        self.segmented += if message.len() > 1 { message.len() as u64 } else { 0 };
        self.sent_bytes += message
            .iter()
            .filter_map(|&at| outbox.get(at))
            .map(|sent| sent.payload.len() as u64)
            .sum::<u64>();
    }
}

/// Datagrams that go as one message: all to one destination, of one length but for the last, which may be shorter.
struct Run<'a> {
    first: Transmit<'a>,
    datagrams: usize,
    /// Pieces of memory that they lie in.
    pieces: usize,
}

impl<'a> Run<'a> {
    /// Takes up to `limit` datagrams, and as many as the pieces suffice for. There is at least one of each.
    fn gather(outbox: &'a Outbox, order: &[usize], limit: usize, pieces: &mut [libc::iovec]) -> Self {
        let datagram = |at: usize| outbox.get(at).expect("the order names datagrams of this outbox");
        let first = datagram(order[0]);
        let segment = first.payload.len();
        let limit = if (1..=MAX_SEGMENT_LEN).contains(&segment) { limit } else { 1 };
        pieces[0] = piece(first.payload);
        let mut run = Self { first, datagrams: 1, pieces: 1 };
        let mut last_len = segment;
        for &at in &order[1..] {
            let next = datagram(at);
            let (len, bytes) = (next.payload.len(), run.datagrams * segment);
            let fits = run.datagrams < limit && bytes + len <= MAX_MESSAGE_LEN;
            if !fits
                || last_len < segment
                || len == 0
                || len > segment
                || (next.to, next.from) != (first.to, first.from)
            {
                break;
            }
            let next = piece(next.payload);
            let last = &mut pieces[run.pieces - 1];
            if last.iov_base.wrapping_byte_add(last.iov_len) == next.iov_base {
                last.iov_len += len;
            } else if run.pieces < pieces.len() {
                pieces[run.pieces] = next;
                run.pieces += 1;
            } else {
                break;
            }
            run.datagrams += 1;
            last_len = len;
        }
        run
    }
}

const EMPTY_PIECE: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn piece(payload: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() }
}

fn empty_messages() -> [libc::mmsghdr; BATCH] {
    // SAFETY: a message header is integers and pointers, and all zero it is an empty one.
    unsafe { zeroed() }
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and length are those of an integer that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A `sockaddr_in` or `sockaddr_in6`: family, port, then address and zeros, or flow, address and scope.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Name {
    bytes: [u8; NAME_LEN],
    len: usize,
}

const NAME_LEN: usize = size_of::<libc::sockaddr_in6>();
const NAME_LEN_V4: usize = size_of::<libc::sockaddr_in>();

impl Name {
    const EMPTY: Self = Self { bytes: [0; NAME_LEN], len: 0 };

    /// An address of the wrong family is left for the kernel to refuse.
    fn encode(&mut self, family: Family, address: SocketAddr) {
        let (ip, scope) = match (family, address) {
            (Family::V6, SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), 0),
            (_, SocketAddr::V6(v6)) => (*v6.ip(), v6.scope_id()),
            (Family::V4, SocketAddr::V4(v4)) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
                self.bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.bytes[8..].fill(0);
                self.len = NAME_LEN_V4;
                return;
            }
        };
        self.bytes[..2].copy_from_slice(&(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
        self.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        self.bytes[4..8].fill(0);
        self.bytes[8..24].copy_from_slice(&ip.octets());
        self.bytes[24..28].copy_from_slice(&scope.to_ne_bytes());
        self.len = NAME_LEN;
    }

    /// IPv4 comes out as itself, also from a socket that speaks IPv6.
    fn decode(&self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, a, b, c, d, rest @ ..] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match libc::c_int::from(libc::sa_family_t::from_ne_bytes([f0, f1])) {
            libc::AF_INET => Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)),
            libc::AF_INET6 => {
                let (ip, scope) = rest.split_first_chunk::<16>()?;
                let ip = Ipv6Addr::from(*ip);
                Some(match ip.to_ipv4_mapped() {
                    Some(v4) => SocketAddr::new(v4.into(), port),
                    None => SocketAddrV6::new(ip, port, 0, u32::from_ne_bytes(*scope.first_chunk()?)).into(),
                })
            }
            _ => None,
        }
    }
}

/// Room for an `in6_pktinfo` and a segment size with their headers.
const CONTROL_LEN: usize = 64;

const WORD: usize = size_of::<usize>();
const CONTROL_HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// Control messages: each a header (length, level, type) and its data, padded to whole words.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control {
    bytes: [u8; CONTROL_LEN],
    len: usize,
}

impl Control {
    const EMPTY: Self = Self { bytes: [0; CONTROL_LEN], len: 0 };

    fn encode(&mut self, family: Family, from: Option<IpAddr>, segment: Option<usize>) {
        self.len = 0;
        match (family, from) {
            (_, None) | (Family::V4, Some(IpAddr::V6(_))) => {}
            (Family::V4, Some(IpAddr::V4(from))) => {
                // in_pktinfo: interface (any), source address, destination (unused).
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&from.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (Family::V6, Some(from)) => {
                let from = match from {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                // in6_pktinfo: source address, interface (any).
                let mut info = [0; 20];
                info[..16].copy_from_slice(&from.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        if let Some(segment) = segment {
            self.push(libc::IPPROTO_UDP, UDP_SEGMENT, &(segment as u16).to_ne_bytes());
        }
    }

    fn push(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        let message = &mut self.bytes[self.len..];
        let data_end = CONTROL_HEADER_LEN + data.len();
        message[..WORD].copy_from_slice(&data_end.to_ne_bytes());
        message[WORD..][..4].copy_from_slice(&level.to_ne_bytes());
        message[WORD + 4..][..4].copy_from_slice(&kind.to_ne_bytes());
        message[CONTROL_HEADER_LEN..data_end].copy_from_slice(data);
        self.len += data_end.next_multiple_of(WORD);
    }
}

/// The local address that a datagram was sent to, from the control messages that came with it.
fn destination(mut control: &[u8]) -> Option<IpAddr> {
    loop {
        let (len, rest) = control.split_first_chunk::<WORD>()?;
        let (level, rest) = rest.split_first_chunk()?;
        let kind = rest.first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = control.get(CONTROL_HEADER_LEN..len)?;
        match (libc::c_int::from_ne_bytes(*level), libc::c_int::from_ne_bytes(*kind)) {
            // The last field: the header's destination, where the one before is the interface's address.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                return Some(IpAddr::from(*data.get(8..)?.first_chunk::<4>()?));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                return Some(IpAddr::from(*data.first_chunk::<16>()?).to_canonical());
            }
            _ => control = control.get(len.next_multiple_of(WORD)..)?,
        }
    }
}

/// Makes the kernel refuse to cut messages on this socket.
#[cfg(test)]
pub(super) fn disable_checksums(socket: &mio::net::UdpSocket) {
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
}
