//! Mute and deafen by moderators: in the call under way, in the next one, and in what others see.

use livekit_protocol::signal_response::Message;
use serde_json::{Value, json};

use super::Scene;
use crate::events::Stream;
use crate::places::{Call, token};
use crate::server::text;

#[tokio::test]
async fn a_server_mute_holds_at_once_and_until_it_is_lifted() {
    let scene = Scene::new().await;
    let before = token(&scene.bob, &scene.channel).await;
    let mut stream = Stream::open(&scene.ada, None).await;
    stream.expect("snapshot").await;
    let mut call = scene.call(&scene.bob).await;
    stream.expect("participant_joined").await;

    let member = scene.voice(json!({ "server_muted": true, "reason": "noise" })).await;
    assert_eq!((&member["server_muted"], &member["server_deafened"]), (&json!(true), &json!(false)));
    permitted(&mut call, &scene.bob_id, (false, true)).await;
    let seen = stream.expect("participant_updated").await.data["participant"].clone();
    assert_eq!((&seen["server_muted"], &seen["server_deafened"]), (&json!(true), &json!(false)));

    // A token from before the mute does not speak either.
    call.leave().await;
    let mut call = Call::join(&before).await.expect("a place");
    assert_eq!(call.joined().await, (false, true));
    assert_eq!(scene.inside().await[0]["server_muted"], true);
    let muted = token(&scene.bob, &scene.channel).await;

    scene.voice(json!({ "server_muted": false })).await;
    permitted(&mut call, &scene.bob_id, (true, true)).await;
    assert_eq!(scene.inside().await[0]["server_muted"], false);
    call.leave().await;
    let mut call = Call::join(&muted).await.expect("a place");
    assert_eq!(
        call.joined().await,
        (true, true),
        "nor does a token from before the end of the mute stay silent"
    );

    let log = scene.log().await;
    let brief: Vec<_> = log.iter().map(|entry| (text(&entry["action"]), entry["reason"].clone())).collect();
    assert_eq!(brief, [("server_unmute".into(), Value::Null), ("server_mute".into(), json!("noise"))]);
}

#[tokio::test]
async fn a_server_deafen_is_apart_from_a_mute() {
    let scene = Scene::new().await;
    let mut call = scene.call(&scene.bob).await;
    call.joined().await;
    scene.voice(json!({ "server_deafened": true })).await;
    permitted(&mut call, &scene.bob_id, (true, false)).await;
    let seen = &scene.inside().await[0];
    assert_eq!((&seen["server_muted"], &seen["server_deafened"]), (&json!(false), &json!(true)));
    assert_eq!(seen["deafened"], false, "that is the person's own");
}

#[tokio::test]
async fn it_survives_a_restart() {
    let scene = Scene::new().await;
    scene.voice(json!({ "server_muted": true })).await;
    let (_, _, folder) = scene.server.stop().await;
    let server = crate::server::Server::on(folder, &["--dev"]).await;
    let bob = crate::server::Person { base: server.stranger().base, ..scene.bob };
    let mut call = Call::join(&token(&bob, &scene.channel).await).await.expect("a place");
    assert_eq!(call.joined().await, (false, true));
}

/// Waits until a client is told of these permissions of itself: to speak, and to listen.
async fn permitted(call: &mut Call, identity: &str, wanted: (bool, bool)) {
    let told = |message| match message {
        Message::Update(update) => update.participants.into_iter().find_map(|info| {
            let permission = info.permission.filter(|_| info.identity == identity)?;
            ((permission.can_publish, permission.can_subscribe) == wanted).then_some(())
        }),
        _ => None,
    };
    call.until(told).await.expect("an update");
}
