//! Bans: of people and of networks, for a while and for good.

use livekit_protocol::DisconnectReason;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Scene, doors, sign_in_from};
use crate::places::{Call, token};
use crate::program;
use crate::server::{PASSWORD, members, send, text};

#[tokio::test]
async fn a_banned_person_is_out_until_the_ban_is_lifted() {
    let scene = Scene::new().await;
    let spare = text(&token(&scene.bob, &scene.channel).await["token"]);
    let mut call = scene.call(&scene.bob).await;
    let ban =
        scene.ban(json!({ "user_id": scene.bob_id, "reason": " spam ", "expires_in_seconds": 3600 })).await;
    assert_eq!(
        members(&ban),
        [
            "created_at",
            "created_by",
            "created_by_name",
            "expires_at",
            "id",
            "network",
            "reason",
            "user_id",
            "username"
        ]
    );
    assert_eq!(
        (&ban["username"], &ban["reason"], &ban["network"]),
        (&json!("bob"), &json!("spam"), &Value::Null)
    );
    assert_eq!(call.dismissed().await, DisconnectReason::ParticipantRemoved as i32);
    assert_eq!(doors(&scene.server, &spare).await, [StatusCode::UNAUTHORIZED; 8]);
    scene.bob.get("/api/auth/me").await.error(401, "unauthorized");

    let credentials = json!({ "username": "bob", "password": PASSWORD });
    let refused = scene.server.stranger().post("/api/auth/login", credentials).await.error(403, "banned");
    assert_eq!((&refused["reason"], &refused["until"]), (&json!("spam"), &ban["expires_at"]));

    // Another ban gives way to the next; there is one for each person.
    let longer = scene.ban(json!({ "user_id": scene.bob_id })).await;
    let list = scene.ada.get("/api/bans").await.ok(200);
    assert_eq!(list, json!([longer]));
    let path = format!("/api/bans/{}", text(&longer["id"]));
    scene.ada.delete(&path).await.ok(204);
    scene.ada.delete(&path).await.error(404, "not_found");
    let bob = scene.server.sign_in("bob").await;
    assert_eq!(
        doors(&scene.server, &spare).await,
        [StatusCode::UNAUTHORIZED; 8],
        "tokens from before stay void"
    );
    Call::join(&token(&bob, &scene.channel).await).await.expect("a place again");

    let log = scene.log().await;
    let actions: Vec<_> = log.iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["unban", "ban", "ban"]);
    for entry in &log {
        assert_eq!((&entry["actor_name"], &entry["target_id"]), (&json!("ada"), &json!(scene.bob_id)));
    }
    assert_eq!((&log[2]["reason"], &log[2]["details"]["expires_at"]), (&json!("spam"), &ban["expires_at"]));
}

#[tokio::test]
async fn an_expired_ban_keeps_nobody_out() {
    let scene = Scene::new().await;
    scene.ban(json!({ "user_id": scene.bob_id, "expires_in_seconds": 60 })).await;
    let database = rusqlite::Connection::open(scene.server.data().join("banter.db")).expect("the database");
    database.execute("UPDATE bans SET expires_at = expires_at - 60000", []).expect("time passes");
    scene.server.sign_in("bob").await;
    assert_eq!(scene.ada.get("/api/bans").await.ok(200), json!([]));
}

#[tokio::test]
async fn nobody_of_a_banned_network_signs_in_registers_or_joins() {
    let scene = Scene::new().await;
    let far = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", "203.0.113.77");
    let invite = text(&scene.ada.invite(json!({})).await["code"]);
    let session = sign_in_from(&scene.server, "bob", "203.0.113.77").await.ok(200);
    let bob = crate::server::Person { token: Some(text(&session["token"])), ..scene.bob.clone() };
    let ask =
        || far(bob.request(Method::POST, "/api/voice/token")).json(&json!({ "channelId": scene.channel }));
    let ticket = text(&send(ask()).await.ok(200)["token"]);

    let ban = scene.ban(json!({ "address": "203.0.113.200/24", "expires_in_seconds": 3600 })).await;
    assert_eq!((&ban["network"], &ban["user_id"]), (&json!("203.0.113.0/24"), &Value::Null));
    sign_in_from(&scene.server, "bob", "203.0.113.5").await.error(403, "address_banned");
    sign_in_from(&scene.server, "bob", "::ffff:203.0.113.5").await.error(403, "address_banned");
    sign_in_from(&scene.server, "bob", "203.0.114.5").await.ok(200);
    sign_in_from(&scene.server, "ada", "203.0.113.5").await.ok(200);
    let register = json!({ "invite": invite, "username": "eve", "password": PASSWORD });
    let request = far(scene.server.stranger().request(Method::POST, "/api/auth/register")).json(&register);
    send(request).await.error(403, "address_banned");
    send(ask()).await.error(403, "address_banned");
    let door = |path: &str| far(scene.server.stranger().request(Method::GET, path)).bearer_auth(&ticket);
    let refused = send(door("/rtc/validate")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.text.contains("network"), "{}", refused.text);
    assert_eq!(send(super::upgrade(door("/rtc?reconnect=1"))).await.status, StatusCode::UNAUTHORIZED);
    // The person is as welcome as before from elsewhere.
    assert!(doors(&scene.server, &ticket).await.iter().all(|status| *status != 401));
}

