//! The embedded web app.

use reqwest::Method;

use crate::server::{Server, send};

#[tokio::test]
async fn pages_are_served_at_every_address_of_the_app() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let page = stranger.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-cache");
    for path in ["/setup", "/invite", "/channels/x"] {
        assert_eq!(stranger.get(path).await.text, page.text, "{path}");
    }
    stranger.get("/assets/missing.js").await.error(404, "not_found");
    stranger.get("/favicon-missing.ico").await.error(404, "not_found");
}

#[tokio::test]
async fn what_the_browser_has_is_not_sent_again() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let tag = stranger.get("/").await.header("etag").to_owned();
    let again = send(stranger.request(Method::GET, "/").header("if-none-match", &tag)).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
}

#[tokio::test]
async fn livekit_clients_can_probe_the_address() {
    let server = Server::start().await;
    let answer = send(server.stranger().request(Method::HEAD, "/")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn browsers_are_told_what_pages_may_do() {
    let server = Server::with(&["--dev", "--public-url", "https://talk.example"]).await;
    let page = server.stranger().get("/").await;
    let policy = page.header("content-security-policy");
    for part in ["default-src 'self'", "frame-ancestors 'none'", "object-src 'none'", "https://talk.example;"]
    {
        assert!(policy.contains(part), "{part:?} is missing: {policy}");
    }
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "same-origin");
}

#[tokio::test]
async fn supervisors_can_ask_for_life_and_readiness() {
    let server = Server::start().await;
    let stranger = server.stranger();
    assert_eq!(stranger.get("/healthz").await.status, 200);
    let ready = stranger.get("/readyz").await.ok(200);
    assert_eq!(ready, serde_json::json!({ "database": "ok", "media": "ok" }));
}
