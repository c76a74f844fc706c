//! Who is told what connections are like.

use banter_sfu::ParticipantKey;
use banter_sfu::net::Quality;
use livekit_protocol::{ConnectionQualityInfo, ConnectionQualityUpdate, signal_response};

use super::Room;
use super::participant::Stage;
use crate::signal::translate;

impl Room {
    /// Tells everyone of their own connection and of those whom they hear, if one of these has changed.
    pub(super) fn quality_changed(&mut self, changes: &[Quality]) {
        for change in changes {
            if let Some(participant) = self.participants.get_mut(&change.participant) {
                participant.quality = Some((change.quality, change.score));
            }
        }
        for key in self.keys_of_all() {
            let concerns = |change: &Quality| self.may_know_quality(key, change.participant);
            if self.participants[&key].stage == Stage::Active && changes.iter().any(concerns) {
                self.send_qualities(key);
            }
        }
    }

    fn send_qualities(&mut self, to: ParticipantKey) {
        let known = self.participants.iter().filter(|(other, _)| self.may_know_quality(to, **other));
        let updates = known.filter_map(|(_, other)| {
            let (quality, score) = other.quality?;
            let quality = translate::connection_quality(quality).into();
            Some(ConnectionQualityInfo { participant_sid: other.sid.to_string(), quality, score })
        });
        let update = ConnectionQualityUpdate { updates: updates.collect() };
        self.send(to, signal_response::Message::ConnectionQuality(update));
    }

    fn may_know_quality(&self, key: ParticipantKey, of: ParticipantKey) -> bool {
        let is_hidden = self.participants.get(&of).is_some_and(|participant| participant.grant.hidden);
        key == of || (!is_hidden && self.hears(key, of))
    }
}
