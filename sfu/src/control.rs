//! What the control plane asks for: who is in which room, what they publish, what they hear.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use tracing::debug;

use crate::connection::{Connection, Egress};
use crate::data::Backlog;
use crate::net::{ConnectionMode, Event, JoinError, JoinSpec, PeerConnection, Permissions, TrackSpec};
use crate::quality::Rating;
use crate::room::publication::{Elsewhere, Owner};
use crate::room::{Participant, Publication, Room, Subscription, Wish};
use crate::sdp::{LocalDescription, Negotiation};
use crate::sfu::{Sfu, Timer};
use crate::transport::{IceCredentials, IceRole, Transport};
use crate::{ParticipantKey, RoomKey, Ssrc, TrackKey};

/// How long changes are gathered before the client is asked to negotiate: a join brings several at once.
const NEGOTIATION_DELAY: Duration = Duration::from_millis(10);
/// The same where the client has negotiated just now, counted from then on. When everybody comes back to a call at once,
/// each arrival would have each other client negotiate: with ten people that is ninety times within a second, and a
/// description takes a client longer than anything else that it does.
const NEGOTIATION_INTERVAL: Duration = Duration::from_millis(200);

impl Sfu {
    /// Opens a room. One that is open stays as it is.
    pub fn open_room(&mut self, room: RoomKey) {
        self.rooms.entry(room).or_default();
    }

    /// Closes a room and ends the sessions in it.
    pub fn close_room(&mut self, room: RoomKey, now: Instant) {
        let Some(Room { participants, mirrors, .. }) = self.rooms.get_mut(&room).map(std::mem::take) else {
            return;
        };
        for participant in participants {
            let key = self.participants[participant].key;
            self.leave(key, now);
        }
        for mirror in mirrors {
            self.retire(mirror, now);
        }
        self.rooms.remove(&room);
    }

    /// Adds a participant with its connections, which wait for a description of the other side.
    pub fn join(&mut self, spec: JoinSpec, now: Instant) -> Result<(), JoinError> {
        if self.participant_by_key.contains_key(&spec.participant) {
            return Err(JoinError::Duplicate(spec.participant));
        }
        let index = self.participants.vacant_key();
        let publisher = self.connect(index, PeerConnection::Publisher, &spec, now);
        let subscriber = match spec.mode {
            ConnectionMode::Single => None,
            ConnectionMode::Dual => Some(self.connect(index, PeerConnection::Subscriber, &spec, now)),
        };
        self.participants.insert(Participant {
            key: spec.participant,
            room: spec.room,
            mode: spec.mode,
            may: spec.may,
            label: spec.label,
            publisher,
            subscriber,
            publications: Vec::new(),
            wants: Vec::new(),
            negotiate_at: None,
            negotiated_at: None,
            sections_asked: None,
            level: 0.0,
            rating: Rating::default(),
            reported: Default::default(),
            backlog: Backlog::reliable(),
            early: Backlog::early(),
        });
        self.participant_by_key.insert(spec.participant, index);
        self.rooms.entry(spec.room).or_default().participants.push(index);
        self.tell_members(spec.room);
        self.watch_quality(spec.room, now);
        // A subscriber connection is offered at once, with whatever is wanted by then: clients wait for it.
        if spec.mode == ConnectionMode::Dual {
            self.negotiate_soon(index, now);
        }
        Ok(())
    }

    /// Names these addresses of a router to whoever joins from now on.
    pub fn set_external(&mut self, addresses: Vec<IpAddr>) {
        self.config.external = addresses;
    }

    /// The label of a participant.
    pub fn label(&self, participant: ParticipantKey) -> Option<&str> {
        let &index = self.participant_by_key.get(&participant)?;
        Some(&self.participants[index].label)
    }

    /// The labels of everybody in a room.
    pub fn labels(&self, room: RoomKey) -> impl Iterator<Item = &str> {
        let participants = self.rooms.get(&room).into_iter().flat_map(|room| &room.participants);
        participants.map(|&index| self.participants[index].label.as_str())
    }

