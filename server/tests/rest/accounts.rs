//! Set-up, sign-in, sign-out, passwords, and what protects them.

use reqwest::Method;
use serde_json::json;

use crate::program;
use crate::server::{PASSWORD, Server, members, send, text};

#[tokio::test]
async fn the_first_owner_comes_through_the_printed_link() {
    let server = Server::start().await;
    let code = server.setup_code().await;
    let stranger = server.stranger();
    assert_eq!(stranger.get("/api/setup").await.ok(200), json!({ "needed": true }));

    let attempt = |code: &str, username: &str, password: &str| {
        stranger.post("/api/auth/setup", json!({ "code": code, "username": username, "password": password }))
    };
    attempt("guess", "ada", PASSWORD).await.error(403, "setup_code_invalid");
    attempt(&code, "", PASSWORD).await.invalid("username");
    attempt(&code, "ada", "short").await.invalid("password");
    let answer = attempt(&code, " Ada ", PASSWORD).await;
    assert!(answer.header("set-cookie").starts_with("banter_session="));
    let session = answer.ok(201);
    assert_eq!(members(&session), ["token", "user"]);
    assert_eq!(members(&session["user"]), ["created_at", "id", "role", "username"]);
    assert_eq!((&session["user"]["username"], &session["user"]["role"]), (&json!("Ada"), &json!("owner")));

    assert_eq!(stranger.get("/api/setup").await.ok(200), json!({ "needed": false }));
    attempt(&code, "eve", PASSWORD).await.error(409, "setup_done");
}

