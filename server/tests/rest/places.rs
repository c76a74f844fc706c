//! Who gets into a channel, at the token and at the join, and what the others see of it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use livekit_protocol::{SignalResponse, signal_response::Message};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::server::{PATIENCE, Person, Server, text};

/// The first version whose clients understand that they are moved.
const PROTOCOL: i32 = 16;

/// A person inside a channel.
pub struct Call(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Call {
    /// Takes a token to its channel; `Err` is the status with which the door stays shut.
    pub async fn join(token: &Value) -> Result<Self, u16> {
        let (address, token) = (text(&token["wsUrl"]), text(&token["token"]));
        let url = format!("{address}/rtc?protocol={PROTOCOL}&access_token={token}");
        match connect_async(url).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message that `wanted` picks, or `None` when the server has closed.
    pub async fn until<T>(&mut self, wanted: impl Fn(Message) -> Option<T>) -> Option<T> {
        let search = async {
            while let Some(Ok(frame)) = self.0.next().await {
                let Frame::Binary(bytes) = frame else { continue };
                let response = SignalResponse::decode(bytes.as_ref()).expect("a signal response");
                if let Some(found) = response.message.and_then(&wanted) {
                    return Some(found);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it happens in time")
    }

    /// The reason with which the server ends the session.
    pub async fn dismissed(&mut self) -> i32 {
        let reason = |message| match message {
            Message::Leave(leave) => Some(leave.reason),
            _ => None,
        };
        self.until(reason).await.expect("a reason")
    }

    /// Whether the client is told that it may speak and listen, by the join response.
    pub async fn joined(&mut self) -> (bool, bool) {
        let permission = |message| match message {
            Message::Join(join) => join.participant.and_then(|participant| participant.permission),
            _ => None,
        };
        let permission = self.until(permission).await.expect("a join response");
        (permission.can_publish, permission.can_subscribe)
    }

    /// The token that the room has signed for the client to come back with.
    pub async fn refreshed_token(&mut self) -> String {
        let token = |message| match message {
            Message::RefreshToken(token) => Some(token),
            _ => None,
        };
        self.until(token).await.expect("a token")
    }

    pub async fn leave(mut self) {
        let _ = self.0.close(None).await;
    }
}

pub async fn token(person: &Person, channel: &str) -> Value {
    person.post("/api/voice/token", json!({ "channelId": channel })).await.ok(200)
}

pub async fn inside(person: &Person, channel: &str) -> Vec<Value> {
    let list = person.get("/api/voice/channels").await.ok(200);
    let all = list.as_array().expect("a list");
    let found = all.iter().find(|one| one["id"] == channel).expect("the channel");
    found["participants"].as_array().expect("people").clone()
}

/// Waits until the media workers serve so many participants: they hear of an end a moment after presence tells of it.
pub async fn media_serves(admin: &Person, participants: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = admin.get("/api/media").await.ok(200);
        if status["participants"] == participants {
            return;
        }
        assert!(Instant::now() < deadline, "not {participants}: {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_is_inside_is_seen_with_their_state() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let _call = Call::join(&token(&bob, &id).await).await.expect("a place");
    let people = inside(&ada, &id).await;
    let joined_at = people[0]["joined_at"].clone();
    assert!(joined_at.as_i64().is_some_and(|at| at > 1_600_000_000_000));
    let expected = json!([{
        "user_id": bob.id().await, "name": "bob", "joined_at": joined_at,
        "muted": true, "deafened": false, "server_muted": false, "server_deafened": false, "speaking": false,
        "path": null
    }]);
    assert_eq!(Value::Array(people), expected);
}

#[tokio::test]
async fn a_full_channel_gives_no_tokens_but_to_those_inside() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let eve = server.person("eve", "member").await;
    let id = text(&ada.channel(json!({ "name": "Duo", "maxParticipants": 2 })).await["id"]);
    let early = token(&eve, &id).await;
    let _ada = Call::join(&token(&ada, &id).await).await.expect("the first place");
    let _bob = Call::join(&token(&bob, &id).await).await.expect("the last place");

    eve.post("/api/voice/token", json!({ "channelId": id })).await.error(409, "channel_full");
    token(&bob, &id).await;
    assert_eq!(Call::join(&early).await.err(), Some(403), "a token from before does not help");

    ada.patch(&format!("/api/voice/channels/{id}"), json!({ "maxParticipants": 3 })).await.ok(200);
    Call::join(&early).await.expect("a new place");
}

#[tokio::test]
async fn of_two_who_race_for_the_last_place_one_gets_in() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let eve = server.person("eve", "member").await;
    for round in 0..10 {
        let id = text(&ada.channel(json!({ "name": "Duo", "maxParticipants": 2 })).await["id"]);
        let tokens = (token(&ada, &id).await, token(&bob, &id).await, token(&eve, &id).await);
        let _ada = Call::join(&tokens.0).await.expect("the first place");
        let (one, other) = tokio::join!(Call::join(&tokens.1), Call::join(&tokens.2));
        let refused: Vec<_> = [one.as_ref().err(), other.as_ref().err()].into_iter().flatten().collect();
        assert_eq!(refused, [&403], "round {round}");
        assert_eq!(inside(&ada, &id).await.len(), 2, "round {round}");
    }
}

#[tokio::test]
async fn deleting_a_channel_ends_its_call_with_a_reason_and_for_good() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let bob = server.person("bob", "member").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let spare = token(&bob, &id).await;
    let mut call = Call::join(&token(&bob, &id).await).await.expect("a place");
    ada.delete(&format!("/api/voice/channels/{id}")).await.ok(204);
    assert_eq!(call.dismissed().await, livekit_protocol::DisconnectReason::RoomDeleted as i32);
    assert_eq!(Call::join(&spare).await.err(), Some(404), "a token from before does not open it again");
}

#[tokio::test]
async fn the_media_workers_say_what_they_did_to_admins() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let status = ada.get("/api/media").await.ok(200);
    assert_eq!(crate::server::members(&status), ["core", "participants", "socket", "streams"]);
    assert_eq!(status["core"]["forwarded"], 0);
    server.person("bob", "moderator").await.get("/api/media").await.error(403, "forbidden");
}
