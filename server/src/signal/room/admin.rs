//! What is done to a participant from outside: its permissions change, its tracks are muted.

use banter_protocol::token::VideoGrant;
use banter_sfu::{ParticipantKey, TrackKey};
use livekit_protocol::{
    DisconnectReason, MuteTrackRequest, TrackInfo, TrackUnpublishedResponse, signal_response,
};

use super::announce::{Audience, update};
use super::{MediaCommand, Now, Room, webhook};
use crate::signal::translate;

/// Why a track is not muted or unmuted from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::signal) enum MuteRefusal {
    #[error("the participant has no such track")]
    UnknownTrack,
    #[error("remote unmute not enabled")]
    RemoteUnmute,
}

impl Room {
    /// What the participant may do. Whoever changes it starts from here, so that the rest stays as the token said.
    pub(in crate::signal) fn grant(&self, key: ParticipantKey) -> Option<&VideoGrant> {
        self.participants.get(&key).map(|participant| &participant.grant)
    }

    /// Changes what a participant may do, down to the media path: tracks that it may no longer publish are taken from
    /// it, what it hears ends or comes back, and others see it come or go when it ceases or begins to hide.
    pub(in crate::signal) fn set_grant(&mut self, key: ParticipantKey, grant: VideoGrant, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if participant.grant == grant {
            return;
        }
        if grant.hidden && !participant.grant.hidden {
            self.disappear(key);
        }
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.grant = grant;
        let may = participant.may();
        self.media(MediaCommand::SetPermissions { participant: key, may });
        self.unpublish_disallowed(key, now);
        // Everyone learns first what has changed, then the media plane offers it.
        self.announce(key, Audience::Everyone);
        self.refresh_token(key, now);
        self.subscribe_to_all(key);
        for track in self.names.tracks().into_iter().filter(|track| track.owner == key) {
            self.subscribe_all_to(track);
        }
        self.dependents_changed(now);
        self.count(now);
    }

    /// Mutes a track, at once, or unmutes it where that is allowed. Its client is told to do the same.
    pub(in crate::signal) fn mute_track(
        &mut self,
        key: ParticipantKey,
        track_sid: &str,
        muted: bool,
        now: Now,
    ) -> Result<TrackInfo, MuteRefusal> {
        let track = self.own_track(key, track_sid).ok_or(MuteRefusal::UnknownTrack)?;
        if !muted && !self.server.remote_unmute {
            return Err(MuteRefusal::RemoteUnmute);
        }
        let request = MuteTrackRequest { sid: track_sid.to_owned(), muted };
        self.send(key, signal_response::Message::Mute(request));
        self.set_muted(key, track, muted, now);
        let publication = self.publication_mut(key, track).ok_or(MuteRefusal::UnknownTrack)?;
        Ok(publication.info.clone())
    }

    /// Takes a visible participant out of everyone else's sight.
    fn disappear(&mut self, key: ParticipantKey) {
        let reason = DisconnectReason::UnknownReason;
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let farewell = update(vec![participant.farewell(reason)]);
        participant.version += 1;
        let presence = participant.presence.take();
        self.unannounced.remove(&key);
        self.broadcast_except(key, &farewell);
        self.presence_left(presence.as_ref(), reason);
        if self.speakers.remove(&key).is_some() {
            self.tell_presence_of_speakers();
        }
    }

    fn unpublish_disallowed(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let grant = &participant.grant;
        participant.queued.retain(|_, queued| {
            queued.retain(|request| grant.may_publish_source(translate::source(request.source)));
            !queued.is_empty()
        });
        let disallowed: Vec<_> = participant
            .publications
            .iter()
            .filter(|(_, known)| !grant.may_publish_source(translate::source(known.info.source)))
            .map(|(track, _)| *track)
            .collect();
        for track in disallowed {
            self.unpublish(key, track, now);
        }
    }

    /// Takes a track from its publisher.
    fn unpublish(&mut self, participant: ParticipantKey, track: TrackKey, now: Now) {
        let Some(publisher) = self.participants.get_mut(&participant) else { return };
        let Some(publication) = publisher.publications.remove(&track) else { return };
        let origin = webhook::origin(publisher);
        self.hook_track_unpublished(&origin, &publication, now);
        self.media(MediaCommand::Unpublish { participant, track });
        self.forget_track(track);
        let unpublished = TrackUnpublishedResponse { track_sid: publication.info.sid };
        self.send(participant, signal_response::Message::TrackUnpublished(unpublished));
    }

    /// A participant that only serves others keeps no room open; one that no longer does holds it.
    fn dependents_changed(&mut self, now: Now) {
        if self.occupancy() > 0 {
            self.expires_at = None;
        } else if self.expires_at.is_none() {
            self.empty_since(now);
        }
    }
}
