//! The room's behaviour in virtual time: clients and the media plane are played by the test.
#![expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use std::collections::{BTreeMap, BTreeSet};

use banter_protocol::token::Source;
use banter_sfu::Mid;
use banter_sfu::net::{Event, FailReason, NegotiationError, OfferOutcome, Reach, Speaker, TrackFormat};
use livekit_protocol::participant_info::State;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{
    AudioTrackFeature, DisconnectReason, LeaveRequest, MuteTrackRequest, ParticipantInfo,
    PublishDataTrackRequest, SimulateScenario, SubscriptionPermission, TrackPermission, TrackSource,
    TrackType, TrickleRequest, UpdateLocalAudioTrack, UpdateParticipantMetadata, UpdateSubscription,
    UpdateTrackSettings, encryption, leave_request,
};
use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

mod admin;
mod data;
mod quality;
use crate::signal::CloseReason;
use crate::signal::presence::PresenceEntry;

mod place;
mod reach;
mod resume;
mod simulate;
mod webhook;

#[test]
fn the_first_message_is_the_join_response_with_everyone_inside() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (_, sid) = scene.publish_microphone(alice);
    let bob = scene.join("bob");

    let messages = scene.take(bob);
    let Response::Join(join) = &messages[0] else { panic!("{:?} came first", messages[0]) };
    let me = join.participant.as_ref().expect("it is given");
    assert_eq!((me.identity.as_str(), me.state()), ("bob", State::Joining));
    assert!(me.permission.as_ref().is_some_and(|permission| permission.can_publish));
    assert!(me.sid.starts_with("PA_"));
    let [other] = join.other_participants.as_slice() else { panic!("{:?}", join.other_participants) };
    assert_eq!((other.identity.as_str(), other.is_publisher), ("alice", true));
    assert_eq!(other.tracks[0].sid, sid);
    assert_eq!(other.tracks[0].mime_type, "audio/red");
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert!(!join.subscriber_primary, "one connection has no subscriber");
    assert!(join.fast_publish && join.ice_servers.is_empty());
    assert!(join.enabled_publish_codecs.iter().all(|codec| codec.mime.starts_with("audio/")));
    let server = join.server_info.as_ref().expect("it is given");
    assert!(!server.version.is_empty() && server.protocol < 18 && server.debug_info.starts_with("banter"));
    assert!(join.room.as_ref().is_some_and(|room| room.sid.starts_with("RM_") && room.num_participants == 2));
    assert!(matches!(messages[1], Response::RefreshToken(_)));
}

#[test]
fn with_two_connections_the_subscriber_one_is_primary_unless_it_may_not_hear() {
    let mut scene = Scene::new();
    let alice = scene.join_as(JoinIntent { mode: ConnectionMode::Dual, ..intent("alice") });
    assert!(scene.join_response(alice).subscriber_primary);
    let deaf = VideoGrant { can_subscribe: Some(false), ..grant() };
    let bob = scene.join_as(JoinIntent { mode: ConnectionMode::Dual, grant: deaf, ..intent("bob") });
    assert!(!scene.join_response(bob).subscriber_primary);

    scene.connected(alice, PeerConnection::Publisher);
    scene.connected(bob, PeerConnection::Publisher);
    scene.advance(UPDATE_DELAY);
    let carol = scene.join("carol");
    let others = scene.join_response(carol).other_participants;
    let state =
        |identity: &str| others.iter().find(|other| other.identity == identity).map(ParticipantInfo::state);
    assert_eq!((state("alice"), state("bob")), (Some(State::Joined), Some(State::Active)));
}

#[test]
fn tracks_and_the_offer_of_the_join_request_are_handled_at_once() {
    let mut scene = Scene::new();
    let offer = SessionDescription { id: 1, sdp: "v=0".into(), ..SessionDescription::default() };
    let add_tracks = vec![add_track("mic")];
    let alice = scene.join_as(JoinIntent { add_tracks, offer: Some(offer), ..intent("alice") });
    let published =
        scene.take(alice).into_iter().any(|message| matches!(message, Response::TrackPublished(_)));
    assert!(published);
    let kinds: Vec<_> = scene.media.iter().map(kind).collect();
    assert_eq!(kinds, ["join", "publish", "offer"]);
}

#[test]
fn the_limit_holds_and_who_comes_again_takes_its_own_place() {
    let mut scene = Scene::new();
    scene.try_join(intent("alice"), Some(1)).expect("there is room for one");
    assert_eq!(scene.try_join(intent("bob"), Some(1)), Err(JoinRefusal::Full(1)));
    scene.try_join(intent("alice"), Some(1)).expect("she replaces herself");
    let recorder = VideoGrant { recorder: true, ..grant() };
    scene
        .try_join(JoinIntent { grant: recorder, ..intent("tape") }, Some(1))
        .expect("recorders do not count");
    assert_eq!(scene.room.occupancy(), 1);
    scene.try_join(intent("bob"), Some(0)).expect("0 is no limit");
}

#[test]
fn a_second_session_of_an_identity_replaces_the_first_without_a_farewell() {
    let mut scene = Scene::channel();
    let bob = scene.join("bob");
    let first = scene.join("alice");
    scene.advance(UPDATE_DELAY);
    scene.take(bob);
    let second = scene.join("alice");

    let leave = scene.leave_of(first);
    assert_eq!(leave.reason(), DisconnectReason::DuplicateIdentity);
    assert_eq!(leave.action(), leave_request::Action::Disconnect);
    assert!(scene.hung_up.contains(&first));
    scene.advance(UPDATE_DELAY);
    let told = scene.updates(bob);
    assert!(told.iter().all(|info| info.state() != State::Disconnected), "{told:?}");
    assert_eq!(told.last().map(|info| info.sid.clone()), Some(scene.sid(second)));
    assert_eq!(scene.inside(), ["alice", "bob"], "presence goes from one session to the next");
    assert!(!scene.presence.iter().any(|event| matches!(event, PresenceEvent::Left { .. })));

    scene.room.handle_signal_closed(first, scene.now);
    scene.settle();
    assert_eq!(scene.inside(), ["alice", "bob"], "the old socket's late close means nothing");
}

#[test]
fn who_is_not_active_after_a_minute_has_failed_to_join() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    scene.connected(bob, PeerConnection::Publisher);
    scene.advance(JOIN_DEADLINE);
    assert_eq!(scene.leave_of(alice).reason(), DisconnectReason::JoinFailure);
    assert!(!scene.hung_up.contains(&bob));
}

