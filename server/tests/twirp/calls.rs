//! Calls as a server SDK makes them, and tokens for them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use livekit_protocol::JoinResponse;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Client;
use crate::server::Server;

pub const SERVICE: &str = "/twirp/livekit.RoomService";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

pub const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

/// A backend that calls in one encoding.
pub struct Backend {
    pub base: String,
    pub encoding: Encoding,
    pub token: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl Backend {
    /// One that may do everything in `room`, and move people from there into `destination`.
    pub fn of(server: &Server, encoding: Encoding, room: &str, destination: &str) -> Self {
        let grant = VideoGrant {
            room_create: true,
            room_list: true,
            room_admin: true,
            room: room.into(),
            destination_room: destination.into(),
            ..VideoGrant::default()
        };
        Self { base: base(server), encoding, token: Some(token(grant)) }
    }

    pub async fn call<Q, A>(&self, method: &str, request: &Q) -> Result<A, Failure>
    where
        Q: prost::Message + Serialize,
        A: prost::Message + Default + DeserializeOwned,
    {
        let (kind, body) = match self.encoding {
            Encoding::Json => ("application/json;charset=UTF-8", serde_json::to_vec(request).expect("plain")),
            Encoding::Protobuf => ("application/protobuf", request.encode_to_vec()),
        };
        let answer = self.send(method, kind, body).await;
        let status = answer.status().as_u16();
        let given = answer.headers()[CONTENT_TYPE].to_str().expect("it is text").to_owned();
        let body = answer.bytes().await.expect("it arrives");
        if status != 200 {
            assert_eq!(given, "application/json", "errors are JSON");
            let error: Value = serde_json::from_slice(&body).expect("errors are JSON");
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            return Err(Failure { status, code: text("code"), message: text("msg") });
        }
        assert_eq!(
            given,
            kind.split(';').next().expect("one part"),
            "the answer is in the request's encoding"
        );
        Ok(match self.encoding {
            Encoding::Json => serde_json::from_slice(&body).expect("it is the answer's JSON"),
            Encoding::Protobuf => A::decode(body).expect("it is the answer's protobuf"),
        })
    }

    pub async fn send(&self, method: &str, kind: &str, body: Vec<u8>) -> reqwest::Response {
        let mut request = reqwest::Client::new()
            .post(format!("{}{SERVICE}/{method}", self.base))
            .header(CONTENT_TYPE, kind);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.body(body).send().await.expect("the server answers")
    }

    /// A JSON body as somebody without an SDK would write it, and what comes back.
    pub async fn raw(&self, method: &str, body: &Value) -> (u16, Value) {
        let answer = self.send(method, "application/json", body.to_string().into_bytes()).await;
        (answer.status().as_u16(), answer.json().await.expect("it is JSON"))
    }
}

pub fn base(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

pub fn token(grant: VideoGrant) -> String {
    sign(Claims { subject: "backend".into(), video: Some(grant), ..Claims::default() })
}

pub fn sign(claims: Claims) -> String {
    let keys = ApiKeys::new(vec![("devkey".into(), "secret".into())]).expect("one key");
    keys.sign(&claims, SystemTime::now(), Duration::from_secs(600))
}

/// Joins a room over a real socket.
pub async fn join(server: &Server, identity: &str, room: &str) -> (Client, JoinResponse) {
    Client::join(address(server), &sign(Claims::for_room(identity, identity, room))).await
}

pub fn address(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port))
}

pub fn failure(status: u16, code: &str, message: &str) -> Failure {
    Failure { status, code: code.into(), message: message.into() }
}
