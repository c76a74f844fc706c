//! Sessions that go on with a new socket.

use livekit_protocol::{SyncState, TrackInfo, TrackPublishedResponse};

use super::*;
use crate::signal::room::reach;

#[test]
fn a_resumed_client_is_told_first_that_it_is_and_then_everything_it_may_have_missed() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    let bob = scene.join_connected("bob");
    let carol = scene.join("carol");
    scene.publish_microphone(bob);
    scene.speaks(bob, 0.5);
    scene.lose_socket(alice);
    scene.request(carol, Request::Leave(LeaveRequest::default()));
    scene.speaks(bob, 0.0);
    scene.take(alice);

    assert_eq!(scene.resume(alice), Some(alice));
    let mut messages = scene.take(alice).into_iter();
    let Some(Response::Reconnect(reconnect)) = messages.next() else { panic!("it comes first") };
    assert!(reconnect.server_info.is_some_and(|info| !info.version.is_empty()));
    let Some(Response::Update(left)) = messages.next() else { panic!("those who left come next") };
    let left: Vec<_> = left.participants.iter().map(|info| (info.identity.as_str(), info.state())).collect();
    assert_eq!(left, [("carol", State::Disconnected)]);
    let Some(Response::Update(inside)) = messages.next() else { panic!("then those who are there") };
    let inside: Vec<_> = inside.participants.iter().map(|info| info.identity.as_str()).collect();
    assert_eq!(inside, ["alice", "bob"]);
    let Some(Response::RoomUpdate(update)) = messages.next() else { panic!("then the room") };
    assert!(update.room.is_some_and(|room| room.num_participants == 2));
    let Some(Response::SpeakersChanged(speakers)) = messages.next() else { panic!("then the speakers") };
    let silent = speakers.speakers.iter().any(|speaker| speaker.sid == scene.sid(bob) && !speaker.active);
    assert!(silent, "{speakers:?}");
    assert!(matches!(messages.next(), Some(Response::RefreshToken(_))));
    assert_eq!(messages.next(), None);
    assert_eq!(scene.media.last().map(kind), Some("resume"));
}

#[test]
fn nobody_else_notices_a_resume() {
    let mut scene = Scene::channel();
    let alice = scene.join_connected("alice");
    let bob = scene.join_connected("bob");
    scene.advance(UPDATE_DELAY);
    scene.advance(ROOM_UPDATE_INTERVAL);
    scene.take(bob);
    let before = scene.presence.len();
    scene.lose_socket(alice);
    assert_eq!(scene.resume(alice), Some(alice));
    scene.advance(reach::SIGNAL_GRACE * 2);
    assert_eq!(scene.take(bob), []);
    assert_eq!(scene.presence.len(), before);
    assert_eq!(scene.inside(), ["alice", "bob"]);
}

#[test]
fn a_session_is_resumed_while_its_old_socket_still_looks_alive() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    assert_eq!(scene.resume(alice), Some(alice));
    assert!(!scene.hung_up.contains(&alice));
}

#[test]
fn what_is_no_session_of_the_client_cannot_be_resumed() {
    let mut scene = Scene::new();
    let first = scene.join_connected("alice");
    let stale = ResumeIntent { sid: scene.sid(first), ..resume_intent("alice") };
    let second = scene.join_connected("alice");
    assert_eq!(scene.resume_as(stale), None, "another session has taken its place");
    let two = ResumeIntent { mode: ConnectionMode::Dual, ..resume_intent("alice") };
    assert_eq!(scene.resume_as(two), None, "its connections are of another kind");
    assert_eq!(scene.resume_as(resume_intent("bob")), None, "he was never here");
    assert_eq!(scene.resume_as(resume_intent("alice")), Some(second));
    scene.request(second, Request::Leave(LeaveRequest::default()));
    assert_eq!(scene.resume_as(resume_intent("alice")), None, "she has left");
}