#[test]
fn a_track_is_told_to_others_before_the_media_plane_offers_it() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    scene.take(bob);
    scene.request(alice, Request::AddTrack(add_track("mic")));
    let published = scene.take(alice).pop();
    let Some(Response::TrackPublished(published)) = published else { panic!("{published:?}") };
    assert_eq!(published.cid, "mic");
    let info = published.track.expect("it is given");
    assert!(info.sid.starts_with("TR_AM"));
    assert_eq!(info.stream, "camera");
    assert!(scene.updates(bob).is_empty(), "no section carries it yet");

    let track = scene.last_published();
    scene.room.handle_offer_outcome(alice, 7, Ok(outcome(&[track], &[])), scene.now);
    let outputs: Vec<_> = std::iter::from_fn(|| scene.room.poll_output()).collect();
    let told = outputs.iter().position(|output| matches!(output, Output::Send { to, .. } if *to == bob));
    let subscribed =
        outputs.iter().position(|output| matches!(output, Output::Media(MediaCommand::Subscribe { .. })));
    assert!(told.is_some() && told < subscribed, "{outputs:?}");
}

#[test]
fn answers_echo_the_offers_id_and_name_every_track_that_is_sent() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, sid) = scene.publish_microphone(alice);
    let bob = scene.join("bob");
    let sending = vec![(Mid("2".into()), track)];
    let outcome = OfferOutcome { sending: sending.clone(), ..outcome(&[], &[]) };
    scene.room.handle_offer_outcome(bob, 42, Ok(outcome), scene.now);
    scene.settle();
    let answer = scene.take(bob).pop();
    let Some(Response::Answer(answer)) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.r#type.as_str(), answer.id), ("answer", 42));
    assert_eq!(answer.mid_to_track_id.get("2"), Some(&sid));

    for id in 1..=2 {
        let event = Event::SubscriberOffer { participant: bob, sdp: "v=0".into(), sending: sending.clone() };
        scene.event(event);
        let offer = scene.take(bob).pop();
        let Some(Response::Offer(offer)) = offer else { panic!("{offer:?}") };
        assert_eq!((offer.r#type.as_str(), offer.id), ("offer", id));
        assert_eq!(offer.mid_to_track_id.get("2"), Some(&sid));
    }
}

#[test]
fn tracks_that_may_not_be_published_are_refused_with_a_reason() {
    let mut scene = Scene::new();
    let microphone_only = VideoGrant { can_publish_sources: vec![Source::Microphone], ..grant() };
    let alice = scene.join_as(JoinIntent { grant: microphone_only, ..intent("alice") });
    let screen = AddTrackRequest { source: TrackSource::ScreenShareAudio.into(), ..add_track("screen") };
    scene.request(alice, Request::AddTrack(screen));
    assert_eq!(scene.refusal(alice), Reason::NotAllowed);
    let video = AddTrackRequest { r#type: TrackType::Video.into(), ..add_track("cam") };
    scene.request(alice, Request::AddTrack(video));
    assert_eq!(scene.refusal(alice), Reason::UnsupportedType);
    for number in 0..20 {
        scene.request(alice, Request::AddTrack(add_track(&format!("mic{number}"))));
    }
    scene.take(alice);
    scene.request(alice, Request::AddTrack(add_track("one too many")));
    assert_eq!(scene.refusal(alice), Reason::LimitExceeded);

    let silent = VideoGrant { can_publish: Some(false), ..grant() };
    let bob = scene.join_as(JoinIntent { grant: silent, ..intent("bob") });
    scene.request(bob, Request::AddTrack(add_track("mic")));
    assert_eq!(scene.refusal(bob), Reason::NotAllowed);
}

#[test]
fn a_track_said_twice_is_one_and_a_published_one_waits_until_it_is_taken_back() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.request(alice, Request::AddTrack(add_track("mic")));
    scene.request(alice, Request::AddTrack(add_track("mic")));
    let sids: BTreeSet<_> = scene.confirmed(alice).into_iter().collect();
    assert_eq!(sids.len(), 1);

    let track = scene.last_published();
    scene.outcome(alice, outcome(&[track], &[]));
    scene.take(alice);
    scene.request(alice, Request::AddTrack(add_track("mic")));
    assert_eq!(scene.refusal(alice), Reason::Queued);
    scene.outcome(alice, outcome(&[], &[track]));
    let again = scene.confirmed(alice);
    assert!(again.len() == 1 && !sids.contains(&again[0]));

    let track = scene.last_published();
    scene.outcome(alice, outcome(&[track], &[]));
    for _ in 0..3 {
        scene.request(alice, Request::AddTrack(add_track("mic")));
        assert_eq!(scene.refusal(alice), Reason::Queued);
    }
    scene.request(alice, Request::AddTrack(add_track("mic")));
    assert_eq!(scene.refusal(alice), Reason::LimitExceeded);
}

#[test]
fn a_given_up_section_takes_the_track_from_everyone() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let (track, _) = scene.publish_microphone(alice);
    scene.take(bob);
    scene.outcome(alice, outcome(&[], &[track]));
    let told = scene.updates(bob);
    assert!(told.last().is_some_and(|info| info.tracks.is_empty() && !info.is_publisher));
    assert!(scene.entry("alice").muted);
}

#[test]
fn muting_reaches_media_everyone_and_presence() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    assert!(scene.entry("alice").muted, "nothing is published yet");
    let (track, sid) = scene.publish_microphone(alice);
    assert!(!scene.entry("alice").muted);
    scene.take(alice);
    scene.take(bob);
    scene.request(alice, Request::Mute(MuteTrackRequest { sid: sid.clone(), muted: true }));
    for key in [alice, bob] {
        assert!(scene.updates(key).last().is_some_and(|info| info.tracks[0].muted));
    }
    assert!(matches!(
        scene.media.last(),
        Some(MediaCommand::SetMuted { track: muted, muted: true, .. }) if *muted == track
    ));
    assert!(scene.entry("alice").muted);

    scene.request(bob, Request::Mute(MuteTrackRequest { sid, muted: false }));
    assert_eq!(scene.refusal(bob), Reason::NotFound, "it is not his");
}

