//! A session that goes on with a new socket, and how its client catches up. Nobody else notices.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use banter_protocol::token::{Claims, VideoGrant};
use banter_sfu::ParticipantKey;
use banter_sfu::net::ConnectionMode;
use livekit_protocol::{
    ParticipantInfo, ReconnectResponse, RoomUpdate, SyncState, UpdateSubscription, UpdateTrackSettings,
    signal_response,
};
use tracing::{debug, info};

use super::announce::update;
use super::leave::{Ending, REPLACES_BY_IDENTITY};
use super::participant::{Participant, Signal};
use super::simulate::Mishap;
use super::{MediaCommand, Now, Room};

/// A client gives up a socket on which nothing has come for so long (`ping_timeout` of the join response), so what it
/// was told earlier before it was last heard has arrived.
const UNCERTAIN_FOR: Duration = Duration::from_secs(15);
/// Departures that are remembered.
const MAX_DEPARTURES: usize = 256;

/// A checked request to go on with an earlier session.
#[derive(Clone, Debug)]
pub(in crate::signal) struct ResumeIntent {
    pub(in crate::signal) claims: Claims,
    pub(in crate::signal) grant: VideoGrant,
    /// Where the client is.
    pub(in crate::signal) from: Option<IpAddr>,
    pub(in crate::signal) mode: ConnectionMode,
    /// The session's `PA_` sid, if the client names it.
    pub(in crate::signal) sid: String,
    pub(in crate::signal) sync_state: Option<SyncState>,
    /// Where the client reached us, as in a URL.
    pub(in crate::signal) host: Option<String>,
}

/// Who has left lately, for those who were not there to be told.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Oldest first.
    entries: VecDeque<(Instant, ParticipantInfo)>,
    /// When the latest of those left that are no longer remembered.
    forgotten: Option<Instant>,
}

impl Room {
    /// Gives a session a new socket, whatever has become of the old one. `None` when there is no such session, or its
    /// client cannot catch up: then it has to join afresh.
    pub(in crate::signal) fn handle_resume(
        &mut self,
        intent: ResumeIntent,
        now: Now,
    ) -> Option<ParticipantKey> {
        let key = self.resumable(&intent)?;
        let departed = self.departed_unknown_to(key)?;
        let participant = self.participants.get_mut(&key)?;
        participant.signal = Signal::Open;
        participant.heard_at = now.instant;
        participant.from = intent.from;
        participant.host = intent.host;
        info!(participant = participant.sid.as_str(), "resumed");

        let mishap = self.meet_mishap(key);
        if mishap != Some(Mishap::CloseEarly) {
            self.catch_up(key, departed, now);
            if let Some(state) = intent.sync_state {
                self.sync_state(key, state, now);
            }
        }
        if mishap.is_some() {
            self.drop_socket(key, now);
        }
        Some(key)
    }

    /// Tells a client everything that it may have missed.
    fn catch_up(&mut self, key: ParticipantKey, departed: Vec<ParticipantInfo>, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        let response = ReconnectResponse {
            last_message_seq: participant.last_sequence,
            server_info: Some(self.server_info()),
            ice_servers: self.ice_servers(key, now),
            ..ReconnectResponse::default()
        };
        self.send(key, signal_response::Message::Reconnect(response));
        if !departed.is_empty() {
            self.send_shared(key, update(departed));
        }
        let me = self.participants[&key].info();
        let everyone = std::iter::once(me).chain(self.visible_others(key)).collect();
        self.send_shared(key, update(everyone));
        let room = RoomUpdate { room: Some(self.info()) };
        self.send(key, signal_response::Message::RoomUpdate(room));
        self.send_all_speakers(key);
        self.media(MediaCommand::Resume { participant: key });
        self.refresh_token(key, now);
        self.await_recovery(key, now);
    }

