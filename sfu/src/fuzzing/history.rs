//! Histories of a unit with its clients, in virtual time: what the control plane asks in any order, also of those who
//! are gone, while clients connect, speak, lose their network and are imitated by strangers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;

use super::consistency::{check, check_empty};
use crate::net::{ConnectionMode, DataKind, FailReason, PeerConnection, Permissions, TrackSpec};
use crate::sim::{Link, Meeting, Net};
use crate::{LoudestSpeakers, ParticipantKey, RoomKey, Sfu, TrackKey};

const MAX_STEPS: usize = 48;
const MAX_PEOPLE: usize = 5;
const ROOMS: u64 = 2;
/// Nobody and nothing has this key.
const UNKNOWN: u64 = u64::MAX;
/// Rooms grow and shrink over the limit.
const LOUDEST: LoudestSpeakers = LoudestSpeakers { places: 1, above: 2 };
/// How long a history lasts: those who speak make it costly.
const MAX_TIME: Duration = Duration::from_secs(40);

/// Plays the [`Step`]s that the input stands for. The unit's tables are looked at after each of them; when everybody
/// has left, nothing is in them any more and the unit sleeps.
pub fn sfu_ops(input: &[u8]) {
    play(input, 1);
}

/// The same with two units, which every room spans.
pub fn span_ops(input: &[u8]) {
    play(input, 2);
}

fn play(input: &[u8], units: u8) {
    let mut steps = Unstructured::new(input);
    let meeting = Meeting::with_loudest(units, Net::seeded(1), LOUDEST);
    let mut history = History { meeting, people: Vec::new(), time_left: MAX_TIME };
    for _ in 0..MAX_STEPS {
        if steps.is_empty() {
            break;
        }
        let Ok(step) = steps.arbitrary() else { break };
        history.act(step);
        history.meeting.with_each_sfu(|sfu, _| check(sfu));
    }
    history.end();
}

/// One thing that happens. Numbers choose among those who are, or were, in the meeting.
#[derive(Debug, Arbitrary)]
enum Step {
    Join {
        room: u8,
        dual: bool,
        red: bool,
    },
    Speak(u8),
    Leave(u8),
    Mute(u8, bool),
    Unpublish(u8),
    /// A track that its publisher's descriptions never mention.
    Announce(u8),
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Pause(u8, u8, bool),
    Permit(u8, bool, bool),
    CutSignalling(u8),
    Resume(u8),
    LoseNetwork(u8),
    RegainNetwork(u8),
    Chat(u8, Label, u16),
    SendData(u8, Kind, u16),
    Negotiate(u8),
    Offer(u8, String),
    Answer(u8, String),
    Trickle(u8, bool, String),
    /// A datagram from nobody in particular, or as if from a participant.
    Datagram(Option<u8>, Vec<u8>),
    CloseRoom(u8),
    Wait(u8),
}

#[derive(Debug, Arbitrary)]
enum Label {
    Reliable,
    Lossy,
    DataTrack,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Reliable,
    Lossy,
    Raw,
}

struct History {
    meeting: Meeting,
    /// Everybody who ever joined, in order.
    people: Vec<Person>,
    time_left: Duration,
}

#[derive(Clone, Copy)]
struct Person {
    key: ParticipantKey,
    room: RoomKey,
    track: Option<TrackKey>,
    is_inside: bool,
}

impl History {
    fn act(&mut self, step: Step) {
        match step {
            Step::Join { room, dual, red } => self.join(room, dual, red),
            Step::Speak(who) => self.speak(who),
            Step::Leave(who) => self.leave(who),
            Step::CloseRoom(room) => self.close_room(RoomKey(u64::from(room) % ROOMS)),
            Step::Wait(twentieths) => self.wait(Duration::from_millis(50) * u32::from(twentieths)),
            Step::CutSignalling(_) | Step::Resume(_) | Step::Negotiate(_) => self.signal(&step),
            Step::LoseNetwork(who) => self.link(who, Link::cable().loss(1.0)),
            Step::RegainNetwork(who) => self.link(who, Link::cable()),
            Step::Chat(who, label, len) => self.chat(who, &label, len),
            Step::Datagram(from, bytes) => self.imitate(from, bytes),
            command => self.command(command),
        }
    }

