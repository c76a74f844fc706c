//! What is refused before anybody looks at its meaning.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, send};

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    for (method, path) in [
        (Method::POST, "/api/auth/login"),
        (Method::POST, "/api/auth/register"),
        (Method::POST, "/api/auth/setup"),
        (Method::POST, "/api/auth/password"),
        (Method::POST, "/api/invites"),
        (Method::POST, "/api/voice/channels"),
        (Method::PATCH, "/api/voice/channels/x"),
        (Method::POST, "/api/voice/token"),
    ] {
        let request = || ada.request(method.clone(), path).header("content-type", "application/json");
        for broken in ["", "{", "{\"a\": 1,}", "\u{1}"] {
            send(request().body(broken)).await.error(400, "malformed_body");
        }
        send(request().body("[1, \"two\"]")).await.error(400, "malformed_body");
        let form = ada.request(method.clone(), path).header("content-type", "text/plain").body("{}");
        send(form).await.error(415, "unsupported_media_type");
        send(ada.request(method.clone(), path).body("{}")).await.error(415, "unsupported_media_type");
        let large = json!({ "name": "x".repeat(70_000) }).to_string();
        send(request().body(large)).await.error(413, "payload_too_large");
    }
}

#[tokio::test]
async fn missing_and_misfitting_fields_are_named() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    ada.post("/api/auth/login", json!({ "password": "x" })).await.invalid("username");
    ada.post("/api/auth/login", json!({ "username": 7, "password": "x" })).await.invalid("username");
    ada.post("/api/auth/register", json!({ "username": "x", "password": "x" })).await.invalid("invite");
    ada.post("/api/auth/setup", json!({ "username": "x", "password": "x" })).await.invalid("code");
    ada.post("/api/auth/password", json!({ "current_password": "x" })).await.invalid("new_password");
    ada.post("/api/voice/token", json!({})).await.invalid("channelId");
    ada.post("/api/voice/token", json!({ "channelId": ["x"] })).await.invalid("channelId");
}

#[tokio::test]
async fn unknown_addresses_and_methods_answer_in_the_same_shape() {
    let server = Server::start().await;
    let stranger = server.stranger();
    stranger.get("/api").await.error(404, "not_found");
    stranger.get("/api/").await.error(404, "not_found");
    stranger.get("/api/nothing").await.error(404, "not_found");
    stranger.post("/api/nothing/here", json!({})).await.error(404, "not_found");
    stranger.delete("/api/users").await.error(405, "method_not_allowed");
    stranger.get("/api/auth/login").await.error(405, "method_not_allowed");
    stranger.post("/some/page", json!({})).await.error(405, "method_not_allowed");
}

#[tokio::test]
async fn answers_of_the_api_are_not_kept_by_anybody() {
    let server = Server::start().await;
    let answer = server.stranger().get("/api/setup").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-type"), "application/json");
}