    /// Removes a participant with its tracks and its claims on those of others. Unknown keys are ignored.
    pub fn leave(&mut self, participant: ParticipantKey, now: Instant) {
        let Some(index) = self.participant_by_key.remove(&participant) else { return };
        for publication in std::mem::take(&mut self.participants[index].publications) {
            self.retire(publication, now);
        }
        for track in std::mem::take(&mut self.participants[index].wants) {
            if let Some(&publication) = self.publication_by_track.get(&track) {
                self.publications[publication].subscriptions.remove(index);
            }
        }
        for connection in self.participants[index].connections() {
            self.disconnect(connection, now);
        }
        let Participant { room, .. } = self.participants.remove(index);
        if let Some(room) = self.rooms.get_mut(&room) {
            room.participants.retain(|&other| other != index);
            room.wishes.retain(|wish| wish.subscriber != participant);
        }
        self.tell_members(room);
    }

    /// Announces a track. It is fed once an offer has a section for it, which may have come already.
    pub fn publish(&mut self, participant: ParticipantKey, spec: TrackSpec) {
        let Some(&owner) = self.participant_by_key.get(&participant) else { return };
        if self.publication_by_track.contains_key(&spec.track) {
            return;
        }
        let track = spec.track;
        let mut publication = Publication::new(Owner::Here(owner), spec);
        let connection = self.participants[owner].publisher;
        publication.section = self.connections[connection].negotiation.bind_late(&publication.incoming());
        let index = self.publications.insert(publication);
        if let Some(section) = &self.publications[index].section {
            self.connections[connection].streams.extend(section.ssrcs.iter().map(|&ssrc| (ssrc, index)));
            let (mid, format) = (section.mid.clone(), section.format());
            let room = self.participants[owner].room;
            self.events.push_back((room, Event::Published { participant, track, mid, format }));
        }
        self.publication_by_track.insert(track, index);
        self.participants[owner].publications.push(index);
        self.announce_track(index);
    }

    /// Takes a participant's track away from everyone.
    pub fn unpublish(&mut self, participant: ParticipantKey, track: TrackKey, now: Instant) {
        let Some((owner, publication)) = self.own_publication(participant, track) else { return };
        self.participants[owner].publications.retain(|&other| other != publication);
        self.retire(publication, now);
    }

    /// While muted nothing of the track is forwarded, whatever the client sends.
    pub fn set_muted(&mut self, participant: ParticipantKey, track: TrackKey, muted: bool) {
        let Some((_, publication)) = self.own_publication(participant, track) else { return };
        self.publications[publication].spec.muted = muted;
        // After a pause everyone's numbering goes on without a gap.
        if muted {
            self.detach_everywhere(publication);
        }
    }

    /// `participant` wants to hear `track` of somebody in its room, on whatever worker.
    pub fn subscribe(&mut self, participant: ParticipantKey, track: TrackKey, now: Instant) {
        let Some(&subscriber) = self.participant_by_key.get(&participant) else { return };
        let room = self.participants[subscriber].room;
        let Some(&index) = self.publication_by_track.get(&track) else {
            return self.wish(room, participant, track);
        };
        let publication = &mut self.publications[index];
        if publication.is_of(subscriber)
            || publication.owner.room(&self.participants) != room
            || publication.subscriptions.of(subscriber).is_some()
        {
            return;
        }
        let connection = self.participants[subscriber].hears_on();
        let may = self.participants[subscriber].may;
        let sending = &mut self.connections[connection].sending;
        let subscription = loop {
            let drawn = Subscription::new(subscriber, connection, may.subscribe, &mut self.rng, now);
            if !sending.contains_key(&drawn.ssrc) {
                break drawn;
            }
        };
        sending.insert(subscription.ssrc, track);
        self.publications[index].subscriptions.insert(subscription);
        self.participants[subscriber].wants.push(track);
        self.negotiate_soon(subscriber, now);
    }

