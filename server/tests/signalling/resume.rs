//! Sessions that go on with a new socket, at both doors.

use banter_protocol::token::Claims;
use banter_server::signal::CloseReason;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DisconnectReason, JoinRequest, JoinResponse, LeaveRequest, SyncState};

use crate::client::{Client, join_request, wrap};
use crate::server::{Server, claims, sign, token};

#[tokio::test]
async fn at_either_door_a_new_socket_takes_the_place_of_the_old_one() {
    let server = Server::start().await;
    let (mut two, two_joined) = Client::join(server.address, &token("two")).await;
    assert_eq!(two.wait_for(offer).await.id, 1);
    let (one, one_joined) = Client::join_v1(server.address, &token("one"), join_request()).await;
    for (mut old, joined, path) in
        [(two, &two_joined, query("two", &two_joined)), (one, &one_joined, request("one", &one_joined))]
    {
        let mut new = Client::open(server.address, &path, None).await.expect("the token is good");
        let first = new.next().await;
        assert!(matches!(first, Some(Response::Reconnect(_))), "{first:?} came first");
        // Both ends of the old socket look alive, and still it is closed without a word.
        while let Some(message) = old.next().await {
            assert!(!matches!(message, Response::Leave(_)), "{message:?}");
        }
        drop(old);
        let told = |message: &Response| participants(message).filter(|sids| sids.contains(&sid(joined)));
        new.wait_for(told).await;
        new.wait_for(|message| matches!(message, Response::RefreshToken(_)).then_some(())).await;
        if joined.subscriber_primary {
            let restart = new.wait_for(offer).await;
            assert_eq!(restart.id, 2, "the first one is outstanding no more");
        }
        new.send(Request::SyncState(SyncState::default())).await;
        new.send(Request::Ping(1)).await;
        new.wait_for(|message| matches!(message, Response::Pong(_)).then_some(())).await;
        new.send(Request::Leave(LeaveRequest::default())).await;
        assert_eq!(new.farewell().await.reason(), DisconnectReason::ClientInitiated);
    }
    assert_eq!(server.media.participants(), 0);
}

#[tokio::test]
async fn what_the_old_socket_still_says_means_nothing() {
    let server = Server::start().await;
    let (mut old, joined) = Client::join(server.address, &token("alice")).await;
    let path = query("alice", &joined);
    let mut new = Client::open(server.address, &path, None).await.expect("the token is good");
    new.wait_for(participants).await;
    // It may be closed already.
    old.try_send(Request::Leave(LeaveRequest::default())).await;
    old.closed().await;
    drop(old);
    new.send(Request::Ping(1)).await;
    new.wait_for(|message| matches!(message, Response::Pong(_)).then_some(())).await;
    assert_eq!(server.rooms.occupancy("lobby"), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_joined_afresh() {
    let server = Server::start().await;
    let (_alice, alice) = Client::join(server.address, &token("alice")).await;
    let (mut bob, joined) = Client::join(server.address, &token("bob")).await;
    bob.send(Request::Leave(LeaveRequest::default())).await;
    bob.farewell().await;
    for path in [query("bob", &joined), request("alice", &alice)] {
        let mut client = Client::open(server.address, &path, None).await.expect("the token is good");
        let Some(Response::Leave(leave)) = client.next().await else { panic!("the leave comes first") };
        assert_eq!((leave.reason(), leave.action()), (DisconnectReason::StateMismatch, Action::Reconnect));
    }
}

#[tokio::test]
async fn a_session_in_a_deleted_channel_is_not_resumed() {
    let server = Server::start().await;
    server.add_channel("lobby", 5);
    let banter = sign(&Claims { banter_channel: true, ..claims("alice", "lobby") });
    let (_alice, joined) = Client::join(server.address, &banter).await;
    server.remove_channel("lobby");
    server.rooms.close_room("lobby", CloseReason::ChannelDeleted).await;
    let path = format!("/rtc?access_token={banter}&reconnect=1&sid={}", sid(&joined));
    let refused = Client::open(server.address, &path, None).await.err().expect("it is refused");
    assert_eq!(refused.status, 404);
}

fn query(identity: &str, joined: &JoinResponse) -> String {
    format!("/rtc?access_token={}&reconnect=1&sid={}", token(identity), sid(joined))
}

fn request(identity: &str, joined: &JoinResponse) -> String {
    let request = JoinRequest { reconnect: true, participant_sid: sid(joined), ..join_request() };
    format!("/rtc/v1?access_token={}&join_request={}", token(identity), wrap(&request))
}

fn sid(joined: &JoinResponse) -> String {
    joined.participant.as_ref().expect("it is given").sid.clone()
}

fn participants(message: &Response) -> Option<Vec<String>> {
    let Response::Update(update) = message else { return None };
    Some(update.participants.iter().map(|info| info.sid.clone()).collect())
}

fn offer(message: &Response) -> Option<livekit_protocol::SessionDescription> {
    let Response::Offer(offer) = message else { return None };
    Some(offer.clone())
}