    /// The client says what it knows of the session it goes on with.
    pub(super) fn sync_state(&mut self, key: ParticipantKey, state: SyncState, now: Now) {
        let published = state.publish_tracks.iter().filter_map(|published| published.track.as_ref());
        let unknown = published.filter(|track| self.own_track(key, &track.sid).is_none()).count();
        if unknown > 0 {
            debug!(unknown, "a client goes on with tracks that are not known");
            return self.remove(key, Ending::STATE_MISMATCH, now);
        }
        if let Some(UpdateSubscription { track_sids, subscribe, participant_tracks }) = state.subscription {
            let listed = participant_tracks.into_iter().flat_map(|tracks| tracks.track_sids);
            // What has gone meanwhile is no failure: the client learns of it from the participants.
            let track_sids =
                track_sids.into_iter().chain(listed).filter(|sid| self.names.track(sid).is_some()).collect();
            let request = UpdateSubscription { track_sids, subscribe, participant_tracks: Vec::new() };
            self.update_subscription(key, request);
        }
        let disabled = UpdateTrackSettings {
            track_sids: state.track_sids_disabled,
            disabled: true,
            ..UpdateTrackSettings::default()
        };
        self.update_track_settings(key, disabled);
        self.replay_data(key, &state.datachannel_receive_states, now);
    }

    fn resumable(&self, intent: &ResumeIntent) -> Option<ParticipantKey> {
        let key = self.participant_by_identity(intent.claims.identity())?;
        let participant = &self.participants[&key];
        // A newer session of the same identity has connections that this client knows nothing of.
        let is_same = intent.sid.is_empty() || intent.sid == participant.sid.as_str();
        (is_same && intent.mode == participant.mode).then_some(key)
    }

    /// Who may have left without this participant's knowing. `None` when it cannot be told any more.
    fn departed_unknown_to(&self, key: ParticipantKey) -> Option<Vec<ParticipantInfo>> {
        let participant = &self.participants[&key];
        let replaces = participant.client.protocol >= REPLACES_BY_IDENTITY;
        let since = participant.heard_at.checked_sub(UNCERTAIN_FOR).unwrap_or(participant.heard_at);
        let departed = self.departures.since(since)?;
        // Whoever came back is in the list of participants, which takes the place of the earlier session.
        // Everybody is in its own list, also when hidden.
        let visible: Vec<&Participant> = self
            .participants
            .iter()
            .filter(|(other, it)| **other == key || !it.grant.hidden)
            .map(|(_, it)| it)
            .collect();
        let takes_place = |other: &Participant, info: &ParticipantInfo| {
            other.sid.as_str() == info.sid || (replaces && other.identity() == info.identity)
        };
        let gone = |info: &&ParticipantInfo| !visible.iter().any(|it| takes_place(it, info));
        Some(departed.filter(gone).cloned().collect())
    }

    /// Tells a participant anew who speaks and who does not.
    fn send_all_speakers(&mut self, key: ParticipantKey) {
        let levels = self
            .participants
            .keys()
            .map(|speaker| (*speaker, self.speakers.get(speaker).copied().unwrap_or(0.0)));
        let levels: Vec<_> = levels.collect();
        self.send_speakers(key, &levels);
    }
}

impl Departures {
    pub(super) fn note(&mut self, farewell: &ParticipantInfo, now: Now) {
        // One that hid, came back and left has left once.
        self.entries.retain(|(_, earlier)| earlier.sid != farewell.sid);
        if self.entries.len() == MAX_DEPARTURES {
            self.forgotten = self.entries.pop_front().map(|(at, _)| at);
        }
        // What it takes to know who it was; the rest may be large.
        let info =
            ParticipantInfo { metadata: String::new(), attributes: Default::default(), ..farewell.clone() };
        self.entries.push_back((now.instant, info));
    }

    /// Those who have left since then. `None` when some of them are forgotten.
    fn since(&self, since: Instant) -> Option<impl Iterator<Item = &ParticipantInfo>> {
        if self.forgotten.is_some_and(|at| at >= since) {
            return None;
        }
        let late = self.entries.partition_point(|(at, _)| *at < since);
        Some(self.entries.range(late..).map(|(_, info)| info))
    }
}
