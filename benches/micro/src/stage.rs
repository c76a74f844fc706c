//! A room on real workers and their real sockets: one speaker, many listeners, each with a socket.
#![expect(clippy::disallowed_methods, reason = "it drives real sockets by the real clock")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banter_sfu::net::{Media, MediaConfig, MediaHandle, RoomHandle, start};
use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::Outbound;
use banter_sfu::transport::Identity;
use banter_sfu::{DatagramKind, LoudestSpeakers, ParticipantKey, RoomKey, datagram_kind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::{Builder, Runtime};

use crate::{Peer, Section, join_spec, opus_packet, track_spec};

pub const PAYLOAD_LEN: usize = 100;
pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the workers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    PortsOfTheirOwn,
    OnePort,
}

/// The room, in which packets are spoken.
#[derive(Debug)]
pub struct Stage {
    media: Media,
    handle: MediaHandle,
    room: RoomHandle,
    server: SocketAddr,
    /// The speaker first.
    members: Vec<(Peer, UdpSocket)>,
    outbound: Outbound,
    next: ExtSeq,
    /// Packets that the speaker sends before it waits for their copies.
    at_once: u64,
}

impl Stage {
    /// On the first of some workers.
    pub fn set(layout: Layout, workers: usize, listeners: usize, at_once: u64) -> Result<Self> {
        let config = MediaConfig {
            bind: LOCALHOST,
            ports: 0..=0,
            tcp_ports: Vec::new(),
            share_port: layout == Layout::OnePort,
            workers,
            members_per_worker: usize::MAX,
            addresses: vec![LOCALHOST],
            relay: None,
            loudest: LoudestSpeakers::OFF,
        };
        let (handle, media) = start(&config)?;
        let server = SocketAddr::new(LOCALHOST, media.ports()[0]);
        let (mut room, _events) = handle.open_room(RoomKey(1));
        let identity = Identity::generate()?;
        let mut rng = StdRng::seed_from_u64(1);
        let runtime = Builder::new_current_thread().build()?;
        let mut members = Vec::new();
        for number in 0..=listeners as u64 {
            let section = if number == 0 { Section::Speaking } else { Section::Listening };
            let socket = UdpSocket::bind((LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            let mut peer = Peer::new(&identity, socket.local_addr()?, &mut rng, Instant::now());
            admit(&runtime, &mut room, ParticipantKey(number), section, &mut peer)?;
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

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.members[1..].iter().map(|(peer, _)| peer.address())
    }

    /// Datagrams that came to another worker than theirs.
    pub fn handed_over(&self) -> u64 {
        self.handle.counters().socket.handed_over
    }

    /// Sends some packets, waits for their copies to be sent, empties the listeners' sockets, and returns the copies made.
    pub fn speak(&mut self) -> Result<u64> {
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

    /// What the workers' threads spend on `copies` forwarded packets, waking and receiving included.
    pub fn through_workers(&mut self, copies: u64) -> Result<Duration> {
        let begun = cpu_time_of_workers()?;
        let mut made = 0;
        while made < copies {
            made += self.speak()?;
        }
        let spent = cpu_time_of_workers()? - begun;
        Ok(spent.mul_f64(copies as f64 / made as f64))
    }

    /// Empties the sockets of all members, who answer the checks of ICE that they find.
    pub fn drain(&mut self) {
        let mut buffer = [0; 2048];
        for (peer, socket) in &mut self.members {
            while let Ok(len) = socket.recv(&mut buffer) {
                if datagram_kind(&buffer[..len]) == Some(DatagramKind::Stun) {
                    peer.handle_datagram(self.server, &buffer[..len], Instant::now());
                    // A datagram that is not sent is one that is lost.
                    peer.poll(Instant::now(), |to, bytes| drop(socket.send_to(bytes, to)));
                }
            }
        }
    }

    pub fn strike(mut self) {
        self.room.close();
        self.media.shutdown();
    }
}

fn admit(
    runtime: &Runtime,
    room: &mut RoomHandle,
    participant: ParticipantKey,
    section: Section,
    peer: &mut Peer,
) -> Result<()> {
    runtime.block_on(room.join(join_spec(participant)))?;
    match section {
        Section::Speaking => room.publish(participant, track_spec()),
        Section::Listening => room.subscribe(participant, track_spec().track),
    }
    let outcome = runtime.block_on(room.offer(participant, peer.offer(&[section])))?;
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

/// Of all threads of the media plane together.
fn cpu_time_of_workers() -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with("media-") {
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            let on_cpu = schedstat.split(' ').next().context("schedstat begins with the time on a CPU")?;
            sum += Duration::from_nanos(on_cpu.parse()?);
        }
    }
    Ok(sum)
}