#[test]
fn a_hidden_participant_is_seen_by_nobody() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    scene.take(alice);
    let ghost =
        scene.join_as(JoinIntent { grant: VideoGrant { hidden: true, ..grant() }, ..intent("ghost") });
    scene.connected(ghost, PeerConnection::Publisher);
    scene.advance(UPDATE_DELAY);
    scene.request(ghost, Request::Leave(LeaveRequest::default()));
    assert!(scene.updates(alice).iter().all(|info| info.identity != "ghost"));
    assert_eq!(scene.inside(), ["alice"]);
    let bob = scene.join("bob");
    let join = scene.join_response(bob);
    assert_eq!(join.other_participants.len(), 1);
}

#[test]
fn subscriptions_follow_the_wishes_of_the_subscriber() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, sid) = scene.publish_microphone(alice);
    let bob = scene.join_as(JoinIntent { auto_subscribe: false, ..intent("bob") });
    assert_eq!(scene.subscriptions(), []);
    scene.subscribe(bob, &sid, true);
    assert_eq!(scene.subscriptions(), [(bob, track)]);
    scene.subscribe(bob, &sid, false);
    assert_eq!(scene.subscriptions(), []);
    scene.take(bob);
    scene.subscribe(bob, "TR_unknown", true);
    let failed = scene.take(bob).pop();
    assert!(
        matches!(&failed, Some(Response::SubscriptionResponse(failed)) if failed.track_sid == "TR_unknown")
    );

    let deaf = VideoGrant { can_subscribe: Some(false), ..grant() };
    let carol = scene.join_as(JoinIntent { grant: deaf, ..intent("carol") });
    scene.subscribe(carol, &sid, true);
    assert_eq!(scene.subscriptions(), [], "the token does not permit it");
}

#[test]
fn a_track_may_be_paused_before_it_is_subscribed_to() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, sid) = scene.publish_microphone(alice);
    let bob = scene.join_as(JoinIntent { auto_subscribe: false, ..intent("bob") });
    let setting =
        |disabled| UpdateTrackSettings { track_sids: vec![sid.clone()], disabled, ..Default::default() };
    scene.request(bob, Request::TrackSetting(setting(true)));
    scene.subscribe(bob, &sid, true);
    let last: Vec<_> = scene.media.iter().rev().take(2).map(kind).collect();
    assert_eq!(last, ["pause", "subscribe"]);
    scene.request(bob, Request::TrackSetting(setting(false)));
    assert!(matches!(
        scene.media.last(),
        Some(MediaCommand::SetPaused { track: resumed, paused: false, .. }) if *resumed == track
    ));
}

#[test]
fn a_publisher_chooses_its_listeners() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, _) = scene.publish_microphone(alice);
    let bob = scene.join("bob");
    let carol = scene.join("carol");
    scene.take(bob);
    scene.take(carol);
    let only_bob = SubscriptionPermission {
        all_participants: false,
        track_permissions: vec![TrackPermission {
            participant_identity: "bob".into(),
            all_tracks: true,
            ..TrackPermission::default()
        }],
    };
    scene.request(alice, Request::SubscriptionPermission(only_bob));
    assert_eq!(scene.subscriptions(), [(bob, track)]);
    assert!(matches!(
        scene.take(carol).as_slice(),
        [Response::SubscriptionPermissionUpdate(update)] if !update.allowed
    ));
    assert!(scene.take(bob).is_empty(), "nothing changed for him");
    let everyone = SubscriptionPermission { all_participants: true, track_permissions: Vec::new() };
    scene.request(alice, Request::SubscriptionPermission(everyone));
    assert_eq!(scene.subscriptions(), [(bob, track), (carol, track)]);
}

#[test]
fn speakers_are_told_to_those_who_hear_them() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let (_, sid) = scene.publish_microphone(alice);
    let bob = scene.join("bob");
    let deaf = scene.join_as(JoinIntent { auto_subscribe: false, ..intent("deaf") });
    for key in [alice, bob, deaf] {
        scene.take(key);
    }
    scene.speaks(alice, 0.5);
    assert_eq!(scene.speakers_told(alice), [(scene.sid(alice), 0.5, true)]);
    assert_eq!(scene.speakers_told(bob), [(scene.sid(alice), 0.5, true)]);
    assert_eq!(scene.speakers_told(deaf), []);
    assert!(matches!(
        scene.presence.last(),
        Some(PresenceEvent::Speaking { user_ids, .. }) if user_ids == &["alice"]
    ));

    scene.subscribe(deaf, &sid, true);
    assert_eq!(scene.speakers_told(deaf), [(scene.sid(alice), 0.5, true)]);
    scene.subscribe(deaf, &sid, false);
    assert_eq!(scene.speakers_told(deaf), [(scene.sid(alice), 0.0, false)]);
    scene.speaks(alice, 0.0);
    assert!(matches!(
        scene.presence.last(),
        Some(PresenceEvent::Speaking { user_ids, .. }) if user_ids.is_empty()
    ));
}

#[test]
fn who_may_describes_itself_and_gets_a_token_that_says_so() {
    let mut scene = Scene::channel();
    let describing = VideoGrant { can_update_own_metadata: Some(true), ..grant() };
    let alice = scene.join_as(JoinIntent { grant: describing, ..intent("alice") });
    let bob = scene.join("bob");
    scene.take(alice);
    let attributes = [("deafened".to_owned(), "true".to_owned())].into();
    let request = UpdateParticipantMetadata { attributes, request_id: 5, ..Default::default() };
    scene.request(alice, Request::UpdateMetadata(request));
    let messages = scene.take(alice);
    let [Response::RequestResponse(response), Response::Update(update), Response::RefreshToken(token)] =
        messages.as_slice()
    else {
        panic!("{messages:?}")
    };
    assert_eq!((response.request_id, response.reason()), (5, Reason::Ok));
    assert_eq!(update.participants[0].attributes["deafened"], "true");
    assert!(scene.entry("alice").deafened);
    let claims = scene.room.server.keys.verify(token, scene.now.wall).expect("we signed it");
    assert_eq!(claims.attributes["deafened"], "true");
    assert_eq!(claims.video.map(|grant| grant.room), Some("lobby".into()));

    let clear = [("deafened".to_owned(), String::new())].into();
    let request = UpdateParticipantMetadata { attributes: clear, ..Default::default() };
    scene.request(alice, Request::UpdateMetadata(request.clone()));
    assert!(!scene.entry("alice").deafened);
    let long = UpdateParticipantMetadata { name: "n".repeat(257), ..Default::default() };
    scene.take(alice);
    scene.request(alice, Request::UpdateMetadata(long));
    assert_eq!(scene.refusal(alice), Reason::LimitExceeded);
    scene.request(bob, Request::UpdateMetadata(request));
    assert_eq!(scene.refusal(bob), Reason::NotAllowed);
}