#[tokio::test]
async fn two_people_with_the_set_up_link_make_one_owner() {
    let server = Server::start().await;
    let code = server.setup_code().await;
    let stranger = server.stranger();
    let attempt = |name: &str| {
        stranger.post("/api/auth/setup", json!({ "code": code, "username": name, "password": PASSWORD }))
    };
    let (one, other) = tokio::join!(attempt("ada"), attempt("bob"));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn signing_in_gives_a_session_for_programs_and_browsers() {
    let server = Server::start().await;
    program::add_user(&server.data(), "Ada", "member", PASSWORD);
    let stranger = server.stranger();
    let answer = stranger.post("/api/auth/login", json!({ "username": "aDA", "password": PASSWORD })).await;
    let cookie = answer.header("set-cookie").to_owned();
    let session = answer.ok(200);
    assert_eq!(members(&session), ["token", "user"]);
    let token = text(&session["token"]);
    assert_eq!(cookie, format!("banter_session={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"));

    let ada = server.sign_in("ada").await;
    let by_bearer = ada.get("/api/auth/me").await.ok(200);
    let by_cookie = send(ada.cookie(Method::GET, "/api/auth/me")).await.ok(200);
    assert_eq!((&by_bearer, &by_cookie), (&session["user"], &session["user"]));
}

#[tokio::test]
async fn who_is_not_signed_in_gets_nowhere() {
    let server = Server::start().await;
    let stranger = server.stranger();
    for (method, path) in [
        (Method::GET, "/api/auth/me"),
        (Method::POST, "/api/auth/logout"),
        (Method::POST, "/api/auth/password"),
        (Method::GET, "/api/users"),
        (Method::GET, "/api/invites"),
        (Method::POST, "/api/invites"),
        (Method::DELETE, "/api/invites/x"),
        (Method::GET, "/api/voice/channels"),
        (Method::POST, "/api/voice/channels"),
        (Method::PATCH, "/api/voice/channels/x"),
        (Method::DELETE, "/api/voice/channels/x"),
        (Method::POST, "/api/voice/token"),
        (Method::GET, "/api/events"),
        (Method::GET, "/api/media"),
    ] {
        send(stranger.request(method.clone(), path).json(&json!({}))).await.error(401, "unauthorized");
        let forged = stranger.request(method, path).bearer_auth("forged").json(&json!({}));
        send(forged).await.error(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_apart_by_nobody() {
    let server = Server::start().await;
    program::add_user(&server.data(), "ada", "member", PASSWORD);
    let stranger = server.stranger();
    let attempt = |name: &str| {
        stranger.post("/api/auth/login", json!({ "username": name, "password": "wrong password" }))
    };
    let wrong = attempt("ada").await.error(401, "invalid_credentials");
    let unknown = attempt("nobody").await.error(401, "invalid_credentials");
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn guessing_one_password_is_slowed_down() {
    let server = Server::start().await;
    program::add_user(&server.data(), "ada", "member", PASSWORD);
    program::add_user(&server.data(), "bob", "member", PASSWORD);
    let stranger = server.stranger();
    for _ in 0..10 {
        let guess = json!({ "username": "ada", "password": "wrong password" });
        stranger.post("/api/auth/login", guess).await.error(401, "invalid_credentials");
    }
    let answer = stranger.post("/api/auth/login", json!({ "username": "ADA", "password": PASSWORD })).await;
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=16).contains(&wait), "{wait}");
    assert_eq!(answer.error(429, "too_many_requests")["retry_after_seconds"], wait);
    server.sign_in("bob").await;
}

#[tokio::test]
async fn guessing_names_from_one_address_is_slowed_down() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let attempt = |n: usize| {
        let guess = json!({ "code": format!("guess {n}"), "username": "eve", "password": PASSWORD });
        stranger.post("/api/auth/setup", guess)
    };
    let mut refused = 0;
    for n in 0..60 {
        match attempt(n).await.status.as_u16() {
            403 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused >= 15, "{refused}");
}

#[tokio::test]
async fn signing_in_often_is_no_attack() {
    let server = Server::start().await;
    program::add_user(&server.data(), "ada", "member", PASSWORD);
    for _ in 0..15 {
        server.sign_in("ada").await;
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_the_cookie() {
    let server = Server::start().await;
    let ada = server.person("ada", "member").await;
    let other = server.sign_in("ada").await;
    let answer = ada.post("/api/auth/logout", json!({})).await;
    assert!(answer.header("set-cookie").starts_with("banter_session=; Path=/"));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    answer.ok(204);
    ada.get("/api/auth/me").await.error(401, "unauthorized");
    other.get("/api/auth/me").await.ok(200);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let server = Server::start().await;
    let ada = server.person("ada", "member").await;
    let other = server.sign_in("ada").await;
    let change = |current: &str, new: &str| {
        ada.post("/api/auth/password", json!({ "current_password": current, "new_password": new }))
    };
    change("wrong password", "new password").await.error(401, "invalid_credentials");
    change(PASSWORD, "short").await.invalid("new_password");
    change(PASSWORD, "new password").await.ok(204);
    ada.get("/api/auth/me").await.ok(200);
    other.get("/api/auth/me").await.error(401, "unauthorized");
    let stranger = server.stranger();
    let log_in =
        |password: &str| stranger.post("/api/auth/login", json!({ "username": "ada", "password": password }));
    log_in(PASSWORD).await.error(401, "invalid_credentials");
    log_in("new password").await.ok(200);
}

#[tokio::test]
async fn writes_with_a_cookie_come_from_our_own_pages() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let create = || ada.cookie(Method::POST, "/api/voice/channels").json(&json!({ "name": "General" }));
    send(create()).await.error(403, "origin_mismatch");
    for foreign in ["http://evil.example", "null", &format!("http://127.0.0.1:{}", server.port + 1)] {
        send(create().header("origin", foreign)).await.error(403, "origin_mismatch");
    }
    send(create().header("origin", &ada.base)).await.ok(201);
    send(ada.cookie(Method::GET, "/api/voice/channels")).await.ok(200);
    let by_bearer = ada.request(Method::POST, "/api/voice/channels").header("origin", "http://elsewhere");
    send(by_bearer.json(&json!({ "name": "Other" }))).await.ok(201);
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_foreign_page() {
    let server = Server::start().await;
    program::add_user(&server.data(), "ada", "member", PASSWORD);
    let stranger = server.stranger();
    for path in ["/api/auth/login", "/api/auth/register", "/api/auth/setup"] {
        let request = stranger.request(Method::POST, path).header("origin", "http://evil.example");
        let body = json!({ "username": "ada", "password": PASSWORD, "invite": "x", "code": "x" });
        send(request.json(&body)).await.error(403, "origin_mismatch");
    }
}

#[tokio::test]
async fn behind_tls_the_cookie_is_secure() {
    let server = Server::with(&["--dev", "--public-url", "https://talk.example"]).await;
    program::add_user(&server.data(), "ada", "member", PASSWORD);
    let stranger = server.stranger();
    let log_in = |header: (&'static str, &'static str)| {
        let request = stranger.request(Method::POST, "/api/auth/login").header(header.0, header.1);
        send(request.json(&json!({ "username": "ada", "password": PASSWORD })))
    };
    for tls in [("x-forwarded-proto", "https"), ("host", "talk.example"), ("origin", "https://talk.example")]
    {
        let answer = log_in(tls).await;
        let secure = answer.header("set-cookie").ends_with("; Secure");
        assert_eq!(secure, tls.0 != "origin", "{tls:?}");
    }
}
