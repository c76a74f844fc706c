//! How long a session lasts without its socket or without its media, and when its client is asked to mend it.
//!
//! Media keeps a session without a socket for a minute, which is longer than clients try to come back. Without either
//! it lasts five seconds more: its client is gone, or will have to join afresh. A client whose media is lost while its
//! socket lives is asked to resume, which restarts ICE; if that does not help, it has to join afresh.

use std::time::Duration;

use banter_sfu::ParticipantKey;
use banter_sfu::net::{PeerConnection, Reach};
use livekit_protocol::DisconnectReason;
use livekit_protocol::leave_request::Action;
use tracing::debug;

use super::leave::Ending;
use super::participant::{Signal, Stage};
use super::{Now, Output, Room, Timer};

/// How long a session may go on without a socket while its media is heard.
pub(super) const SIGNAL_GRACE: Duration = Duration::from_secs(60);
/// How long a session may go on with neither.
pub(super) const ABSENCE_GRACE: Duration = Duration::from_secs(5);
/// How long the media of a resumed session may take to come back: what clients wait, and some.
pub(super) const RECOVERY_TIME: Duration = Duration::from_secs(20);
/// How long an offer of ours may go unanswered.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Two pings of a client that have not come: nothing that is said to it arrives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(12);

impl Room {
    /// The client's socket is gone. It may come back, unless it has not even come up yet.
    pub(in crate::signal) fn handle_signal_closed(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.signal = Signal::Lost { since: now.instant };
        match participant.stage {
            Stage::Joined => self.remove(key, Ending::SIGNAL_CLOSE, now),
            Stage::Active => self.judge_absence(key, now),
        }
    }

    /// The media plane hears a client no longer, or again.
    pub(super) fn reach_changed(
        &mut self,
        key: ParticipantKey,
        connection: PeerConnection,
        reach: Reach,
        now: Now,
    ) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        match reach {
            Reach::Heard => {
                participant.unheard.remove(&connection);
                if participant.unheard.is_empty() {
                    participant.recovery = None;
                }
            }
            Reach::Silent | Reach::Lost => {
                participant.unheard.insert(connection);
            }
        }
        if reach == Reach::Lost && participant.signal == Signal::Open {
            self.path_lost(key, now);
        } else {
            self.judge_absence(key, now);
        }
    }

    /// Ends a session without a socket when its time is over.
    pub(super) fn judge_absence(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        let Signal::Lost { since } = participant.signal else { return };
        let (grace, ending) = if participant.unheard.is_empty() {
            (SIGNAL_GRACE, Ending::SIGNAL_CLOSE)
        } else {
            (ABSENCE_GRACE, Ending::disconnect(DisconnectReason::ConnectionTimeout))
        };
        if since + grace <= now.instant {
            self.remove(key, ending, now);
        } else {
            self.timers.insert((since + grace, Timer::Absence(key)));
        }
    }

    /// The client goes on with its session: its media has some time to come back too.
    pub(super) fn await_recovery(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if !participant.unheard.is_empty() {
            let until = now.instant + RECOVERY_TIME;
            participant.recovery = Some(until);
            self.timers.insert((until, Timer::Recovery(key)));
        }
    }

    pub(super) fn judge_recovery(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        if participant.recovery.is_some_and(|until| until <= now.instant) {
            self.remove(key, Ending::CONNECTION_TIMEOUT, now);
        }
    }

    pub(super) fn await_answer(&mut self, key: ParticipantKey, id: u32, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.unanswered = Some(id);
        self.timers.insert((now.instant + ANSWER_TIME, Timer::Answer(key, id)));
    }

    /// An offer has had its time. A client that is not heard at all has not refused it: it may resume.
    pub(super) fn judge_answer(&mut self, key: ParticipantKey, id: u32, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        if participant.unanswered != Some(id) || participant.stage != Stage::Active {
            return;
        }
        match participant.signal {
            Signal::Open if participant.heard_at + SIGN_OF_LIFE > now.instant => {
                debug!(participant = participant.sid.as_str(), id, "an offer was not answered");
                self.remove(key, Ending::STATE_MISMATCH, now);
            }
            // A resume brings a new offer.
            Signal::Open | Signal::Lost { .. } => {
                self.timers.insert((now.instant + ANSWER_TIME, Timer::Answer(key, id)));
            }
        }
    }

    fn path_lost(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        let is_alive = participant.heard_at + SIGN_OF_LIFE > now.instant;
        if participant.stage == Stage::Active && participant.recovery.is_none() && is_alive {
            let reason = DisconnectReason::ConnectionTimeout;
            self.dismiss(key, Ending { reason, action: Action::Resume }, now);
        } else {
            self.remove(key, Ending::CONNECTION_TIMEOUT, now);
        }
    }

    /// Tells a client to come back with a new socket, and closes the one it has.
    pub(super) fn dismiss(&mut self, key: ParticipantKey, ending: Ending, now: Now) {
        self.send_shared(key, ending.message().into());
        self.outputs.push_back(Output::HangUp { participant: key });
        self.handle_signal_closed(key, now);
    }
}
