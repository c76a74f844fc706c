//! Every way in which a session or the room ends.

use std::sync::Arc;

use banter_protocol::token::VideoGrant;
use banter_sfu::ParticipantKey;
use livekit_protocol::leave_request::Action;
use livekit_protocol::{DisconnectReason, LeaveRequest, SignalResponse, signal_response};
use tracing::info;

use super::announce::update;
use super::participant::Participant;
use super::{MediaCommand, Now, Output, Room};
use crate::signal::CloseReason;
use crate::signal::presence::{PresenceEntry, PresenceEvent};

/// Before this protocol version a client does not replace a session by a newer one of the same identity.
pub(super) const REPLACES_BY_IDENTITY: i32 = 12;

/// Why a session ends, and what its client should do then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signal) struct Ending {
    pub(super) reason: DisconnectReason,
    pub(super) action: Action,
}

/// Whether a newer session of the same identity takes a session's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Successor {
    None,
    Visible,
}

impl Ending {
    pub(super) const CLIENT_INITIATED: Self = Self::disconnect(DisconnectReason::ClientInitiated);
    pub(in crate::signal) const DUPLICATE_IDENTITY: Self =
        Self::disconnect(DisconnectReason::DuplicateIdentity);
    pub(super) const JOIN_FAILURE: Self = Self::disconnect(DisconnectReason::JoinFailure);
    /// The client finds its place in another room, with the token that it was given for it.
    pub(super) const MOVED: Self = Self::reconnect(DisconnectReason::Migration);
    /// A moderator has ended it.
    pub(in crate::signal) const REMOVED: Self = Self::disconnect(DisconnectReason::ParticipantRemoved);
    pub(super) const ROOM_CLOSED: Self = Self::disconnect(DisconnectReason::RoomClosed);
    pub(super) const SIGNAL_CLOSE: Self = Self::disconnect(DisconnectReason::SignalClose);
    /// Nothing is heard of the client's media any more.
    pub(super) const CONNECTION_TIMEOUT: Self = Self::reconnect(DisconnectReason::ConnectionTimeout);
    /// The client's connection broke, or was closed without goodbye.
    pub(super) const MEDIA_FAILURE: Self = Self::reconnect(DisconnectReason::MediaFailure);
    /// The client's idea of the session is not ours: it should join afresh.
    pub(in crate::signal) const STATE_MISMATCH: Self = Self::reconnect(DisconnectReason::StateMismatch);

    pub(super) const fn disconnect(reason: DisconnectReason) -> Self {
        Self { reason, action: Action::Disconnect }
    }

    pub(super) const fn reconnect(reason: DisconnectReason) -> Self {
        Self { reason, action: Action::Reconnect }
    }

    pub(in crate::signal) fn message(self) -> SignalResponse {
        let leave = LeaveRequest {
            // What clients before protocol 13 read.
            can_reconnect: self.action != Action::Disconnect,
            reason: self.reason.into(),
            action: self.action.into(),
            regions: None,
        };
        SignalResponse { message: Some(signal_response::Message::Leave(leave)) }
    }
}

impl Room {
    /// Ends the room for everyone in it.
    pub(in crate::signal) fn handle_close(&mut self, reason: CloseReason, now: Now) {
        let reason = match reason {
            CloseReason::ChannelDeleted | CloseReason::RoomDeleted => DisconnectReason::RoomDeleted,
            CloseReason::Shutdown => DisconnectReason::ServerShutdown,
        };
        self.close_with(Ending::disconnect(reason), now);
    }

    /// Ends a session.
    pub(in crate::signal) fn remove(&mut self, key: ParticipantKey, ending: Ending, now: Now) {
        let presence = self.end(key, ending, Successor::None, now);
        self.presence_left(presence.as_ref(), ending.reason);
        self.empty_since(now);
    }

    /// Ends a session in favour of a newer one of the same identity, to which it leaves its presence.
    pub(super) fn replace(
        &mut self,
        key: ParticipantKey,
        newer: &VideoGrant,
        now: Now,
    ) -> Option<PresenceEntry> {
        // One that nobody sees replaces nothing in the eyes of others.
        if newer.hidden {
            self.remove(key, Ending::DUPLICATE_IDENTITY, now);
            return None;
        }
        self.end(key, Ending::DUPLICATE_IDENTITY, Successor::Visible, now)
    }

    fn end(
        &mut self,
        key: ParticipantKey,
        ending: Ending,
        successor: Successor,
        now: Now,
    ) -> Option<PresenceEntry> {
        self.send_shared(key, Arc::new(ending.message()));
        let participant = self.participants.remove(&key)?;
        info!(participant = participant.sid.as_str(), reason = ending.reason.as_str_name(), "left");
        self.outputs.push_back(Output::HangUp { participant: key });

        // Before media goes, so that no client sees a track vanish without knowing why.
        self.tell_farewell(&participant, ending.reason, successor, now);
        self.hook_participant_left(&participant, ending.reason, now);
        for &track in participant.publications.keys() {
            self.forget_track(track);
        }
        self.unannounced.remove(&key);
        self.fail_calls_to(key);
        self.media(MediaCommand::Leave { participant: key });
        if self.speakers.remove(&key).is_some() {
            self.tell_presence_of_speakers();
        }
        self.count(now);
        participant.presence
    }

    fn tell_farewell(
        &mut self,
        participant: &Participant,
        reason: DisconnectReason,
        successor: Successor,
        now: Now,
    ) {
        if participant.grant.hidden {
            return;
        }
        let farewell = participant.farewell(reason);
        self.departures.note(&farewell, now);
        let farewell = update(vec![farewell]);
        for other in self.keys_of_all() {
            let replaces = self.participants[&other].client.protocol >= REPLACES_BY_IDENTITY;
            if successor == Successor::None || !replaces {
                self.send_shared(other, farewell.clone());
            }
        }
    }

    pub(super) fn presence_left(&mut self, presence: Option<&PresenceEntry>, reason: DisconnectReason) {
        let Some(entry) = presence else { return };
        self.presence(PresenceEvent::Left {
            channel: self.settings.name.clone(),
            user_id: entry.user_id.clone(),
            reason: reason.as_str_name().to_ascii_lowercase(),
        });
    }

    pub(super) fn empty_since(&mut self, now: Now) {
        if self.occupancy() == 0 {
            self.expire_at(now.instant + self.settings.departure_timeout);
        }
    }
}
