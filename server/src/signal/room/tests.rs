//! The room's behaviour in virtual time: clients and the media plane are played by the test.

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

use super::history::room_ops;
use super::scene::{Scene, add_track, grant, intent, outcome};
use super::*;

mod admin;
mod call;
mod connection_test;
mod data;
mod quality;
use crate::signal::CloseReason;
use crate::signal::presence::PresenceEntry;

mod path;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_leaves_a_consistent_room(steps in prop::collection::vec(any::<u8>(), 0..1500)) {
        room_ops(&steps);
    }
}

/// What only tests ask of a room.
impl Scene {
    /// A room that is no channel.
    fn new() -> Self {
        Self::with(false)
    }

    fn in_production() -> Self {
        let mut scene = Self::new();
        Arc::get_mut(&mut scene.room.server).expect("nobody else has it").development = false;
        scene
    }

    fn join(&mut self, identity: &str) -> ParticipantKey {
        self.join_as(intent(identity))
    }

    fn join_as(&mut self, intent: JoinIntent) -> ParticipantKey {
        self.try_join(intent, None).expect("there is room")
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
            host: None,
        };
        self.resume_as(intent)
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

    fn speaks(&mut self, participant: ParticipantKey, level: f32) {
        let changes = vec![Speaker { participant, level, active: level > 0.0 }];
        self.event(Event::Speakers { room: RoomKey(1), changes });
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

    fn permit(&mut self, key: ParticipantKey, grant: VideoGrant) {
        self.room.set_grant(key, grant, self.now);
        self.settle();
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

fn resume_intent(identity: &str) -> ResumeIntent {
    let JoinIntent { claims, grant, mode, .. } = intent(identity);
    ResumeIntent { claims, grant, from: None, mode, sid: String::new(), sync_state: None, host: None }
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
