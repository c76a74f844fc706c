//! CPU per forwarded packet through a worker and its real socket, beside `sendmmsg` of the same packets by itself.
//!
//! Thread CPU time as the kernel counts it: on loopback it includes the work of delivering to the receivers, on both
//! sides alike. Numbers are comparable within one run only.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark drives real sockets by the real clock")]
#![expect(unsafe_code, reason = "the bare system call is what the worker is measured against")]

use std::fs;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banter_bench_micro::{Peer, Section, join_spec, opus_packet, track_spec};
use banter_sfu::net::{MediaConfig, MediaHandle, RoomHandle, start};
use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::Outbound;
use banter_sfu::transport::Identity;
use banter_sfu::{ParticipantKey, RoomKey};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

const PAYLOAD_LEN: usize = 100;
/// Copies made per measurement.
const COPIES: u64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(20);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What the design allows.
const BUDGET: f64 = 1.2;

fn main() -> Result<()> {
    println!("{:>9} {:>8} {:>10} {:>12} {:>6}", "listeners", "at once", "worker µs", "sendmmsg µs", "ratio");
    for (listeners, at_once) in [(10, 1), (10, 4), (50, 1), (50, 4)] {
        let mut stage = Stage::set(listeners, at_once)?;
        // In turn and more than once, so that what else the machine does falls on both.
        let (mut worker, mut bare) = (Duration::ZERO, Duration::ZERO);
        let turns = 4;
        for _ in 0..turns {
            worker += stage.through_worker(COPIES / turns)?;
            bare += stage.by_bare_sendmmsg(COPIES / turns)?;
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

/// A room on a real worker: one speaker, many listeners, each with a socket.
struct Stage {
    media: banter_sfu::net::Media,
    handle: MediaHandle,
    room: RoomHandle,
    server: SocketAddr,
    members: Vec<(Peer, UdpSocket)>,
    outbound: Outbound,
    next: ExtSeq,
    /// Packets that the speaker sends before it waits for their copies.
    at_once: u64,
}

impl Stage {
    fn set(listeners: usize, at_once: u64) -> Result<Self> {
        let config = MediaConfig {
            bind: LOCALHOST,
            ports: 0..=0,
            tcp_ports: Vec::new(),
            share_port: false,
            workers: 1,
            addresses: vec![LOCALHOST],
            relay: None,
        };
        let (handle, media) = start(&config)?;
        let server = SocketAddr::new(LOCALHOST, media.ports()[0]);
        let (room, _events) = handle.open_room(RoomKey(1));
        let identity = Identity::generate()?;
        let mut rng = StdRng::seed_from_u64(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let mut members = Vec::new();
        for number in 0..=listeners as u64 {
            let section = if number == 0 { Section::Speaking } else { Section::Listening };
            let socket = UdpSocket::bind((LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            let mut peer = Peer::new(&identity, socket.local_addr()?, &mut rng, Instant::now());
            admit(&runtime, &room, ParticipantKey(number), section, &mut peer)?;
            members.push((peer, socket));
        }
        connect(&mut members, server)?;
        let outbound = members[0].0.keys().context("the speaker is connected")?.outbound();
        let mut stage = Self { media, handle, room, server, members, outbound, next: ExtSeq(1), at_once };
        let started = Instant::now();
        // The first packets may come before the last listener's keys have reached the worker.
        while stage.speak()? < listeners as u64 * at_once {
            ensure!(started.elapsed() < PATIENCE, "not every listener is served");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(stage)
    }

    /// Sends some packets, waits for their copies to be sent, empties the listeners' sockets, and returns the copies made.
    fn speak(&mut self) -> Result<u64> {
        let before = self.handle.counters();
        for _ in 0..self.at_once {
            let packet = opus_packet(&self.outbound, self.next, PAYLOAD_LEN);
            self.next.0 += 1;
            self.members[0].1.send_to(&packet, self.server)?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.handle.counters();
            if now.core.received >= before.core.received + self.at_once {
                self.drain();
                return Ok(now.core.forwarded - before.core.forwarded);
            }
            ensure!(Instant::now() < deadline, "the worker has stopped forwarding");
            thread::yield_now();
        }
    }

    /// What the worker's thread spends on `copies` forwarded packets, waking and receiving included.
    fn through_worker(&mut self, copies: u64) -> Result<Duration> {
        let thread = Worker::find()?;
        let begun = thread.cpu_time()?;
        let mut made = 0;
        while made < copies {
            made += self.speak()?;
        }
        let spent = thread.cpu_time()? - begun;
        Ok(spent.mul_f64(copies as f64 / made as f64))
    }

    /// What this thread spends on the same packets to the same sockets with nothing but the system call.
    fn by_bare_sendmmsg(&self, copies: u64) -> Result<Duration> {
        let socket = UdpSocket::bind((LOCALHOST, 0))?;
        let listeners = self.members[1..].iter().map(|(peer, _)| peer.address());
        let listeners: Vec<_> = std::iter::repeat_n(listeners, self.at_once as usize).flatten().collect();
        let packet = vec![0x5A; 12 + PAYLOAD_LEN + 16];
        let mut burst = Burst::new(&listeners, &packet);
        let mut spent = Duration::ZERO;
        for _ in 0..copies / listeners.len() as u64 {
            let begun = own_cpu_time();
            burst.send(&socket)?;
            spent += own_cpu_time() - begun;
            self.drain();
        }
        Ok(spent)
    }

    fn drain(&self) {
        let mut buffer = [0; 2048];
        for (_, socket) in &self.members {
            while socket.recv(&mut buffer).is_ok() {}
        }
    }

    fn strike(self) {
        self.room.close();
        self.media.shutdown();
    }
}

fn admit(
    runtime: &Runtime,
    room: &RoomHandle,
    participant: ParticipantKey,
    section: Section,
    peer: &mut Peer,
) -> Result<()> {
    runtime.block_on(room.join(join_spec(participant)))?;
    match section {
        Section::Speaking => room.publish(participant, track_spec()),
        Section::Listening => room.subscribe(participant, track_spec().track),
    }
    let outcome = runtime.block_on(room.offer(participant, peer.offer(section)))?;
    peer.accept(&outcome.answer, Instant::now())
}

fn connect(members: &mut [(Peer, UdpSocket)], server: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 2048];
    while members.iter().any(|(peer, _)| peer.keys().is_none()) {
        ensure!(Instant::now() < deadline, "not every peer connects");
        for (peer, socket) in &mut *members {
            while let Ok(len) = socket.recv(&mut buffer) {
                peer.handle_datagram(server, &buffer[..len], Instant::now());
            }
            // A datagram that is not sent is one that is lost.
            peer.poll(Instant::now(), |to, bytes| drop(socket.send_to(bytes, to)));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The worker's thread, as the kernel lists it.
struct Worker {
    schedstat: String,
}

impl Worker {
    fn find() -> Result<Self> {
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.starts_with("media-") {
                return Ok(Self { schedstat: task.join("schedstat").display().to_string() });
            }
        }
        anyhow::bail!("no thread is called media-0")
    }

    fn cpu_time(&self) -> Result<Duration> {
        let schedstat = fs::read_to_string(&self.schedstat)?;
        let on_cpu = schedstat.split(' ').next().context("schedstat begins with the time on a CPU")?;
        Ok(Duration::from_nanos(on_cpu.parse()?))
    }
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
