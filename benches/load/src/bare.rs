//! The limit of the machine: what a run's packets cost when nothing but `sendmmsg` is done with them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use banter_bench_micro::burst::{Burst, own_cpu_time};

use crate::args::Args;
use crate::media::host;
use crate::speech;

/// Copies that are sent for one measurement.
const COPIES: usize = 100_000;
/// Destinations that share a socket, as those of the bots do.
const SHARED_BY: usize = 250;
/// RTP header and AES-GCM tag (RFC 7714 §13.2), which each copy has.
const OVERHEAD: usize = 12 + 16;

/// Packets like those of a run: how many copies of each are sent, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    copies: usize,
    len: usize,
}

impl Bare {
    /// `None` where nobody speaks or listens.
    pub fn of(args: &Args) -> Option<Self> {
        let copies = (args.publishers + args.subscribers) as usize - 1;
        let is_silent = args.speakers() == 0 || copies == 0;
        let frame = if args.steady { usize::from(speech::steady().len) } else { speech::mean_len() };
        (!is_silent).then_some(Self { copies, len: OVERHEAD + frame })
    }

    /// The CPU time of this thread for one copy. On loopback it includes delivery to the receiver, for servers alike.
    pub fn measure(self) -> anyhow::Result<Duration> {
        let receivers: Vec<UdpSocket> = (0..self.copies.div_ceil(SHARED_BY))
            .map(|_| receiver())
            .collect::<Result<_, _>>()
            .context("a socket for the bare packets cannot be opened")?;
        let ports: Vec<u16> =
            receivers.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<std::io::Result<_>>()?;
        let to: Vec<SocketAddr> = (0..self.copies)
            .map(|copy| SocketAddr::new(host(copy % SHARED_BY), ports[copy / SHARED_BY]))
            .collect();
        let packet = vec![0x5A; self.len];
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut bursts: Vec<_> = to.chunks(Burst::MAX).map(|to| Burst::new(to, &packet)).collect();
        let rounds = (COPIES / self.copies).max(1);
        let mut spent = Duration::ZERO;
        let mut bytes = vec![0; self.len];
        for _ in 0..rounds {
            let begun = own_cpu_time();
            for burst in &mut bursts {
                burst.send(&socket)?;
            }
            spent += own_cpu_time() - begun;
            for receiver in &receivers {
                while receiver.recv(&mut bytes).is_ok() {}
            }
        }
        Ok(spent / u32::try_from(rounds * self.copies).context("that many copies are not sent")?)
    }
}

fn receiver() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sending_takes_time() {
        let each = Bare { copies: 300, len: 128 }.measure().expect("loopback is there");
        assert!(each > Duration::from_nanos(50) && each < Duration::from_millis(1), "{each:?}");
    }
}
