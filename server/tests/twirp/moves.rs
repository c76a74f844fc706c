//! Participants moved from one room into another.

use banter_protocol::token::VideoGrant;
use livekit_protocol::leave_request::Action;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    CreateRoomRequest, DisconnectReason, ForwardParticipantRequest, ForwardParticipantResponse,
    MoveParticipantRequest, MoveParticipantResponse, Room,
};

use crate::calls::{BOTH, Backend, Encoding, address, failure, join, token};
use crate::client::Client;
use crate::server::Server;

#[tokio::test]
async fn a_moved_participant_is_sent_to_the_other_room_with_a_token_for_it() {
    let server = Server::start().await;
    for encoding in BOTH {
        let (mut alice, _) = join(&server, "alice", "here").await;
        let (mut bob, _) = join(&server, "bob", "here").await;
        let backend = Backend::of(&server, encoding, "here", "there");
        let _: MoveParticipantResponse =
            backend.call("MoveParticipant", &to("alice", "there")).await.expect("there is room");

        let moved = alice.wait_for(|message| match message {
            Response::RoomMoved(moved) => Some(moved.clone()),
            _ => None,
        });
        let moved = moved.await;
        assert_eq!(moved.room.expect("it is given").name, "there");
        assert_eq!(moved.participant.expect("it is given").identity, "alice");
        let leave = alice.farewell().await;
        assert_eq!((leave.reason(), leave.action()), (DisconnectReason::Migration, Action::Reconnect));
        bob.wait_for(|message| match message {
            Response::Update(update) => {
                let gone = |info: &&livekit_protocol::ParticipantInfo| info.identity == "alice";
                let info = update.participants.iter().find(gone)?;
                (info.disconnect_reason() == DisconnectReason::Migration).then_some(())
            }
            _ => None,
        })
        .await;

        let (_alice, joined) = Client::join(address(&server), &moved.token).await;
        assert_eq!(joined.room.expect("it is given").name, "there");
        assert_eq!(joined.participant.expect("it is given").identity, "alice");
    }
}

#[tokio::test]
async fn who_cannot_be_moved_stays() {
    let server = Server::start().await;
    let (_alice, _) = join(&server, "alice", "here").await;
    let (_bob, _) = join(&server, "bob", "full").await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "here", "here");
        let failed =
            backend.call::<_, MoveParticipantResponse>("MoveParticipant", &to("alice", "here")).await;
        let same = failure(400, "invalid_argument", "destination room cannot be the same as source room");
        assert_eq!(failed, Err(same));

        let backend = Backend::of(&server, encoding, "here", "small");
        let create =
            CreateRoomRequest { name: "small".into(), max_participants: 1, ..CreateRoomRequest::default() };
        let _: Room = backend.call("CreateRoom", &create).await.expect("it is made");
        let (_carol, _) = join(&server, "carol", "small").await;
        let failed =
            backend.call::<_, MoveParticipantResponse>("MoveParticipant", &to("alice", "small")).await;
        let failed = failed.expect_err("there is no room for her");
        assert_eq!((failed.status, failed.code.as_str()), (429, "resource_exhausted"));

        let failed = backend.call::<_, MoveParticipantResponse>("MoveParticipant", &to("zoe", "small")).await;
        assert_eq!(failed, Err(failure(404, "not_found", "participant does not exist")));
        let grant = VideoGrant { room_admin: true, room: "here".into(), ..VideoGrant::default() };
        let backend = Backend { token: Some(token(grant)), ..backend };
        let failed =
            backend.call::<_, MoveParticipantResponse>("MoveParticipant", &to("alice", "small")).await;
        assert_eq!(failed, Err(failure(401, "unauthenticated", "permissions denied")));
    }
    let backend = Backend::of(&server, Encoding::Json, "here", "");
    let (_, listed) = backend.raw("ListParticipants", &serde_json::json!({"room": "here"})).await;
    assert_eq!(listed["participants"][0]["identity"], "alice");
}

#[tokio::test]
async fn forwarding_is_not_there() {
    let server = Server::start().await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "here", "there");
        let request = ForwardParticipantRequest {
            room: "here".into(),
            identity: "alice".into(),
            destination_room: "there".into(),
        };
        let failed = backend.call::<_, ForwardParticipantResponse>("ForwardParticipant", &request).await;
        let failed = failed.expect_err("it is not there");
        assert_eq!((failed.status, failed.code.as_str()), (501, "unimplemented"));
    }
}

fn to(identity: &str, destination: &str) -> MoveParticipantRequest {
    MoveParticipantRequest {
        room: "here".into(),
        identity: identity.into(),
        destination_room: destination.into(),
    }
}
