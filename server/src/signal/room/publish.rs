//! A participant's own tracks: announced, published with a section of its SDP, muted, taken back.

use banter_protocol::sid::TrackSid;
use banter_sfu::net::TrackFormat;
use banter_sfu::{Mid, ParticipantKey, TrackKey};
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    AddTrackRequest, MuteTrackRequest, TrackPublishedResponse, TrackType, UpdateLocalAudioTrack,
    signal_response,
};

use super::announce::Audience;
use super::publication::Publication;
use super::{MediaCommand, Now, Room, webhook};
use crate::signal::translate::{self, TrackOwner};

/// Announced tracks without a section, per participant.
const MAX_PENDING: usize = 20;
/// Announced tracks that wait for one of the same client id, per id.
const MAX_QUEUED: usize = 3;

impl Room {
    /// Announces a track. The client waits for the answer before it offers the track's section.
    pub(super) fn add_track(&mut self, key: ParticipantKey, request: AddTrackRequest, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if !participant.grant.may_publish_source(translate::source(request.source)) {
            return self.refuse(key, Reason::NotAllowed, Request::AddTrack(request));
        }
        // A sid asks to add a codec to a track that exists. Only video has several.
        if request.r#type != i32::from(TrackType::Audio) || !request.sid.is_empty() {
            return self.refuse(key, Reason::UnsupportedType, Request::AddTrack(request));
        }
        let known = participant.publications.values().find(|known| known.cid == request.cid);
        match known {
            Some(known) if known.is_published() => return self.queue_track(key, request),
            Some(known) => {
                // Said again before it was published: it is the same track, with the same answer.
                let track = known.info.clone();
                return self.confirm_track(key, request.cid, track);
            }
            None => {}
        }
        let pending = participant.publications.values().filter(|known| !known.is_published()).count();
        if pending >= MAX_PENDING {
            return self.refuse(key, Reason::LimitExceeded, Request::AddTrack(request));
        }
        self.announce_track(key, &request, now);
    }

    /// A section of the client's SDP carries the track: from here on others may hear it.
    pub(super) fn track_published(
        &mut self,
        key: ParticipantKey,
        track: TrackKey,
        section: &Mid,
        format: TrackFormat,
        now: Now,
    ) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let Some(publication) = participant.publications.get_mut(&track) else { return };
        let is_new = !publication.is_published();
        if !publication.publish(section, format, now.wall) {
            return;
        }
        let info = publication.info.clone();
        // Others learn of the track before the media plane offers it to them.
        self.announce(key, Audience::Others);
        self.count(now);
        self.subscribe_all_to(TrackOwner { track, owner: key });
        if is_new {
            self.hook_track_published(key, info, now);
        }
    }

    /// The client has given up the track's section.
    pub(super) fn track_unpublished(&mut self, key: ParticipantKey, track: TrackKey, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let Some(publication) = participant.publications.remove(&track) else { return };
        let publisher = webhook::origin(participant);
        self.hook_track_unpublished(&publisher, &publication, now);
        self.forget_track(track);
        self.announce(key, Audience::Others);
        self.count(now);
        self.announce_queued(key, &publication.cid, now);
    }

    pub(super) fn mute(&mut self, key: ParticipantKey, request: MuteTrackRequest, now: Now) {
        let Some(track) = self.own_track(key, &request.sid) else {
            return self.refuse(key, Reason::NotFound, Request::Mute(request));
        };
        self.set_muted(key, track, request.muted, now);
    }

    pub(super) fn set_muted(&mut self, key: ParticipantKey, track: TrackKey, muted: bool, now: Now) {
        let Some(publication) = self.publication_mut(key, track) else { return };
        // A client that was muted from outside says so itself, which is no news.
        if publication.info.muted == muted {
            return;
        }
        publication.set_muted(muted, now.wall);
        self.media(MediaCommand::SetMuted { participant: key, track, muted });
        self.announce(key, Audience::Everyone);
    }

    pub(super) fn update_audio_track(
        &mut self,
        key: ParticipantKey,
        request: UpdateLocalAudioTrack,
        now: Now,
    ) {
        let Some(track) = self.own_track(key, &request.track_sid) else {
            return self.refuse(key, Reason::NotFound, Request::UpdateAudioTrack(request));
        };
        let Some(publication) = self.publication_mut(key, track) else { return };
        publication.set_features(request.features, now.wall);
        self.announce(key, Audience::Everyone);
    }

    /// Removes every trace of a track outside its publication. The media plane has ended its subscriptions.
    pub(super) fn forget_track(&mut self, track: TrackKey) {
        self.names.remove_track(track);
        for participant in self.participants.values_mut() {
            participant.subscriptions.forget(track);
        }
    }

    pub(super) fn own_track(&self, key: ParticipantKey, sid: &str) -> Option<TrackKey> {
        self.names.track(sid).filter(|track| track.owner == key).map(|track| track.track)
    }

    pub(super) fn publication_mut(
        &mut self,
        key: ParticipantKey,
        track: TrackKey,
    ) -> Option<&mut Publication> {
        self.participants.get_mut(&key)?.publications.get_mut(&track)
    }

    fn announce_track(&mut self, key: ParticipantKey, request: &AddTrackRequest, now: Now) {
        let track = TrackKey(self.next_key());
        let source = translate::audio_source(translate::source(request.source));
        let sid = TrackSid::random_audio(source, &mut self.rng);
        let publication = Publication::new(track, &sid, request, now.wall);
        let (info, spec) = (publication.info.clone(), publication.spec());
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.publications.insert(track, publication);
        self.names.add_track(sid, TrackOwner { track, owner: key });
        self.media(MediaCommand::Publish { participant: key, track: spec });
        self.confirm_track(key, request.cid.clone(), info);
    }

    fn confirm_track(&mut self, key: ParticipantKey, cid: String, track: livekit_protocol::TrackInfo) {
        let response = TrackPublishedResponse { cid, track: Some(track) };
        self.send(key, signal_response::Message::TrackPublished(response));
    }

    /// The client publishes a track again before it has taken it back.
    fn queue_track(&mut self, key: ParticipantKey, request: AddTrackRequest) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let queued = participant.queued.entry(request.cid.clone()).or_default();
        let reason = if queued.len() < MAX_QUEUED {
            queued.push_back(request.clone());
            Reason::Queued
        } else {
            Reason::LimitExceeded
        };
        self.refuse(key, reason, Request::AddTrack(request));
    }

    fn announce_queued(&mut self, key: ParticipantKey, cid: &str, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let Some(queued) = participant.queued.get_mut(cid) else { return };
        let next = queued.pop_front();
        if queued.is_empty() {
            participant.queued.remove(cid);
        }
        if let Some(request) = next {
            self.announce_track(key, &request, now);
        }
    }
}