#[test]
fn tokens_are_refreshed_every_five_minutes() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.connected(alice, PeerConnection::Publisher);
    scene.take(alice);
    scene.advance(TOKEN_REFRESH_INTERVAL * 3);
    let tokens = scene.take(alice).into_iter().filter(|message| matches!(message, Response::RefreshToken(_)));
    assert_eq!(tokens.count(), 3);
}

#[test]
fn a_client_may_close_its_connection_before_it_says_goodbye() {
    let mut scene = Scene::new();
    let closed = |participant| Event::Failed {
        participant,
        connection: PeerConnection::Publisher,
        reason: FailReason::Closed,
    };
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let carol = scene.join("carol");
    for key in [alice, bob, carol] {
        scene.connected(key, PeerConnection::Publisher);
        scene.event(closed(key));
    }
    scene.request(alice, Request::Leave(LeaveRequest::default()));
    assert_eq!(scene.leave_of(alice).reason(), DisconnectReason::ClientInitiated);
    scene.room.handle_signal_closed(bob, scene.now);
    scene.advance(GOODBYE_TIME);
    assert!(scene.hung_up.contains(&bob), "he does not get the time to come back");
    assert_eq!(scene.leave_of(carol).action(), leave_request::Action::Reconnect);
}

#[test]
fn an_unacceptable_offer_ends_the_session_of_its_sender_only() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    scene.take(bob);
    let bad = Err(NegotiationError::Sdp("no".into()));
    scene.room.handle_offer_outcome(alice, 1, bad, scene.now);
    scene.settle();
    assert_eq!(scene.leave_of(alice).reason(), DisconnectReason::JoinFailure);
    assert!(!scene.hung_up.contains(&bob));
}

#[test]
fn leaving_is_confirmed_and_told_at_once() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    scene.take(bob);
    scene.request(alice, Request::Leave(LeaveRequest::default()));
    let leave = scene.leave_of(alice);
    assert_eq!(leave.reason(), DisconnectReason::ClientInitiated);
    let told = scene.updates(bob);
    let last = told.last().expect("he is told");
    assert_eq!((last.state(), last.disconnect_reason()), (State::Disconnected, leave.reason()));
    assert!(matches!(scene.media.last(), Some(MediaCommand::Leave { participant }) if *participant == alice));
    assert!(matches!(
        scene.presence.last(),
        Some(PresenceEvent::Left { user_id, reason, .. }) if user_id == "alice" && reason == "client_initiated"
    ));
}

#[test]
fn the_publisher_learns_once_that_it_is_heard() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let (track, sid) = scene.publish_microphone(alice);
    let bob = scene.join("bob");
    let carol = scene.join("carol");
    scene.take(alice);
    scene.event(Event::Subscribed { track, subscriber: bob });
    scene.event(Event::Subscribed { track, subscriber: carol });
    let told: Vec<_> = scene
        .take(alice)
        .into_iter()
        .filter_map(|message| match message {
            Response::TrackSubscribed(subscribed) => Some(subscribed.track_sid),
            _ => None,
        })
        .collect();
    assert_eq!(told, [sid]);
}

