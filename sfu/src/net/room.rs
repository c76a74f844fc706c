//! One room as its room actor sees it, on however many workers it is.
//!
//! A room begins on the worker with the fewest participants. When that has as many of its members as one is to have, further
//! ones go to another: at a thousand listeners on one thread the last one would wait for milliseconds (design §2.5). What the
//! workers have to tell each other of the room they tell by themselves ([`crate::Mirrored`]).

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::handle::{
    Command, DataKind, Event, JoinError, JoinSpec, NegotiationError, OfferOutcome, PeerConnection,
    Permissions, TrackSpec, WorkerLink,
};
use crate::{ParticipantKey, RoomKey, TrackKey};

/// One room's way to its workers. Calls take effect in the order in which they were made, also those that have an answer.
#[derive(Debug)]
pub struct RoomHandle {
    room: RoomKey,
    workers: Arc<[WorkerLink]>,
    members_per_worker: usize,
    events: mpsc::UnboundedSender<Event>,
    /// Where it is, oldest first.
    parts: Vec<Part>,
    /// A position in `parts`.
    part_by_participant: HashMap<ParticipantKey, usize>,
}

/// A room's members on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    worker: usize,
    members: usize,
}

impl RoomHandle {
    pub(super) fn new(
        room: RoomKey,
        workers: Arc<[WorkerLink]>,
        members_per_worker: usize,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let (parts, part_by_participant) = (Vec::new(), HashMap::new());
        Self { room, workers, members_per_worker, events, parts, part_by_participant }
    }

    /// Ends the room and every session in it.
    pub fn close(&mut self) {
        for Part { worker, members } in self.parts.drain(..) {
            let link = &self.workers[worker];
            link.placed.fetch_sub(members, Ordering::Relaxed);
            link.send(Command::CloseRoom { room: self.room });
        }
        self.part_by_participant.clear();
    }

    /// Adds a participant. Its connections exist from here on, without a remote description.
    pub fn join(&mut self, spec: JoinSpec) -> impl Future<Output = Result<(), JoinError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let part = match self.part_by_participant.get(&spec.participant) {
            // Refused there.
            Some(&part) => part,
            None => self.place(spec.participant),
        };
        self.workers[self.parts[part].worker].send(Command::Join { spec, reply });
        async { answer.await.unwrap_or(Err(JoinError::Stopped)) }
    }

    /// Removes a participant with all its tracks and subscriptions. Unknown keys are ignored.
    pub fn leave(&mut self, participant: ParticipantKey) {
        let Some(part) = self.part_by_participant.remove(&participant) else { return };
        let Part { worker, members } = &mut self.parts[part];
        *members -= 1;
        let link = &self.workers[*worker];
        link.placed.fetch_sub(1, Ordering::Relaxed);
        link.send(Command::Leave { participant });
    }

    /// The client's signalling is back after a loss: whatever it was told before may not have reached it. What it has to
    /// know follows as events.
    pub fn resume(&self, participant: ParticipantKey) {
        self.send(participant, Command::Resume { participant });
    }

    /// Answers an offer of the client on its publisher (in single mode: only) connection.
    pub fn offer(
        &self,
        participant: ParticipantKey,
        sdp: String,
    ) -> impl Future<Output = Result<OfferOutcome, NegotiationError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let is_known = self.send(participant, Command::Offer { participant, sdp, reply });
        async move { answer.await.unwrap_or(Err(unanswered(participant, is_known))) }
    }

    /// Takes the client's answer to the latest [`Event::SubscriberOffer`].
    pub fn answer(
        &self,
        participant: ParticipantKey,
        sdp: String,
    ) -> impl Future<Output = Result<(), NegotiationError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let is_known = self.send(participant, Command::Answer { participant, sdp, reply });
        async move { answer.await.unwrap_or(Err(unanswered(participant, is_known))) }
    }

    /// Adds a remote candidate (`candidate:…`). May come before the offer. Unusable ones are ignored.
    pub fn trickle(&self, participant: ParticipantKey, connection: PeerConnection, candidate: String) {
        self.send(participant, Command::Trickle { participant, connection, candidate });
    }

    /// Announces a track; it gets its section with the next offer that has one for it.
    pub fn publish(&self, participant: ParticipantKey, track: TrackSpec) {
        self.send(participant, Command::Publish { participant, track });
    }

    /// Takes a track away from everyone.
    pub fn unpublish(&self, participant: ParticipantKey, track: TrackKey) {
        self.send(participant, Command::Unpublish { participant, track });
    }

    /// While muted, nothing of the track is forwarded, whatever the client sends.
    pub fn set_muted(&self, participant: ParticipantKey, track: TrackKey, muted: bool) {
        self.send(participant, Command::SetMuted { participant, track, muted });
    }

    /// `participant` wants to hear `track`; negotiation follows by itself (as events).
    pub fn subscribe(&self, participant: ParticipantKey, track: TrackKey) {
        self.send(participant, Command::Subscribe { participant, track });
    }

    /// `participant` no longer wants to hear `track`.
    pub fn unsubscribe(&self, participant: ParticipantKey, track: TrackKey) {
        self.send(participant, Command::Unsubscribe { participant, track });
    }

    /// Stops (or resumes) forwarding of a subscribed track without renegotiation.
    pub fn set_paused(&self, participant: ParticipantKey, track: TrackKey, paused: bool) {
        self.send(participant, Command::SetPaused { participant, track, paused });
    }

    /// Takes effect with the next packet.
    pub fn set_permissions(&self, participant: ParticipantKey, may: Permissions) {
        self.send(participant, Command::SetPermissions { participant, may });
    }

    /// Sends one message to participants. Reliable ones wait, within bounds, for a channel that is not open or full; others
    /// are dropped then. What is dropped is counted.
    pub fn send_data(&self, to: &[ParticipantKey], kind: DataKind, message: &Bytes) {
        for (at, part) in self.parts.iter().enumerate() {
            let is_there =
                |participant: &&ParticipantKey| self.part_by_participant.get(participant) == Some(&at);
            let to: Vec<ParticipantKey> = to.iter().filter(is_there).copied().collect();
            if !to.is_empty() {
                let message = message.clone();
                self.workers[part.worker].send(Command::SendData { to, kind, message });
            }
        }
    }

    /// To the worker on which a participant is; false if it is on none.
    fn send(&self, participant: ParticipantKey, command: Command) -> bool {
        let part = self.part_by_participant.get(&participant);
        part.inspect(|&&part| self.workers[self.parts[part].worker].send(command)).is_some()
    }

    fn place(&mut self, participant: ParticipantKey) -> usize {
        let loads: Vec<usize> =
            self.workers.iter().map(|worker| worker.placed.load(Ordering::Relaxed)).collect();
        let at = match choose(&self.parts, &loads, self.members_per_worker) {
            Choice::Part(at) => at,
            Choice::Worker(worker) => self.extend(worker),
        };
        self.parts[at].members += 1;
        self.workers[self.parts[at].worker].placed.fetch_add(1, Ordering::Relaxed);
        self.part_by_participant.insert(participant, at);
        at
    }

    /// Takes the room to another worker: there first, so that what the others tell of it finds it open.
    fn extend(&mut self, worker: usize) -> usize {
        let room = self.room;
        self.workers[worker].send(Command::OpenRoom { room, events: self.events.clone() });
        let to = |to: usize, worker: usize| {
            // There are fewer workers than a byte counts.
            self.workers[to].send(Command::ExtendRoom { room, worker: worker as u8 });
        };
        for other in &self.parts {
            to(worker, other.worker);
            to(other.worker, worker);
        }
        self.parts.push(Part { worker, members: 0 });
        self.parts.len() - 1
    }
}

