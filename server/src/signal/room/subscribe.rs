//! Who hears whom: what participants wish, what publishers allow, and what the media plane is therefore asked for.

use banter_sfu::{ParticipantKey, TrackKey};
use livekit_protocol::{
    SpeakerInfo, SpeakersChanged, SubscriptionError, SubscriptionPermission, SubscriptionPermissionUpdate,
    SubscriptionResponse, UpdateSubscription, UpdateTrackSettings, signal_response,
};

use super::listeners::Listeners;
use super::participant::Subscriptions;
use super::publication::Publication;
use super::{MediaCommand, Room};
use crate::signal::translate::TrackOwner;

impl Room {
    /// Sets up what a participant that has just joined hears.
    pub(super) fn subscribe_to_all(&mut self, subscriber: ParticipantKey) {
        for track in self.names.tracks() {
            self.reconcile(subscriber, track);
        }
    }

    /// Sets up who hears a track that has just been published.
    pub(super) fn subscribe_all_to(&mut self, track: TrackOwner) {
        for subscriber in self.keys_of_all() {
            self.reconcile(subscriber, track);
        }
    }

    pub(super) fn update_subscription(&mut self, subscriber: ParticipantKey, request: UpdateSubscription) {
        let UpdateSubscription { track_sids, subscribe, participant_tracks } = request;
        let listed = participant_tracks.into_iter().flat_map(|tracks| tracks.track_sids);
        for sid in track_sids.into_iter().chain(listed) {
            let Some(track) = self.names.track(&sid) else {
                if subscribe {
                    self.subscription_failed(subscriber, sid);
                }
                continue;
            };
            self.wish(subscriber, track, subscribe);
        }
    }

    pub(super) fn wish(&mut self, subscriber: ParticipantKey, track: TrackOwner, subscribe: bool) {
        if let Some(participant) = self.participants.get_mut(&subscriber) {
            participant.subscriptions.wishes.insert(track.track, subscribe);
        }
        self.reconcile(subscriber, track);
    }

    /// Pauses and resumes tracks, also those that are not subscribed to yet. The rest of the settings is about video.
    pub(super) fn update_track_settings(&mut self, subscriber: ParticipantKey, request: UpdateTrackSettings) {
        for track in request.track_sids.iter().filter_map(|sid| self.names.track(sid)).collect::<Vec<_>>() {
            let Some(participant) = self.participants.get_mut(&subscriber) else { return };
            let Subscriptions { active, paused, .. } = &mut participant.subscriptions;
            let changed =
                if request.disabled { paused.insert(track.track) } else { paused.remove(&track.track) };
            if changed && active.contains(&track.track) {
                let (track, paused) = (track.track, request.disabled);
                self.media(MediaCommand::SetPaused { participant: subscriber, track, paused });
            }
        }
    }

    /// A publisher says who may hear it. Those for whom that changes something are told.
    pub(super) fn set_listeners(&mut self, publisher: ParticipantKey, request: SubscriptionPermission) {
        let Some(listeners) = Listeners::from_message(request) else { return };
        let own: Vec<_> = self.names.tracks().into_iter().filter(|track| track.owner == publisher).collect();
        let pairs: Vec<_> = self
            .keys_of_all()
            .into_iter()
            .filter(|subscriber| *subscriber != publisher)
            .flat_map(|subscriber| own.iter().map(move |track| (subscriber, *track)))
            .map(|(subscriber, track)| (subscriber, track, self.is_allowed(subscriber, track)))
            .collect();
        let Some(participant) = self.participants.get_mut(&publisher) else { return };
        participant.listeners = listeners;
        for (subscriber, track, before) in pairs {
            let allowed = self.is_allowed(subscriber, track);
            if allowed != before && self.is_wished(subscriber, track.track) {
                self.permission_changed(subscriber, track, allowed);
            }
            self.reconcile(subscriber, track);
        }
    }