#[test]
fn pings_are_answered_in_milliseconds_and_what_is_unknown_is_refused_or_ignored() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.take(alice);
    let now = translate::unix_millis(scene.now.wall);
    scene.request(alice, Request::Ping(1));
    scene.request(alice, Request::PingReq(livekit_protocol::Ping { timestamp: 9, rtt: 1 }));
    scene.request(alice, Request::PublishDataTrackRequest(PublishDataTrackRequest::default()));
    scene.request(alice, Request::UnpublishDataTrackRequest(Default::default()));
    scene.request(alice, Request::StoreDataBlobRequest(Default::default()));
    scene.request(alice, Request::GetDataBlobRequest(Default::default()));
    scene.request(alice, Request::Simulate(Default::default()));
    let nonsense = TrickleRequest { candidate_init: "nonsense".into(), ..TrickleRequest::default() };
    scene.request(alice, Request::Trickle(nonsense));
    let candidate_init = r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 5 typ host","sdpMid":"0"}"#.into();
    scene.request(alice, Request::Trickle(TrickleRequest { candidate_init, target: 1, r#final: false }));
    let messages = scene.take(alice);
    let [Response::Pong(pong), Response::PongResp(response), refused @ ..] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!((*pong, response.last_ping_timestamp, response.timestamp), (now, 9, now));
    let reasons: Vec<_> = refused
        .iter()
        .map(|message| match message {
            Response::RequestResponse(response) => response.reason(),
            other => panic!("{other:?}"),
        })
        .collect();
    let unsupported = Reason::UnsupportedType;
    assert_eq!(
        reasons,
        [Reason::NotAllowed, Reason::NotFound, unsupported, unsupported, Reason::UnclassifiedError]
    );
    assert!(matches!(
        scene.media.last(),
        Some(MediaCommand::Trickle { connection: PeerConnection::Publisher, candidate, .. })
            if candidate.starts_with("candidate:1")
    ));
}

#[test]
fn a_room_waits_for_the_first_and_for_those_who_left() {
    let mut empty = Scene::new();
    empty.advance(Duration::from_secs(299));
    assert!(!empty.closed);
    empty.advance(Duration::from_secs(1));
    assert!(empty.closed);

    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.connected(alice, PeerConnection::Publisher);
    let agent = scene.join_as(JoinIntent { grant: VideoGrant { agent: true, ..grant() }, ..intent("agent") });
    scene.connected(agent, PeerConnection::Publisher);
    scene.advance(Duration::from_secs(1000));
    scene.request(alice, Request::Leave(LeaveRequest::default()));
    scene.advance(Duration::from_secs(19));
    let alice = scene.join("alice");
    scene.connected(alice, PeerConnection::Publisher);
    scene.advance(Duration::from_secs(19));
    assert!(!scene.closed, "she came back in time");
    scene.request(alice, Request::Leave(LeaveRequest::default()));
    scene.advance(Duration::from_secs(20));
    assert!(scene.closed, "an agent alone does not keep it open");
    assert_eq!(scene.leave_of(agent).reason(), DisconnectReason::RoomClosed);
    assert_eq!(scene.try_join(intent("late"), None), Err(JoinRefusal::Closing));
}

#[test]
fn a_closed_room_says_why() {
    for (reason, told) in [
        (CloseReason::ChannelDeleted, DisconnectReason::RoomDeleted),
        (CloseReason::Shutdown, DisconnectReason::ServerShutdown),
    ] {
        let mut scene = Scene::channel();
        let alice = scene.join("alice");
        scene.room.handle_close(reason, scene.now);
        scene.settle();
        assert_eq!(scene.leave_of(alice).reason(), told);
        assert!(scene.closed && scene.inside().is_empty());
        assert!(matches!(scene.media.last(), Some(MediaCommand::CloseRoom)));
    }
}

#[test]
fn counters_are_told_soon_and_then_at_most_every_five_seconds() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let counters = |scene: &mut Scene| {
        let messages = scene.take(alice).into_iter();
        messages.filter(|message| matches!(message, Response::RoomUpdate(_))).count()
    };
    scene.advance(UPDATE_DELAY);
    assert_eq!(counters(&mut scene), 1);
    for number in 0..10 {
        scene.join(&format!("guest{number}"));
    }
    scene.advance(Duration::from_secs(4));
    assert_eq!(counters(&mut scene), 0);
    scene.advance(Duration::from_secs(1));
    assert_eq!(counters(&mut scene), 1);
}

#[test]
fn values_that_nobody_knows_are_not_passed_on() {
    let mut scene = Scene::new();
    let client = ClientInfo { protocol: 17, capabilities: vec![1, 99], ..ClientInfo::default() };
    let alice = scene.join_as(JoinIntent { client, ..intent("alice") });
    let bob = scene.join("bob");
    scene.take(bob);
    let odd = AddTrackRequest {
        source: 99,
        encryption: 99,
        audio_features: vec![99, AudioTrackFeature::TfStereo.into()],
        ..add_track("odd")
    };
    scene.request(alice, Request::AddTrack(odd));
    let track = scene.last_published();
    scene.outcome(alice, outcome(&[track], &[]));
    let told = scene.updates(bob).pop().expect("he is told");
    let info = &told.tracks[0];
    assert_eq!((info.source(), info.encryption()), (TrackSource::Unknown, encryption::Type::Custom));
    assert_eq!(info.audio_features, [i32::from(AudioTrackFeature::TfStereo)]);
    assert_eq!(told.capabilities, [1]);

    let track_sid = info.sid.clone();
    let features = UpdateLocalAudioTrack { track_sid, features: vec![99] };
    scene.request(alice, Request::UpdateAudioTrack(features));
    let told = scene.updates(bob).pop().expect("he is told");
    assert!(told.tracks[0].audio_features.is_empty());
}

#[test]
fn a_dropped_socket_is_told_nothing_more() {
    for scenario in [Scenario::Migration(true), Scenario::DisconnectSignalOnResume(true)] {
        let mut scene = Scene::new();
        let alice = scene.join("alice");
        scene.request(alice, Request::Simulate(SimulateScenario { scenario: Some(scenario) }));
        assert!(scene.hung_up.contains(&alice));
    }
}

/// One step of a random history of a room. Numbers choose among the participants or tracks that there are.
#[derive(Clone, Debug)]
enum Step {
    Join { identity: u8, auto_subscribe: bool, hidden: bool },
    Leave(usize),
    LoseSocket(usize),
    Resume(usize),
    Reach(usize, Reach),
    Connect(usize),
    Publish(usize),
    Unpublish(usize),
    Mute(usize, bool),
    Subscribe(usize, usize, bool),
    Pause(usize, usize, bool),
    AllowNobody(usize),
    AllowEveryone(usize),
    Speak(usize, bool),
    Permit(usize, [bool; 4]),
    MuteFromOutside(usize),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6u8, any::<bool>(), any::<bool>()).prop_map(|(identity, auto_subscribe, hidden)| Step::Join {
            identity,
            auto_subscribe,
            hidden
        }),
        any::<usize>().prop_map(Step::Leave),
        any::<usize>().prop_map(Step::LoseSocket),
        any::<usize>().prop_map(Step::Resume),
        (any::<usize>(), prop::sample::select(vec![Reach::Heard, Reach::Silent, Reach::Lost]))
            .prop_map(|(who, reach)| Step::Reach(who, reach)),
        any::<usize>().prop_map(Step::Connect),
        any::<usize>().prop_map(Step::Publish),
        any::<usize>().prop_map(Step::Unpublish),
        (any::<usize>(), any::<bool>()).prop_map(|(track, muted)| Step::Mute(track, muted)),
        (any::<usize>(), any::<usize>(), any::<bool>())
            .prop_map(|(who, track, on)| Step::Subscribe(who, track, on)),
        (any::<usize>(), any::<usize>(), any::<bool>())
            .prop_map(|(who, track, on)| Step::Pause(who, track, on)),
        any::<usize>().prop_map(Step::AllowNobody),
        any::<usize>().prop_map(Step::AllowEveryone),
        (any::<usize>(), any::<bool>()).prop_map(|(who, active)| Step::Speak(who, active)),
        (any::<usize>(), any::<[bool; 4]>()).prop_map(|(who, may)| Step::Permit(who, may)),
        any::<usize>().prop_map(Step::MuteFromOutside),
        any::<u8>().prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: the media plane is asked for sensible things only, presence agrees with the room, and no
    /// client sees a version go back. [`Scene::settle`] checks each output as it comes.
    #[test]
    fn any_history_leaves_a_consistent_room(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::channel();
        for step in steps {
            scene.act(step);
            let visible = scene.room.participants.values().filter(|participant| !participant.grant.hidden);
            let mut inside: Vec<_> = visible.map(|participant| participant.identity().to_owned()).collect();
            inside.sort();
            prop_assert_eq!(scene.inside(), inside);
        }
        for key in scene.room.keys_of_all() {
            scene.request(key, Request::Leave(LeaveRequest::default()));
        }
        prop_assert!(scene.inside().is_empty());
        prop_assert!(scene.subscriptions().is_empty());
        prop_assert!(scene.in_media.is_empty());
        prop_assert!(scene.room.names.tracks().is_empty());
    }
}