fn unanswered(participant: ParticipantKey, is_known: bool) -> NegotiationError {
    if is_known { NegotiationError::Stopped } else { NegotiationError::UnknownParticipant(participant) }
}

/// Where a newcomer goes.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// Where the room is already.
    Part(usize),
    /// To a worker on which it is not yet.
    Worker(usize),
}

/// The oldest part with a place, so that those that leave make room there and a small room stays together; else the least loaded
/// worker that has no part; else the smallest part. `loads` are participants by worker.
fn choose(parts: &[Part], loads: &[usize], members_per_worker: usize) -> Choice {
    if let Some(at) = parts.iter().position(|part| part.members < members_per_worker) {
        return Choice::Part(at);
    }
    let is_free = |worker: &usize| parts.iter().all(|part| part.worker != *worker);
    if let Some(worker) = (0..loads.len()).filter(is_free).min_by_key(|&worker| loads[worker]) {
        return Choice::Worker(worker);
    }
    let smallest = (0..parts.len()).min_by_key(|&at| parts[at].members);
    Choice::Part(smallest.expect("there is at least one worker, so it has a part by now"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(members: &[usize]) -> Vec<Part> {
        members.iter().enumerate().map(|(worker, &members)| Part { worker, members }).collect()
    }

    #[test]
    fn a_room_begins_where_the_fewest_are_and_stays_together_while_it_is_small() {
        assert_eq!(choose(&[], &[7, 3, 5], 2), Choice::Worker(1));
        assert_eq!(choose(&parts(&[1]), &[9, 0, 0], 2), Choice::Part(0));
    }

    #[test]
    fn who_finds_no_place_goes_to_another_worker_and_then_where_there_are_the_fewest() {
        assert_eq!(choose(&parts(&[2]), &[2, 8, 5], 2), Choice::Worker(2));
        assert_eq!(choose(&parts(&[2, 3]), &[2, 3], 2), Choice::Part(0));
        assert_eq!(choose(&parts(&[4, 3]), &[4, 3], 2), Choice::Part(1));
    }

    #[test]
    fn who_leaves_makes_room_for_the_next() {
        assert_eq!(choose(&parts(&[2, 1, 2]), &[2, 1, 2], 2), Choice::Part(1));
        assert_eq!(choose(&parts(&[0, 2]), &[0, 2], 2), Choice::Part(0));
    }
}
