//! What clients ask for on their socket.

use banter_protocol::token::Claims;
use banter_sfu::ParticipantKey;
use banter_sfu::net::ConnectionMode;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::{
    Pong, RequestResponse, SessionDescription, TrickleRequest, UpdateParticipantMetadata, signal_request,
    signal_response,
};
use serde::Deserialize;
use tracing::debug;

use super::announce::Audience;
use super::leave::Ending;
use super::{MediaCommand, Now, Room};
use crate::signal::translate;

/// Before this protocol version a client takes any request response for a refusal.
const UNDERSTANDS_OK: i32 = 15;
const MAX_NAME: usize = 256;
pub(in crate::signal) const MAX_METADATA: usize = 512 * 1024;
/// Keys and values together.
const MAX_ATTRIBUTES: usize = 64 * 1024;

impl Room {
    pub(in crate::signal) fn handle_request(
        &mut self,
        key: ParticipantKey,
        message: signal_request::Message,
        now: Now,
    ) {
        use signal_request::Message;
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.heard_at = now.instant;
        match message {
            Message::Offer(offer) => self.offer(key, offer),
            Message::Answer(answer) => self.answer(key, answer),
            Message::Trickle(request) => self.trickle(key, request),
            Message::AddTrack(request) => self.add_track(key, request, now),
            Message::Mute(request) => self.mute(key, request, now),
            Message::Subscription(request) => self.update_subscription(key, request),
            Message::TrackSetting(request) => self.update_track_settings(key, request),
            Message::Leave(_) => self.remove(key, Ending::CLIENT_INITIATED, now),
            Message::SubscriptionPermission(request) => self.set_listeners(key, request),
            Message::Ping(_) => {
                let now = translate::unix_millis(now.wall);
                self.send(key, signal_response::Message::Pong(now));
            }
            Message::PingReq(ping) => {
                let timestamp = translate::unix_millis(now.wall);
                let pong = Pong { last_ping_timestamp: ping.timestamp, timestamp };
                self.send(key, signal_response::Message::PongResp(pong));
            }
            Message::UpdateMetadata(request) => self.update_metadata(key, request, now),
            Message::UpdateAudioTrack(request) => self.update_audio_track(key, request, now),
            Message::Simulate(request) => self.simulate(key, request, now),
            Message::SyncState(state) => self.sync_state(key, state, now),
            Message::PublishDataTrackRequest(request) => {
                self.refuse(key, Reason::NotAllowed, Request::PublishDataTrack(request));
            }
            Message::UnpublishDataTrackRequest(request) => {
                self.refuse(key, Reason::NotFound, Request::UnpublishDataTrack(request));
            }
            Message::StoreDataBlobRequest(request) => self.refuse_blob(key, request.request_id),
            Message::GetDataBlobRequest(request) => self.refuse_blob(key, request.request_id),
            // Video, and subscriptions to data tracks.
            other => debug!(kind = variant(&other), "request ignored"),
        }
    }

    /// Answers a request with something else than success.
    pub(super) fn refuse(&mut self, key: ParticipantKey, reason: Reason, request: Request) {
        self.respond(key, 0, reason, "", request);
    }

    /// Blobs belong to data tracks, which there are none of.
    fn refuse_blob(&mut self, key: ParticipantKey, request_id: u32) {
        self.respond(key, request_id, Reason::UnsupportedType, "this server has no data tracks", None);
    }

    fn respond(
        &mut self,
        key: ParticipantKey,
        request_id: u32,
        reason: Reason,
        message: &str,
        request: impl Into<Option<Request>>,
    ) {
        let response = RequestResponse {
            request_id,
            reason: reason.into(),
            message: message.into(),
            request: request.into(),
        };
        self.send(key, signal_response::Message::RequestResponse(response));
    }

    fn offer(&mut self, participant: ParticipantKey, offer: SessionDescription) {
        if self.participants.contains_key(&participant) {
            self.media(MediaCommand::Offer { participant, id: offer.id, sdp: offer.sdp });
        }
    }

    fn answer(&mut self, participant: ParticipantKey, answer: SessionDescription) {
        let Some(found) = self.participants.get(&participant) else { return };
        // Some clients do not say which offer they answer.
        let is_latest = answer.id == 0 || answer.id == found.offers;
        // With one connection we never offer.
        if found.mode == ConnectionMode::Dual && is_latest {
            self.media(MediaCommand::Answer { participant, sdp: answer.sdp });
        }
    }

    fn trickle(&mut self, key: ParticipantKey, request: TrickleRequest) {
        let Some(participant) = self.participants.get(&key) else { return };
        let connection = translate::connection(request.target, participant.mode);
        match serde_json::from_str::<CandidateInit>(&request.candidate_init) {
            // An empty candidate says that there are no more.
            Ok(init) if init.candidate.is_empty() => {}
            Ok(init) => {
                self.media(MediaCommand::Trickle { participant: key, connection, candidate: init.candidate });
            }
            Err(_) => self.refuse(key, Reason::UnclassifiedError, Request::Trickle(request)),
        }
    }

    fn update_metadata(&mut self, key: ParticipantKey, request: UpdateParticipantMetadata, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        let (reason, message) = if !participant.grant.may_update_own_metadata() {
            (Reason::NotAllowed, "does not have permission to update own metadata")
        } else {
            let changed = changed(&request, &participant.claims);
            match excess(&changed) {
                Some(excess) => (Reason::LimitExceeded, excess),
                None => {
                    participant.claims = changed;
                    (Reason::Ok, "")
                }
            }
        };
        if reason != Reason::Ok || participant.client.protocol >= UNDERSTANDS_OK {
            self.respond(key, request.request_id, reason, message, Request::UpdateMetadata(request));
        }
        if reason == Reason::Ok {
            self.announce(key, Audience::Everyone);
            self.refresh_token(key, now);
        }
    }
}

/// What a browser makes of an ICE candidate. The rest of it is about video, or said in the candidate too.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

/// What of a participant's own description is too long, if something is.
pub(in crate::signal) fn excess(claims: &Claims) -> Option<&'static str> {
    let attributes: usize = claims.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    match () {
        () if claims.name.len() > MAX_NAME => Some("name is too long"),
        () if claims.metadata.len() > MAX_METADATA => Some("metadata is too long"),
        () if attributes > MAX_ATTRIBUTES => Some("attributes are too long"),
        () => None,
    }
}

/// The claims with what was asked for. Empty texts leave things as they are; an empty attribute is taken away.
pub(super) fn changed(request: &UpdateParticipantMetadata, claims: &Claims) -> Claims {
    let mut claims = claims.clone();
    if !request.name.is_empty() {
        claims.name.clone_from(&request.name);
    }
    if !request.metadata.is_empty() {
        claims.metadata.clone_from(&request.metadata);
    }
    for (key, value) in &request.attributes {
        if value.is_empty() {
            claims.attributes.remove(key);
        } else {
            claims.attributes.insert(key.clone(), value.clone());
        }
    }
    claims
}

fn variant(message: &signal_request::Message) -> &'static str {
    use signal_request::Message;
    match message {
        Message::UpdateVideoTrack(_) => "update_video_track",
        _ => "data subscription or video layers",
    }
}
