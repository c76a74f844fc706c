//! What an operator's backend is told.

use livekit_protocol::RoomEndReason;

use super::*;

#[test]
fn a_meeting_is_told_from_its_opening_to_its_end() {
    let mut scene = Scene::new();
    scene.settle();
    let alice = scene.join("alice");
    assert_eq!(told(&mut scene), ["room_started"], "joining is not news until media works");
    scene.connected(alice, PeerConnection::Publisher);
    scene.publish_microphone(alice);
    scene.request(alice, Request::Leave(LeaveRequest::default()));
    assert_eq!(
        told(&mut scene),
        [
            "participant_joined alice",
            "track_published alice",
            "track_unpublished alice",
            "participant_left alice"
        ]
    );
    scene.advance(Duration::from_secs(3600));
    let end = scene.webhooks.last().expect("the room ended");
    assert_eq!(
        (end.event.as_str(), end.room_end_reason()),
        ("room_finished", RoomEndReason::RoomEndIdleTimeout)
    );
    assert!(scene.closed);
}

#[test]
fn who_never_became_active_has_aborted() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.lose_socket(alice);
    assert_eq!(told(&mut scene), ["room_started", "participant_connection_aborted alice"]);
    let event = scene.webhooks.last();
    assert!(event.is_none(), "{event:?}");
}

#[test]
fn events_have_an_id_a_time_and_the_room() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    scene.publish_microphone(alice);
    let (sid, tracks) = (scene.sid(alice), std::mem::take(&mut scene.webhooks));
    let [.., joined, published] = tracks.as_slice() else { panic!("{tracks:?}") };
    for event in [joined, published] {
        assert!(event.id.starts_with("EV_") && event.created_at > 0, "{event:?}");
        assert!(event.room.as_ref().is_some_and(|room| room.sid.starts_with("RM_")), "{event:?}");
    }
    assert_ne!(joined.id, published.id);
    let participant = joined.participant.as_ref().expect("who joined");
    assert_eq!((participant.sid.as_str(), participant.state()), (sid.as_str(), State::Active));
    assert!(participant.permission.is_some(), "a participant is told whole");
    let publisher = published.participant.as_ref().expect("who publishes");
    assert_eq!((publisher.sid.as_str(), publisher.permission.as_ref()), (sid.as_str(), None));
    assert!(published.track.as_ref().is_some_and(|track| track.sid.starts_with("TR_AM")));
}

#[test]
fn a_track_that_changes_its_section_is_not_published_again() {
    let mut scene = Scene::new();
    let alice = scene.join_connected("alice");
    let (track, _) = scene.publish_microphone(alice);
    told(&mut scene);
    let section = Mid("9".into());
    scene.event(Event::Published { participant: alice, track, mid: section, format: TrackFormat::Opus });
    assert_eq!(told(&mut scene), [""; 0]);
    let silent = VideoGrant { can_publish: Some(false), ..scene.room.grant(alice).expect("inside").clone() };
    scene.room.set_grant(alice, silent, scene.now);
    scene.settle();
    assert_eq!(told(&mut scene), ["track_unpublished alice"]);
}

/// What was told since the last time, with the participant it was about.
fn told(scene: &mut Scene) -> Vec<String> {
    let events = std::mem::take(&mut scene.webhooks);
    let line = |event: WebhookEvent| {
        let who = event.participant.map(|participant| participant.identity).unwrap_or_default();
        format!("{} {who}", event.event).trim_end().to_owned()
    };
    events.into_iter().map(line).collect()
}
