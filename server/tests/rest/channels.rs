//! Voice channels.

use serde_json::{Value, json};

use crate::server::{Server, members, text};

const CHANNEL: [&str; 7] =
    ["created_at", "created_by", "description", "id", "max_participants", "name", "position"];

#[tokio::test]
async fn a_channel_has_the_shape_that_clients_know() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let least = ada.channel(json!({ "name": " General " })).await;
    assert_eq!(members(&least), CHANNEL);
    assert_eq!(least["name"], "General");
    assert_eq!(least["description"], Value::Null);
    assert_eq!((&least["max_participants"], &least["position"]), (&json!(50), &json!(0)));
    assert_eq!(least["created_by"], json!(ada.id().await));
    assert!(least["created_at"].as_i64().is_some_and(|at| at > 1_600_000_000_000), "milliseconds");

    let most = ada
        .channel(json!({ "name": "x".repeat(100), "description": "y".repeat(500), "maxParticipants": 2, "position": 7 }))
        .await;
    assert_eq!((&most["max_participants"], &most["position"]), (&json!(2), &json!(7)));

    let list = ada.get("/api/voice/channels").await.ok(200);
    let mut with_people = CHANNEL.to_vec();
    with_people.push("participants");
    with_people.sort_unstable();
    assert_eq!(members(&list[0]), with_people);
    assert_eq!(list[0]["participants"], json!([]));
}

#[tokio::test]
async fn channels_are_listed_by_position_and_then_by_age() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    for (name, position) in [("c", 1), ("a", 0), ("d", 1), ("b", 0)] {
        ada.channel(json!({ "name": name, "position": position })).await;
    }
    let list = ada.get("/api/voice/channels").await.ok(200);
    let names: Vec<_> =
        list.as_array().expect("a list").iter().map(|channel| text(&channel["name"])).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn changes_touch_only_what_they_name() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let before = ada
        .channel(json!({ "name": "General", "description": "talk", "maxParticipants": 9, "position": 3 }))
        .await;
    let path = format!("/api/voice/channels/{}", text(&before["id"]));
    assert_eq!(ada.patch(&path, json!({})).await.ok(200), before);
    let with = |field: &str, value: Value| {
        let mut expected = before.clone();
        expected[field] = value;
        expected
    };
    assert_eq!(ada.patch(&path, json!({ "position": 0 })).await.ok(200), with("position", json!(0)));
    ada.patch(&path, json!({ "position": 3 })).await.ok(200);
    assert_eq!(
        ada.patch(&path, json!({ "description": null })).await.ok(200),
        with("description", Value::Null)
    );
    ada.patch(&path, json!({ "description": "talk" })).await.ok(200);
    let changed = ada.patch(&path, json!({ "maxParticipants": 100 })).await.ok(200);
    assert_eq!(changed, with("max_participants", json!(100)));
}

#[tokio::test]
async fn limits_are_kept_when_made_and_when_changed() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let path =
        format!("/api/voice/channels/{}", text(&ada.channel(json!({ "name": "General" })).await["id"]));
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\u{0}b")),
        ("name", json!(7)),
        ("description", json!("x".repeat(501))),
        ("maxParticipants", json!(1)),
        ("maxParticipants", json!(101)),
        ("maxParticipants", json!(2.5)),
        ("position", json!(-1)),
        ("position", json!("first")),
    ] {
        let mut body = json!({ "name": "Fine" });
        body[field] = value.clone();
        ada.post("/api/voice/channels", body).await.invalid(field);
        ada.patch(&path, json!({ field: value })).await.invalid(field);
    }
    ada.post("/api/voice/channels", json!({})).await.invalid("name");
    assert_eq!(ada.get("/api/voice/channels").await.ok(200).as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn only_admins_and_owners_change_channels() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    for (role, may) in [("owner", true), ("admin", true), ("moderator", false), ("member", false)] {
        let path = format!("/api/voice/channels/{}", text(&ada.channel(json!({ "name": role })).await["id"]));
        let person = server.person(role, role).await;
        person.get("/api/voice/channels").await.ok(200);
        let created = person.post("/api/voice/channels", json!({ "name": "mine" })).await;
        let changed = person.patch(&path, json!({ "name": "mine" })).await;
        let deleted = person.delete(&path).await;
        if may {
            created.ok(201);
            changed.ok(200);
            deleted.ok(204);
        } else {
            created.error(403, "forbidden");
            changed.error(403, "forbidden");
            deleted.error(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn what_is_gone_is_not_found() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let path = format!("/api/voice/channels/{id}");
    ada.delete(&path).await.ok(204);
    ada.delete(&path).await.error(404, "channel_not_found");
    ada.patch(&path, json!({ "name": "x" })).await.error(404, "channel_not_found");
    ada.post("/api/voice/token", json!({ "channelId": id })).await.error(404, "channel_not_found");
    assert_eq!(ada.get("/api/voice/channels").await.ok(200), json!([]));
}

#[tokio::test]
async fn channels_survive_a_restart() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let channel = ada.channel(json!({ "name": "General" })).await;
    let (code, output, folder) = server.stop().await;
    assert_eq!(code, Some(0), "{output}");
    let server = Server::on(folder, &["--dev"]).await;
    let ada = crate::server::Person { base: server.stranger().base, ..ada };
    let list = ada.get("/api/voice/channels").await.ok(200);
    assert_eq!(list[0]["id"], channel["id"], "and so do sessions");
}
