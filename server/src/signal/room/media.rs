//! What the media plane reports, and what that means for the session.

use banter_sfu::net::{Event, FailReason, NegotiationError, OfferOutcome, PeerConnection, Speaker};
use banter_sfu::{Mid, ParticipantKey, TrackKey};
use livekit_protocol::{MediaSectionsRequirement, TrackSubscribed, signal_response};
use tracing::debug;

use super::leave::Ending;
use super::participant::{Signal, Stage};
use super::{GOODBYE_TIME, Now, Room, Timer};
use crate::signal::presence::PresenceEvent;

impl Room {
    pub(in crate::signal) fn handle_media_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Connected { participant, connection } => self.connected(participant, connection, now),
            Event::Failed { participant, reason, .. } => self.failed(participant, reason, now),
            Event::Reach { participant, connection, reach } => {
                self.reach_changed(participant, connection, reach, now);
            }
            Event::Path { participant, connection, path } => self.path_told(participant, connection, path),
            Event::SubscriberOffer { participant, sdp, sending } => {
                self.subscriber_offer(participant, sdp, &sending, now);
            }
            Event::SectionsRequired { participant, audio } => {
                let requirement = MediaSectionsRequirement { num_audios: audio, num_videos: 0 };
                self.send(participant, signal_response::Message::MediaSectionsRequirement(requirement));
            }
            Event::Published { participant, track, mid, format } => {
                self.track_published(participant, track, &mid, format, now);
            }
            Event::Subscribed { track, subscriber } => self.subscribed(track, subscriber),
            Event::Speakers { changes, .. } => self.speakers_changed(&changes),
            Event::Quality { changes, .. } => self.quality_changed(&changes),
            Event::Data { participant, kind, message } => self.data_received(participant, kind, message, now),
        }
    }

    /// The client's offer `id` has been answered, or refused.
    pub(in crate::signal) fn handle_offer_outcome(
        &mut self,
        key: ParticipantKey,
        id: u32,
        outcome: Result<OfferOutcome, NegotiationError>,
        now: Now,
    ) {
        let OfferOutcome { answer, sending, published, unpublished } = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.negotiation_failed(key, &error, now),
        };
        let answer = self.names.description("answer", id, answer, &sending);
        self.send(key, signal_response::Message::Answer(answer));
        for track in unpublished {
            self.track_unpublished(key, track, now);
        }
        for (track, section, format) in published {
            self.track_published(key, track, &section, format, now);
        }
    }

    /// The client's answer to our offer was taken, or not.
    pub(in crate::signal) fn handle_answer_outcome(
        &mut self,
        key: ParticipantKey,
        outcome: Result<(), NegotiationError>,
        now: Now,
    ) {
        match outcome {
            Ok(()) => {
                if let Some(participant) = self.participants.get_mut(&key) {
                    participant.unanswered = None;
                }
            }
            // A second answer to one offer changes nothing.
            Err(NegotiationError::WrongState(_)) => debug!("an answer came that nobody waits for"),
            Err(error) => self.negotiation_failed(key, &error, now),
        }
    }

    fn negotiation_failed(&mut self, key: ParticipantKey, error: &NegotiationError, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        debug!(participant = participant.sid.as_str(), %error, "negotiation failed");
        // Who has never been active would only fail again in the same way.
        let ending = match participant.stage {
            Stage::Joined => Ending::JOIN_FAILURE,
            Stage::Active => Ending::STATE_MISMATCH,
        };
        self.remove(key, ending, now);
    }

    fn connected(&mut self, key: ParticipantKey, connection: PeerConnection, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if participant.stage == Stage::Joined && participant.primary == connection {
            participant.stage = Stage::Active;
            self.announce_soon(key, now);
            self.hook_participant_joined(key, now);
        }
    }

    fn failed(&mut self, key: ParticipantKey, reason: FailReason, now: Now) {
        if reason == FailReason::Closed {
            // Clients that leave close their connection first and say so a moment later.
            self.timers.insert((now.instant + GOODBYE_TIME, Timer::MediaClosed(key)));
        } else {
            self.remove(key, Ending::MEDIA_FAILURE, now);
        }
    }

    /// The client has closed its connection and has not said goodbye since.
    pub(super) fn media_closed(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        let ending = match participant.signal {
            Signal::Open => Ending::MEDIA_FAILURE,
            Signal::Lost { .. } => Ending::SIGNAL_CLOSE,
        };
        self.remove(key, ending, now);
    }

    fn subscriber_offer(&mut self, key: ParticipantKey, sdp: String, sending: &[(Mid, TrackKey)], now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.offers += 1;
        let id = participant.offers;
        let offer = self.names.description("offer", id, sdp, sending);
        self.send(key, signal_response::Message::Offer(offer));
        self.await_answer(key, id, now);
    }

    /// Tells the publisher that somebody hears its track, the first time that somebody does.
    fn subscribed(&mut self, track: TrackKey, subscriber: ParticipantKey) {
        if self.participants.get(&subscriber).is_none_or(|participant| participant.grant.hidden) {
            return;
        }
        let found = self.participants.iter_mut().find_map(|(key, participant)| {
            let publication = participant.publications.get_mut(&track)?;
            let first = !std::mem::replace(&mut publication.heard, true);
            first.then(|| (*key, publication.info.sid.clone()))
        });
        if let Some((publisher, track_sid)) = found {
            self.send(publisher, signal_response::Message::TrackSubscribed(TrackSubscribed { track_sid }));
        }
    }

    fn speakers_changed(&mut self, changes: &[Speaker]) {
        let mut news = Vec::new();
        let mut others_speak = false;
        for change in changes {
            let level = if change.active { change.level } else { 0.0 };
            if self.participants.get(&change.participant).is_none_or(|speaker| speaker.grant.hidden) {
                continue;
            }
            others_speak |= if change.active {
                self.speakers.insert(change.participant, level).is_none()
            } else {
                self.speakers.remove(&change.participant).is_some()
            };
            news.push((change.participant, level));
        }
        for key in self.keys_of_all() {
            self.send_speakers(key, &news);
        }
        if others_speak {
            self.tell_presence_of_speakers();
        }
    }

    pub(super) fn tell_presence_of_speakers(&mut self) {
        if !self.settings.is_channel {
            return;
        }
        let speaking = |key: &ParticipantKey| Some(self.participants.get(key)?.identity().to_owned());
        let user_ids = self.speakers.keys().filter_map(speaking).collect();
        let channel = self.settings.name.clone();
        self.presence(PresenceEvent::Speaking { channel, user_ids });
    }
}
