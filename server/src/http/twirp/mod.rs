//! LiveKit's server API: Twirp calls `/twirp/livekit.<Service>/<Method>`, in JSON or protobuf, answered in the same.
//!
//! The rooms are administered here by an operator's own backend, with tokens signed by the API key. Services for which
//! Banter has no counterpart refuse every call of theirs in a way that clients understand.

mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grants;
mod json;
mod room_service;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use banter_protocol::token::Claims;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::signal::{Rooms, allow_any_origin};
use error::{Code, TwirpError};
use json::Shaped;

/// The largest body of a call, in bytes.
const BODY_LIMIT: usize = 10 << 20;
const ROOM_SERVICE: &str = "livekit.RoomService";
/// Services of LiveKit that Banter does not have.
const ABSENT_SERVICES: [&str; 5] =
    ["livekit.AgentDispatchService", "livekit.Egress", "livekit.Ingress", "livekit.SIP", "livekit.Connector"];

/// The routes under `/twirp`.
pub fn router(rooms: Rooms) -> Router {
    Router::new()
        .route("/twirp/{*call}", any(answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(rooms)
        .layer(allow_any_origin())
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Protobuf,
}

/// A call that has reached its method.
struct Call {
    rooms: Rooms,
    /// Who calls. `None` without a token, which no method accepts.
    claims: Option<Claims>,
    encoding: Encoding,
    body: Bytes,
}

async fn answer(
    State(rooms): State<Rooms>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A bad token is refused whatever is called.
    let claims = match claims(&rooms, &headers) {
        Ok(claims) => claims,
        Err(fault) => return (StatusCode::UNAUTHORIZED, fault).into_response(),
    };
    let answered = match route(&method, &uri, &headers) {
        Ok((service, name, encoding)) => match body {
            Ok(body) => dispatch(service, name, Call { rooms, claims, encoding, body }).await,
            Err(rejection) => Err(TwirpError::unreadable(&rejection)),
        },
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| error.routed(&method, &uri).into_response())
}

/// The token of the header, checked. `None` without a header.
fn claims(rooms: &Rooms, headers: &HeaderMap) -> Result<Option<Claims>, String> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or("invalid authorization header. Must start with Bearer ")?;
    rooms.verify(token).map(Some).map_err(|error| format!("invalid authorization token: {error}"))
}

/// Service, method and encoding of a request, in the order in which Twirp checks them.
fn route<'a>(
    method: &Method,
    uri: &'a Uri,
    headers: &HeaderMap,
) -> Result<(&'a str, &'a str, Encoding), TwirpError> {
    if method != Method::POST {
        let message = format!("unsupported method \"{method}\" (only POST is allowed)");
        return Err(TwirpError::new(Code::BadRoute, message));
    }
    let path = uri.path();
    let call = path.strip_prefix("/twirp/").and_then(|call| call.split_once('/'));
    let Some((service, name)) = call else { return Err(TwirpError::no_handler(path)) };
    if service != ROOM_SERVICE && !ABSENT_SERVICES.contains(&service) {
        return Err(TwirpError::no_handler(path));
    }
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok((service, name, Encoding::Json)),
        "application/protobuf" => Ok((service, name, Encoding::Protobuf)),
        _ => Err(TwirpError::new(Code::BadRoute, format!("unexpected Content-Type: {given:?}"))),
    }
}

async fn dispatch(service: &str, name: &str, call: Call) -> Result<Response, TwirpError> {
    if service == ROOM_SERVICE {
        return room_service::answer(name, call).await;
    }
    let message =
        format!("this server has no {service}: it carries voice and data between participants only");
    Err(TwirpError::new(Code::Unimplemented, message))
}

impl Call {
    fn request<Q: prost::Message + Default + DeserializeOwned>(&self) -> Result<Q, TwirpError> {
        match self.encoding {
            Encoding::Json => json::read(&self.body)
                .map_err(|_| TwirpError::new(Code::Malformed, "the json request could not be decoded")),
            Encoding::Protobuf => Q::decode(self.body.clone())
                .map_err(|_| TwirpError::new(Code::Malformed, "the protobuf request could not be decoded")),
        }
    }

    fn response<A: prost::Message + Serialize + Shaped>(&self, answer: &A) -> Response {
        let (kind, body) = match self.encoding {
            Encoding::Json => ("application/json", json::write(answer)),
            Encoding::Protobuf => ("application/protobuf", answer.encode_to_vec()),
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    }
}
