//! Rooms made, listed, changed and ended by a backend.

use std::time::{Duration, Instant};

use banter_protocol::token::{Claims, VideoGrant};
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    CreateRoomRequest, DeleteRoomRequest, DeleteRoomResponse, DisconnectReason, ListRoomsRequest,
    ListRoomsResponse, Room, SendDataRequest, SendDataResponse, UpdateRoomMetadataRequest,
};
use serde_json::json;

use crate::calls::{BOTH, Backend, Encoding, address, failure, join, sign};
use crate::client::Client;
use crate::server::{PATIENCE, Server};

#[tokio::test]
async fn a_room_is_made_listed_changed_and_deleted() {
    let server = Server::start().await;
    for encoding in BOTH {
        let name = format!("stage {encoding:?}");
        let backend = Backend::of(&server, encoding, &name, "");
        let create = CreateRoomRequest {
            name: name.clone(),
            metadata: "m".into(),
            empty_timeout: 60,
            departure_timeout: 7,
            max_participants: 5,
            ..CreateRoomRequest::default()
        };
        let made: Room = backend.call("CreateRoom", &create).await.expect("it is made");
        assert!(made.sid.starts_with("RM_"));
        assert_eq!((made.name.as_str(), made.metadata.as_str()), (name.as_str(), "m"));
        assert_eq!((made.empty_timeout, made.departure_timeout, made.max_participants), (60, 7, 5));
        assert!(made.creation_time > 1_700_000_000 && made.creation_time_ms / 1000 == made.creation_time);

        let again = CreateRoomRequest { metadata: "other".into(), ..create };
        let same: Room = backend.call("CreateRoom", &again).await.expect("it is there");
        assert_eq!(same, made, "a room that is open stays as it is, as at LiveKit");

        let (mut alice, _) = join(&server, "alice", &name).await;
        let rooms = list(&backend, &[&name, "nowhere"]).await;
        let [listed] = rooms.as_slice() else { panic!("{rooms:?}") };
        assert_eq!((listed.sid.as_str(), listed.num_participants), (made.sid.as_str(), 1));

        let change = UpdateRoomMetadataRequest { room: name.clone(), metadata: "changed".into() };
        let changed: Room = backend.call("UpdateRoomMetadata", &change).await.expect("it is changed");
        assert_eq!(changed.metadata, "changed");
        alice
            .wait_for(|message| match message {
                Response::RoomUpdate(update) => update.room.clone().filter(|room| room.metadata == "changed"),
                _ => None,
            })
            .await;

        let delete = DeleteRoomRequest { room: name.clone() };
        let _: DeleteRoomResponse = backend.call("DeleteRoom", &delete).await.expect("it is deleted");
        assert_eq!(alice.farewell().await.reason(), DisconnectReason::RoomDeleted);
        assert!(list(&backend, &[&name]).await.is_empty());
        let gone = backend.call::<_, DeleteRoomResponse>("DeleteRoom", &delete).await;
        assert_eq!(gone, Err(failure(404, "not_found", "requested room does not exist")));

        let (_alice, joined) = join(&server, "alice", &name).await;
        let reopened = joined.room.expect("it is given");
        assert!(reopened.sid != made.sid && reopened.metadata.is_empty(), "a new room of the old name");
    }
}

#[tokio::test]
async fn a_room_that_nobody_joins_ends_after_its_time() {
    let server = Server::start().await;
    let backend = Backend::of(&server, Encoding::Json, "short", "");
    let create = CreateRoomRequest { name: "short".into(), empty_timeout: 1, ..CreateRoomRequest::default() };
    let _: Room = backend.call("CreateRoom", &create).await.expect("it is made");
    assert_eq!(list(&backend, &["short"]).await.len(), 1);
    let deadline = Instant::now() + PATIENCE;
    while !list(&backend, &[]).await.is_empty() {
        assert!(Instant::now() < deadline, "the room stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn data_is_taken_for_a_room_that_is_there() {
    let server = Server::start().await;
    let (_alice, _) = join(&server, "alice", "r").await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "r", "");
        let request = SendDataRequest { room: "r".into(), data: b"hello".to_vec(), ..Default::default() };
        let _: SendDataResponse = backend.call("SendData", &request).await.expect("it is taken");
        let odd = SendDataRequest { nonce: vec![1, 2, 3], ..request.clone() };
        let failed = backend.call::<_, SendDataResponse>("SendData", &odd).await;
        let expected = "nonce should be 16-bytes or not present, got: 3 bytes";
        assert_eq!(failed, Err(failure(400, "invalid_argument", expected)));
        let large = SendDataRequest { data: vec![0; 1 << 20], ..request.clone() };
        let failed =
            backend.call::<_, SendDataResponse>("SendData", &large).await.expect_err("it is too large");
        assert_eq!((failed.status, failed.code.as_str()), (400, "invalid_argument"));

        let backend = Backend::of(&server, encoding, "nowhere", "");
        let request = SendDataRequest { room: "nowhere".into(), ..request };
        let failed = backend.call::<_, SendDataResponse>("SendData", &request).await;
        assert_eq!(failed, Err(failure(404, "not_found", "requested room does not exist")));
    }
}

