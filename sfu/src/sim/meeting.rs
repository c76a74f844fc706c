//! The units of one SFU and its clients, and between them the little of a control plane that a call needs: everybody announced is
//! subscribed to by everybody else in the room, data goes to everybody else, and descriptions travel at once.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::peer::{Peer, track_label};
use super::witness::Witness;
use super::{Datagram, Hearing, Net, Node, World};
use crate::net::{
    ConnectionMode, ConnectionQuality, DataKind, Event, FailReason, JoinSpec, MediaPath, PeerConnection,
    Permissions, Quality, Reach, TrackSpec,
};
use crate::transport::Identity;
use crate::{Config, Counters, LoudestSpeakers, Mirrored, ParticipantKey, RoomKey, Sfu, TrackKey};

/// Units are the first nodes, as workers are numbered; each has a port of its own.
const FIRST_UNIT: usize = 0;
const FIRST_PORT: u16 = 50_000;
const SFU_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// An SFU with clients in rooms. With several units every room is on all of them, and clients are dealt out in turn.
#[derive(Debug)]
pub struct Meeting {
    world: World<Member>,
    units: usize,
    /// Certificates are costly to make and prove nothing here that one for all clients does not.
    identity: Identity,
    people: BTreeMap<ParticipantKey, Person>,
    next_key: u64,
    red: bool,
    failures: Vec<(ParticipantKey, FailReason)>,
    negotiations: Vec<ParticipantKey>,
    reaches: Vec<(ParticipantKey, PeerConnection, Reach)>,
    subscribed: Vec<(TrackKey, ParticipantKey)>,
    /// Who is speaking, as the speaker lists have it.
    speaking: BTreeMap<ParticipantKey, f32>,
    qualities: Vec<Quality>,
    paths: Vec<(ParticipantKey, PeerConnection, MediaPath)>,
}

#[derive(Debug)]
struct Person {
    node: usize,
    /// The node of its unit.
    unit: usize,
    room: RoomKey,
    mode: ConnectionMode,
    track: Option<TrackKey>,
    /// Nothing reaches the client by signalling.
    is_cut_off: bool,
}

#[derive(Debug)]
enum Member {
    Sfu(Box<Unit>),
    Peer(Box<Peer>),
}

/// The unit, and what it has told so far and nobody has looked at.
#[derive(Debug)]
struct Unit {
    sfu: Sfu,
    address: SocketAddr,
    events: VecDeque<Event>,
    witness: Witness,
}

impl Meeting {
    /// An SFU of one unit, without clients, by which everybody is heard.
    pub fn new(net: Net) -> Self {
        Self::across(1, net)
    }

    /// An SFU of several units, without clients, by which everybody is heard.
    pub fn across(units: u8, net: Net) -> Self {
        Self::with_loudest(units, net, LoudestSpeakers::OFF)
    }

    /// An SFU of some units, without clients and with a rule about who is heard.
    pub fn with_loudest(units: u8, net: Net, loudest: LoudestSpeakers) -> Self {
        let mut world = World::new(net);
        let identity = Identity::generate().expect("an identity");
        for worker in 0..units {
            let address = SocketAddr::new(SFU_IP, FIRST_PORT + u16::from(worker));
            let config = Config {
                worker,
                external: Vec::new(),
                addresses: vec![SFU_IP],
                port: address.port(),
                shares_port: false,
                tcp_ports: Vec::new(),
                loudest,
            };
            let rng = StdRng::seed_from_u64(1 + u64::from(worker));
            let sfu = Sfu::new(config, identity.clone(), rng, world.now(), SystemTime::UNIX_EPOCH);
            let unit = Unit { sfu, address, events: VecDeque::new(), witness: Witness::default() };
            world.add(Member::Sfu(Box::new(unit)));
        }
        Self {
            world,
            units: units.into(),
            identity: Identity::generate().expect("an identity"),
            people: BTreeMap::new(),
            next_key: 1,
            red: false,
            failures: Vec::new(),
            reaches: Vec::new(),
            negotiations: Vec::new(),
            subscribed: Vec::new(),
            speaking: BTreeMap::new(),
            qualities: Vec::new(),
            paths: Vec::new(),
        }
    }

    /// Where the SFU's first unit receives.
    pub fn sfu_address(&self) -> SocketAddr {
        SocketAddr::new(SFU_IP, FIRST_PORT)
    }

    /// Where a client receives, on its first connection.
    pub fn address(&self, participant: ParticipantKey) -> SocketAddr {
        self.world.node(self.people[&participant].node).addresses()[0]
    }

