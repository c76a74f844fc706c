//! Access tokens for voice channels, and where they are taken to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banter_protocol::token::ApiKeys;
use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Person, Server, members, send, text};

#[tokio::test]
async fn a_token_says_who_may_do_what_where() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let bob = server.person("bob", "member").await;
    let answer = bob.post("/api/voice/token", json!({ "channelId": id })).await.ok(200);
    assert_eq!(members(&answer), ["token", "wsUrl"]);

    let now = SystemTime::now();
    let keys = ApiKeys::new(vec![("devkey".into(), "secret".into())]).expect("one key");
    let claims = keys.verify(&text(&answer["token"]), now).expect("signed with the API key");
    assert_eq!((claims.identity(), claims.name.as_str()), (bob.id().await.as_str(), "bob"));
    let grant = claims.video.as_ref().expect("a grant");
    assert!(grant.room_join && grant.may_publish() && grant.may_subscribe());
    assert_eq!(grant.room, id);
    assert!(!grant.room_admin && !grant.room_create);
    assert!(claims.banter_channel, "so that a deleted channel stays closed");
    let expires = UNIX_EPOCH + Duration::from_secs(claims.expires_at.expect("an expiry"));
    let left = expires.duration_since(now).expect("in the future").as_secs();
    assert!((6 * 3600 - 60..=6 * 3600).contains(&left), "{left}");
}

#[tokio::test]
async fn the_address_follows_the_one_the_client_used() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    assert_eq!(ws_url(&ada, &id, &[]).await, format!("ws://127.0.0.1:{}", server.port));
    assert_eq!(ws_url(&ada, &id, &[("host", "banter.lan:7880")]).await, "ws://banter.lan:7880");
    let proxy = [("host", "inner"), ("x-forwarded-host", "talk.example"), ("x-forwarded-proto", "https")];
    assert_eq!(ws_url(&ada, &id, &proxy).await, "wss://talk.example");
}

#[tokio::test]
async fn a_public_url_goes_before_the_address_the_client_used() {
    let server = Server::with(&["--dev", "--public-url", "https://talk.example"]).await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    assert_eq!(ws_url(&ada, &id, &[]).await, "wss://talk.example");
    assert!(text(&ada.invite(json!({})).await["url"]).starts_with("https://talk.example/invite#"));
}

#[tokio::test]
async fn an_unknown_channel_has_no_token() {
    let server = Server::start().await;
    let ada = server.person("ada", "member").await;
    ada.post("/api/voice/token", json!({ "channelId": "nowhere" })).await.error(404, "channel_not_found");
}

async fn ws_url(person: &Person, id: &str, headers: &[(&str, &str)]) -> String {
    let mut request = person.request(Method::POST, "/api/voice/token").json(&json!({ "channelId": id }));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer: Answer = send(request).await;
    text(&answer.ok(200)["wsUrl"])
}