/// A room with all that it has said and asked for.
struct Scene {
    room: Room,
    now: Now,
    messages: BTreeMap<ParticipantKey, Vec<Response>>,
    media: Vec<MediaCommand>,
    presence: Vec<PresenceEvent>,
    webhooks: Vec<WebhookEvent>,
    hung_up: BTreeSet<ParticipantKey>,
    closed: bool,
    sids: BTreeMap<ParticipantKey, String>,
    /// What the media plane has been told: a model of it.
    in_media: BTreeSet<ParticipantKey>,
    owner_by_track: BTreeMap<TrackKey, ParticipantKey>,
    subscribed: BTreeSet<(ParticipantKey, TrackKey)>,
    may: BTreeMap<ParticipantKey, Permissions>,
    entries: BTreeMap<String, PresenceEntry>,
    version_by_listener: BTreeMap<(ParticipantKey, String), u32>,
}

impl Scene {
    /// A room that is no channel.
    fn new() -> Self {
        Self::with(false)
    }

    fn channel() -> Self {
        Self::with(true)
    }

    fn in_production() -> Self {
        let mut scene = Self::new();
        Arc::get_mut(&mut scene.room.server).expect("nobody else has it").development = false;
        scene
    }

    fn with(is_channel: bool) -> Self {
        let now = Now { instant: Instant::now(), wall: SystemTime::now() };
        let settings = RoomSettings {
            name: "lobby".into(),
            is_channel,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            max_participants: 0,
            metadata: String::new(),
        };
        let mut rng = StdRng::seed_from_u64(7);
        let server = Server {
            node: NodeSid::random(&mut rng),
            program: "banter test".into(),
            keys: ApiKeys::new(vec![("key".into(), "secret".into())]).expect("one key"),
            development: true,
            remote_unmute: false,
        };
        Self {
            room: Room::new(RoomKey(1), settings, Arc::new(server), rng, now),
            now,
            messages: BTreeMap::new(),
            media: Vec::new(),
            presence: Vec::new(),
            webhooks: Vec::new(),
            hung_up: BTreeSet::new(),
            closed: false,
            sids: BTreeMap::new(),
            in_media: BTreeSet::new(),
            owner_by_track: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            may: BTreeMap::new(),
            entries: BTreeMap::new(),
            version_by_listener: BTreeMap::new(),
        }
    }

    fn join(&mut self, identity: &str) -> ParticipantKey {
        self.join_as(intent(identity))
    }

    fn join_as(&mut self, intent: JoinIntent) -> ParticipantKey {
        self.try_join(intent, None).expect("there is room")
    }

    fn try_join(&mut self, intent: JoinIntent, limit: Option<u32>) -> Result<ParticipantKey, JoinRefusal> {
        let key = self.room.handle_join(intent, limit, self.now)?;
        self.sids.insert(key, self.room.participants[&key].sid.to_string());
        self.settle();
        Ok(key)
    }

    /// The client comes with a new socket.
    fn resume(&mut self, key: ParticipantKey) -> Option<ParticipantKey> {
        let participant = &self.room.participants[&key];
        let intent = ResumeIntent {
            claims: participant.claims.clone(),
            grant: participant.grant.clone(),
            from: None,
            mode: participant.mode,
            sid: participant.sid.to_string(),
            sync_state: None,
        };
        self.resume_as(intent)
    }

    fn resume_as(&mut self, intent: ResumeIntent) -> Option<ParticipantKey> {
        let resumed = self.room.handle_resume(intent, self.now);
        if let Some(key) = resumed {
            self.hung_up.remove(&key);
        }
        self.settle();
        resumed
    }

    fn reach(&mut self, participant: ParticipantKey, reach: Reach) {
        self.event(Event::Reach { participant, connection: PeerConnection::Publisher, reach });
    }

    /// Joins, and its connection comes up.
    fn join_connected(&mut self, identity: &str) -> ParticipantKey {
        let key = self.join(identity);
        self.connected(key, PeerConnection::Publisher);
        key
    }

    fn lose_socket(&mut self, key: ParticipantKey) {
        self.room.handle_signal_closed(key, self.now);
        self.settle();
    }

    fn request(&mut self, key: ParticipantKey, request: Request) {
        self.room.handle_request(key, request, self.now);
        self.settle();
    }

    fn event(&mut self, event: Event) {
        self.room.handle_media_event(event, self.now);
        self.settle();
    }

    fn outcome(&mut self, key: ParticipantKey, outcome: OfferOutcome) {
        self.room.handle_offer_outcome(key, 1, Ok(outcome), self.now);
        self.settle();
    }

    fn connected(&mut self, participant: ParticipantKey, connection: PeerConnection) {
        self.event(Event::Connected { participant, connection });
    }

    fn publish_microphone(&mut self, key: ParticipantKey) -> (TrackKey, String) {
        let cid = format!("mic of {key} number {}", self.media.len());
        self.request(key, Request::AddTrack(add_track(&cid)));
        let track = self.last_published();
        self.outcome(key, outcome(&[track], &[]));
        (track, self.room.participants[&key].publications[&track].info.sid.clone())
    }

    fn last_published(&self) -> TrackKey {
        let published = |command: &MediaCommand| match command {
            MediaCommand::Publish { track, .. } => Some(track.track),
            _ => None,
        };
        self.media.iter().rev().find_map(published).expect("a track was announced")
    }

    fn subscribe(&mut self, key: ParticipantKey, sid: &str, subscribe: bool) {
        let request =
            UpdateSubscription { track_sids: vec![sid.into()], subscribe, participant_tracks: Vec::new() };
        self.request(key, Request::Subscription(request));
    }

    fn speaks(&mut self, participant: ParticipantKey, level: f32) {
        let changes = vec![Speaker { participant, level, active: level > 0.0 }];
        self.event(Event::Speakers { room: RoomKey(1), changes });
    }

    fn permit(&mut self, key: ParticipantKey, grant: VideoGrant) {
        self.room.set_grant(key, grant, self.now);
        self.settle();
    }

    /// Lets time pass, timer by timer.
    fn advance(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some(at) = self.room.poll_timeout().filter(|at| *at <= end) {
            self.now.wall += at - self.now.instant;
            self.now.instant = at;
            self.room.handle_timeout(self.now);
            self.settle();
        }
        self.now.wall += end - self.now.instant;
        self.now.instant = end;
    }

