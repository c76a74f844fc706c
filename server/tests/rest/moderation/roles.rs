//! Every operation for every pair of roles.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Person, Server, send};

const ROLES: [&str; 4] = ["member", "moderator", "admin", "owner"];

/// What can be done to somebody, in an order in which each leaves something for the next.
const ACTS: [(&str, &str, &str); 6] = [
    ("PATCH", "/api/members/{id}/voice", r#"{"server_muted": true}"#),
    ("PATCH", "/api/members/{id}/voice", r#"{"server_deafened": true}"#),
    ("POST", "/api/members/{id}/move", r#"{"channelId": "nowhere"}"#),
    ("POST", "/api/members/{id}/disconnect", "{}"),
    ("POST", "/api/bans", r#"{"user_id": "{id}", "expires_in_seconds": 3600}"#),
    ("POST", "/api/members/{id}/kick", "{}"),
];

#[tokio::test]
async fn nobody_acts_on_an_equal_a_higher_one_or_oneself() {
    let server = Server::start().await;
    let mut actors = BTreeMap::new();
    for role in ROLES {
        actors.insert(role, server.person(&format!("the {role}"), role).await);
    }
    for (at, actor) in ROLES.into_iter().enumerate() {
        for (target_at, target) in ROLES.into_iter().enumerate() {
            let victim = server.person(&format!("{target} of {actor}"), target).await.id().await;
            for (method, path, body) in ACTS {
                let answer = act(&actors[actor], &victim, method, path, body).await;
                let seen = format!("{actor} on {target}: {method} {path} {body}: {answer:?}");
                let may = at >= 1 && at > target_at;
                match (may, answer.status.as_u16()) {
                    (true, 200 | 201 | 204) => {}
                    // There is no channel here, and nobody in a call.
                    (true, 404) if path.ends_with("move") => {}
                    (true, 409) if path.ends_with("disconnect") => {}
                    (false, 403) => assert!(answer.text.contains("\"forbidden\""), "{seen}"),
                    _ => panic!("{seen}"),
                }
            }
        }
        let oneself = actors[actor].id().await;
        for (method, path, body) in ACTS {
            act(&actors[actor], &oneself, method, path, body).await.error(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn what_is_for_moderators_or_admins_is_for_nobody_below() {
    let server = Server::start().await;
    for (at, role) in ROLES.into_iter().enumerate() {
        let person = server.person(role, role).await;
        let network = format!("203.0.113.{at}");
        for (needed, answer, status) in [
            (1, person.get("/api/members").await, 200),
            (1, person.get("/api/bans").await, 200),
            (2, person.post("/api/bans", json!({ "address": network })).await, 201),
            (2, person.get("/api/audit-log").await, 200),
            (2, person.delete("/api/bans/none").await, 404),
        ] {
            if at >= needed {
                assert_eq!(answer.status, status, "{role}: {answer:?}");
            } else {
                answer.error(403, "forbidden");
            }
        }
    }
    for (method, path) in [
        (Method::GET, "/api/members"),
        (Method::GET, "/api/bans"),
        (Method::POST, "/api/bans"),
        (Method::DELETE, "/api/bans/x"),
        (Method::GET, "/api/audit-log"),
        (Method::PATCH, "/api/members/x/voice"),
        (Method::POST, "/api/members/x/kick"),
        (Method::POST, "/api/members/x/move"),
        (Method::POST, "/api/members/x/disconnect"),
    ] {
        send(server.stranger().request(method, path).json(&json!({}))).await.error(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_moderator_bans_people_and_no_networks() {
    let server = Server::start().await;
    let mo = server.person("mo", "moderator").await;
    let bob = server.person("bob", "member").await.id().await;
    let ban = |more: Value| {
        let mut body = json!({ "user_id": bob });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    mo.post("/api/bans", ban(json!({ "include_address": true }))).await.error(403, "forbidden");
    mo.post("/api/bans", ban(json!({ "address": "203.0.113.9" }))).await.error(403, "forbidden");
    mo.post("/api/bans", ban(json!({}))).await.ok(201);
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    ada.patch("/api/members/nobody/voice", json!({ "server_muted": true }))
        .await
        .error(404, "user_not_found");
    ada.post("/api/members/nobody/kick", json!({})).await.error(404, "user_not_found");
    ada.post("/api/bans", json!({ "user_id": "nobody" })).await.error(404, "user_not_found");
}

async fn act(actor: &Person, target: &str, method: &str, path: &str, body: &str) -> crate::server::Answer {
    let (path, body) = (path.replace("{id}", target), body.replace("{id}", target));
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let method = method.parse().expect("a method");
    send(actor.request(method, &path).json(&body)).await
}