    /// Where a client receives, on all its connections.
    pub fn addresses(&self, participant: ParticipantKey) -> Vec<SocketAddr> {
        self.world.node(self.people[&participant].node).addresses()
    }

    pub fn net(&mut self) -> &mut Net {
        self.world.net()
    }

    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// Whether clients that join from now on understand RED. They do not from the start.
    pub fn set_red(&mut self, red: bool) {
        self.red = red;
    }

    /// A client joins, hears everybody in the room, and says nothing.
    pub fn join(&mut self, room: RoomKey, mode: ConnectionMode) -> ParticipantKey {
        let participant = self.enter(room, mode);
        self.negotiate(participant);
        participant
    }

    fn enter(&mut self, room: RoomKey, mode: ConnectionMode) -> ParticipantKey {
        let key = ParticipantKey(self.fresh_key());
        let [high, low] = u16::try_from(key.0).expect("a test has few clients").to_be_bytes();
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, high, low)), 40_000);
        let mut peer = Peer::new(mode, &self.identity, address, key.0, self.world.now());
        peer.set_red(self.red);
        let node = self.world.add(Member::Peer(Box::new(peer)));
        let unit = FIRST_UNIT + self.people.len() % self.units;
        self.people.insert(key, Person { node, unit, room, mode, track: None, is_cut_off: false });
        let spec = JoinSpec {
            room,
            participant: key,
            mode,
            may: Permissions { publish: true, subscribe: true },
            label: format!("PA_{key}"),
            extra_addresses: Vec::new(),
            only: None,
        };
        let tracks: Vec<TrackKey> = self
            .people
            .values()
            .filter(|person| person.room == room)
            .filter_map(|person| person.track)
            .collect();
        self.open(room);
        self.with_unit(unit, |sfu, now| {
            sfu.join(spec, now).expect("a fresh key");
            for track in tracks {
                sfu.subscribe(key, track, now);
            }
        });
        key
    }

    /// Opens a room on every unit, and tells each of the others.
    fn open(&mut self, room: RoomKey) {
        let units = self.units as u8;
        self.with_each_sfu(|sfu, _| sfu.open_room(room));
        // A unit that is told of itself takes no notice.
        self.with_each_sfu(|sfu, _| (0..units).for_each(|unit| sfu.extend_room(room, unit)));
    }

    /// Closes a room on every unit.
    pub fn close_room(&mut self, room: RoomKey) {
        self.with_each_sfu(|sfu, now| sfu.close_room(room, now));
    }

    /// A client joins and speaks.
    pub fn join_speaking(&mut self, room: RoomKey, mode: ConnectionMode) -> ParticipantKey {
        let participant = self.join(room, mode);
        self.speak(participant);
        participant
    }

    /// A client joins whose description names another certificate than it has, as if somebody sat in between.
    pub fn join_with_wrong_fingerprint(&mut self, room: RoomKey) -> ParticipantKey {
        let stranger = Identity::generate().expect("an identity");
        let participant = self.enter(room, ConnectionMode::Single);
        self.with_peer(participant, |peer, _| peer.claim_fingerprint(stranger.fingerprint()));
        self.negotiate(participant);
        participant
    }

    /// A client publishes its microphone, and everybody in the room subscribes to it.
    pub fn speak(&mut self, participant: ParticipantKey) -> TrackKey {
        let track = TrackKey(self.fresh_key());
        let person = self.people.get_mut(&participant).expect("in the meeting");
        person.track = Some(track);
        let (room, node) = (person.room, person.node);
        let cid = format!("cid-{track}");
        let spec = TrackSpec {
            track,
            cid: cid.clone(),
            label: track_label(track),
            muted: false,
            microphone: true,
            red: true,
            stereo: false,
            dtx: true,
        };
        let listeners: Vec<ParticipantKey> = self
            .people
            .iter()
            .filter(|(key, person)| person.room == room && **key != participant)
            .map(|(key, _)| *key)
            .collect();
        self.with_sfu_of(participant, |sfu, _| sfu.publish(participant, spec));
        for listener in listeners {
            self.with_sfu_of(listener, |sfu, now| sfu.subscribe(listener, track, now));
        }
        self.world.act(node, |member, now| member.peer_mut().speak(track, &cid, now));
        self.negotiate(participant);
        track
    }

    /// A client leaves, with or without saying so to the SFU's transport; the control plane always learns of it.
    pub fn leave(&mut self, participant: ParticipantKey) {
        let Some(person) = self.people.remove(&participant) else { return };
        self.world.act(person.node, |member, _| member.peer_mut().close());
        self.with_unit(person.unit, |sfu, now| sfu.leave(participant, now));
    }

    /// The client's own mute: it sends nothing, and the control plane knows.
    pub fn set_muted(&mut self, participant: ParticipantKey, muted: bool) {
        let Person { node, track, .. } = self.people[&participant];
        let track = track.expect("somebody who speaks");
        self.world.act(node, |member, _| member.peer_mut().set_muted(muted));
        self.with_sfu_of(participant, |sfu, _| sfu.set_muted(participant, track, muted));
    }

    /// The client's signalling is lost: what the SFU asks of it does not arrive.
    pub fn cut_signalling(&mut self, participant: ParticipantKey) {
        self.people.get_mut(&participant).expect("in the meeting").is_cut_off = true;
    }

    /// The client's signalling is back, and it restarts ICE on the connection on which it offers.
    pub fn resume(&mut self, participant: ParticipantKey) {
        self.people.get_mut(&participant).expect("in the meeting").is_cut_off = false;
        self.with_sfu_of(participant, |sfu, now| sfu.resume(participant, now));
        self.with_peer(participant, Peer::restart_ice);
        self.negotiate(participant);
    }

    /// Does something with the SFU's first unit, then follows what it asks for.
    pub fn with_sfu<T>(&mut self, action: impl FnOnce(&mut Sfu, Instant) -> T) -> T {
        self.with_unit(FIRST_UNIT, action)
    }

    /// Does something with each unit.
    pub fn with_each_sfu(&mut self, mut action: impl FnMut(&mut Sfu, Instant)) {
        for unit in 0..self.units {
            self.with_unit(FIRST_UNIT + unit, &mut action);
        }
    }

    /// The same with a participant's unit; for one who is not in the meeting that is the first.
    pub fn with_sfu_of<T>(
        &mut self,
        participant: ParticipantKey,
        action: impl FnOnce(&mut Sfu, Instant) -> T,
    ) -> T {
        let unit = self.people.get(&participant).map_or(FIRST_UNIT, |person| person.unit);
        self.with_unit(unit, action)
    }

    fn with_unit<T>(&mut self, unit: usize, action: impl FnOnce(&mut Sfu, Instant) -> T) -> T {
        let result = self.world.act(unit, |member, now| action(&mut member.unit_mut().sfu, now));
        self.pass_on();
        self.follow_events();
        result
    }

    /// What units have to tell each other arrives at once.
    fn pass_on(&mut self) {
        let units = FIRST_UNIT..FIRST_UNIT + self.units;
        for from in units.clone() {
            for to in units.clone() {
                let unit = self.world.node_mut(from).unit_mut();
                let told: Vec<Mirrored> = unit
                    .sfu
                    .mirrored()
                    .filter(|(worker, _)| FIRST_UNIT + worker == to)
                    .map(|(_, told)| std::mem::take(told))
                    .collect();
                for told in &told {
                    self.world.act(to, |member, now| member.unit_mut().sfu.handle_mirrored(told, now));
                }
            }
        }
    }

    /// Does something with a client.
    pub fn with_peer<T>(
        &mut self,
        participant: ParticipantKey,
        action: impl FnOnce(&mut Peer, Instant) -> T,
    ) -> T {
        let node = self.people[&participant].node;
        self.world.act(node, |member, now| action(member.peer_mut(), now))
    }

    /// A new offer of the client, and its answer.
    pub fn negotiate(&mut self, participant: ParticipantKey) {
        let Person { node, unit, .. } = self.people[&participant];
        let offer = self.world.act(node, |member, _| member.peer_mut().create_offer());
        let outcome = self
            .world
            .act(unit, |member, now| member.unit_mut().sfu.offer(participant, &offer, now))
            .expect("an acceptable offer");
        self.world.act(node, |member, now| member.peer_mut().handle_answer(&outcome.answer, now));
        self.pass_on();
        self.follow_events();
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.world.now() + duration;
        while self.world.step_before(end) {
            self.pass_on();
            self.follow_events();
        }
    }

    /// Runs until `done`, which is asked every 10 ms. False when `limit` passes before.
    #[must_use]
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        const STEP: Duration = Duration::from_millis(10);
        let end = self.world.now() + limit;
        while !done(self) {
            if self.world.now() >= end {
                return false;
            }
            self.run_for(STEP);
        }
        true
    }

    /// Whether everybody's connections are up.
    pub fn is_connected(&self) -> bool {
        self.people.values().all(|person| self.world.node(person.node).peer().is_connected())
    }

    pub fn peer(&self, participant: ParticipantKey) -> &Peer {
        self.world.node(self.people[&participant].node).peer()
    }

    pub fn track(&self, participant: ParticipantKey) -> TrackKey {
        self.people[&participant].track.expect("somebody who speaks")
    }

    /// How often the SFU has asked a client to negotiate, or made it an offer.
    pub fn negotiations(&self, participant: ParticipantKey) -> usize {
        self.negotiations.iter().filter(|other| **other == participant).count()
    }

    /// What `listener` has heard of `speaker`.
    pub fn heard(&self, listener: ParticipantKey, speaker: ParticipantKey) -> Hearing {
        self.peer(listener).heard(self.track(speaker))
    }

    pub fn speaks(&self, participant: ParticipantKey) -> bool {
        self.people[&participant].track.is_some()
    }

    /// Everybody who should hear somebody, with whom.
    pub fn pairs(&self) -> Vec<(ParticipantKey, ParticipantKey)> {
        let speakers = self.people.iter().filter(|(_, person)| person.track.is_some());
        let of_room = |room| self.people.iter().filter(move |(_, person)| person.room == room);
        speakers
            .flat_map(|(&speaker, person)| {
                of_room(person.room).map(move |(&listener, _)| (listener, speaker))
            })
            .filter(|(listener, speaker)| listener != speaker)
            .collect()
    }

    pub fn participants(&self) -> Vec<ParticipantKey> {
        self.people.keys().copied().collect()
    }

    /// Of all units together.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for unit in 0..self.units {
            sum += self.world.node(FIRST_UNIT + unit).unit().sfu.counters();
        }
        sum
    }

    /// What the SFU has said of who is heard, in order.
    pub fn reaches(&self) -> &[(ParticipantKey, PeerConnection, Reach)] {
        &self.reaches
    }

    /// Connections that the SFU gave up.
    pub fn failures(&self) -> &[(ParticipantKey, FailReason)] {
        &self.failures
    }

    /// Whether the SFU has said that `subscriber` can hear `track`.
    pub fn is_subscribed(&self, track: TrackKey, subscriber: ParticipantKey) -> bool {
        self.subscribed.contains(&(track, subscriber))
    }

    /// What the SFU has said of a participant's connection, oldest first.
    pub fn qualities(&self, participant: ParticipantKey) -> Vec<ConnectionQuality> {
        let of = self.qualities.iter().filter(|change| change.participant == participant);
        of.map(|change| change.quality).collect()
    }

    /// What the SFU has said of the path of a participant's connection, oldest first.
    pub fn paths(&self, participant: ParticipantKey, connection: PeerConnection) -> Vec<MediaPath> {
        let of = self.paths.iter().filter(|(who, which, _)| (*who, *which) == (participant, connection));
        of.map(|&(_, _, path)| path).collect()
    }

    /// Whether the speaker list has this participant as active.
    pub fn is_speaking(&self, participant: ParticipantKey) -> bool {
        self.speaking.contains_key(&participant)
    }

    fn reachable(&self, participant: ParticipantKey) -> Option<&Person> {
        self.people.get(&participant).filter(|person| !person.is_cut_off)
    }

    /// To everybody else in the room.
    fn relay(&mut self, from: ParticipantKey, kind: DataKind, message: &Bytes) {
        let Some(&Person { room, .. }) = self.people.get(&from) else { return };
        let others = self.people.iter().filter(|(key, person)| **key != from && person.room == room);
        let to: Vec<ParticipantKey> = others.map(|(key, _)| *key).collect();
        for unit in 0..self.units {
            self.world.act(FIRST_UNIT + unit, |member, now| {
                member.unit_mut().sfu.send_data(&to, kind, message, now);
            });
        }
    }

    fn fresh_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    fn follow_events(&mut self) {
        for unit in FIRST_UNIT..FIRST_UNIT + self.units {
            while let Some(event) = self.world.node_mut(unit).unit_mut().events.pop_front() {
                self.follow(event);
            }
        }
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::SectionsRequired { participant, audio } => {
                self.negotiations.push(participant);
                if let Some(person) = self.reachable(participant) {
                    let is_possible = person.mode == ConnectionMode::Single || audio == 0;
                    assert!(is_possible, "who has two connections hears on the other one");
                    self.world.act(person.node, |member, _| member.peer_mut().add_hearing(audio));
                    self.negotiate(participant);
                }
            }
            Event::SubscriberOffer { participant, sdp, .. } => {
                self.negotiations.push(participant);
                if let Some(person) = self.reachable(participant) {
                    assert_eq!(person.mode, ConnectionMode::Dual, "only a second connection is offered");
                    let (node, unit) = (person.node, person.unit);
                    let answer =
                        self.world.act(node, |member, now| member.peer_mut().handle_offer(&sdp, now));
                    self.world
                        .act(unit, |member, now| member.unit_mut().sfu.answer(participant, &answer, now))
                        .expect("an acceptable answer");
                }
            }
            Event::Failed { participant, reason, .. } => self.failures.push((participant, reason)),
            Event::Reach { participant, connection, reach } => {
                self.reaches.push((participant, connection, reach));
            }
            Event::Subscribed { track, subscriber } => self.subscribed.push((track, subscriber)),
            Event::Speakers { changes, .. } => {
                for speaker in changes {
                    if speaker.active {
                        self.speaking.insert(speaker.participant, speaker.level);
                    } else {
                        self.speaking.remove(&speaker.participant);
                    }
                }
            }
            Event::Path { participant, connection, path } => {
                self.paths.push((participant, connection, path));
            }
            Event::Quality { changes, .. } => self.qualities.extend(changes),
            Event::Data { participant, kind, message } => self.relay(participant, kind, &message),
            Event::Connected { .. } | Event::Published { .. } => {}
        }
    }
}

