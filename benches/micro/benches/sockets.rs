//! CPU per forwarded packet through a worker and its real socket, beside `sendmmsg` of the same packets by itself.
//!
//! Thread CPU time as the kernel counts it: on loopback it includes the work of delivering to the receivers, on both
//! sides alike. Numbers are comparable within one run only.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(unsafe_code, reason = "the bare system call is what the worker is measured against")]

use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Result, ensure};
use banter_bench_micro::stage::{LOCALHOST, Layout, PAYLOAD_LEN, Stage};

/// Copies made per measurement.
const COPIES: u64 = 200_000;
/// What the design allows.
const BUDGET: f64 = 1.2;

fn main() -> Result<()> {
    println!("{:>9} {:>8} {:>10} {:>12} {:>6}", "listeners", "at once", "worker µs", "sendmmsg µs", "ratio");
    for (listeners, at_once) in [(10, 1), (10, 4), (50, 1), (50, 4)] {
        let mut stage = Stage::set(Layout::PortsOfTheirOwn, 1, listeners, at_once)?;
        // In turn and more than once, so that what else the machine does falls on both.
        let (mut worker, mut bare) = (Duration::ZERO, Duration::ZERO);
        let turns = 4;
        for _ in 0..turns {
            worker += stage.through_workers(COPIES / turns)?;
            bare += by_bare_sendmmsg(&mut stage, at_once, COPIES / turns)?;
        }
        let per_packet = |time: Duration| time.as_secs_f64() * 1e6 / COPIES as f64;
        let ratio = worker.as_secs_f64() / bare.as_secs_f64();
        let verdict = if ratio > BUDGET { "over budget" } else { "within budget" };
        println!(
            "{listeners:>9} {at_once:>8} {:>10.2} {:>12.2} {ratio:>6.2}  {verdict}",
            per_packet(worker),
            per_packet(bare)
        );
        stage.strike();
    }
    Ok(())
}

/// What this thread spends on the same packets to the same sockets with nothing but the system call.
fn by_bare_sendmmsg(stage: &mut Stage, at_once: u64, copies: u64) -> Result<Duration> {
    let socket = UdpSocket::bind((LOCALHOST, 0))?;
    let listeners: Vec<_> = (0..at_once).flat_map(|_| stage.listeners()).collect();
    let packet = vec![0x5A; 12 + PAYLOAD_LEN + 16];
    let mut burst = Burst::new(&listeners, &packet);
    let mut spent = Duration::ZERO;
    for _ in 0..copies / listeners.len() as u64 {
        let begun = own_cpu_time();
        burst.send(&socket)?;
        spent += own_cpu_time() - begun;
        stage.drain();
    }
    Ok(spent)
}

fn own_cpu_time() -> Duration {
    // SAFETY: all-zero is a time, and the call writes one to where the pointer points.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Messages with all that they point to, made once.
struct Burst<'a> {
    messages: Vec<libc::mmsghdr>,
    _names: Vec<libc::sockaddr_in>,
    _piece: Box<libc::iovec>,
    _packet: &'a [u8],
}

impl<'a> Burst<'a> {
    fn new(to: &[SocketAddr], packet: &'a [u8]) -> Self {
        let mut piece =
            Box::new(libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() });
        let name = |address: &SocketAddr| libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets()) },
            sin_zero: [0; 8],
        };
        let mut names: Vec<_> = to.iter().map(name).collect();
        let header = |name: &mut libc::sockaddr_in| {
            // SAFETY: a message header is integers and pointers, and all zero it is an empty one.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_name = (&raw mut *name).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            message.msg_hdr.msg_iov = &raw mut *piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = names.iter_mut().map(header).collect();
        Self { messages, _names: names, _piece: piece, _packet: packet }
    }

    fn send(&mut self, socket: &UdpSocket) -> Result<()> {
        // SAFETY: the headers point to names and a piece that `self` owns and that do not move with it, and the piece
        // to a packet that `self` borrows.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                self.messages.len() as libc::c_uint,
                0,
            )
        };
        ensure!(usize::try_from(sent) == Ok(self.messages.len()), "sendmmsg sent {sent}");
        Ok(())
    }
}
