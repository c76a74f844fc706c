//! What is done to the room and to its participants from outside.

use banter_protocol::token::{Claims, VideoGrant};
use banter_sfu::{ParticipantKey, TrackKey};
use livekit_protocol::{
    DisconnectReason, MuteTrackRequest, ParticipantInfo, Room as RoomInfo, RoomMovedResponse, TrackInfo,
    TrackUnpublishedResponse, UpdateParticipantMetadata, signal_response,
};

use super::announce::{Audience, update};
use super::join::refreshed_ttl;
use super::leave::Ending;
use super::requests::{changed, excess};
use super::{MediaCommand, Now, Room, webhook};
use crate::signal::translate;

/// From this protocol version on a client understands that it has been moved.
const UNDERSTANDS_MOVES: i32 = 16;

/// Why a track is not muted or unmuted from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::signal) enum MuteRefusal {
    #[error("the participant has no such track")]
    UnknownTrack,
    #[error("remote unmute not enabled")]
    RemoteUnmute,
}

impl Room {
    /// Everyone inside, those who hide included.
    pub(in crate::signal) fn everyone(&self) -> Vec<ParticipantInfo> {
        self.participants.values().map(super::participant::Participant::info).collect()
    }

    pub(in crate::signal) fn participant(&self, key: ParticipantKey) -> Option<ParticipantInfo> {
        self.participants.get(&key).map(super::participant::Participant::info)
    }

    /// What the participant's token says by now, without its grant.
    pub(in crate::signal) fn claims(&self, key: ParticipantKey) -> Option<&Claims> {
        self.participants.get(&key).map(|participant| &participant.claims)
    }

    /// Changes what everyone reads of the room.
    pub(in crate::signal) fn set_metadata(&mut self, metadata: String, now: Now) {
        self.settings.metadata = metadata;
        self.tell_counters(now);
    }

    /// Changes what others read of a participant. Empty texts leave things as they are; an empty attribute is taken
    /// away. Says what is too long, if something is, and then changes nothing.
    pub(in crate::signal) fn describe(
        &mut self,
        key: ParticipantKey,
        update: &UpdateParticipantMetadata,
        now: Now,
    ) -> Result<(), &'static str> {
        let Some(participant) = self.participants.get_mut(&key) else { return Ok(()) };
        let claims = changed(update, &participant.claims);
        if let Some(excess) = excess(&claims) {
            return Err(excess);
        }
        if participant.claims != claims {
            participant.claims = claims;
            self.announce(key, Audience::Everyone);
            self.refresh_token(key, now);
        }
        Ok(())
    }

    /// Subscribes a participant to tracks or unsubscribes it. Tracks that are not in the room are left out.
    pub(in crate::signal) fn subscribe_to(
        &mut self,
        key: ParticipantKey,
        track_sids: &[String],
        subscribe: bool,
    ) {
        for track in track_sids.iter().filter_map(|sid| self.names.track(sid)).collect::<Vec<_>>() {
            self.wish(key, track, subscribe);
        }
    }

    /// Sends a participant into the room `destination`: it gets a token for it and is told to connect anew, which it
    /// does by itself.
    pub(in crate::signal) fn send_away(&mut self, key: ParticipantKey, destination: RoomInfo, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        let grant = VideoGrant { room: destination.name.clone(), ..participant.grant.clone() };
        let claims = Claims { video: Some(grant), ..participant.claims.clone() };
        let (info, protocol) = (participant.info(), participant.client.protocol);
        let token = self.server.keys.sign(&claims, now.wall, refreshed_ttl(&claims, now.wall));
        self.send(key, signal_response::Message::RefreshToken(token.clone()));
        if protocol >= UNDERSTANDS_MOVES {
            // Who else is there comes with the answer to its join.
            let moved = RoomMovedResponse {
                room: Some(destination),
                token,
                participant: Some(info),
                other_participants: Vec::new(),
            };
            self.send(key, signal_response::Message::RoomMoved(moved));
        }
        self.remove(key, Ending::MOVED, now);
    }

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
            self.disappear(key, now);
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
    fn disappear(&mut self, key: ParticipantKey, now: Now) {
        let reason = DisconnectReason::UnknownReason;
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let farewell = participant.farewell(reason);
        participant.version += 1;
        let presence = participant.presence.take();
        self.unannounced.remove(&key);
        self.departures.note(&farewell, now);
        self.broadcast_except(key, &update(vec![farewell]));
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
