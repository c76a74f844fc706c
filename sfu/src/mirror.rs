//! Rooms across workers: what one worker tells the others of a room's tracks.
//!
//! A track belongs to its publisher's worker, which opens each packet once and passes it on as plaintext. Every other worker
//! with members of the room keeps a *mirror* of the publication, with a ring and subscriptions of its own: it numbers, seals
//! and repairs by itself, so an outgoing SSRC has one owner. What is told arrives in the order in which it was told.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::forward::ring::Packet;
use crate::net::TrackSpec;
use crate::room::publication::{Elsewhere, Owner};
use crate::room::voice::Voice;
use crate::room::{Publication, Span, Wish};
use crate::rtp::{ExtSeq, RtpTime};
use crate::sfu::Sfu;
use crate::{ParticipantKey, PayloadType, RoomKey, Ssrc, TrackKey};

/// Sound that a busy worker comes to later than this is dropped: it is worth nothing by then, and what waits stays bounded.
const MAX_AGE: Duration = Duration::from_millis(200);

/// What a worker has to tell another, in order.
#[derive(Debug, Default)]
pub struct Mirrored {
    arena: Vec<u8>,
    notes: Vec<Note>,
}

#[derive(Debug)]
enum Note {
    /// So many members of a room are on the worker that tells.
    Members {
        room: RoomKey,
        worker: u8,
        members: usize,
    },
    /// There is a track, or its format has changed.
    Track(Box<Announced>),
    /// Whatever comes next of a track goes on without a gap.
    Detached(TrackKey),
    Gone(TrackKey),
    Packet(Passed),
}

#[derive(Debug)]
struct Announced {
    room: RoomKey,
    owner: String,
    spec: TrackSpec,
    is_red: bool,
}

/// A packet whose payload lies in the arena.
#[derive(Clone, Debug)]
struct Passed {
    arrival: Instant,
    track: TrackKey,
    ssrc: Ssrc,
    seq: ExtSeq,
    timestamp: RtpTime,
    marker: bool,
    opus: PayloadType,
    /// As its publisher's worker has measured it.
    voice: Voice,
    payload: Range<usize>,
    primary: usize,
}

impl Mirrored {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.notes.clear();
    }

    fn push_packet(
        &mut self,
        track: TrackKey,
        ssrc: Ssrc,
        packet: &Packet<'_>,
        voice: Voice,
        arrival: Instant,
    ) {
        let start = self.arena.len();
        self.arena.extend_from_slice(packet.payload);
        let payload = start..self.arena.len();
        let Packet { seq, timestamp, marker, opus, primary, .. } = *packet;
        let passed = Passed { arrival, track, ssrc, seq, timestamp, marker, opus, voice, payload, primary };
        self.notes.push(Note::Packet(passed));
    }
}

impl Sfu {
    /// The room may have members on another worker from now on, which is told of the tracks here.
    pub fn extend_room(&mut self, room: RoomKey, worker: u8) {
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        if worker == self.config.worker || entry.spans.iter().any(|span| span.worker == worker) {
            return;
        }
        entry.spans.push(Span { worker, members: 0 });
        let slots = self.mirrored.len().max(usize::from(worker) + 1);
        self.mirrored.resize_with(slots, Mirrored::default);
        let owners = entry.participants.iter();
        let tracks: Vec<usize> =
            owners.flat_map(|&owner| self.participants[owner].publications.iter().copied()).collect();
        for publication in tracks {
            let Some(announced) = self.announcement(publication) else { continue };
            self.mirrored[usize::from(worker)].notes.push(Note::Track(Box::new(announced)));
        }
        self.tell_members(room);
    }

    /// Takes what another worker has told.
    pub fn handle_mirrored(&mut self, told: &Mirrored, now: Instant) {
        for note in &told.notes {
            match note {
                // Most frequent first.
                Note::Packet(passed) => self.handle_passed(passed, &told.arena[passed.payload.clone()], now),
                Note::Detached(track) => {
                    if self.mirror_mut(*track).is_some() {
                        self.detach(self.publication_by_track[track]);
                    }
                }
                Note::Members { room, worker, members } => self.note_members(*room, *worker, *members),
                Note::Track(announced) => self.mirror_track(announced, now),
                Note::Gone(track) => {
                    if self.mirror_mut(*track).is_some() {
                        self.retire(self.publication_by_track[track], now);
                    }
                }
            }
        }
    }

    /// What there is to tell, by the number of the worker that is to be told. Take it, and leave an empty one.
    pub fn mirrored(&mut self) -> impl Iterator<Item = (usize, &mut Mirrored)> {
        self.mirrored.iter_mut().enumerate().filter(|(_, told)| !told.is_empty())
    }

