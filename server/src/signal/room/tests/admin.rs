//! Permissions and mutes that come from outside.

use banter_sfu::net::Permissions;
use livekit_protocol::TrackUnpublishedResponse;

use super::*;
use crate::signal::room::admin::MuteRefusal;

#[test]
fn who_may_no_longer_publish_loses_its_tracks_at_once() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let (track, sid) = scene.publish_microphone(alice);
    scene.request(alice, Request::AddTrack(add_track("announced only")));
    let announced = scene.confirmed(alice).pop().expect("it is confirmed");
    scene.take(bob);
    scene.media.clear();

    scene.permit(alice, VideoGrant { can_publish: Some(false), ..grant() });
    let kinds: Vec<_> = scene.media.iter().map(kind).collect();
    assert_eq!(kinds, ["permit", "unpublish", "unpublish"]);
    assert_eq!(scene.may[&alice], Permissions { publish: false, subscribe: true });
    assert!(!scene.subscribed.contains(&(bob, track)));
    let told = scene.updates(bob);
    let alice_as_seen = told.last().expect("the change is told");
    assert!(alice_as_seen.tracks.is_empty() && !alice_as_seen.is_publisher);
    assert!(alice_as_seen.permission.as_ref().is_some_and(|permission| !permission.can_publish));
    assert!(scene.entry("alice").muted);

    let messages = scene.take(alice);
    let unpublished = |message: &Response| match message {
        Response::TrackUnpublished(TrackUnpublishedResponse { track_sid }) => Some(track_sid.clone()),
        _ => None,
    };
    let mut sids: Vec<_> = messages.iter().filter_map(unpublished).collect();
    sids.sort();
    let mut expected = [sid, announced];
    expected.sort();
    assert_eq!(sids, expected);
    let token = messages.iter().find_map(|message| match message {
        Response::RefreshToken(token) => Some(token.clone()),
        _ => None,
    });
    let claims = scene.room.server.keys.verify(&token.expect("it is refreshed"), scene.now.wall);
    let grant = claims.expect("it is ours").video.expect("it is given");
    assert_eq!((grant.can_publish, grant.room.as_str()), (Some(false), "lobby"));

    scene.request(alice, Request::AddTrack(add_track("again")));
    assert_eq!(scene.refusal(alice), Reason::NotAllowed);
}

#[test]
fn only_the_sources_that_are_no_longer_allowed_go() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (microphone, _) = scene.publish_microphone(alice);
    let screen = AddTrackRequest { source: TrackSource::ScreenShareAudio.into(), ..add_track("screen") };
    scene.request(alice, Request::AddTrack(screen.clone()));
    let shared = scene.last_published();
    scene.outcome(alice, outcome(&[shared], &[]));
    scene.request(alice, Request::AddTrack(screen));
    assert_eq!(scene.refusal(alice), Reason::Queued);

    scene.permit(alice, VideoGrant { can_publish_sources: vec![Source::Microphone], ..grant() });
    let left: Vec<_> = scene.room.participants[&alice].publications.keys().copied().collect();
    assert_eq!(left, [microphone]);
    assert!(scene.room.participants[&alice].queued.is_empty());
    assert!(scene.may[&alice].publish);
}

#[test]
fn what_a_participant_hears_ends_and_comes_back_with_its_permission() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, _) = scene.publish_microphone(alice);
    let bob = scene.join_as(JoinIntent { mode: ConnectionMode::Dual, ..intent("bob") });
    assert!(scene.join_response(bob).subscriber_primary);
    assert!(scene.subscribed.contains(&(bob, track)));

    scene.permit(bob, VideoGrant { can_subscribe: Some(false), ..grant() });
    assert!(scene.subscribed.is_empty());
    assert!(!scene.may[&bob].subscribe);
    scene.connected(bob, PeerConnection::Publisher);
    assert_eq!(scene.room.participants[&bob].stage, Stage::Joined, "its client waits for the other one");
    scene.connected(bob, PeerConnection::Subscriber);
    assert_eq!(scene.room.participants[&bob].stage, Stage::Active);

    scene.permit(bob, grant());
    assert!(scene.subscribed.contains(&(bob, track)));
}

