//! Who is kicked is out, everywhere and at once, until invited again.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use livekit_protocol::DisconnectReason;
use reqwest::StatusCode;
use serde_json::json;

use super::{Scene, doors};
use crate::events::Stream;
use crate::places::{Call, token};
use crate::program;
use crate::server::{PASSWORD, text};

#[tokio::test]
async fn a_kick_ends_the_call_the_session_and_every_token() {
    let scene = Scene::new().await;
    let spare = token(&scene.bob, &scene.channel).await;
    let mut call = scene.call(&scene.bob).await;
    let refreshed = call.refreshed_token().await;
    let mut stream = Stream::open(&scene.bob, None).await;
    stream.expect("snapshot").await;
    let open = doors(&scene.server, &text(&spare["token"])).await;
    assert!(
        open.iter().all(|status| [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS].contains(status)),
        "{open:?}"
    );
    let mut call = scene.call(&scene.bob).await;

    let before = Instant::now();
    scene.kick("enough is enough").await;
    assert_eq!(call.dismissed().await, DisconnectReason::ParticipantRemoved as i32);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(scene.inside().await, [] as [serde_json::Value; 0]);

    for token in [text(&spare["token"]), refreshed] {
        assert_eq!(doors(&scene.server, &token).await, [StatusCode::UNAUTHORIZED; 8]);
    }
    scene.bob.get("/api/auth/me").await.error(401, "unauthorized");
    scene
        .bob
        .post("/api/voice/token", json!({ "channelId": scene.channel }))
        .await
        .error(401, "unauthorized");
    let excluded = loop {
        let event = stream.next().await.expect("a farewell");
        if event.name == "excluded" {
            break event.data;
        }
    };
    assert_eq!(excluded["error"]["code"], "membership_ended");
    assert_eq!(excluded["error"]["reason"], "enough is enough");
    assert!(stream.next().await.is_none(), "the stream ends with the session");

    let credentials = json!({ "username": "bob", "password": PASSWORD });
    let refusal = scene.server.stranger().post("/api/auth/login", credentials).await;
    let refusal = refusal.error(403, "membership_ended");
    assert!(text(&refusal["message"]).contains("enough is enough"), "{refusal}");
    let wrong = json!({ "username": "bob", "password": "a guess at it" });
    let refusal = scene.server.stranger().post("/api/auth/login", wrong).await;
    refusal.error(401, "invalid_credentials");
    let users = scene.ada.get("/api/users").await.ok(200);
    assert_eq!(users.as_array().expect("a list").len(), 1, "{users}");
    scene
        .ada
        .post(&format!("/api/members/{}/kick", scene.bob_id), json!({}))
        .await
        .error(404, "user_not_found");
}

#[tokio::test]
async fn a_new_invite_brings_the_account_back_to_who_knows_its_password() {
    let scene = Scene::new().await;
    let before = text(&token(&scene.bob, &scene.channel).await["token"]);
    scene.voice(json!({ "server_muted": true })).await;
    scene.kick("").await;
    let code = text(&scene.ada.invite(json!({})).await["code"]);
    let register = |password: &str| {
        let body = json!({ "invite": code, "username": "Bob", "password": password });
        let stranger = scene.server.stranger();
        async move { stranger.post("/api/auth/register", body).await }
    };
    register("another password").await.error(409, "username_taken");
    let session = register(PASSWORD).await.ok(201);
    assert_eq!(session["user"]["id"], json!(scene.bob_id));
    assert_eq!(session["user"]["role"], "member");
    let bob = crate::server::Person { token: Some(text(&session["token"])), ..scene.bob.clone() };
    let fresh = token(&bob, &scene.channel).await;
    assert_eq!(
        doors(&scene.server, &before).await,
        [StatusCode::UNAUTHORIZED; 8],
        "tokens from before stay void"
    );
    Call::join(&fresh).await.expect("a place");
    let members = scene.ada.get("/api/members").await.ok(200);
    let bob = members.as_array().expect("a list").iter().find(|one| one["id"] == json!(scene.bob_id));
    assert_eq!(bob.expect("a member again")["server_muted"], true, "a kick is no way out of it");
}

#[tokio::test]
async fn a_kick_from_the_command_line_is_carried_out_by_the_running_server() {
    let scene = Scene::new().await;
    let mut call = scene.call(&scene.bob).await;
    let data = scene.server.data();
    let data = data.to_str().expect("UTF-8");
    program::run(&["user", "kick", "bob", "--reason", "spam", "--data-dir", data]).succeeded();
    let before = Instant::now();
    assert_eq!(call.dismissed().await, DisconnectReason::ParticipantRemoved as i32);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    let error = program::run(&["user", "kick", "bob", "--data-dir", data]).failed(1);
    assert!(error.contains("no member any more"), "{error}");
    let [entry] = &scene.log().await[..] else { panic!("one entry") };
    assert_eq!((&entry["action"], &entry["actor_id"]), (&json!("kick"), &json!(null)));
    assert_eq!((&entry["target_name"], &entry["reason"]), (&json!("bob"), &json!("spam")));
    program::add_user(&scene.server.data(), "olga", "owner", PASSWORD);
    let error = program::run(&["user", "kick", "olga", "--data-dir", data]).failed(1);
    assert!(error.contains("owner"), "{error}");
}

/// Whichever comes first: nobody is inside when the answer to the ban is there.
#[tokio::test]
async fn a_ban_during_a_join_leaves_nobody_inside() {
    let scene = Scene::new().await;
    for round in 0..10 {
        let name = format!("guest{round}");
        let guest = scene.server.person(&name, "member").await;
        let ticket = token(&guest, &scene.channel).await;
        let id = guest.id().await;
        let joins = futures_util::stream::iter(0..4).map(|_| Call::join(&ticket)).buffer_unordered(4);
        let (calls, _) = tokio::join!(joins.collect::<Vec<_>>(), scene.ban(json!({ "user_id": id })));
        assert_eq!(scene.inside().await, [] as [serde_json::Value; 0], "round {round}");
        for call in calls.into_iter().flatten() {
            let mut call = call;
            // Closed by the ban, or by the next of the four before it.
            assert!(call.until(|_| None::<()>).await.is_none(), "round {round}");
        }
    }
}
