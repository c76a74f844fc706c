//! Nothing but `sendmmsg`: what everything else that sends is measured against.
#![expect(unsafe_code, reason = "the bare system call is the point")]

use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Result, ensure};

/// CPU time of the calling thread so far.
pub fn own_cpu_time() -> Duration {
    // SAFETY: all-zero is a time, and the call writes one to where the pointer points.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        time
    };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// One packet for many destinations: messages with all that they point to, made once.
pub struct Burst<'a> {
    messages: Vec<libc::mmsghdr>,
    _names: Vec<libc::sockaddr_in>,
    _piece: Box<libc::iovec>,
    _packet: &'a [u8],
}

impl<'a> Burst<'a> {
    /// Messages that one call takes (UIO_MAXIOV).
    pub const MAX: usize = 1024;

    /// # Panics
    /// When there are more destinations than [`Self::MAX`], or one is not IPv4.
    pub fn new(to: &[SocketAddr], packet: &'a [u8]) -> Self {
        assert!(to.len() <= Self::MAX, "one call takes {} messages", Self::MAX);
        let mut piece =
            Box::new(libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() });
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

    pub fn send(&mut self, socket: &UdpSocket) -> Result<()> {
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

impl std::fmt::Debug for Burst<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Burst").field("messages", &self.messages.len()).finish_non_exhaustive()
    }
}

fn name(address: &SocketAddr) -> libc::sockaddr_in {
    let IpAddr::V4(ip) = address.ip() else { panic!("bursts are for IPv4") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    }
}
