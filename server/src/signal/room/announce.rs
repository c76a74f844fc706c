//! Who is told what of whom: participants, counters of the room, and the presence of its channel.

use std::sync::Arc;

use banter_sfu::ParticipantKey;
use livekit_protocol::{ParticipantInfo, ParticipantUpdate, RoomUpdate, SignalResponse, signal_response};

use super::{Now, ROOM_UPDATE_INTERVAL, Room, Timer, UPDATE_DELAY};
use crate::signal::presence::PresenceEvent;

/// To whom a change of a participant is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Its client knows already.
    Others,
    Everyone,
}

impl Room {
    /// Tells a change at once.
    pub(super) fn announce(&mut self, key: ParticipantKey, audience: Audience) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.version += 1;
        let (info, hidden) = (participant.info(), participant.grant.hidden);
        self.unannounced.remove(&key);
        let message = update(vec![info]);
        if audience == Audience::Everyone {
            self.send_shared(key, message.clone());
        }
        if !hidden {
            self.broadcast_except(key, &message);
        }
        self.update_presence(key);
    }

    /// Tells a change together with those of others, unless the participant publishes: then it cannot wait.
    pub(super) fn announce_soon(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        if participant.is_publisher() {
            return self.announce(key, Audience::Others);
        }
        self.update_presence(key);
        if self.unannounced.is_empty() {
            self.timers.insert((now.instant + UPDATE_DELAY, Timer::Announcement));
        }
        self.unannounced.insert(key);
    }

    /// Tells what has been gathered since the first of [`Room::announce_soon`].
    pub(super) fn announce_gathered(&mut self) {
        let mut infos = Vec::new();
        for key in std::mem::take(&mut self.unannounced) {
            let Some(participant) = self.participants.get_mut(&key) else { continue };
            participant.version += 1;
            let info = participant.info();
            if participant.grant.hidden {
                self.send_shared(key, update(vec![info]));
            } else {
                infos.push(info);
            }
        }
        if infos.is_empty() {
            return;
        }
        let message = update(infos);
        for key in self.keys_of_all() {
            self.send_shared(key, message.clone());
        }
    }

    pub(super) fn broadcast_except(&mut self, key: ParticipantKey, message: &Arc<SignalResponse>) {
        for other in self.keys_of_all() {
            if other != key {
                self.send_shared(other, message.clone());
            }
        }
    }

    /// The number of participants or publishers has changed.
    pub(super) fn count(&mut self, now: Now) {
        if !std::mem::replace(&mut self.counters_dirty, true) {
            let earliest = self.counters_told_at.map_or(now.instant, |at| at + ROOM_UPDATE_INTERVAL);
            // Never at once: whoever has just joined has read the counters in its join response.
            self.timers.insert((earliest.max(now.instant + UPDATE_DELAY), Timer::Counters));
        }
    }

    pub(super) fn tell_counters(&mut self, now: Now) {
        self.counters_dirty = false;
        self.counters_told_at = Some(now.instant);
        let room = RoomUpdate { room: Some(self.info()) };
        let message = Some(signal_response::Message::RoomUpdate(room));
        let message = Arc::new(SignalResponse { message });
        for key in self.keys_of_all() {
            self.send_shared(key, message.clone());
        }
    }

    /// Brings the channel's presence up to date, if the room is a channel's and something in it has changed.
    pub(super) fn update_presence(&mut self, key: ParticipantKey) {
        let speaking = self.speakers.contains_key(&key);
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if !self.settings.is_channel || participant.grant.hidden {
            return;
        }
        let entry = participant.presence_entry(speaking);
        let earlier = participant.presence.replace(entry.clone());
        if earlier.as_ref() == Some(&entry) {
            return;
        }
        let channel = self.settings.name.clone();
        self.presence(match earlier {
            None => PresenceEvent::Joined { channel, entry },
            Some(_) => PresenceEvent::Updated { channel, entry },
        });
    }

    pub(super) fn presence(&mut self, event: PresenceEvent) {
        self.outputs.push_back(super::Output::Presence(event));
    }

    pub(super) fn keys_of_all(&self) -> Vec<ParticipantKey> {
        self.participants.keys().copied().collect()
    }
}

pub(super) fn update(participants: Vec<ParticipantInfo>) -> Arc<SignalResponse> {
    let message = signal_response::Message::Update(ParticipantUpdate { participants });
    Arc::new(SignalResponse { message: Some(message) })
}
