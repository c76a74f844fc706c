//! A room of people all of whose microphones are open, around a real [`Sfu`], in virtual time and without a network.
#![expect(clippy::disallowed_methods, reason = "the beginning of virtual time has to be some instant")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use banter_sfu::net::{Event, TrackSpec};
use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::{Outbound, SrtpKeys};
use banter_sfu::transport::Identity;
use banter_sfu::{Counters, LoudestSpeakers, ParticipantKey, RoomKey, Sfu, TrackKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::hall::{core_config, join_spec, track_spec};
use crate::peer::{Peer, Section, opus_packet_of_level};

const ROOM: RoomKey = RoomKey(1);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 50_000);
const PTIME: Duration = Duration::from_millis(20);
/// Of an open microphone in a quiet room, and of somebody who talks: decibels below overload.
const QUIET: u8 = 62;
const TALKING: u8 = 24;

/// Everybody is connected, hears everybody, and has a microphone.
#[derive(Debug)]
pub struct Assembly {
    sfu: Sfu,
    now: Instant,
    /// Of everybody, as are the keys of what they send.
    addresses: Vec<SocketAddr>,
    outbounds: Vec<Outbound>,
    /// Of everybody's next packet.
    next: ExtSeq,
}

impl Assembly {
    /// `loudest` says who is heard in large rooms.
    pub fn of(people: usize, loudest: LoudestSpeakers) -> Result<Self> {
        let identity = Identity::generate()?;
        let now = Instant::now();
        let config = core_config(SERVER, loudest);
        let mut rng = StdRng::seed_from_u64(1);
        let mut sfu = Sfu::new(config, identity.clone(), StdRng::seed_from_u64(2), now, SystemTime::now());
        sfu.open_room(ROOM);
        let keys = || (0..people as u64).map(|number| (ParticipantKey(number), TrackKey(number)));
        let mut peers = Vec::new();
        for (participant, track) in keys() {
            let [.., high, low] = participant.0.to_be_bytes();
            let address = SocketAddr::from((Ipv4Addr::new(10, 1, high, low), 40_000));
            peers.push(Peer::new(&identity, address, &mut rng, now));
            sfu.join(join_spec(participant), now)?;
            sfu.publish(participant, TrackSpec { track, ..track_spec() });
        }
        let mut sections = vec![Section::Listening; people];
        sections[0] = Section::Speaking;
        for ((participant, _), peer) in keys().zip(&mut peers) {
            for (_, track) in keys() {
                sfu.subscribe(participant, track, now);
            }
            peer.accept(&sfu.offer(participant, &peer.offer(&sections), now)?.answer, now)?;
        }
        let now = crate::hall::connect(&mut sfu, &mut peers, SERVER, now)?;
        let outbounds = peers.iter().filter_map(Peer::keys).map(SrtpKeys::outbound).collect();
        let addresses = peers.iter().map(Peer::address).collect();
        let mut assembly = Self { sfu, now, addresses, outbounds, next: ExtSeq(1) };
        let mut packets = assembly.packets(people);
        assembly.take(&mut packets);
        let counters = assembly.counters();
        ensure!(counters.received == people as u64, "{} of {people} packets come in", counters.received);
        Ok(assembly)
    }

    /// Everybody's packets of the next 20 ms, in which the first `talking` of them talk.
    pub fn packets(&mut self, talking: usize) -> Vec<Vec<u8>> {
        self.now += PTIME;
        let index = self.next;
        self.next.0 += 1;
        let level = |number| if number < talking { TALKING } else { QUIET };
        let outbounds = self.outbounds.iter().enumerate();
        outbounds
            .map(|(number, outbound)| opus_packet_of_level(outbound, index, 100, level(number)))
            .collect()
    }

    /// What the unit does with them.
    pub fn take(&mut self, packets: &mut [Vec<u8>]) {
        for (packet, &from) in packets.iter_mut().zip(&self.addresses) {
            self.sfu.handle_datagram(SERVER, from, packet, self.now);
            self.sfu.outbox().clear();
        }
        self.sfu.handle_timeout(self.now);
        self.sfu.outbox().clear();
        while let Some((_, event)) = self.sfu.poll_event() {
            drop::<Event>(event);
        }
    }

    pub fn counters(&self) -> Counters {
        self.sfu.counters()
    }
}