    /// Takes every output in, and checks that it makes sense.
    fn settle(&mut self) {
        while let Some(output) = self.room.poll_output() {
            assert!(!self.closed, "{output:?} came after the end");
            match output {
                Output::Send { to, message } => self.receive(to, message),
                Output::HangUp { participant } => {
                    self.hung_up.insert(participant);
                }
                Output::Media(command) => {
                    self.model(&command);
                    self.media.push(command);
                }
                Output::Presence(event) => {
                    self.follow(&event);
                    self.presence.push(event);
                }
                Output::Webhook(event) => self.webhooks.push(*event),
                Output::Closed => self.closed = true,
            }
        }
    }

    fn receive(&mut self, to: ParticipantKey, message: Arc<SignalResponse>) {
        assert!(!self.hung_up.contains(&to), "{message:?} was sent after the farewell");
        let message = message.message.clone().expect("a message says something");
        if let Response::Update(update) = &message {
            for info in &update.participants {
                let known = self.version_by_listener.entry((to, info.sid.clone())).or_default();
                assert!(info.version >= *known, "the version of {} went back", info.identity);
                *known = info.version;
            }
        }
        self.messages.entry(to).or_default().push(message);
    }

    fn model(&mut self, command: &MediaCommand) {
        match command {
            MediaCommand::Join(spec) => {
                assert!(self.in_media.insert(spec.participant));
                self.may.insert(spec.participant, spec.may);
            }
            MediaCommand::Leave { participant } => {
                assert!(self.in_media.remove(participant));
                self.owner_by_track.retain(|_, owner| owner != participant);
                let tracks = &self.owner_by_track;
                self.subscribed.retain(|(key, track)| key != participant && tracks.contains_key(track));
            }
            MediaCommand::Publish { participant, track } => {
                assert!(self.owner_by_track.insert(track.track, *participant).is_none());
            }
            MediaCommand::Unpublish { participant, track } => {
                assert_eq!(self.owner_by_track.remove(track), Some(*participant));
                self.subscribed.retain(|(_, subscribed)| subscribed != track);
            }
            MediaCommand::SetPermissions { participant, may } => {
                assert!(self.in_media.contains(participant));
                self.may.insert(*participant, *may);
            }
            MediaCommand::Subscribe { participant, track } => {
                let owner = self.owner_by_track.get(track).expect("the track exists");
                assert!(owner != participant && self.in_media.contains(participant));
                assert!(self.may[participant].subscribe && self.may[owner].publish);
                assert!(self.subscribed.insert((*participant, *track)));
            }
            MediaCommand::Unsubscribe { participant, track } => {
                assert!(self.subscribed.remove(&(*participant, *track)));
            }
            MediaCommand::SetPaused { participant, track, .. } => {
                assert!(self.subscribed.contains(&(*participant, *track)));
            }
            MediaCommand::SetMuted { participant, track, .. } => {
                assert_eq!(self.owner_by_track.get(track), Some(participant));
            }
            MediaCommand::Offer { participant, .. }
            | MediaCommand::Answer { participant, .. }
            | MediaCommand::Trickle { participant, .. }
            | MediaCommand::Resume { participant } => assert!(self.in_media.contains(participant)),
            MediaCommand::SendData { to, .. } => assert!(to.iter().all(|key| self.in_media.contains(key))),
            MediaCommand::CloseRoom => assert!(self.in_media.is_empty()),
        }
    }

    fn follow(&mut self, event: &PresenceEvent) {
        match event {
            PresenceEvent::Joined { entry, .. } => {
                assert!(self.entries.insert(entry.user_id.clone(), entry.clone()).is_none());
            }
            PresenceEvent::Updated { entry, .. } => {
                assert!(self.entries.insert(entry.user_id.clone(), entry.clone()).is_some());
            }
            PresenceEvent::Left { user_id, .. } => assert!(self.entries.remove(user_id).is_some()),
            PresenceEvent::Speaking { user_ids, .. } => {
                for entry in self.entries.values_mut() {
                    entry.speaking = user_ids.contains(&entry.user_id);
                }
            }
        }
    }

    fn act(&mut self, step: Step) {
        let keys = self.room.keys_of_all();
        let someone = |number: usize| (!keys.is_empty()).then(|| keys[number % keys.len()]);
        let tracks = self.room.names.tracks();
        let track = |number: usize| (!tracks.is_empty()).then(|| tracks[number % tracks.len()]);
        let sid = |track: translate::TrackOwner| {
            self.room.participants[&track.owner].publications[&track.track].info.sid.clone()
        };
        match step {
            Step::Join { identity, auto_subscribe, hidden } => {
                let grant = VideoGrant { hidden, ..grant() };
                let intent = JoinIntent { auto_subscribe, grant, ..intent(&format!("user{identity}")) };
                let _ = self.try_join(intent, Some(4));
            }
            Step::Leave(who) => {
                if let Some(key) = someone(who) {
                    self.request(key, Request::Leave(LeaveRequest::default()));
                }
            }
            Step::LoseSocket(who) => {
                if let Some(key) = someone(who) {
                    self.room.handle_signal_closed(key, self.now);
                    self.settle();
                }
            }
            Step::Resume(who) => {
                if let Some(key) = someone(who) {
                    assert_eq!(self.resume(key), Some(key));
                }
            }
            Step::Reach(who, reach) => {
                if let Some(key) = someone(who) {
                    self.reach(key, reach);
                }
            }
            Step::Connect(who) => {
                if let Some(key) = someone(who) {
                    self.connected(key, PeerConnection::Publisher);
                }
            }
            Step::Publish(who) => {
                if let Some(key) = someone(who).filter(|key| self.may[key].publish) {
                    self.publish_microphone(key);
                }
            }
            Step::Unpublish(which) => {
                if let Some(track) = track(which) {
                    // The media plane ends the subscriptions of a track that it has lost by itself.
                    self.owner_by_track.remove(&track.track);
                    self.subscribed.retain(|(_, subscribed)| *subscribed != track.track);
                    self.outcome(track.owner, outcome(&[], &[track.track]));
                }
            }
            Step::Mute(which, muted) => {
                if let Some(track) = track(which) {
                    let request = MuteTrackRequest { sid: sid(track), muted };
                    self.request(track.owner, Request::Mute(request));
                }
            }
            Step::Subscribe(who, which, subscribe) => {
                if let (Some(key), Some(track)) = (someone(who), track(which)) {
                    let sid = sid(track);
                    self.subscribe(key, &sid, subscribe);
                }
            }
            Step::Pause(who, which, disabled) => {
                if let (Some(key), Some(track)) = (someone(who), track(which)) {
                    let track_sids = vec![sid(track)];
                    let request = UpdateTrackSettings { track_sids, disabled, ..Default::default() };
                    self.request(key, Request::TrackSetting(request));
                }
            }
            Step::AllowNobody(who) => {
                if let Some(key) = someone(who) {
                    self.request(key, Request::SubscriptionPermission(SubscriptionPermission::default()));
                }
            }
            Step::AllowEveryone(who) => {
                if let Some(key) = someone(who) {
                    let request =
                        SubscriptionPermission { all_participants: true, track_permissions: Vec::new() };
                    self.request(key, Request::SubscriptionPermission(request));
                }
            }
            Step::Speak(who, active) => {
                if let Some(key) = someone(who) {
                    self.speaks(key, if active { 0.5 } else { 0.0 });
                }
            }
            Step::Permit(who, [publish, subscribe, hidden, recorder]) => {
                if let Some(key) = someone(who) {
                    let (can_publish, can_subscribe) = (Some(publish), Some(subscribe));
                    self.permit(key, VideoGrant { can_publish, can_subscribe, hidden, recorder, ..grant() });
                }
            }
            Step::MuteFromOutside(which) => {
                if let Some(track) = track(which) {
                    let sid = sid(track);
                    self.room.mute_track(track.owner, &sid, true, self.now).expect("the track is there");
                    self.settle();
                }
            }
            Step::Wait(tenths) => self.advance(Duration::from_millis(u64::from(tenths) * 100)),
        }
    }