impl Member {
    fn unit(&self) -> &Unit {
        match self {
            Self::Sfu(unit) => unit,
            Self::Peer(_) => unreachable!("the first nodes are units"),
        }
    }

    fn unit_mut(&mut self) -> &mut Unit {
        match self {
            Self::Sfu(unit) => unit,
            Self::Peer(_) => unreachable!("the first nodes are units"),
        }
    }

    fn peer(&self) -> &Peer {
        match self {
            Self::Peer(peer) => peer,
            Self::Sfu(_) => unreachable!("all nodes after the units are clients"),
        }
    }

    fn peer_mut(&mut self) -> &mut Peer {
        match self {
            Self::Peer(peer) => peer,
            Self::Sfu(_) => unreachable!("all nodes after the units are clients"),
        }
    }
}

impl Node for Member {
    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Sfu(unit) => unit.addresses(),
            Self::Peer(peer) => peer.addresses(),
        }
    }

    fn handle_datagram(&mut self, datagram: Datagram, now: Instant) {
        match self {
            Self::Sfu(unit) => unit.handle_datagram(datagram, now),
            Self::Peer(peer) => peer.handle_datagram(datagram, now),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Sfu(unit) => unit.handle_timeout(now),
            Self::Peer(peer) => peer.handle_timeout(now),
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        match self {
            Self::Sfu(unit) => unit.poll(now, out),
            Self::Peer(peer) => peer.poll(now, out),
        }
    }
}