    /// Passes a packet on to every worker on which somebody of the room is.
    pub(crate) fn pass_on(
        &mut self,
        room: RoomKey,
        publication: usize,
        ssrc: Ssrc,
        packet: &Packet<'_>,
        now: Instant,
    ) {
        // A unit none of whose rooms spans workers does not even look.
        if self.mirrored.is_empty() {
            return;
        }
        let Some(room) = self.rooms.get(&room) else { return };
        let Publication { spec, voice, .. } = &self.publications[publication];
        for span in room.spans.iter().filter(|span| span.members > 0) {
            self.mirrored[usize::from(span.worker)].push_packet(spec.track, ssrc, packet, *voice, now);
        }
    }

    /// Tells the room's other workers of a track, or of its new format.
    pub(crate) fn announce_track(&mut self, publication: usize) {
        let Some(room) = self.spanning_room(publication) else { return };
        let Some(Announced { owner, spec, is_red, .. }) = self.announcement(publication) else { return };
        self.tell(room, || {
            let (owner, spec) = (owner.clone(), spec.clone());
            Note::Track(Box::new(Announced { room, owner, spec, is_red }))
        });
    }

    /// Whatever comes next of a track goes on without a gap, here and on the room's other workers.
    pub(crate) fn detach_everywhere(&mut self, publication: usize) {
        self.detach(publication);
        let track = self.publications[publication].spec.track;
        if let Some(room) = self.spanning_room(publication) {
            self.tell(room, || Note::Detached(track));
        }
    }

    /// The same here. What comes next has to win a place anew where not everybody is heard.
    fn detach(&mut self, publication: usize) {
        let publication = &mut self.publications[publication];
        publication.detach();
        let (room, track) = (publication.owner.room(&self.participants), publication.spec.track);
        self.vacate(room, track);
    }

    /// Tells the room's other workers that a track has ended.
    pub(crate) fn tell_gone(&mut self, publication: usize) {
        let track = self.publications[publication].spec.track;
        if let Some(room) = self.spanning_room(publication) {
            self.tell(room, || Note::Gone(track));
        }
    }

    /// Tells the room's other workers how many are here.
    pub(crate) fn tell_members(&mut self, room: RoomKey) {
        let Some(entry) = self.rooms.get(&room) else { return };
        let (worker, members) = (self.config.worker, entry.participants.len());
        self.tell(room, || Note::Members { room, worker, members });
    }

    /// Keeps a wish for a track that is not known here yet: word of it may be on its way from another worker.
    pub(crate) fn wish(&mut self, room: RoomKey, subscriber: ParticipantKey, track: TrackKey) {
        if let Some(room) = self.rooms.get_mut(&room)
            && !room.spans.is_empty()
        {
            room.wishes.push(Wish { subscriber, track, is_paused: false });
        }
    }

    /// The room of a track that is published here, if it spans workers.
    fn spanning_room(&self, publication: usize) -> Option<RoomKey> {
        let Owner::Here(owner) = self.publications[publication].owner else { return None };
        let room = self.participants[owner].room;
        (!self.rooms.get(&room)?.spans.is_empty()).then_some(room)
    }

    fn tell(&mut self, room: RoomKey, note: impl Fn() -> Note) {
        let Some(room) = self.rooms.get(&room) else { return };
        for span in &room.spans {
            self.mirrored[usize::from(span.worker)].notes.push(note());
        }
    }

    /// What others have to know of a track that is published here and has its section.
    fn announcement(&self, publication: usize) -> Option<Announced> {
        let publication = &self.publications[publication];
        let Owner::Here(owner) = publication.owner else { return None };
        publication.section.as_ref()?;
        let owner = &self.participants[owner];
        Some(Announced {
            room: owner.room,
            owner: owner.label.clone(),
            spec: publication.spec.clone(),
            is_red: publication.is_red(),
        })
    }

    fn mirror_mut(&mut self, track: TrackKey) -> Option<&mut Publication> {
        let publication = &mut self.publications[*self.publication_by_track.get(&track)?];
        matches!(publication.owner, Owner::Elsewhere(_)).then_some(publication)
    }

    fn note_members(&mut self, room: RoomKey, worker: u8, members: usize) {
        let Some(room) = self.rooms.get_mut(&room) else { return };
        if let Some(span) = room.spans.iter_mut().find(|span| span.worker == worker) {
            span.members = members;
        }
    }

