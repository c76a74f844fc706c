//! Failures that clients have played to them.

use livekit_protocol::SimulateScenario;
use livekit_protocol::leave_request::Action;
use livekit_protocol::simulate_scenario::Scenario;

use super::*;

#[test]
fn each_scenario_that_ends_a_session_names_what_the_client_should_do() {
    for (scenario, action, reason) in [
        (Scenario::ServerLeave(true), Action::Disconnect, DisconnectReason::ServerShutdown),
        (Scenario::LeaveRequestFullReconnect(true), Action::Reconnect, DisconnectReason::UnknownReason),
        (Scenario::Migration(true), Action::Resume, DisconnectReason::Migration),
        (Scenario::SwitchCandidateProtocol(1), Action::Resume, DisconnectReason::Migration),
    ] {
        let mut scene = Scene::new();
        let alice = scene.join_connected("alice");
        scene.play(alice, scenario);
        let leave = scene.leave_of(alice);
        assert_eq!((leave.action(), leave.reason()), (action, reason), "{scenario:?}");
        let resumes = scene.resume_as(resume_intent("alice")).is_some();
        assert_eq!(resumes, action == Action::Resume, "{scenario:?}");
    }
}

#[test]
fn a_failed_node_says_nothing_and_knows_nothing_afterwards() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    scene.take(alice);
    scene.play(alice, Scenario::NodeFailure(true));
    assert_eq!(scene.take(alice), []);
    assert!(scene.hung_up.contains(&alice) && scene.inside().is_empty());
    assert_eq!(scene.resume_as(resume_intent("alice")), None);
}

#[test]
fn a_resume_may_be_made_to_fail_once() {
    for (scenario, is_told) in [
        (Scenario::DisconnectSignalOnResume(true), true),
        (Scenario::DisconnectSignalOnResumeNoMessages(true), false),
    ] {
        let mut scene = Scene::new();
        let alice = scene.join_connected("alice");
        scene.take(alice);
        scene.play(alice, scenario);
        assert!(scene.hung_up.contains(&alice), "its socket closes, so that it resumes");
        assert_eq!(scene.resume(alice), Some(alice));
        assert!(scene.hung_up.contains(&alice), "{scenario:?}");
        assert_eq!(!scene.take(alice).is_empty(), is_told, "{scenario:?}");
        assert_eq!(scene.resume(alice), Some(alice));
        assert!(!scene.hung_up.contains(&alice), "{scenario:?}");
    }
}

#[test]
fn feigned_speech_ends_in_time() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    scene.play(alice, Scenario::SpeakerUpdate(3));
    assert_eq!(scene.speakers_told(alice), [(scene.sid(alice), 0.9, true)]);
    scene.advance(Duration::from_secs(3));
    assert_eq!(scene.speakers_told(alice), [(scene.sid(alice), 0.0, false)]);
}

#[test]
fn in_production_nothing_is_played() {
    let mut scene = Scene::in_production();
    let alice = scene.join_connected("alice");
    scene.take(alice);
    for scenario in [Scenario::NodeFailure(true), Scenario::SpeakerUpdate(1), Scenario::ServerLeave(true)] {
        scene.play(alice, scenario);
    }
    assert!(!scene.hung_up.contains(&alice));
    assert_eq!(scene.take(alice), []);
}

impl Scene {
    fn play(&mut self, key: ParticipantKey, scenario: Scenario) {
        self.request(key, Request::Simulate(SimulateScenario { scenario: Some(scenario) }));
    }
}