#[tokio::test]
async fn a_person_can_be_banned_together_with_where_they_are() {
    let scene = Scene::new().await;
    let eve = scene.server.person("eve", "member").await;
    sign_in_from(&scene.server, "bob", "2001:db8::77").await.ok(200);
    let ban = scene.ban(json!({ "user_id": scene.bob_id, "include_address": true })).await;
    assert_eq!((&ban["network"], &ban["username"]), (&json!("2001:db8::/64"), &json!("bob")));
    sign_in_from(&scene.server, "eve", "2001:db8::78").await.error(403, "address_banned");
    let body = json!({ "user_id": eve.id().await, "include_address": true });
    scene.ada.post("/api/bans", body).await.invalid("address");
}

#[tokio::test]
async fn bans_that_make_no_sense_are_refused() {
    let scene = Scene::new().await;
    for (body, field) in [
        (json!({}), "user_id"),
        (json!({ "address": "" }), "user_id"),
        (json!({ "address": "home" }), "address"),
        (json!({ "address": "0.0.0.0/0" }), "address"),
        (json!({ "address": "127.0.0.1" }), "address"),
        (json!({ "address": "203.0.113.1", "expires_in_seconds": 59 }), "expires_in_seconds"),
        (json!({ "address": "203.0.113.1", "reason": "x".repeat(501) }), "reason"),
    ] {
        scene.ada.post("/api/bans", body).await.invalid(field);
    }
    let request = scene.ada.request(Method::POST, "/api/bans").header("x-forwarded-for", "203.0.113.9");
    send(request.json(&json!({ "address": "203.0.113.0/24" }))).await.invalid("address");
    assert_eq!(scene.log().await, [] as [Value; 0]);
}

#[tokio::test]
async fn the_command_line_bans_and_lifts() {
    let scene = Scene::new().await;
    let mut call = scene.call(&scene.bob).await;
    let data = scene.server.data();
    let data = data.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| program::run(&[arguments, &["--data-dir", data]].concat());
    run(&["user", "ban", "bob", "--address", "203.0.113.0/24", "--seconds", "3600"]).succeeded();
    assert_eq!(call.dismissed().await, DisconnectReason::ParticipantRemoved as i32);
    let list = run(&["user", "bans"]).succeeded();
    assert!(list.starts_with("bob, 203.0.113.0/24  until "), "{list}");
    run(&["user", "unban", "BOB"]).succeeded();
    scene.server.sign_in("bob").await;
    assert!(run(&["user", "unban", "bob"]).failed(1).contains("no ban is in force"));
}

#[tokio::test]
async fn the_audit_log_is_read_page_by_page() {
    let scene = Scene::new().await;
    for n in 0..5 {
        scene.voice(json!({ "server_muted": n % 2 == 0, "reason": format!("{n}") })).await;
    }
    scene.voice(json!({ "server_muted": true })).await;
    let mut reasons = Vec::new();
    let mut next = Value::Null;
    loop {
        let before = next.as_i64().map_or_else(String::new, |before| format!("&before={before}"));
        let page = scene.ada.get(&format!("/api/audit-log?limit=2{before}")).await.ok(200);
        for entry in page["entries"].as_array().expect("a list") {
            reasons.push(text(&entry["reason"]));
        }
        next = page["next_before"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(reasons, ["4", "3", "2", "1", "0"], "what changes nothing is no entry");
    for query in ["limit=0", "limit=201", "limit=x", "before=x"] {
        scene.ada.get(&format!("/api/audit-log?{query}")).await.error(400, "validation_failed");
    }
}
