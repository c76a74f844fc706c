//! Keeping order: who may do what to whom, that it holds everywhere at once, and the record of it.

mod bans;
mod calls;
mod kicks;
mod moves;
mod roles;
mod voice;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::places::{Call, token};
use crate::server::{Answer, Person, Server, send, text};

/// One channel, and people of two roles.
struct Scene {
    server: Server,
    ada: Person,
    bob: Person,
    bob_id: String,
    channel: String,
}

impl Scene {
    /// `ada` is an admin and `bob` a member.
    async fn new() -> Self {
        let server = Server::start().await;
        let ada = server.person("ada", "admin").await;
        let bob = server.person("bob", "member").await;
        let channel = text(&ada.channel(json!({ "name": "General" })).await["id"]);
        let bob_id = bob.id().await;
        Self { server, ada, bob, bob_id, channel }
    }

    async fn call(&self, person: &Person) -> Call {
        Call::join(&token(person, &self.channel).await).await.expect("a place")
    }

    async fn voice(&self, change: Value) -> Value {
        self.ada.patch(&format!("/api/members/{}/voice", self.bob_id), change).await.ok(200)
    }

    async fn kick(&self, reason: &str) {
        let path = format!("/api/members/{}/kick", self.bob_id);
        self.ada.post(&path, json!({ "reason": reason })).await.ok(204);
    }

    async fn ban(&self, ban: Value) -> Value {
        self.ada.post("/api/bans", ban).await.ok(201)
    }

    async fn log(&self) -> Vec<Value> {
        let page = self.ada.get("/api/audit-log").await.ok(200);
        page["entries"].as_array().expect("a list").clone()
    }

    async fn inside(&self) -> Vec<Value> {
        crate::places::inside(&self.ada, &self.channel).await
    }
}

/// The statuses with which every door of signalling answers to a token, joins and resumes, asked and tried.
async fn doors(server: &Server, token: &str) -> Vec<StatusCode> {
    use banter_protocol::signal::BASE64URL;
    use base64::Engine;
    use livekit_protocol::{ClientInfo, JoinRequest, WrappedJoinRequest};
    use prost::Message;

    let wrapped = |reconnect| {
        let client_info = Some(ClientInfo { protocol: 17, ..ClientInfo::default() });
        let join_request = JoinRequest { client_info, reconnect, ..JoinRequest::default() }.encode_to_vec();
        BASE64URL.encode(WrappedJoinRequest { join_request, ..WrappedJoinRequest::default() }.encode_to_vec())
    };
    let mut statuses = Vec::new();
    for path in [
        "/rtc/validate?".to_owned(),
        "/rtc/validate?reconnect=1".to_owned(),
        "/rtc?".to_owned(),
        "/rtc?reconnect=1".to_owned(),
        format!("/rtc/v1/validate?join_request={}", wrapped(false)),
        format!("/rtc/v1/validate?join_request={}", wrapped(true)),
        format!("/rtc/v1?join_request={}", wrapped(false)),
        format!("/rtc/v1?join_request={}", wrapped(true)),
    ] {
        let request = server.stranger().request(Method::GET, &path).bearer_auth(token);
        let request = if path.contains("validate") { request } else { upgrade(request) };
        statuses.push(request.send().await.expect("the server answers").status());
    }
    statuses
}

fn upgrade(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Signs in from an address, as a proxy on this machine reports it.
async fn sign_in_from(server: &Server, name: &str, address: &str) -> Answer {
    let body = json!({ "username": name, "password": crate::server::PASSWORD });
    let request = server.stranger().request(Method::POST, "/api/auth/login");
    send(request.header("x-forwarded-for", address).json(&body)).await
}
