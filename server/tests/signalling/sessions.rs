//! Sessions that meet: in the same room, under the same name, for the same place.

use banter_protocol::token::{Claims, VideoGrant};
use banter_server::signal::{CloseReason, PresenceEvent};
use livekit_protocol::participant_info::State;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    DisconnectReason, LeaveRequest, MuteTrackRequest, ParticipantInfo, SessionDescription,
    UpdateParticipantMetadata,
};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, join_request, microphone, offer, wrap};
use crate::server::{Server, claims, granting, sign, token};

#[tokio::test]
async fn each_sees_the_other_come_and_go() {
    let server = Server::start().await;
    let (mut alice, _) = Client::join(server.address, &token("alice")).await;
    let (mut bob, join) = Client::join(server.address, &token("bob")).await;
    assert_eq!(join.other_participants[0].identity, "alice");
    let seen = update(&mut alice, |info| info.identity == "bob").await;
    assert_eq!(seen.state(), State::Joined);
    bob.send(Request::Leave(LeaveRequest::default())).await;
    assert_eq!(bob.farewell().await.reason(), DisconnectReason::ClientInitiated);
    let seen = update(&mut alice, |info| info.state() == State::Disconnected).await;
    assert_eq!(
        (seen.identity.as_str(), seen.disconnect_reason()),
        ("bob", DisconnectReason::ClientInitiated)
    );
}

#[tokio::test]
async fn a_published_track_is_told_muted_and_taken_back() {
    let server = Server::start().await;
    let (mut alice, _) = Client::join(server.address, &token("alice")).await;
    let (mut bob, _) = Client::join(server.address, &token("bob")).await;
    alice.send(Request::AddTrack(microphone("mic"))).await;
    let sid = alice
        .wait_for(|message| match message {
            Response::TrackPublished(published) => Some(published.track.clone()?.sid),
            _ => None,
        })
        .await;
    alice.send(Request::Offer(description(1, offer(Some("mic"))))).await;
    let seen = update(&mut bob, |info| info.identity == "alice" && !info.tracks.is_empty()).await;
    assert!(seen.tracks[0].sid == sid && seen.is_publisher && !seen.tracks[0].muted);
    // The media plane offers the track to him as soon as it is published.
    bob.wait_for(|message| match message {
        Response::Offer(offer) => offer.mid_to_track_id.values().any(|known| *known == sid).then_some(()),
        _ => None,
    })
    .await;
    alice.send(Request::Mute(MuteTrackRequest { sid: sid.clone(), muted: true })).await;
    update(&mut bob, |info| info.tracks.iter().any(|track| track.muted)).await;

    let taken_back = offer(Some("mic")).replace("a=sendonly", "a=inactive");
    alice.send(Request::Offer(description(2, taken_back))).await;
    let seen = update(&mut bob, |info| info.identity == "alice" && info.tracks.is_empty()).await;
    assert!(!seen.is_publisher);
}

#[tokio::test]
async fn a_newer_session_of_the_same_identity_ends_the_older() {
    let mut server = Server::start().await;
    server.add_channel("lobby", 5);
    let (mut first, _) = Client::join(server.address, &token("alice")).await;
    let (_second, join) = Client::join(server.address, &token("alice")).await;
    assert!(join.other_participants.is_empty());
    assert_eq!(first.farewell().await.reason(), DisconnectReason::DuplicateIdentity);
    assert_eq!(server.rooms.presence()["lobby"].len(), 1);
    let left = |event: &PresenceEvent| matches!(event, PresenceEvent::Left { .. }).then_some(());
    server.rooms.close_room("lobby", CloseReason::ChannelDeleted).await;
    server.presence_of(left).await;
    assert!(server.presence.try_recv().is_err(), "there was one presence all along");
}

#[tokio::test]
async fn of_two_who_race_for_the_last_place_exactly_one_gets_it() {
    let server = Server::start().await;
    for round in 0..10 {
        let channel = format!("channel{round}");
        server.add_channel(&channel, 2);
        let (_inside, _) = Client::join(server.address, &sign(&claims("first", &channel))).await;
        let request = |identity| {
            let token = sign(&claims(identity, &channel));
            let path = format!("/rtc/v1?access_token={token}&join_request={}", wrap(&join_request()));
            let address = server.address;
            async move { Client::open(address, &path, None).await }
        };
        let (bob, carol) = tokio::join!(request("bob"), request("carol"));
        let statuses: Vec<_> = [&bob, &carol].iter().filter_map(|opened| opened.as_ref().err()).collect();
        assert_eq!(statuses.len(), 1, "{statuses:?}");
        assert_eq!(statuses[0].status, 403);
        assert_eq!(server.rooms.presence()[&channel].len(), 2);
    }
}

#[tokio::test]
async fn what_the_token_does_not_permit_is_refused() {
    let server = Server::start().await;
    let silent = VideoGrant { can_publish: Some(false), ..VideoGrant::default() };
    let (mut alice, join) = Client::join(server.address, &sign(&granting("alice", silent))).await;
    let permission = join.participant.and_then(|participant| participant.permission).expect("it is given");
    assert!(!permission.can_publish && !permission.can_publish_data && permission.can_subscribe);
    assert!(!join.fast_publish);
    alice.send(Request::AddTrack(microphone("mic"))).await;
    assert_eq!(refusal(&mut alice).await, Reason::NotAllowed);
    let request = UpdateParticipantMetadata { name: "Queen".into(), ..UpdateParticipantMetadata::default() };
    alice.send(Request::UpdateMetadata(request)).await;
    assert_eq!(refusal(&mut alice).await, Reason::NotAllowed);
}