#[tokio::test]
async fn bad_settings_are_refused() {
    let server = Server::start().await;
    for encoding in BOTH {
        let backend = Backend::of(&server, encoding, "r", "");
        let refused = async |request: CreateRoomRequest| {
            let failed = backend.call::<_, Room>("CreateRoom", &request).await.expect_err("it is refused");
            assert_eq!((failed.status, failed.code.as_str()), (400, "invalid_argument"), "{failed:?}");
            failed.message
        };
        let named = |name: &str| CreateRoomRequest { name: name.into(), ..CreateRoomRequest::default() };
        assert!(refused(named("")).await.contains("cannot be empty"));
        assert!(refused(named(&"x".repeat(257))).await.contains("max length 256"));
        let preset = CreateRoomRequest { room_preset: "none".into(), ..named("r") };
        assert!(refused(preset).await.contains("unknown room configuration"));
        let metadata = "x".repeat(512 * 1024 + 1);
        let large = CreateRoomRequest { metadata: metadata.clone(), ..named("r") };
        assert!(refused(large).await.contains("metadata size exceeds limits"));

        let change = UpdateRoomMetadataRequest { room: "r".into(), metadata };
        let failed = backend.call::<_, Room>("UpdateRoomMetadata", &change).await.expect_err("too large");
        assert_eq!(failed.code, "invalid_argument");
        let change = UpdateRoomMetadataRequest { room: "r".into(), metadata: "m".into() };
        let failed = backend.call::<_, Room>("UpdateRoomMetadata", &change).await;
        assert_eq!(failed, Err(failure(404, "not_found", "requested room does not exist")));
    }
}

#[tokio::test]
async fn who_reads_json_without_an_sdk_finds_what_livekit_says() {
    let server = Server::start().await;
    let backend = Backend::of(&server, Encoding::Json, "r", "");
    let body = json!({"name": "r", "max_participants": 3, "emptyTimeout": 9, "newer": [1], "metadata": null});
    let (status, room) = backend.raw("CreateRoom", &body).await;
    assert_eq!(status, 200, "{room}");
    assert_eq!((&room["max_participants"], &room["empty_timeout"]), (&json!(3), &json!(9)));
    assert_eq!((&room["num_participants"], &room["active_recording"]), (&json!(0), &json!(false)));
    assert!(room["creation_time"].is_string() && room["metadata"] == "" && room["version"].is_null());

    let _alice = join(&server, "alice", "r").await;
    let (_, listed) = backend.raw("ListParticipants", &json!({"room": "r"})).await;
    let alice = &listed["participants"][0];
    assert_eq!((&alice["identity"], &alice["state"]), (&json!("alice"), &json!("JOINED")));
    assert_eq!((&alice["permission"]["can_publish"], &alice["is_publisher"]), (&json!(true), &json!(false)));
    assert_eq!((&alice["attributes"], &alice["tracks"]), (&json!({}), &json!([])));
}

#[tokio::test]
async fn rooms_that_joins_do_not_open_are_opened_by_calls_and_creators() {
    let server = Server::with(&["--dev", "--room-auto-create", "false"]).await;
    let claims = Claims::for_room("alice", "Alice", "booked");
    let path = format!("/rtc?access_token={}&protocol=17", sign(claims.clone()));
    let refused = Client::open(address(&server), &path, None).await.err().expect("there is no such room");
    assert_eq!((refused.status, refused.body.as_str()), (404, "requested room does not exist"));

    let backend = Backend::of(&server, Encoding::Protobuf, "booked", "");
    let create = CreateRoomRequest { name: "booked".into(), ..CreateRoomRequest::default() };
    let _: Room = backend.call("CreateRoom", &create).await.expect("it is made");
    join(&server, "alice", "booked").await;

    let grant =
        VideoGrant { room_join: true, room_create: true, room: "own".into(), ..VideoGrant::default() };
    let creator = Claims { video: Some(grant), ..claims };
    Client::join(address(&server), &sign(creator)).await;
}

#[tokio::test]
async fn a_server_may_have_its_channels_as_its_only_rooms() {
    let server = Server::with(&["--dev", "--other-rooms", "false"]).await;
    let path = format!("/rtc?access_token={}&protocol=17", sign(Claims::for_room("a", "A", "other")));
    let refused = Client::open(address(&server), &path, None).await.err().expect("it is no channel");
    assert_eq!(refused.status, 404);
    let backend = Backend::of(&server, Encoding::Json, "other", "");
    let create = CreateRoomRequest { name: "other".into(), ..CreateRoomRequest::default() };
    let failed = backend.call::<_, Room>("CreateRoom", &create).await.expect_err("it is no channel");
    assert_eq!((failed.status, failed.code.as_str()), (412, "failed_precondition"));
}

#[tokio::test]
async fn deleting_a_channels_room_sends_everyone_away_and_keeps_the_channel() {
    let server = Server::start().await;
    let owner = server.person("olga", "owner").await;
    let channel = owner.post("/api/voice/channels", json!({"name": "General"})).await.ok(201);
    let id = channel["id"].as_str().expect("it has an id").to_owned();
    let token = owner.post("/api/voice/token", json!({ "channelId": id })).await.ok(200);
    let token = token["token"].as_str().expect("it is given").to_owned();
    let (mut inside, _) = Client::join(address(&server), &token).await;

    let backend = Backend::of(&server, Encoding::Json, &id, "");
    assert_eq!(list(&backend, &[]).await.iter().map(|room| &room.name).collect::<Vec<_>>(), [&id]);
    let delete = DeleteRoomRequest { room: id.clone() };
    let _: DeleteRoomResponse = backend.call("DeleteRoom", &delete).await.expect("it is open");
    assert_eq!(inside.farewell().await.reason(), DisconnectReason::RoomDeleted);
    Client::join(address(&server), &token).await;
}

async fn list(backend: &Backend, names: &[&str]) -> Vec<Room> {
    let request = ListRoomsRequest { names: names.iter().map(|&name| name.into()).collect() };
    backend.call::<_, ListRoomsResponse>("ListRooms", &request).await.expect("it may list").rooms
}