#[test]
fn who_begins_to_hide_leaves_the_sight_of_others_and_comes_back_into_it() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let (track, _) = scene.publish_microphone(alice);
    scene.speaks(alice, 0.5);
    scene.take(bob);
    scene.permit(alice, VideoGrant { hidden: true, ..grant() });
    let told = scene.updates(bob);
    assert_eq!(told.last().map(ParticipantInfo::state), Some(State::Disconnected));
    assert!(scene.subscribed.is_empty());
    assert_eq!(scene.inside(), ["bob"]);

    scene.permit(alice, grant());
    let told = scene.updates(bob);
    assert_eq!(told.last().map(|info| (info.state(), info.tracks.len())), Some((State::Joined, 1)));
    assert!(scene.subscribed.contains(&(bob, track)));
    assert_eq!(scene.inside(), ["alice", "bob"]);
}

#[test]
fn a_room_in_which_only_a_recorder_is_left_expires_and_one_that_gets_a_member_stays() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.connected(alice, PeerConnection::Publisher);
    scene.permit(alice, VideoGrant { recorder: true, ..grant() });
    scene.advance(Duration::from_secs(10));
    scene.permit(alice, grant());
    scene.advance(Duration::from_secs(60));
    assert!(!scene.closed);
    scene.permit(alice, VideoGrant { recorder: true, ..grant() });
    scene.advance(Duration::from_secs(20));
    assert!(scene.closed);
}

#[test]
fn permissions_that_stay_the_same_are_no_news() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.advance(Duration::from_secs(1));
    scene.take(alice);
    scene.media.clear();
    scene.permit(alice, grant());
    assert!(scene.take(alice).is_empty() && scene.media.is_empty());
}

#[test]
fn a_mute_from_outside_applies_at_once_and_reaches_the_client() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let (_, sid) = scene.publish_microphone(alice);
    scene.take(alice);
    scene.take(bob);
    let muted = scene.room.mute_track(alice, &sid, true, scene.now).expect("the track is there");
    assert!(muted.muted);
    scene.settle();
    assert!(matches!(scene.media.last(), Some(MediaCommand::SetMuted { muted: true, .. })));
    let messages = scene.take(alice);
    let Response::Mute(mute) = &messages[0] else { panic!("{messages:?}") };
    assert_eq!((mute.sid.as_str(), mute.muted), (sid.as_str(), true));
    assert_eq!(scene.updates(bob).last().map(|info| info.tracks[0].muted), Some(true));
    assert!(scene.entry("alice").muted);

    let commands = scene.media.len();
    scene.request(alice, Request::Mute(MuteTrackRequest { sid: sid.clone(), muted: true }));
    assert!(scene.updates(bob).is_empty(), "the client only confirms");
    assert_eq!(scene.media.len(), commands);

    let refused = scene.room.mute_track(alice, &sid, false, scene.now);
    assert_eq!(refused, Err(MuteRefusal::RemoteUnmute));
    let unknown = scene.room.mute_track(bob, &sid, true, scene.now);
    assert_eq!(unknown, Err(MuteRefusal::UnknownTrack));
}

#[test]
fn where_it_is_allowed_a_track_is_unmuted_from_outside() {
    let mut scene = Scene::new();
    let server = Arc::get_mut(&mut scene.room.server).expect("nobody shares it");
    server.remote_unmute = true;
    let alice = scene.join("alice");
    let (_, sid) = scene.publish_microphone(alice);
    for muted in [true, false] {
        let track = scene.room.mute_track(alice, &sid, muted, scene.now).expect("both are allowed");
        assert_eq!(track.muted, muted);
        scene.settle();
    }
    assert!(matches!(scene.media.last(), Some(MediaCommand::SetMuted { muted: false, .. })));
}
