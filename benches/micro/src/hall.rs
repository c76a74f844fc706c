//! One speaker and many listeners around a real [`Sfu`], in virtual time, on a network that loses and delays nothing.
#![expect(clippy::disallowed_methods, reason = "the beginning of virtual time has to be some instant")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use banter_sfu::net::{ConnectionMode, JoinSpec, Permissions, TrackSpec};
use banter_sfu::rtp::ExtSeq;
use banter_sfu::rtp::srtp::Outbound;
use banter_sfu::transport::Identity;
use banter_sfu::{Config, LoudestSpeakers, ParticipantKey, RoomKey, Sfu, TrackKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::peer::{Peer, Section, opus_packet, opus_packet_of_level};

/// As it is unless an operator says otherwise; a hall of a hundred is a large room.
const RULE: LoudestSpeakers = LoudestSpeakers { places: 5, above: 30 };
const ROOM: RoomKey = RoomKey(1);
const TRACK: TrackKey = TrackKey(1);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 50_000);

/// A room in which one member speaks and everyone else is connected and listens.
#[derive(Debug)]
pub struct Hall {
    sfu: Sfu,
    now: Instant,
    peers: Vec<Peer>,
    outbound: Outbound,
    next: ExtSeq,
}

impl Hall {
    pub fn with_listeners(listeners: usize) -> Result<Self> {
        let identity = Identity::generate()?;
        let now = Instant::now();
        let config = core_config(SERVER, RULE);
        let mut rng = StdRng::seed_from_u64(1);
        let mut sfu = Sfu::new(config, identity.clone(), StdRng::seed_from_u64(2), now, SystemTime::now());
        sfu.open_room(ROOM);
        let mut peers = Vec::new();
        for number in 0..=listeners {
            let address = SocketAddr::from((Ipv4Addr::from(0x0A01_0000 + number as u32), 40_000));
            let mut peer = Peer::new(&identity, address, &mut rng, now);
            let participant = ParticipantKey(number as u64);
            sfu.join(join_spec(participant), now)?;
            let section = if number == 0 { Section::Speaking } else { Section::Listening };
            if section == Section::Speaking {
                sfu.publish(participant, track_spec());
            } else {
                sfu.subscribe(participant, TRACK, now);
            }
            peer.accept(&sfu.offer(participant, &peer.offer(&[section]), now)?.answer, now)?;
            peers.push(peer);
        }
        connect(&mut sfu, &mut peers, SERVER, now)?;
        let keys = peers[0].keys().context("the speaker is connected")?;
        let outbound = keys.outbound();
        let mut hall = Self { sfu, now, peers, outbound, next: ExtSeq(1) };
        // In a large room one loud packet may be a click.
        let mut first = [hall.packet(100), hall.packet(100)];
        let copies = first.each_mut().map(|packet| hall.forward(packet))[1];
        ensure!(copies == listeners, "{copies} of {listeners} listeners are served");
        Ok(hall)
    }

    /// The speaker's next packet, sealed.
    pub fn packet(&mut self, payload_len: usize) -> Vec<u8> {
        let index = self.next_index();
        opus_packet(&self.outbound, index, payload_len)
    }

    /// The same when the speaker has been silent for a while, as all but a few are in a large room.
    pub fn silent_packet(&mut self, payload_len: usize) -> Vec<u8> {
        let index = self.next_index();
        opus_packet_of_level(&self.outbound, index, payload_len, 127)
    }

    /// Lets time pass in which nothing happens.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// The speaker's end of SRTP, for packets of another kind.
    pub fn outbound(&mut self) -> &mut Outbound {
        &mut self.outbound
    }

    /// The index of the speaker's next packet; each is given once.
    pub fn next_index(&mut self) -> ExtSeq {
        let index = self.next;
        self.next.0 += 1;
        index
    }

    /// Hands a datagram of the speaker to the unit and returns the number of copies that it made.
    pub fn forward(&mut self, packet: &mut [u8]) -> usize {
        self.sfu.handle_datagram(SERVER, self.peers[0].address(), packet, self.now);
        let outbox = self.sfu.outbox();
        let copies = outbox.len();
        outbox.clear();
        copies
    }
}

/// A unit of one worker that receives at `server`.
pub fn core_config(server: SocketAddr, loudest: LoudestSpeakers) -> Config {
    Config {
        worker: 0,
        external: Vec::new(),
        addresses: vec![server.ip()],
        port: server.port(),
        shares_port: false,
        tcp_ports: Vec::new(),
        loudest,
    }
}

/// A participant that joins the one room.
pub fn join_spec(participant: ParticipantKey) -> JoinSpec {
    JoinSpec {
        room: ROOM,
        participant,
        mode: ConnectionMode::Single,
        may: Permissions { publish: true, subscribe: true },
        label: format!("PA_{participant}"),
        extra_addresses: Vec::new(),
        only: None,
    }
}

/// The speaker's microphone.
pub fn track_spec() -> TrackSpec {
    TrackSpec {
        track: TRACK,
        cid: "microphone".to_owned(),
        label: "TR_1".to_owned(),
        muted: false,
        microphone: true,
        red: true,
        stereo: false,
        dtx: true,
    }
}

/// Carries datagrams to and fro until everyone has keys, and returns the time at which that is so.
pub(crate) fn connect(
    sfu: &mut Sfu,
    peers: &mut [Peer],
    server: SocketAddr,
    start: Instant,
) -> Result<Instant> {
    let mut now = start;
    let is_up = |peer: &Peer| peer.keys().is_some();
    // A while longer than it takes, so that nothing of the set-up is left to be sent.
    let mut rounds_left = 100;
    while rounds_left > 0 && now < start + Duration::from_secs(20) {
        now += Duration::from_millis(5);
        for peer in &mut *peers {
            let from = peer.address();
            peer.poll(now, |_, bytes| sfu.handle_datagram(server, from, &mut bytes.to_vec(), now));
        }
        sfu.handle_timeout(now);
        let outbox = sfu.outbox();
        for transmit in outbox.iter() {
            if let Some(peer) = peers.iter_mut().find(|peer| peer.address() == transmit.to) {
                peer.handle_datagram(server, transmit.payload, now);
            }
        }
        outbox.clear();
        while sfu.poll_event().is_some() {}
        rounds_left -= usize::from(peers.iter().all(is_up));
    }
    let up = peers.iter().filter(|peer| is_up(peer)).count();
    ensure!(up == peers.len(), "{up} of {} peers connected", peers.len());
    Ok(now)
}