impl Node for Unit {
    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.address]
    }

    fn handle_datagram(&mut self, mut datagram: Datagram, now: Instant) {
        self.sfu.handle_datagram(datagram.to, datagram.from, &mut datagram.bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.sfu.handle_timeout(now);
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        let before = out.len();
        let outbox = self.sfu.outbox();
        out.extend(outbox.iter().map(|transmit| Datagram {
            from: self.address,
            to: transmit.to,
            bytes: transmit.payload.to_vec(),
        }));
        outbox.clear();
        out[before..].iter().for_each(|datagram| self.witness.see(datagram));
        while let Some((_room, event)) = self.sfu.poll_event() {
            self.events.push_back(event);
        }
        self.sfu.next_timeout().unwrap_or(now + Duration::from_secs(3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_one_sessions_stack_ends_that_session_and_no_other() {
        let room = RoomKey(1);
        let mut meeting = Meeting::new(Net::seeded(1));
        let [alice, bob, carol] = [(); 3].map(|()| meeting.join_speaking(room, ConnectionMode::Single));
        assert!(meeting.run_until(Duration::from_secs(5), Meeting::is_connected));
        meeting.run_for(Duration::from_secs(1));

        // Connections are numbered in the order of joining.
        meeting.with_sfu(|sfu, _| sfu.contain(0, |_| panic!("a defect, put here by the test")));

        meeting.run_for(Duration::from_millis(100));
        let before = meeting.heard(bob, carol).packets;
        let silence = meeting.heard(bob, alice).packets;
        meeting.run_for(Duration::from_secs(2));
        assert_eq!(meeting.failures(), [(alice, FailReason::Panic)]);
        assert!(meeting.heard(bob, carol).packets >= before + 98);
        assert_eq!(meeting.heard(bob, alice).packets, silence);
        meeting.leave(alice);
        let dave = meeting.join(room, ConnectionMode::Single);
        meeting.run_for(Duration::from_secs(2));
        assert!(meeting.heard(dave, bob).packets > 0);
    }
}