    /// Tells a participant who of those it hears has begun or ceased to speak; itself included.
    pub(super) fn send_speakers(&mut self, to: ParticipantKey, changes: &[(ParticipantKey, f32)]) {
        let speakers: Vec<_> = changes
            .iter()
            .filter(|(speaker, _)| *speaker == to || self.hears(to, *speaker))
            .filter_map(|(speaker, level)| {
                let sid = self.participants.get(speaker)?.sid.to_string();
                Some(SpeakerInfo { sid, level: *level, active: *level > 0.0 })
            })
            .collect();
        if !speakers.is_empty() {
            self.send(to, signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }));
        }
    }

    /// Makes the media plane's state of one subscription what it should be.
    fn reconcile(&mut self, subscriber: ParticipantKey, track: TrackOwner) {
        let wanted = self.is_subscribable(subscriber, track)
            && self.is_wished(subscriber, track.track)
            && self.is_allowed(subscriber, track);
        let heard_before = self.hears(subscriber, track.owner);
        let Some(participant) = self.participants.get_mut(&subscriber) else { return };
        let Subscriptions { active, paused, .. } = &mut participant.subscriptions;
        let changed = if wanted { active.insert(track.track) } else { active.remove(&track.track) };
        if !changed {
            return;
        }
        let paused = paused.contains(&track.track);
        let (participant, track, owner) = (subscriber, track.track, track.owner);
        if wanted {
            self.media(MediaCommand::Subscribe { participant, track });
            if paused {
                self.media(MediaCommand::SetPaused { participant, track, paused });
            }
        } else {
            self.media(MediaCommand::Unsubscribe { participant, track });
        }
        self.hearing_changed(subscriber, owner, heard_before);
    }

    /// Who begins to hear a speaker learns that it speaks; who no longer hears it sees it fall silent.
    fn hearing_changed(&mut self, subscriber: ParticipantKey, publisher: ParticipantKey, before: bool) {
        let hears = self.hears(subscriber, publisher);
        let Some(&level) = self.speakers.get(&publisher) else { return };
        let Some(sid) = self.participants.get(&publisher).map(|participant| participant.sid.to_string())
        else {
            return;
        };
        if hears != before {
            let level = if hears { level } else { 0.0 };
            let speakers = vec![SpeakerInfo { sid, level, active: hears }];
            self.send(subscriber, signal_response::Message::SpeakersChanged(SpeakersChanged { speakers }));
        }
    }

    pub(super) fn hears(&self, subscriber: ParticipantKey, publisher: ParticipantKey) -> bool {
        let Some(subscriber) = self.participants.get(&subscriber) else { return false };
        let Some(publisher) = self.participants.get(&publisher) else { return false };
        publisher.publications.keys().any(|track| subscriber.subscriptions.active.contains(track))
    }

    /// Whether the track is there to be heard, and the subscriber may hear anything at all.
    fn is_subscribable(&self, subscriber: ParticipantKey, track: TrackOwner) -> bool {
        let Some(participant) = self.participants.get(&subscriber) else { return false };
        let Some(owner) = self.participants.get(&track.owner) else { return false };
        let published = owner.publications.get(&track.track).is_some_and(Publication::is_published);
        published && subscriber != track.owner && participant.grant.may_subscribe() && !owner.grant.hidden
    }

    fn is_wished(&self, subscriber: ParticipantKey, track: TrackKey) -> bool {
        let Some(participant) = self.participants.get(&subscriber) else { return false };
        participant.subscriptions.wishes.get(&track).copied().unwrap_or(participant.auto_subscribe)
    }

    fn is_allowed(&self, subscriber: ParticipantKey, track: TrackOwner) -> bool {
        let Some(participant) = self.participants.get(&subscriber) else { return false };
        let Some(owner) = self.participants.get(&track.owner) else { return false };
        let Some(publication) = owner.publications.get(&track.track) else { return false };
        participant.grant.recorder
            || owner.listeners.allow(participant.identity(), participant.sid.as_str(), &publication.info.sid)
    }

    fn permission_changed(&mut self, subscriber: ParticipantKey, track: TrackOwner, allowed: bool) {
        let Some(owner) = self.participants.get(&track.owner) else { return };
        let Some(publication) = owner.publications.get(&track.track) else { return };
        let update = SubscriptionPermissionUpdate {
            participant_sid: owner.sid.to_string(),
            track_sid: publication.info.sid.clone(),
            allowed,
        };
        self.send(subscriber, signal_response::Message::SubscriptionPermissionUpdate(update));
    }

    fn subscription_failed(&mut self, subscriber: ParticipantKey, track_sid: String) {
        let err = SubscriptionError::SeTrackNotfound.into();
        let response = SubscriptionResponse { track_sid, err };
        self.send(subscriber, signal_response::Message::SubscriptionResponse(response));
    }
}

impl Subscriptions {
    pub(super) fn forget(&mut self, track: TrackKey) {
        self.wishes.remove(&track);
        self.active.remove(&track);
        self.paused.remove(&track);
    }
}