#[tokio::test]
async fn presence_follows_a_channel() {
    let mut server = Server::start().await;
    server.add_channel("lobby", 5);
    let describing = VideoGrant { can_update_own_metadata: Some(true), ..VideoGrant::default() };
    let (mut alice, _) = Client::join(server.address, &sign(&granting("alice", describing))).await;
    let entry = server
        .presence_of(|event| match event {
            PresenceEvent::Joined { channel, entry } if channel == "lobby" => Some(entry.clone()),
            _ => None,
        })
        .await;
    assert!(entry.user_id == "alice" && entry.muted && !entry.deafened);
    let attributes = [("deafened".to_owned(), "true".to_owned())].into();
    alice.send(Request::UpdateMetadata(UpdateParticipantMetadata { attributes, ..Default::default() })).await;
    let deafened = |event: &PresenceEvent| match event {
        PresenceEvent::Updated { entry, .. } => entry.deafened.then_some(()),
        _ => None,
    };
    server.presence_of(deafened).await;
    drop(alice);
    let left = |event: &PresenceEvent| match event {
        PresenceEvent::Left { user_id, reason, .. } => Some((user_id.clone(), reason.clone())),
        _ => None,
    };
    assert_eq!(server.presence_of(left).await, ("alice".into(), "signal_close".into()));
    assert!(server.rooms.presence().is_empty());
}

#[tokio::test]
async fn a_deleted_channel_ends_and_cannot_be_opened_again_by_an_old_token() {
    let server = Server::start().await;
    server.add_channel("lobby", 5);
    let token = sign(&Claims { banter_channel: true, ..claims("alice", "lobby") });
    let (mut alice, _) = Client::join(server.address, &token).await;
    server.remove_channel("lobby");
    server.rooms.close_room("lobby", CloseReason::ChannelDeleted).await;
    assert_eq!(alice.farewell().await.reason(), DisconnectReason::RoomDeleted);
    let path = format!("/rtc?access_token={token}");
    let refused = Client::open(server.address, &path, None).await.err().expect("the channel is gone");
    assert_eq!(refused.status, 404);
    assert!(refused.body.contains("requested room does not exist"));
    assert_eq!(server.rooms.occupancy("lobby"), 0);
}

#[tokio::test]
async fn a_shutdown_tells_everyone_and_lets_nobody_in() {
    let server = Server::start().await;
    let (mut alice, _) = Client::join(server.address, &token("alice")).await;
    let (mut bob, _) = Client::join(server.address, &sign(&claims("bob", "elsewhere"))).await;
    let (told, ()) = tokio::join!(
        async { [alice.farewell().await.reason(), bob.farewell().await.reason()] },
        server.rooms.shutdown()
    );
    assert_eq!(told, [DisconnectReason::ServerShutdown; 2]);
    let path = format!("/rtc?access_token={}", token("carol"));
    let refused = Client::open(server.address, &path, None).await.err().expect("it is over");
    assert_eq!(refused.status, 503);
}

#[tokio::test]
async fn nonsense_and_excess_end_only_the_socket_they_came_on() {
    let server = Server::start().await;
    let (mut alice, _) = Client::join(server.address, &token("alice")).await;
    let (mut bob, _) = Client::join(server.address, &token("bob")).await;
    bob.send_raw(Message::Binary(vec![0xff; 64].into())).await;
    bob.closed().await;
    update(&mut alice, |info| info.identity == "bob" && info.state() == State::Disconnected).await;

    let (mut carol, _) = Client::join(server.address, &token("carol")).await;
    let large = Message::Text("x".repeat((2 << 20) + 1).into());
    carol.send_raw(large).await;
    carol.closed().await;
    let (mut dave, _) = Client::join(server.address, &token("dave")).await;
    dave.send(Request::Offer(description(1, "not a description".into()))).await;
    assert_eq!(dave.farewell().await.reason(), DisconnectReason::JoinFailure);
    alice.send(Request::Ping(1)).await;
    alice.wait_for(|message| matches!(message, Response::Pong(_)).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_closes_its_socket_gets_the_handshake_it_waits_for() {
    let server = Server::start().await;
    for goodbye in [false, true] {
        let (mut alice, _) = Client::join(server.address, &token("alice")).await;
        if goodbye {
            alice.send(Request::Leave(LeaveRequest::default())).await;
        }
        alice.close().await;
    }
}

#[tokio::test]
async fn no_session_is_left_behind_in_the_media_plane() {
    let server = Server::start().await;
    for _ in 0..20 {
        let (mut alice, _) = Client::join(server.address, &token("alice")).await;
        alice.send(Request::Leave(LeaveRequest::default())).await;
        alice.farewell().await;
    }
    server.rooms.shutdown().await;
    let gone = async {
        while server.media.participants() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("every session ends");
}

fn description(id: u32, sdp: String) -> SessionDescription {
    SessionDescription { r#type: "offer".into(), sdp, id, ..SessionDescription::default() }
}

/// The first that `client` is told of a participant and `wanted` picks.
async fn update(client: &mut Client, wanted: impl Fn(&ParticipantInfo) -> bool) -> ParticipantInfo {
    client
        .wait_for(|message| match message {
            Response::Update(update) => update.participants.iter().find(|info| wanted(info)).cloned(),
            _ => None,
        })
        .await
}

async fn refusal(client: &mut Client) -> Reason {
    client
        .wait_for(|message| match message {
            Response::RequestResponse(response) => Some(response.reason()),
            _ => None,
        })
        .await
}