    /// `participant` no longer wants to hear `track`.
    pub fn unsubscribe(&mut self, participant: ParticipantKey, track: TrackKey, now: Instant) {
        let Some(&subscriber) = self.participant_by_key.get(&participant) else { return };
        let Some(&publication) = self.publication_by_track.get(&track) else {
            self.wishes(subscriber).retain(|wish| (wish.subscriber, wish.track) != (participant, track));
            return;
        };
        self.publications[publication].subscriptions.remove(subscriber);
        self.unwant(subscriber, track, now);
    }

    /// Stops or resumes a subscribed track without negotiation.
    pub fn set_paused(&mut self, participant: ParticipantKey, track: TrackKey, paused: bool) {
        let Some(&subscriber) = self.participant_by_key.get(&participant) else { return };
        let Some(&publication) = self.publication_by_track.get(&track) else {
            let mut wishes = self.wishes(subscriber).iter_mut();
            if let Some(wish) = wishes.find(|wish| (wish.subscriber, wish.track) == (participant, track)) {
                wish.is_paused = paused;
            }
            return;
        };
        if let Some(subscription) = self.publications[publication].subscriptions.of_mut(subscriber) {
            subscription.set_paused(paused);
        }
    }

    /// Takes effect with the next packet.
    pub fn set_permissions(&mut self, participant: ParticipantKey, may: Permissions, now: Instant) {
        let Some(&index) = self.participant_by_key.get(&participant) else { return };
        let participant = &mut self.participants[index];
        if std::mem::replace(&mut participant.may, may) == may {
            return;
        }
        let wants = participant.wants.clone();
        for publication in participant.publications.clone() {
            self.detach_everywhere(publication);
        }
        for track in wants {
            if let Some(subscription) = self.subscription_mut(track, index) {
                subscription.set_permitted(may.subscribe);
            }
        }
        self.negotiate_soon(index, now);
    }

    /// Has the participant's descriptions brought up to date shortly, together with whatever else changes by then.
    pub(crate) fn negotiate_soon(&mut self, index: usize, now: Instant) {
        let participant = &mut self.participants[index];
        if participant.negotiate_at.is_none() {
            let soon = now + NEGOTIATION_DELAY;
            let at = participant.negotiated_at.map_or(soon, |last| soon.max(last + NEGOTIATION_INTERVAL));
            participant.negotiate_at = Some(at);
            self.wheel.schedule(at, Timer::Negotiation(index));
        }
    }

    pub(crate) fn subscription_mut(
        &mut self,
        track: TrackKey,
        subscriber: usize,
    ) -> Option<&mut Subscription> {
        let &publication = self.publication_by_track.get(&track)?;
        self.publications[publication].subscriptions.of_mut(subscriber)
    }

    /// A subscriber's connection has come up: what is bound on it flows from here on.
    pub(crate) fn subscriptions_connected(&mut self, participant: usize, connection: usize) {
        for track in self.participants[participant].wants.clone() {
            let Some(subscription) = self.subscription_mut(track, participant) else { continue };
            if subscription.connection == connection && subscription.connected() {
                self.emit_subscribed(track, participant);
            }
        }
    }

    pub(crate) fn emit_subscribed(&mut self, track: TrackKey, subscriber: usize) {
        let Participant { key, room, .. } = self.participants[subscriber];
        self.events.push_back((room, Event::Subscribed { track, subscriber: key }));
    }

    /// A connection is gone: nothing flows on it any more.
    pub(crate) fn silence_subscriptions(&mut self, participant: usize, connection: usize) {
        for track in self.participants[participant].wants.clone() {
            if let Some(subscription) = self.subscription_mut(track, participant)
                && subscription.connection == connection
            {
                subscription.unbind();
            }
        }
    }

