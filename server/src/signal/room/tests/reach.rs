//! Sessions without their socket, without their media, and without both.

use super::*;
use crate::signal::room::reach::{ABSENCE_GRACE, ANSWER_TIME, RECOVERY_TIME, SIGNAL_GRACE};

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_session_without_a_socket_ends_at_once_unless_its_media_has_come_up() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join_connected("bob");
    scene.lose_socket(alice);
    scene.lose_socket(bob);
    assert_eq!(scene.inside(), ["bob"]);
    scene.advance(SIGNAL_GRACE - MOMENT);
    assert_eq!(scene.inside(), ["bob"]);
    scene.advance(MOMENT);
    assert_eq!(scene.left_for(), "signal_close");
}

#[test]
fn who_has_neither_socket_nor_media_is_gone_within_seconds() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    let bob = scene.join_connected("bob");
    scene.lose_socket(alice);
    scene.advance(Duration::from_secs(10));
    scene.reach(alice, Reach::Silent);
    assert_eq!(scene.left_for(), "connection_timeout", "both have been lost for ten seconds");

    scene.reach(bob, Reach::Silent);
    scene.lose_socket(bob);
    scene.advance(ABSENCE_GRACE - MOMENT);
    assert_eq!(scene.inside(), ["bob"], "he may be changing his socket");
    scene.advance(MOMENT);
    assert!(scene.inside().is_empty());
}

#[test]
fn who_is_heard_again_may_stay_without_a_socket() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    scene.reach(alice, Reach::Silent);
    scene.lose_socket(alice);
    scene.reach(alice, Reach::Heard);
    scene.advance(SIGNAL_GRACE - MOMENT);
    assert_eq!(scene.inside(), ["alice"]);
}

#[test]
fn a_client_whose_media_is_lost_is_asked_to_resume_and_nobody_else_is_told() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    let bob = scene.join_connected("bob");
    scene.advance(ROOM_UPDATE_INTERVAL);
    scene.take(bob);
    scene.reach(alice, Reach::Silent);
    assert!(!scene.hung_up.contains(&alice), "it may come back by itself");
    scene.reach(alice, Reach::Lost);
    let leave = scene.leave_of(alice);
    assert_eq!(leave.action(), leave_request::Action::Resume);
    assert_eq!(leave.reason(), DisconnectReason::ConnectionTimeout);
    scene.advance(ABSENCE_GRACE - MOMENT);
    assert_eq!(scene.resume(alice), Some(alice));
    scene.reach(alice, Reach::Heard);
    scene.advance(RECOVERY_TIME);
    assert_eq!(scene.inside(), ["alice", "bob"]);
    assert_eq!(scene.take(bob), []);
}

#[test]
fn a_client_that_is_asked_to_resume_and_does_not_is_gone() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    scene.reach(alice, Reach::Lost);
    scene.advance(ABSENCE_GRACE);
    assert_eq!(scene.left_for(), "connection_timeout");
}

#[test]
fn a_resume_that_does_not_bring_media_back_is_followed_by_a_new_session() {
    for (reach, patience) in [(Some(Reach::Lost), Duration::ZERO), (None, RECOVERY_TIME)] {
        let mut scene = Scene::new();
        let alice = scene.join_connected("alice");
        scene.reach(alice, Reach::Lost);
        scene.resume(alice);
        scene.advance(patience.saturating_sub(MOMENT));
        assert!(!scene.hung_up.contains(&alice));
        scene.advance(MOMENT);
        if let Some(reach) = reach {
            scene.reach(alice, reach);
        }
        assert_eq!(scene.leave_of(alice).action(), leave_request::Action::Reconnect);
    }
}

#[test]
fn a_client_that_has_fallen_silent_altogether_is_not_asked_to_resume() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    scene.advance(Duration::from_secs(15));
    scene.reach(alice, Reach::Lost);
    assert_eq!(scene.leave_of(alice).action(), leave_request::Action::Reconnect);
    assert!(scene.inside().is_empty(), "its machine may have lost its power");
}

#[test]
fn a_path_that_is_never_found_is_a_new_attempt() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.reach(alice, Reach::Lost);
    let leave = scene.leave_of(alice);
    assert_eq!(leave.action(), leave_request::Action::Reconnect);
    assert_eq!(leave.reason(), DisconnectReason::ConnectionTimeout);
}

#[test]
fn a_broken_connection_asks_the_client_to_join_afresh() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    let (participant, connection) = (alice, PeerConnection::Publisher);
    scene.event(Event::Failed { participant, connection, reason: FailReason::Dtls });
    let leave = scene.leave_of(alice);
    assert_eq!(leave.action(), leave_request::Action::Reconnect);
    assert_eq!(leave.reason(), DisconnectReason::MediaFailure);
}

#[test]
fn an_offer_that_is_not_answered_in_time_is_a_mismatch() {
    let mut scene = Scene::new();
    let alice = scene.join_offered("alice");
    scene.request(alice, Request::Answer(answer(1)));
    scene.room.handle_answer_outcome(alice, Ok(()), scene.now);
    scene.offer(alice);
    scene.advance(ANSWER_TIME - MOMENT);
    scene.request(alice, Request::Ping(1));
    assert!(!scene.hung_up.contains(&alice));
    scene.advance(MOMENT);
    let leave = scene.leave_of(alice);
    assert_eq!(leave.action(), leave_request::Action::Reconnect);
    assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
}

#[test]
fn an_answered_offer_and_one_that_nobody_received_are_no_mismatch() {
    let mut scene = Scene::new();
    let alice = scene.join_offered("alice");
    scene.request(alice, Request::Answer(answer(1)));
    scene.room.handle_answer_outcome(alice, Ok(()), scene.now);
    scene.advance(ANSWER_TIME * 2);
    assert!(!scene.hung_up.contains(&alice));

    scene.offer(alice);
    scene.advance(ANSWER_TIME * 2);
    assert!(!scene.hung_up.contains(&alice), "she is not heard: the socket may be half open");
    scene.lose_socket(alice);
    scene.advance(ANSWER_TIME * 2);
    assert_eq!(scene.resume(alice), Some(alice));
}

fn answer(id: u32) -> SessionDescription {
    SessionDescription { id, sdp: "v=0".into(), ..SessionDescription::default() }
}

impl Scene {
    /// Why somebody left last.
    fn left_for(&self) -> &str {
        match self.presence.last() {
            Some(PresenceEvent::Left { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Joins with two connections, and gets the first offer on the one to hear on.
    fn join_offered(&mut self, identity: &str) -> ParticipantKey {
        let key = self.join_as(JoinIntent { mode: ConnectionMode::Dual, ..intent(identity) });
        self.offer(key);
        self.connected(key, PeerConnection::Subscriber);
        key
    }

    fn offer(&mut self, participant: ParticipantKey) {
        self.event(Event::SubscriberOffer { participant, sdp: "v=0".into(), sending: Vec::new() });
    }
}