    fn join(&mut self, room: u8, dual: bool, red: bool) {
        if self.meeting.participants().len() >= MAX_PEOPLE {
            return;
        }
        let room = RoomKey(u64::from(room) % ROOMS);
        let mode = if dual { ConnectionMode::Dual } else { ConnectionMode::Single };
        self.meeting.set_red(red);
        let key = self.meeting.join(room, mode);
        self.people.push(Person { key, room, track: None, is_inside: true });
    }

    fn wait(&mut self, duration: Duration) {
        let duration = duration.min(self.time_left);
        self.time_left -= duration;
        self.meeting.run_for(duration);
    }

    fn speak(&mut self, who: u8) {
        let Some(at) = self.able(who).filter(|&at| self.people[at].track.is_none()) else { return };
        self.people[at].track = Some(self.meeting.speak(self.people[at].key));
    }

    fn leave(&mut self, who: u8) {
        let Some(at) = self.inside(who) else { return };
        self.people[at].is_inside = false;
        self.meeting.leave(self.people[at].key);
    }

    fn close_room(&mut self, room: RoomKey) {
        let of_room = |person: &&mut Person| person.room == room && person.is_inside;
        let gone: Vec<ParticipantKey> = self
            .people
            .iter_mut()
            .filter(of_room)
            .map(|person| {
                person.is_inside = false;
                person.key
            })
            .collect();
        // What the unit still asks of those whom it has sent away reaches nobody.
        for &key in &gone {
            self.meeting.cut_signalling(key);
        }
        self.meeting.close_room(room);
        for key in gone {
            self.meeting.leave(key);
        }
    }

    /// What clients do by signalling.
    fn signal(&mut self, step: &Step) {
        let (Step::CutSignalling(who) | Step::Resume(who) | Step::Negotiate(who)) = step else { return };
        let Some(at) = self.able(*who) else { return };
        let key = self.people[at].key;
        match step {
            Step::CutSignalling(_) => self.meeting.cut_signalling(key),
            Step::Resume(_) => self.meeting.resume(key),
            _ => self.meeting.negotiate(key),
        }
    }

    fn link(&mut self, who: u8, link: Link) {
        let Some(at) = self.inside(who) else { return };
        for address in self.meeting.addresses(self.people[at].key) {
            self.meeting.net().set_link(address, link);
        }
    }

    fn chat(&mut self, who: u8, label: &Label, len: u16) {
        let Some(at) = self.inside(who) else { return };
        let label = match label {
            Label::Reliable => "_reliable",
            Label::Lossy => "_lossy",
            Label::DataTrack => "_data_track",
        };
        self.meeting.with_peer(self.people[at].key, |peer, _| peer.send_data(label, &vec![7; len.into()]));
    }

    /// Nobody has signed what a stranger sends, so it ends nobody's session.
    fn imitate(&mut self, from: Option<u8>, mut bytes: Vec<u8>) {
        let stranger = SocketAddr::from(([192, 0, 2, 1], 5000));
        let at = from.and_then(|who| self.inside(who));
        let remote = at.map_or(stranger, |at| self.meeting.address(self.people[at].key));
        let local = self.meeting.sfu_address();
        let failures = self.meeting.failures().len();
        self.meeting.with_sfu(|sfu, now| sfu.handle_datagram(local, remote, &mut bytes, now));
        assert_eq!(self.meeting.failures().len(), failures, "a forged datagram ended a session");
    }

    /// What the control plane asks of the unit, also about those whom it does not know.
    fn command(&mut self, step: Step) {
        match step {
            Step::Mute(who, muted) => {
                let (key, track) = (self.key(who), self.track(who));
                self.sfu(key, |sfu, _| sfu.set_muted(key, track, muted));
            }
            Step::Unpublish(who) => {
                let (key, track) = (self.key(who), self.track(who));
                self.sfu(key, |sfu, now| sfu.unpublish(key, track, now));
            }
            Step::Announce(who) => self.announce(who),
            Step::Subscribe(who, whom) => {
                let (key, track) = (self.key(who), self.track(whom));
                self.sfu(key, |sfu, now| sfu.subscribe(key, track, now));
            }
            Step::Unsubscribe(who, whom) => {
                let (key, track) = (self.key(who), self.track(whom));
                self.sfu(key, |sfu, now| sfu.unsubscribe(key, track, now));
            }
            Step::Pause(who, whom, paused) => {
                let (key, track) = (self.key(who), self.track(whom));
                self.sfu(key, |sfu, _| sfu.set_paused(key, track, paused));
            }
            Step::Permit(who, publish, subscribe) => {
                let key = self.key(who);
                self.sfu(key, |sfu, now| sfu.set_permissions(key, Permissions { publish, subscribe }, now));
            }
            Step::SendData(who, kind, len) => self.send_data(who, &kind, len),
            other => self.describe(other),
        }
    }

