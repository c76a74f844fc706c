//! How a session begins: the limit, the one that it replaces, and the answer that comes before everything else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banter_protocol::sid::ParticipantSid;
use banter_protocol::token::{Claims, VideoGrant};
use banter_sfu::ParticipantKey;
use banter_sfu::net::{JoinError, JoinSpec, PeerConnection};
use livekit_protocol::participant_info::State;
use livekit_protocol::{
    Codec, IceServer, JoinResponse, ParticipantInfo, ServerInfo, server_info, signal_response,
};
use rand::{Rng, RngExt};
use tracing::{debug, info};

use super::announce::update;
use super::leave::Ending;
use super::participant::{self, Participant, Signal, Stage, Subscriptions};
use super::{JOIN_DEADLINE, JoinIntent, JoinRefusal, MediaCommand, Now, Room, Timer};
use crate::signal::translate;

/// The LiveKit version whose behaviour clients may expect.
const COMPATIBLE_VERSION: &str = "1.13.5";
/// One below what the newest clients speak: from 18 on they expect data channels that were never opened in band.
const PROTOCOL: i32 = 17;
const PING_INTERVAL_SECONDS: i32 = 5;
const PING_TIMEOUT_SECONDS: i32 = 15;
const MIN_REFRESHED_TTL: Duration = Duration::from_secs(600);

impl Room {
    /// Whether the bearer of `claims` would get in. `limit` overrides the room's own, as a channel's may change.
    pub(in crate::signal) fn admits(
        &self,
        claims: &Claims,
        grant: &VideoGrant,
        limit: Option<u32>,
        now: Now,
    ) -> Result<(), JoinRefusal> {
        if self.closed {
            return Err(JoinRefusal::Closing);
        }
        let limit = limit.unwrap_or(self.settings.max_participants);
        // A session that this one replaces leaves its place to it.
        let others = self
            .participants
            .values()
            .filter(|other| !other.is_dependent() && other.identity() != claims.identity())
            .count();
        let taken = others + self.places_kept_from(claims.identity(), now);
        let full = limit > 0 && taken >= limit as usize && !participant::is_dependent(claims, grant);
        if full { Err(JoinRefusal::Full(limit)) } else { Ok(()) }
    }

    /// Lets a participant in. The first message to it is the join response.
    pub(in crate::signal) fn handle_join(
        &mut self,
        intent: JoinIntent,
        limit: Option<u32>,
        now: Now,
    ) -> Result<ParticipantKey, JoinRefusal> {
        self.admits(&intent.claims, &intent.grant, limit, now)?;
        self.settings.max_participants = limit.unwrap_or(self.settings.max_participants);
        self.kept_places.remove(intent.claims.identity());
        let replaced = self.participant_by_identity(intent.claims.identity());
        let presence = replaced.and_then(|old| self.replace(old, &intent.grant, now));

        let key = ParticipantKey(self.next_key());
        let JoinIntent {
            claims,
            grant,
            client,
            from,
            mode,
            auto_subscribe,
            add_tracks,
            offer,
            extra_addresses,
            host,
        } = intent;
        let participant = Participant {
            primary: participant::primary(mode, &client, &grant),
            sid: ParticipantSid::random(&mut self.rng),
            claims,
            grant,
            client: translate::client(client),
            from,
            host,
            mode,
            joined_at: now.wall,
            stage: Stage::Joined,
            signal: Signal::Open,
            heard_at: now.instant,
            unheard: Default::default(),
            recovery: None,
            mishap: None,
            version: 0,
            auto_subscribe,
            publications: Default::default(),
            queued: Default::default(),
            subscriptions: Subscriptions::default(),
            listeners: Default::default(),
            offers: 0,
            unanswered: None,
            quality: None,
            path: None,
            last_sequence: 0,
            presence,
        };
        info!(participant = participant.sid.as_str(), identity = participant.identity(), ?mode, "joined");
        self.media(MediaCommand::Join(JoinSpec {
            room: self.key,
            participant: key,
            mode,
            may: participant.may(),
            label: participant.sid.to_string(),
            extra_addresses,
            only: self.way(),
        }));
        let dependent = participant.is_dependent();
        self.participants.insert(key, participant);
        if !dependent {
            self.expires_at = None;
        }
        self.timers.insert((now.instant + JOIN_DEADLINE, Timer::JoinDeadline(key)));

        let response = self.join_response(key, now);
        self.send(key, signal_response::Message::Join(response));
        self.subscribe_to_all(key);
        for request in add_tracks {
            self.add_track(key, request, now);
        }
        if let Some(offer) = offer {
            self.media(MediaCommand::Offer { participant: key, id: offer.id, sdp: offer.sdp });
        }
        self.refresh_token(key, now);
        // The Python SDK learns its own sid after a full reconnect only by an update that comes before its media is up.
        let me = self.participants[&key].info();
        self.send_shared(key, update(vec![me]));
        self.announce_soon(key, now);
        self.count(now);
        Ok(key)
    }

