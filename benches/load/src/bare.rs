//! The limit of the machine: what a run's packets cost when nothing but `sendmmsg` is done with them.
#![expect(clippy::disallowed_methods, reason = "packets are sent when their time has come")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use banter_bench_micro::burst::{Burst, own_cpu_time};
use banter_sfu::net::{MediaSocket, ReceiveBatch};
use mio::{Events, Interest, Poll, Token};

use crate::args::Args;
use crate::media::host;
use crate::microphone::PTIME;
use crate::speech;

/// For how long packets are sent.
const DURATION: Duration = Duration::from_millis(1_500);
/// Destinations that share a socket, as those of the bots do.
const SHARED_BY: usize = 250;
/// RTP header and AES-GCM tag (RFC 7714 §13.2), which each copy has.
const OVERHEAD: usize = 12 + 16;
/// After which whoever receives looks whether it is over.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Packets like those of a run: how many copies of each are sent, how long they are, and how often there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    copies: usize,
    len: usize,
    every: Duration,
}

impl Bare {
    /// `None` where nobody speaks or listens.
    pub fn of(args: &Args) -> Option<Self> {
        let copies = (args.publishers + args.subscribers) as usize - 1;
        let speakers = args.speakers() * args.rooms;
        let frame = if args.steady { usize::from(speech::steady().len) } else { speech::mean_len() };
        let every = PTIME.checked_div(speakers)?;
        (copies > 0).then_some(Self { copies, len: OVERHEAD + frame, every })
    }

    /// The CPU time of this thread for one copy. On loopback it includes delivery to the receiver, and waking it, for servers
    /// alike: so packets are sent as they are in a run, one after the other, and somebody waits for them.
    pub fn measure(self) -> anyhow::Result<Duration> {
        let (receiver, to) = Receiver::start(self.copies)?;
        let packet = vec![0x5A; self.len];
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut bursts: Vec<_> = to.chunks(Burst::MAX).map(|to| Burst::new(to, &packet)).collect();
        let (began, begun) = (Instant::now(), own_cpu_time());
        let (mut sent, mut due) = (0, began);
        while began.elapsed() < DURATION {
            bursts.iter_mut().try_for_each(|burst| burst.send(&socket))?;
            sent += 1;
            due += self.every;
            // Who is behind does not sleep, as the server does not.
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let spent = own_cpu_time() - begun;
        receiver.stop();
        Ok(spent.div_f64(f64::from(sent) * self.copies as f64))
    }
}

/// Takes what is sent, as the bots would, in a thread.
struct Receiver {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Receiver {
    /// And so many addresses at which it listens.
    fn start(addresses: usize) -> io::Result<(Self, Vec<SocketAddr>)> {
        let poll = Poll::new()?;
        let (mut sockets, mut to) = (Vec::new(), Vec::new());
        for first in (0..addresses).step_by(SHARED_BY) {
            let mut socket = MediaSocket::bind(Ipv4Addr::UNSPECIFIED.into(), 0..=0)?;
            poll.registry().register(&mut socket, Token(sockets.len()), Interest::READABLE)?;
            let port = socket.local_addr().port();
            to.extend(
                (0..SHARED_BY.min(addresses - first)).map(|number| SocketAddr::new(host(number), port)),
            );
            sockets.push(socket);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let thread = thread::spawn(move || receive(poll, &mut sockets, &told));
        Ok((Self { is_over, thread }, to))
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // What it has received does not matter.
        let _ = self.thread.join();
    }
}

fn receive(mut poll: Poll, sockets: &mut [MediaSocket], is_over: &AtomicBool) -> io::Result<()> {
    let mut events = Events::with_capacity(64);
    let mut batch = ReceiveBatch::new();
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(LOOK_UP))?;
        for event in &events {
            loop {
                sockets[event.token().0].receive(&mut batch)?;
                if !batch.may_have_more() {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn sending_takes_time() {
        let bare = Bare { copies: 300, len: 128, every: PTIME };
        let each = bare.measure().expect("loopback is there");
        assert!(each > Duration::from_nanos(50) && each < Duration::from_millis(1), "{each:?}");
    }

    #[test]
    fn packets_are_sent_as_often_as_in_the_run() {
        let bare = |more: &[&str]| {
            let given = ["banter-load", "--url", "ws://127.0.0.1:1", "--steady"];
            Bare::of(&Args::try_parse_from(given.iter().chain(more)).expect("they are understood"))
        };
        let expected = Bare { copies: 11, len: 128, every: Duration::from_millis(5) };
        assert_eq!(bare(&["--rooms", "2", "--publishers", "2"]), Some(expected));
        assert_eq!(bare(&["--publishers", "0"]), None);
        assert_eq!(bare(&["--subscribers", "0"]), None);
    }
}