    fn announce(&mut self, who: u8) {
        let key = self.key(who);
        // Clients' tracks have small numbers.
        let track = TrackKey((1 << 40) + u64::from(who));
        let spec = TrackSpec {
            track,
            cid: format!("cid-{track}"),
            label: format!("TR_{track}"),
            muted: false,
            microphone: true,
            red: true,
            stereo: false,
            dtx: true,
        };
        self.sfu(key, |sfu, _| sfu.publish(key, spec));
    }

    fn send_data(&mut self, who: u8, kind: &Kind, len: u16) {
        let to = [self.key(who), self.key(who.wrapping_add(1))];
        let message = Bytes::from(vec![7; len.into()]);
        let kind = match kind {
            Kind::Reliable => DataKind::Reliable,
            Kind::Lossy => DataKind::Lossy,
            Kind::Raw => DataKind::Raw { binary: true },
        };
        self.meeting.with_each_sfu(|sfu, now| sfu.send_data(&to, kind, &message, now));
    }

    /// Texts that a client sends in place of descriptions and candidates. A description that is none is refused.
    fn describe(&mut self, step: Step) {
        match step {
            Step::Offer(who, sdp) => {
                let key = self.key(who);
                assert!(self.sfu(key, |sfu, now| sfu.offer(key, &sdp, now)).is_err());
            }
            Step::Answer(who, sdp) => {
                let key = self.key(who);
                assert!(self.sfu(key, |sfu, now| sfu.answer(key, &sdp, now)).is_err());
            }
            Step::Trickle(who, is_second, candidate) => {
                let key = self.key(who);
                let which = if is_second { PeerConnection::Subscriber } else { PeerConnection::Publisher };
                self.sfu(key, |sfu, now| sfu.trickle(key, which, &candidate, now));
            }
            _ => unreachable!("every other step has its own place"),
        }
    }

    /// Everybody leaves, and the rooms close.
    fn end(mut self) {
        for at in 0..self.people.len() {
            if std::mem::take(&mut self.people[at].is_inside) {
                self.meeting.leave(self.people[at].key);
            }
        }
        self.meeting.with_each_sfu(|sfu, _| check(sfu));
        for room in 0..ROOMS {
            self.close_room(RoomKey(room));
        }
        self.meeting.with_each_sfu(|sfu, now| {
            check(sfu);
            check_empty(sfu, now);
        });
    }

    fn sfu<T>(&mut self, key: ParticipantKey, action: impl FnOnce(&mut Sfu, Instant) -> T) -> T {
        self.meeting.with_sfu_of(key, action)
    }

    /// Somebody who is in the meeting: where in the list.
    fn inside(&self, who: u8) -> Option<usize> {
        let inside: Vec<usize> = (0..self.people.len()).filter(|&at| self.people[at].is_inside).collect();
        inside.get(usize::from(who) % inside.len().max(1)).copied()
    }

    /// Somebody who is in the meeting and whose connections have not failed: the others' offers are refused.
    fn able(&self, who: u8) -> Option<usize> {
        let at = self.inside(who)?;
        let has_failed = |(key, _): &(ParticipantKey, FailReason)| *key == self.people[at].key;
        (!self.meeting.failures().iter().any(has_failed)).then_some(at)
    }

    /// Somebody who is or was in the meeting, or nobody.
    fn key(&self, who: u8) -> ParticipantKey {
        let known = self.people.get(usize::from(who) % (self.people.len() + 1));
        known.map_or(ParticipantKey(UNKNOWN), |person| person.key)
    }

    /// The track of somebody who is or was in the meeting, or one that never was.
    fn track(&self, who: u8) -> TrackKey {
        let known = self.people.get(usize::from(who) % (self.people.len() + 1));
        known.and_then(|person| person.track).unwrap_or(TrackKey(UNKNOWN))
    }
}
