//! One call for each person, and calls that others end.

use std::time::Duration;

use futures_util::StreamExt;
use livekit_protocol::DisconnectReason;
use serde_json::json;

use super::Scene;
use crate::events::Stream;
use crate::places::{Call, inside, media_serves, token};
use crate::server::text;

#[tokio::test]
async fn who_joins_another_channel_leaves_the_first() {
    let scene = Scene::new().await;
    let other = text(&scene.ada.channel(json!({ "name": "Other" })).await["id"]);
    let mut stream = Stream::open(&scene.ada, None).await;
    stream.expect("snapshot").await;
    let mut first = scene.call(&scene.bob).await;
    stream.expect("participant_joined").await;
    let _second = Call::join(&token(&scene.bob, &other).await).await.expect("a place");
    assert_eq!(first.dismissed().await, DisconnectReason::DuplicateIdentity as i32);
    let left = stream.expect("participant_left").await.data;
    assert_eq!((&left["channel_id"], &left["reason"]), (&json!(scene.channel), &json!("duplicate_identity")));
    assert_eq!(stream.expect("participant_joined").await.data["channel_id"], json!(other));
    assert_eq!(scene.inside().await.len(), 0);
    assert_eq!(inside(&scene.ada, &other).await.len(), 1);
}

#[tokio::test]
async fn a_full_channel_does_not_cost_the_call_one_is_in() {
    let scene = Scene::new().await;
    let duo = text(&scene.ada.channel(json!({ "name": "Duo", "maxParticipants": 2 })).await["id"]);
    let ticket = token(&scene.bob, &duo).await;
    let _bob = scene.call(&scene.bob).await;
    let mut others = Vec::new();
    for name in ["eve", "mo"] {
        let person = scene.server.person(name, "member").await;
        others.push(Call::join(&token(&person, &duo).await).await.expect("a place"));
    }
    assert_eq!(Call::join(&ticket).await.err(), Some(403));
    assert_eq!(scene.inside().await.len(), 1, "bob is where he was");
}

#[tokio::test]
async fn of_joins_in_many_channels_at_once_one_remains() {
    let scene = Scene::new().await;
    let mut tickets = vec![token(&scene.bob, &scene.channel).await];
    for n in 0..4 {
        let id = text(&scene.ada.channel(json!({ "name": format!("c{n}") })).await["id"]);
        tickets.push(token(&scene.bob, &id).await);
    }
    for round in 0..5 {
        let joins = futures_util::stream::iter(&tickets).map(Call::join).buffer_unordered(5);
        let _calls: Vec<_> = joins.collect().await;
        let list = scene.ada.get("/api/voice/channels").await.ok(200);
        let people: usize = list
            .as_array()
            .expect("a list")
            .iter()
            .map(|channel| channel["participants"].as_array().expect("people").len())
            .sum();
        assert_eq!(people, 1, "round {round}: {list}");
    }
}

/// While one watches: never two of one, and nobody left behind.
#[tokio::test]
async fn fifty_rapid_switches_leave_one_presence_and_no_ghost() {
    let scene = Scene::new().await;
    let other = text(&scene.ada.channel(json!({ "name": "Other" })).await["id"]);
    let tickets = [token(&scene.bob, &scene.channel).await, token(&scene.bob, &other).await];
    let mut stream = Stream::open(&scene.ada, None).await;
    stream.expect("snapshot").await;
    let mut last = None;
    for n in 0..50 {
        last = Some(Call::join(&tickets[n % 2]).await.expect("a place"));
    }
    last.expect("a call").leave().await;
    let (mut here, mut joined, mut left) = (0, 0, 0);
    while left < 50 {
        match stream.next().await.expect("the stream goes on").name.as_str() {
            "participant_joined" => (here, joined) = (here + 1, joined + 1),
            "participant_left" => (here, left) = (here - 1, left + 1),
            _ => {}
        }
        assert!((0..=1).contains(&here), "{here} at once after {joined} joins");
    }
    assert_eq!((joined, here), (50, 0));
    media_serves(&scene.ada, 0).await;
}

#[tokio::test]
async fn rooms_of_an_operators_own_backend_know_no_such_rule() {
    use banter_protocol::token::{ApiKeys, Claims};
    let scene = Scene::new().await;
    let keys = ApiKeys::new(vec![("devkey".into(), "secret".into())]).expect("one key");
    let address = token(&scene.bob, &scene.channel).await["wsUrl"].clone();
    let _bob = scene.call(&scene.bob).await;
    let mut calls = Vec::new();
    for room in ["one", "two"] {
        let claims = Claims::for_room(&scene.bob_id, "somebody else", room);
        let token = keys.sign(&claims, std::time::SystemTime::now(), Duration::from_secs(60));
        calls.push(Call::join(&json!({ "token": token, "wsUrl": address })).await.expect("a place"));
    }
    scene.kick("").await;
    media_serves(&scene.ada, 2).await;
    for call in &mut calls {
        let ended = tokio::time::timeout(Duration::from_millis(200), call.dismissed()).await;
        assert!(ended.is_err(), "{ended:?}");
    }
}

#[tokio::test]
async fn a_disconnected_person_may_come_back() {
    let scene = Scene::new().await;
    let path = format!("/api/members/{}/disconnect", scene.bob_id);
    scene.ada.post(&path, json!({})).await.error(409, "not_in_voice");
    let spare = token(&scene.bob, &scene.channel).await;
    let mut call = scene.call(&scene.bob).await;
    scene.ada.post(&path, json!({ "reason": "asleep" })).await.ok(204);
    assert_eq!(call.dismissed().await, DisconnectReason::ParticipantRemoved as i32);
    Call::join(&spare).await.expect("a place");
    let log = scene.log().await;
    assert_eq!(log.len(), 1, "an attempt that did nothing is no entry");
    assert_eq!((&log[0]["action"], &log[0]["reason"]), (&json!("disconnect"), &json!("asleep")));
}