    fn connect(&mut self, participant: usize, which: PeerConnection, spec: &JoinSpec, now: Instant) -> usize {
        let credentials = IceCredentials::of_worker(self.config.worker, &mut self.rng);
        let (negotiation, role) = match which {
            PeerConnection::Publisher => (Negotiation::answerer(), IceRole::Controlled),
            PeerConnection::Subscriber => (Negotiation::offerer(), IceRole::Controlling),
        };
        let advertised = self.config.advertised(&spec.extra_addresses);
        let local = LocalDescription {
            ice_ufrag: credentials.ufrag.clone(),
            ice_pwd: credentials.pwd.clone(),
            fingerprint: self.identity.fingerprint().to_owned(),
            candidates: match spec.only {
                None => advertised,
                Some(way) => way.among(advertised),
            },
        };
        let mut transport = Transport::new(&self.identity, role, credentials, self.config.local(), now);
        if let Some(way) = spec.only {
            transport.restrict(way);
        }
        let index = self.connections.insert(Connection {
            participant,
            which,
            negotiation,
            transport,
            ufrags: vec![local.ice_ufrag.clone()],
            local,
            inbound: None,
            egress: Egress::default(),
            told_path: None,
            validated: Default::default(),
            probes: Default::default(),
            streams: Vec::new(),
            sending: Default::default(),
            channels: Vec::new(),
            deadline: None,
            report_at: now,
            reports: 0,
            reporter: Ssrc(self.rng.random()),
            failed: false,
        });
        self.connection_by_ufrag.insert(self.connections[index].local.ice_ufrag.clone(), index);
        index
    }

    fn disconnect(&mut self, index: usize, now: Instant) {
        // The goodbye is a courtesy; a stack that panicked before cannot say it.
        if !self.connections[index].failed {
            self.contain(index, |sfu| {
                sfu.connections[index].transport.close();
                sfu.drive(index, now);
            });
        }
        self.forget_addresses(index);
        self.connections.remove(index);
        debug!(connection = index, "connection removed");
    }

    /// The owner's slab index and the publication's, if the track is the participant's own.
    fn own_publication(&self, participant: ParticipantKey, track: TrackKey) -> Option<(usize, usize)> {
        let &owner = self.participant_by_key.get(&participant)?;
        let &publication = self.publication_by_track.get(&track)?;
        self.publications[publication].is_of(owner).then_some((owner, publication))
    }

    /// Ends a publication that its owner no longer lists.
    pub(crate) fn retire(&mut self, index: usize, now: Instant) {
        self.tell_gone(index);
        let publication = self.publications.remove(index);
        let track = publication.spec.track;
        self.publication_by_track.remove(&track);
        self.vacate(publication.owner.room(&self.participants), track);
        match publication.owner {
            Owner::Here(owner) => {
                let connection = self.participants[owner].publisher;
                self.connections[connection].streams.retain(|&(_, other)| other != index);
            }
            Owner::Elsewhere(Elsewhere { room, .. }) => {
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.mirrors.retain(|&other| other != index);
                }
            }
        }
        for subscription in publication.subscriptions.iter() {
            self.unwant(subscription.subscriber, track, now);
        }
    }

    /// Leaves a track's place among the loudest speakers to others.
    pub(crate) fn vacate(&mut self, room: RoomKey, track: TrackKey) {
        if let Some(room) = self.rooms.get_mut(&room) {
            room.loudest.vacate(track);
        }
    }

    /// The wishes of everybody in a participant's room.
    fn wishes(&mut self, participant: usize) -> &mut Vec<Wish> {
        let room = self.participants[participant].room;
        &mut self.rooms.entry(room).or_default().wishes
    }

    fn unwant(&mut self, subscriber: usize, track: TrackKey, now: Instant) {
        let participant = &mut self.participants[subscriber];
        let before = participant.wants.len();
        participant.wants.retain(|&other| other != track);
        if participant.wants.len() == before {
            return;
        }
        let connection = participant.hears_on();
        self.connections[connection].sending.retain(|_, other| *other != track);
        self.negotiate_soon(subscriber, now);
    }
}