    /// The media plane has taken the participant, or not.
    pub(in crate::signal) fn handle_media_joined(
        &mut self,
        key: ParticipantKey,
        result: Result<(), JoinError>,
        now: Now,
    ) {
        if let Err(error) = result {
            debug!(%error, "the media plane refused a participant");
            self.remove(key, Ending::JOIN_FAILURE, now);
        }
    }

    pub(in crate::signal) fn participant_by_identity(&self, identity: &str) -> Option<ParticipantKey> {
        self.participants.iter().find(|(_, other)| other.identity() == identity).map(|(key, _)| *key)
    }

    fn join_response(&mut self, key: ParticipantKey, now: Now) -> JoinResponse {
        let participant = &self.participants[&key];
        JoinResponse {
            room: Some(self.info()),
            participant: Some(ParticipantInfo { state: State::Joining.into(), ..participant.info() }),
            other_participants: self.visible_others(key),
            server_version: COMPATIBLE_VERSION.into(),
            subscriber_primary: participant.primary == PeerConnection::Subscriber,
            ping_timeout: PING_TIMEOUT_SECONDS,
            ping_interval: PING_INTERVAL_SECONDS,
            server_info: Some(self.server_info()),
            ice_servers: self.ice_servers(key, now),
            enabled_publish_codecs: codecs(),
            fast_publish: participant.grant.may_publish(),
            sif_trailer: random_trailer(&mut self.rng),
            ..JoinResponse::default()
        }
    }

    /// Where a client finds TURN, with credentials that are good from now on.
    pub(super) fn ice_servers(&self, key: ParticipantKey, now: Now) -> Vec<IceServer> {
        let Participant { sid, host, .. } = &self.participants[&key];
        match (&self.server.relay, host) {
            (Some(relay), Some(host)) => relay.on(self.settings.test).servers(host, sid.as_str(), now.wall),
            _ => Vec::new(),
        }
    }

    pub(super) fn server_info(&self) -> ServerInfo {
        ServerInfo {
            edition: server_info::Edition::Standard.into(),
            version: COMPATIBLE_VERSION.into(),
            protocol: PROTOCOL,
            node_id: self.server.node.to_string(),
            debug_info: self.server.program.clone(),
            ..ServerInfo::default()
        }
    }

    pub(super) fn visible_others(&self, key: ParticipantKey) -> Vec<ParticipantInfo> {
        self.participants
            .iter()
            .filter(|(other, participant)| **other != key && !participant.grant.hidden)
            .map(|(_, participant)| participant.info())
            .collect()
    }
}

/// What may be sent and heard. Without a video codec in the list, clients announce a track before they offer it.
pub(super) fn codecs() -> Vec<Codec> {
    ["audio/opus", "audio/red"].map(|mime| Codec { mime: mime.into(), fmtp_line: String::new() }).into()
}

/// A refreshed token lives at least as long as the one it follows.
pub(super) fn refreshed_ttl(claims: &Claims, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let remaining = Duration::from_secs(claims.expires_at.unwrap_or(0)).saturating_sub(now);
    remaining.max(MIN_REFRESHED_TTL)
}

/// Marks frames that a server puts into an encrypted stream; random, so that no client can imitate it.
fn random_trailer(rng: &mut impl Rng) -> Vec<u8> {
    rng.random::<[u8; 32]>().into()
}
