//! Invites, and the accounts made with them.

use serde_json::{Value, json};

use crate::program;
use crate::server::{Answer, PASSWORD, Person, Server, members, text};

const INVITE: [&str; 6] = ["created_at", "created_by", "expires_at", "id", "max_uses", "uses"];

#[tokio::test]
async fn an_invite_makes_members() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let invite = ada.invite(json!({})).await;
    assert_eq!(
        members(&invite),
        ["code", "created_at", "created_by", "expires_at", "id", "max_uses", "url", "uses"]
    );
    assert_eq!((&invite["max_uses"], &invite["uses"]), (&json!(10), &json!(0)));
    let lifetime = number(&invite["expires_at"]) - number(&invite["created_at"]);
    assert_eq!(lifetime, 7 * 24 * 3600 * 1000);
    let code = text(&invite["code"]);
    assert!(code.len() >= 22, "at least 128 bits in base64");
    assert_eq!(invite["url"], format!("{}/invite#{code}", ada.base));
    assert_eq!(invite["created_by"], json!(ada.id().await));

    let stranger = server.stranger();
    let state = stranger.get(&format!("/api/invites/{code}")).await.ok(200);
    let expected = json!({ "valid": true, "expires_at": invite["expires_at"], "uses_left": 10 });
    assert_eq!(state, expected);

    let answer = register(&stranger, &code, "Bob").await;
    assert!(answer.header("set-cookie").starts_with("banter_session="));
    let session = answer.ok(201);
    assert_eq!(session["user"]["role"], "member");
    let bob = Person { token: Some(text(&session["token"])), ..stranger.clone() };
    assert_eq!(bob.get("/api/auth/me").await.ok(200), session["user"]);

    register(&stranger, &code, "ｂｏＢ").await.error(409, "username_taken");
    register(&stranger, &code, "b\u{202E}b").await.invalid("username");
    register(&stranger, "guess", "eve").await.error(404, "invite_invalid");
    let left = stranger.get(&format!("/api/invites/{code}")).await.ok(200);
    assert_eq!(left["uses_left"], 9, "what failed took no use");

    let list = ada.get("/api/invites").await.ok(200);
    let listed = &list.as_array().expect("a list")[0];
    assert_eq!(members(listed), INVITE, "the code is shown once only");
    assert_eq!(listed["uses"], 1);
}

#[tokio::test]
async fn only_admins_and_owners_manage_invites() {
    let server = Server::start().await;
    for (role, may) in [("owner", true), ("admin", true), ("moderator", false), ("member", false)] {
        let person = server.person(role, role).await;
        let created = person.post("/api/invites", json!({})).await;
        let listed = person.get("/api/invites").await;
        if may {
            let id = text(&created.ok(201)["id"]);
            listed.ok(200);
            person.delete(&format!("/api/invites/{id}")).await.ok(204);
        } else {
            created.error(403, "forbidden");
            listed.error(403, "forbidden");
            person.delete("/api/invites/any").await.error(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn limits_are_kept() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    for (field, values) in [("max_uses", [0, -1, 1001]), ("expires_in_seconds", [59, -1, 30 * 24 * 3600 + 1])]
    {
        for value in values {
            ada.post("/api/invites", json!({ field: value })).await.invalid(field);
        }
    }
    ada.post("/api/invites", json!({ "max_uses": "many" })).await.invalid("max_uses");
    ada.invite(json!({ "max_uses": 1000, "expires_in_seconds": 60 })).await;
    ada.invite(json!({ "max_uses": 1, "expires_in_seconds": 30 * 24 * 3600 })).await;
}

#[tokio::test]
async fn two_people_with_the_last_use_make_one_account() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let code = text(&ada.invite(json!({ "max_uses": 1 })).await["code"]);
    let stranger = server.stranger();
    let (one, other) = tokio::join!(register(&stranger, &code, "bob"), register(&stranger, &code, "eve"));
    let (winner, loser) = if one.status == 201 { (one, other) } else { (other, one) };
    winner.ok(201);
    loser.error(404, "invite_invalid");
    assert_eq!(ada.get("/api/users").await.ok(200).as_array().map(Vec::len), Some(2));
    stranger.get(&format!("/api/invites/{code}")).await.error(404, "invite_invalid");
}

#[tokio::test]
async fn a_withdrawn_or_expired_invite_is_of_no_use() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let stranger = server.stranger();
    let invite = ada.invite(json!({})).await;
    let path = format!("/api/invites/{}", text(&invite["id"]));
    ada.delete(&path).await.ok(204);
    ada.delete(&path).await.error(404, "not_found");
    register(&stranger, &text(&invite["code"]), "bob").await.error(404, "invite_invalid");

    let invite = ada.invite(json!({})).await;
    let database = rusqlite::Connection::open(server.data().join("banter.db")).expect("the database");
    database.busy_timeout(std::time::Duration::from_secs(5)).expect("a timeout");
    database.execute("UPDATE invites SET expires_at = 1", []).expect("an invite of the past");
    register(&stranger, &text(&invite["code"]), "bob").await.error(404, "invite_invalid");
}

#[tokio::test]
async fn looking_codes_up_is_slowed_down() {
    let server = Server::start().await;
    let stranger = server.stranger();
    let mut refused = 0;
    for n in 0..50 {
        let answer = stranger.get(&format!("/api/invites/guess{n}")).await;
        if answer.status == 429 {
            answer.error(429, "too_many_requests");
            refused += 1;
        } else {
            answer.error(404, "invite_invalid");
        }
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn an_operator_invites_from_the_command_line() {
    let server = Server::start().await;
    let data = server.data();
    let data = data.to_str().expect("UTF-8");
    let url = program::run(&["invite", "create", "--max-uses", "1", "--data-dir", data]).succeeded();
    let (base, code) = url.trim().split_once("/invite#").expect("a link");
    assert_eq!(base, format!("http://localhost:{}", server.port));
    register(&server.stranger(), code, "bob").await.ok(201);
    let ada = server.person("ada", "admin").await;
    assert_eq!(ada.get("/api/invites").await.ok(200)[0]["created_by"], Value::Null);
}

#[tokio::test]
async fn everybody_sees_who_is_here() {
    let server = Server::start().await;
    server.person("ada", "owner").await;
    let bob = server.person("bob", "member").await;
    let users = bob.get("/api/users").await.ok(200);
    let names: Vec<_> = users.as_array().expect("a list").iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["ada", "bob"]);
    assert_eq!(members(&users[0]), ["created_at", "id", "role", "username"]);
}

async fn register(stranger: &Person, code: &str, name: &str) -> Answer {
    stranger
        .post("/api/auth/register", json!({ "invite": code, "username": name, "password": PASSWORD }))
        .await
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}