    fn mirror_track(&mut self, announced: &Announced, now: Instant) {
        let Announced { room, ref owner, ref spec, is_red } = *announced;
        if let Some(mirror) = self.mirror_mut(spec.track) {
            if let Owner::Elsewhere(elsewhere) = &mut mirror.owner {
                elsewhere.is_red = is_red;
            }
            return;
        }
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        let owner = Owner::Elsewhere(Elsewhere { room, label: owner.clone(), is_red });
        let index = self.publications.insert(Publication::new(owner, spec.clone()));
        self.publication_by_track.insert(spec.track, index);
        entry.mirrors.push(index);
        let granted: Vec<Wish> = entry.wishes.extract_if(.., |wish| wish.track == spec.track).collect();
        for Wish { subscriber, track, is_paused } in granted {
            self.subscribe(subscriber, track, now);
            self.set_paused(subscriber, track, is_paused);
        }
    }

    fn handle_passed(&mut self, passed: &Passed, payload: &[u8], now: Instant) {
        let Passed { arrival, track, ssrc, seq, timestamp, marker, opus, primary, voice, .. } = *passed;
        let Some(mirror) = self.mirror_mut(track) else { return };
        mirror.arrive(seq, ssrc, timestamp, arrival);
        mirror.voice = voice;
        self.counters.mirrored += 1;
        if now.saturating_duration_since(arrival) > MAX_AGE {
            self.counters.outdated += 1;
            return;
        }
        let mut packet = Packet { seq, timestamp, marker, opus, payload, primary };
        let index = self.publication_by_track[&track];
        if self.select(index, &mut packet, arrival) {
            self.deliver(index, &packet);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use std::time::SystemTime;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::transport::Identity;
    use crate::{Config, LoudestSpeakers, PayloadType};

    const ROOM: RoomKey = RoomKey(1);
    const TRACK: TrackKey = TrackKey(2);

    fn unit(now: Instant) -> Sfu {
        let config = Config {
            worker: 0,
            addresses: Vec::new(),
            external: Vec::new(),
            port: 50_000,
            shares_port: false,
            tcp_ports: Vec::new(),
            loudest: LoudestSpeakers::OFF,
        };
        let identity = Identity::generate().expect("an identity");
        let mut sfu = Sfu::new(config, identity, StdRng::seed_from_u64(1), now, SystemTime::UNIX_EPOCH);
        sfu.open_room(ROOM);
        sfu.extend_room(ROOM, 1);
        sfu
    }

    fn announced() -> Note {
        let spec = TrackSpec {
            track: TRACK,
            cid: "cid".to_owned(),
            label: "TR_2".to_owned(),
            muted: false,
            microphone: true,
            red: true,
            stereo: false,
            dtx: true,
        };
        Note::Track(Box::new(Announced { room: ROOM, owner: "PA_1".to_owned(), spec, is_red: true }))
    }

    fn packet(seq: u64) -> Packet<'static> {
        let opus = PayloadType(111);
        let timestamp = RtpTime(seq as u32 * 960);
        Packet { seq: ExtSeq(seq), timestamp, marker: false, opus, payload: b"\x6Fsound", primary: 1 }
    }

    #[test]
    fn sound_that_a_busy_worker_comes_to_too_late_is_dropped_and_the_rest_is_heeded() {
        let now = Instant::now();
        let mut sfu = unit(now);
        let mut told = Mirrored::default();
        told.notes.push(announced());
        told.push_packet(TRACK, Ssrc(7), &packet(1), Voice::default(), now);
        let later = now + Duration::from_millis(100);
        told.push_packet(TRACK, Ssrc(7), &packet(2), Voice::default(), later);
        sfu.handle_mirrored(&told, now + Duration::from_millis(250));
        assert_eq!((sfu.counters().mirrored, sfu.counters().outdated), (2, 1));
        let mirror = &sfu.publications[sfu.publication_by_track[&TRACK]];
        // Numbers are the mirror's own.
        let kept = mirror.ring.get(ExtSeq(0)).expect("the second packet");
        assert_eq!((kept.timestamp, kept.payload), (packet(2).timestamp, packet(2).payload));
        assert!(mirror.ring.get(ExtSeq(1)).is_none());

        told.clear();
        told.notes.push(Note::Gone(TRACK));
        sfu.handle_mirrored(&told, now);
        assert!(sfu.publications.is_empty());
    }

    #[test]
    fn what_is_told_of_a_room_that_is_closed_means_nothing() {
        let now = Instant::now();
        let mut sfu = unit(now);
        sfu.close_room(ROOM, now);
        let mut told = Mirrored::default();
        told.notes.push(Note::Members { room: ROOM, worker: 1, members: 3 });
        told.notes.push(announced());
        told.push_packet(TRACK, Ssrc(7), &packet(1), Voice::default(), now);
        told.notes.push(Note::Detached(TRACK));
        sfu.handle_mirrored(&told, now);
        assert!(sfu.publications.is_empty() && sfu.rooms.is_empty());
    }
}
