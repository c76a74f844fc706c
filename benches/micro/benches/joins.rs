//! What the media set-up of a join costs the server: session description, ICE and DTLS, in memory and in virtual time.
//!
//! Thread CPU time around the unit's own calls; what the clients do in between is not counted, though it is on the same thread.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::disallowed_methods, reason = "the beginning of virtual time has to be some instant")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use banter_bench_micro::burst::own_cpu_time;
use banter_bench_micro::{Peer, Section, core_config, join_spec, track_spec};
use banter_sfu::transport::Identity;
use banter_sfu::{LoudestSpeakers, ParticipantKey, RoomKey, Sfu};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 50_000);
const ROOM: RoomKey = RoomKey(1);
/// Clients that join at once, and how often that is done.
const WAVE: u64 = 50;
const WAVES: u64 = 40;
/// Of virtual time, between two deliveries.
const STEP: Duration = Duration::from_millis(5);
const MAX_STEPS: u32 = 400;
/// What the design asks for.
const BUDGET: f64 = 3_000.0;

fn main() -> Result<()> {
    let mut start = Start::new()?;
    // The first wave warms caches up.
    start.wave()?;
    start.spent = Duration::ZERO;
    for _ in 0..WAVES {
        start.wave()?;
    }
    let joins = WAVE * WAVES;
    let per_second = joins as f64 / start.spent.as_secs_f64();
    let each = start.spent.as_secs_f64() * 1e6 / joins as f64;
    let verdict = if per_second < BUDGET { "below the budget" } else { "within the budget" };
    println!("{joins} joins, {each:.0} µs each: {per_second:.0} a core-second, {verdict} of {BUDGET:.0}");
    Ok(())
}

struct Start {
    sfu: Sfu,
    identity: Identity,
    rng: StdRng,
    now: Instant,
    joined: u64,
    /// By the server.
    spent: Duration,
}

impl Start {
    fn new() -> Result<Self> {
        let identity = Identity::generate()?;
        let now = Instant::now();
        let config = core_config(SERVER, LoudestSpeakers::OFF);
        let mut sfu = Sfu::new(config, identity.clone(), StdRng::seed_from_u64(2), now, SystemTime::now());
        sfu.open_room(ROOM);
        Ok(Self { sfu, identity, rng: StdRng::seed_from_u64(1), now, joined: 0, spent: Duration::ZERO })
    }

    /// Lets clients join, and leave when all are connected.
    fn wave(&mut self) -> Result<()> {
        let mut peers = BTreeMap::new();
        let participants = self.joined..self.joined + WAVE;
        self.joined += WAVE;
        for number in participants.clone() {
            let address = SocketAddr::from((Ipv4Addr::from(0x0A01_0000 + number as u32), 40_000));
            let mut peer = Peer::new(&self.identity, address, &mut self.rng, self.now);
            let (offer, now) = (peer.offer(&[Section::Listening]), self.now);
            let answer = self.serve(|sfu| {
                let participant = ParticipantKey(number);
                sfu.join(join_spec(participant), now)?;
                sfu.subscribe(participant, track_spec().track, now);
                Ok(sfu.offer(participant, &offer, now)?.answer)
            })?;
            peer.accept(&answer, self.now)?;
            peers.insert(address, peer);
        }
        let mut steps = 0;
        while peers.values().any(|peer| peer.keys().is_none()) {
            ensure!(steps < MAX_STEPS, "not every client connects");
            steps += 1;
            self.step(&mut peers)?;
        }
        participants.for_each(|number| self.sfu.leave(ParticipantKey(number), self.now));
        self.sfu.outbox().clear();
        while self.sfu.poll_event().is_some() {}
        Ok(())
    }

    fn step(&mut self, peers: &mut BTreeMap<SocketAddr, Peer>) -> Result<()> {
        self.now += STEP;
        let now = self.now;
        let mut sent = Vec::new();
        for (from, peer) in peers.iter_mut() {
            peer.poll(now, |_, bytes| sent.push((*from, bytes.to_vec())));
        }
        self.serve(|sfu| {
            for (from, bytes) in &mut sent {
                sfu.handle_datagram(SERVER, *from, bytes, now);
            }
            sfu.handle_timeout(now);
            while sfu.poll_event().is_some() {}
            Ok(())
        })?;
        let outbox = self.sfu.outbox();
        for transmit in outbox.iter() {
            if let Some(peer) = peers.get_mut(&transmit.to) {
                peer.handle_datagram(SERVER, transmit.payload, now);
            }
        }
        outbox.clear();
        Ok(())
    }

    /// Has the unit do something, and counts the time.
    fn serve<T>(&mut self, act: impl FnOnce(&mut Sfu) -> Result<T>) -> Result<T> {
        let begun = own_cpu_time();
        let outcome = act(&mut self.sfu);
        self.spent += own_cpu_time() - begun;
        outcome
    }
}
