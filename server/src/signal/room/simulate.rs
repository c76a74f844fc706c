//! Failures that a client may have played to it, for tests of SDKs. In development mode only, since nobody is asked
//! whether he may.

use std::time::Duration;

use banter_sfu::ParticipantKey;
use livekit_protocol::leave_request::Action;
use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{DisconnectReason, SimulateScenario, SpeakerInfo, SpeakersChanged, signal_response};
use tracing::debug;

use super::leave::Ending;
use super::{Now, Output, Room, Timer};

/// Longest feigned speech.
const MAX_SPEECH: Duration = Duration::from_secs(60);

/// What goes wrong with a session's next resume: its new socket closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// After what a resumed client is told.
    CloseLate,
    /// Before anything is said.
    CloseEarly,
}

impl Room {
    pub(super) fn simulate(&mut self, key: ParticipantKey, request: SimulateScenario, now: Now) {
        let Some(scenario) = request.scenario else { return };
        if !self.server.development {
            return debug!("a failure is only played in development mode");
        }
        debug!(participant = %key, ?scenario, "playing a failure");
        match scenario {
            Scenario::SpeakerUpdate(seconds) => {
                let duration = Duration::from_secs(seconds.max(0).unsigned_abs().into()).min(MAX_SPEECH);
                self.feign_speech(key, 0.9);
                self.timers.insert((now.instant + duration, Timer::FeignedSilence(key)));
            }
            // There is one node: its failure takes the session, and with it whatever the client could go on with.
            Scenario::NodeFailure(_) => self.remove_without_a_word(key, now),
            Scenario::Migration(_) | Scenario::SwitchCandidateProtocol(_) => {
                let reason = DisconnectReason::Migration;
                self.dismiss(key, Ending { reason, action: Action::Resume }, now);
            }
            Scenario::ServerLeave(_) => {
                self.remove(key, Ending::disconnect(DisconnectReason::ServerShutdown), now);
            }
            Scenario::DisconnectSignalOnResume(_) => self.prepare(key, Mishap::CloseLate, now),
            Scenario::DisconnectSignalOnResumeNoMessages(_) => self.prepare(key, Mishap::CloseEarly, now),
            Scenario::LeaveRequestFullReconnect(_) => {
                self.remove(key, Ending::reconnect(DisconnectReason::UnknownReason), now);
            }
            // What is heard takes too little to be limited.
            Scenario::SubscriberBandwidth(_) => {}
        }
    }

    /// What is to go wrong with the resume that is under way.
    pub(super) fn meet_mishap(&mut self, key: ParticipantKey) -> Option<Mishap> {
        self.participants.get_mut(&key)?.mishap.take()
    }

    pub(super) fn feign_silence(&mut self, key: ParticipantKey) {
        self.feign_speech(key, 0.0);
    }

    fn feign_speech(&mut self, key: ParticipantKey, level: f32) {
        let Some(participant) = self.participants.get(&key) else { return };
        let speaker = SpeakerInfo { sid: participant.sid.to_string(), level, active: level > 0.0 };
        let changed = SpeakersChanged { speakers: vec![speaker] };
        self.send(key, signal_response::Message::SpeakersChanged(changed));
    }

    /// The session is gone, and its client finds out by itself.
    fn remove_without_a_word(&mut self, key: ParticipantKey, now: Now) {
        self.drop_socket(key, now);
        self.remove(key, Ending::reconnect(DisconnectReason::SignalClose), now);
    }

    fn prepare(&mut self, key: ParticipantKey, mishap: Mishap, now: Now) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        participant.mishap = Some(mishap);
        self.drop_socket(key, now);
    }

    /// Closes a client's socket without a farewell.
    pub(super) fn drop_socket(&mut self, key: ParticipantKey, now: Now) {
        self.outputs.push_back(Output::HangUp { participant: key });
        self.handle_signal_closed(key, now);
    }
}