    fn take(&mut self, key: ParticipantKey) -> Vec<Response> {
        self.messages.remove(&key).unwrap_or_default()
    }

    fn join_response(&mut self, key: ParticipantKey) -> livekit_protocol::JoinResponse {
        match self.take(key).into_iter().next() {
            Some(Response::Join(join)) => join,
            other => panic!("{other:?}"),
        }
    }

    fn updates(&mut self, key: ParticipantKey) -> Vec<ParticipantInfo> {
        let infos = |message| match message {
            Response::Update(update) => update.participants,
            _ => Vec::new(),
        };
        self.take(key).into_iter().flat_map(infos).collect()
    }

    fn confirmed(&mut self, key: ParticipantKey) -> Vec<String> {
        let sid = |message| match message {
            Response::TrackPublished(published) => published.track.map(|track| track.sid),
            _ => None,
        };
        self.take(key).into_iter().filter_map(sid).collect()
    }

    fn refusal(&mut self, key: ParticipantKey) -> Reason {
        match self.take(key).pop() {
            Some(Response::RequestResponse(response)) => response.reason(),
            other => panic!("{other:?}"),
        }
    }

    fn leave_of(&mut self, key: ParticipantKey) -> LeaveRequest {
        assert!(self.hung_up.contains(&key));
        match self.take(key).pop() {
            Some(Response::Leave(leave)) => leave,
            other => panic!("{other:?}"),
        }
    }

    fn speakers_told(&mut self, key: ParticipantKey) -> Vec<(String, f32, bool)> {
        let speakers = |message| match message {
            Response::SpeakersChanged(changed) => changed.speakers,
            _ => Vec::new(),
        };
        let told = self.take(key).into_iter().flat_map(speakers);
        told.map(|speaker| (speaker.sid, speaker.level, speaker.active)).collect()
    }

    fn subscriptions(&self) -> Vec<(ParticipantKey, TrackKey)> {
        self.subscribed.iter().copied().collect()
    }

    fn sid(&self, key: ParticipantKey) -> String {
        self.sids[&key].clone()
    }

    fn inside(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn entry(&self, user_id: &str) -> &PresenceEntry {
        &self.entries[user_id]
    }
}

fn grant() -> VideoGrant {
    VideoGrant { room_join: true, room: "lobby".into(), ..VideoGrant::default() }
}

fn intent(identity: &str) -> JoinIntent {
    JoinIntent {
        claims: Claims { video: None, ..Claims::for_room(identity, identity, "lobby") },
        grant: grant(),
        client: ClientInfo { protocol: 17, ..ClientInfo::default() },
        from: None,
        mode: ConnectionMode::Single,
        auto_subscribe: true,
        add_tracks: Vec::new(),
        offer: None,
        extra_addresses: Vec::new(),
    }
}

fn resume_intent(identity: &str) -> ResumeIntent {
    let JoinIntent { claims, grant, mode, .. } = intent(identity);
    ResumeIntent { claims, grant, from: None, mode, sid: String::new(), sync_state: None }
}

fn add_track(cid: &str) -> AddTrackRequest {
    AddTrackRequest {
        cid: cid.into(),
        r#type: TrackType::Audio.into(),
        source: TrackSource::Microphone.into(),
        ..AddTrackRequest::default()
    }
}

fn outcome(published: &[TrackKey], unpublished: &[TrackKey]) -> OfferOutcome {
    OfferOutcome {
        answer: "v=0".into(),
        sending: Vec::new(),
        published: published.iter().map(|track| (*track, Mid("3".into()), TrackFormat::Red)).collect(),
        unpublished: unpublished.to_vec(),
    }
}

fn kind(command: &MediaCommand) -> &'static str {
    match command {
        MediaCommand::Join(_) => "join",
        MediaCommand::Leave { .. } => "leave",
        MediaCommand::Resume { .. } => "resume",
        MediaCommand::Offer { .. } => "offer",
        MediaCommand::Answer { .. } => "answer",
        MediaCommand::Trickle { .. } => "trickle",
        MediaCommand::Publish { .. } => "publish",
        MediaCommand::Unpublish { .. } => "unpublish",
        MediaCommand::SetMuted { .. } => "mute",
        MediaCommand::SetPermissions { .. } => "permit",
        MediaCommand::Subscribe { .. } => "subscribe",
        MediaCommand::Unsubscribe { .. } => "unsubscribe",
        MediaCommand::SetPaused { .. } => "pause",
        MediaCommand::SendData { .. } => "data",
        MediaCommand::CloseRoom => "close",
    }
}