#[test]
fn who_left_and_came_back_meanwhile_has_not_left() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    let bob = scene.join("bob");
    scene.lose_socket(alice);
    scene.request(bob, Request::Leave(LeaveRequest::default()));
    let bob = scene.join("bob");
    scene.resume(alice);
    let told = scene.updates(alice);
    let sids: Vec<_> = told.iter().filter(|info| info.identity == "bob").map(|info| &info.sid).collect();
    assert_eq!(sids, [&scene.sid(bob)]);
}

#[test]
fn a_departure_is_told_if_the_socket_may_have_been_dead_already() {
    for (silence, told) in [(Duration::from_secs(4), 1), (Duration::from_secs(40), 0)] {
        let mut scene = Scene::new();
        let alice = scene.join_connected("alice");
        let bob = scene.join("bob");
        scene.request(bob, Request::Leave(LeaveRequest::default()));
        scene.advance(silence);
        scene.request(alice, Request::Ping(1));
        scene.take(alice);
        scene.resume(alice);
        let left = scene.updates(alice).into_iter().filter(|info| info.identity == "bob");
        assert_eq!(left.count(), told, "{silence:?} before the last sign of life");
    }
}

#[test]
fn who_missed_more_departures_than_are_remembered_joins_afresh() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    scene.lose_socket(alice);
    for number in 0..257 {
        let guest = scene.join(&format!("guest{number}"));
        scene.request(guest, Request::Leave(LeaveRequest::default()));
    }
    assert_eq!(scene.resume(alice), None);
}

#[test]
fn a_client_that_publishes_what_is_not_known_joins_afresh() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    let (_, sid) = scene.publish_microphone(alice);
    let bob = scene.join_connected("bob");
    scene.resume(alice);
    scene.request(alice, Request::SyncState(publishing(&sid)));
    assert!(!scene.hung_up.contains(&alice));
    scene.request(bob, Request::SyncState(publishing(&sid)));
    let leave = scene.leave_of(bob);
    assert_eq!(leave.action(), leave_request::Action::Reconnect);
    assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
}

#[test]
fn a_client_says_again_what_it_wants_to_hear() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (microphone, microphone_sid) = scene.publish_microphone(alice);
    let (music, music_sid) = scene.publish_microphone(alice);
    let bob = scene.join_connected("bob");
    assert_eq!(scene.subscriptions(), [(bob, microphone), (bob, music)]);
    scene.resume(bob);
    scene.take(bob);
    let unwanted = UpdateSubscription {
        track_sids: vec![microphone_sid, "TR_AMgone".into()],
        subscribe: false,
        ..UpdateSubscription::default()
    };
    let state = SyncState {
        subscription: Some(unwanted),
        track_sids_disabled: vec![music_sid],
        ..SyncState::default()
    };
    scene.request(bob, Request::SyncState(state));
    assert_eq!(scene.subscriptions(), [(bob, music)]);
    assert!(matches!(
        scene.media.last(),
        Some(MediaCommand::SetPaused { track, paused: true, .. }) if *track == music
    ));
    assert_eq!(scene.take(bob), []);
}

#[test]
fn an_answer_to_an_offer_before_the_resume_is_ignored() {
    let mut scene = Scene::new();
    let alice = scene.join_as(JoinIntent { mode: ConnectionMode::Dual, ..intent("alice") });
    for _ in 0..2 {
        let (sdp, sending) = ("v=0".into(), Vec::new());
        scene.event(Event::SubscriberOffer { participant: alice, sdp, sending });
    }
    let answers = |scene: &Scene| scene.media.iter().filter(|command| kind(command) == "answer").count();
    for (id, taken) in [(1, 0), (2, 1), (0, 2)] {
        let answer = SessionDescription { id, sdp: "v=0".into(), ..SessionDescription::default() };
        scene.request(alice, Request::Answer(answer));
        assert_eq!(answers(&scene), taken, "the answer to offer {id}");
    }
}

fn publishing(sid: &str) -> SyncState {
    let track = Some(TrackInfo { sid: sid.into(), ..TrackInfo::default() });
    SyncState {
        publish_tracks: vec![TrackPublishedResponse { cid: "mic".into(), track }],
        ..SyncState::default()
    }
}
