//! What an operator's backend is told of the room, by webhooks.

use banter_protocol::sid::EventSid;
use banter_sfu::ParticipantKey;
use livekit_protocol::{DisconnectReason, ParticipantInfo, RoomEndReason, TrackInfo, WebhookEvent};

use super::leave::Ending;
use super::participant::{Participant, Stage};
use super::publication::Publication;
use super::{Now, Output, Room};
use crate::signal::translate;

impl Room {
    pub(super) fn hook_room_started(&mut self, now: Now) {
        self.hook(WebhookEvent { event: "room_started".into(), ..WebhookEvent::default() }, now);
    }

    pub(super) fn hook_room_finished(&mut self, ending: Ending, now: Now) {
        let reason = match ending.reason {
            DisconnectReason::RoomDeleted => RoomEndReason::RoomEndApiDelete,
            DisconnectReason::ServerShutdown => RoomEndReason::RoomEndServerShutdown,
            _ => RoomEndReason::RoomEndIdleTimeout,
        };
        let event = WebhookEvent {
            event: "room_finished".into(),
            room_end_reason: reason.into(),
            ..WebhookEvent::default()
        };
        self.hook(event, now);
    }

    /// A participant has joined once its media works.
    pub(super) fn hook_participant_joined(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key).map(Participant::info) else { return };
        let event = WebhookEvent {
            event: "participant_joined".into(),
            participant: Some(participant),
            ..WebhookEvent::default()
        };
        self.hook(event, now);
    }

    /// Tells of a participant's end and, before it, of that of its tracks.
    pub(super) fn hook_participant_left(
        &mut self,
        participant: &Participant,
        reason: DisconnectReason,
        now: Now,
    ) {
        let origin = origin(participant);
        for publication in participant.publications.values() {
            self.hook_track_unpublished(&origin, publication, now);
        }
        let event = match participant.stage {
            Stage::Active => "participant_left",
            Stage::Joined => "participant_connection_aborted",
        };
        let event = WebhookEvent {
            event: event.into(),
            participant: Some(participant.farewell(reason)),
            ..WebhookEvent::default()
        };
        self.hook(event, now);
    }

    pub(super) fn hook_track_published(&mut self, key: ParticipantKey, track: TrackInfo, now: Now) {
        let Some(participant) = self.participants.get(&key).map(origin) else { return };
        self.hook_track("track_published", participant, track, now);
    }

    /// A track of the participant `of` is gone. One that was only announced has never been there.
    pub(super) fn hook_track_unpublished(
        &mut self,
        of: &ParticipantInfo,
        publication: &Publication,
        now: Now,
    ) {
        if publication.is_published() {
            self.hook_track("track_unpublished", of.clone(), publication.info.clone(), now);
        }
    }

    fn hook_track(&mut self, event: &str, participant: ParticipantInfo, track: TrackInfo, now: Now) {
        let event = WebhookEvent {
            event: event.into(),
            participant: Some(participant),
            track: Some(track),
            ..WebhookEvent::default()
        };
        self.hook(event, now);
    }

    fn hook(&mut self, event: WebhookEvent, now: Now) {
        if self.settings.test.is_some() {
            return;
        }
        let event = WebhookEvent {
            room: Some(self.info()),
            id: EventSid::random(&mut self.rng).to_string(),
            created_at: translate::unix_millis(now.wall) / 1000,
            ..event
        };
        self.outputs.push_back(Output::Webhook(Box::new(event)));
    }
}

/// All that an event about a track says of its publisher.
pub(super) fn origin(participant: &Participant) -> ParticipantInfo {
    ParticipantInfo {
        sid: participant.sid.to_string(),
        identity: participant.identity().to_owned(),
        ..ParticipantInfo::default()
    }
}
