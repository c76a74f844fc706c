//! LiveKit's signalling protocol: the WebSocket doors `/rtc` and `/rtc/v1`, and the rooms behind them.
//!
//! Each room is one value, a sans-IO core, owned by one task. Sockets, media workers and the HTTP API reach it only
//! through messages.

mod actor;
mod admin;
mod client;
mod connect;
mod data;
mod members;
mod presence;
mod relay;
mod room;
mod rooms;
mod settings;
mod socket;
mod translate;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use futures_util::future::BoxFuture;
use livekit_protocol::RoomConfiguration;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

pub use admin::AdminError;
pub use data::SendDataError;
pub use members::{MemberDirectory, MemberRefusal, Voice};
pub use presence::{PresenceEntry, PresenceEvent};
pub use relay::RelayOffer;
#[cfg(any(test, fuzzing))]
pub(crate) use room::room_ops;
pub use room::{CallError, MethodCall};
pub use rooms::{Rooms, Tally};

use crate::webhook::Webhooks;

/// What signalling needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct SignalConfig {
    /// API keys with their secrets. The first pair signs refreshed tokens. Never empty.
    pub api_keys: Vec<(String, String)>,
    /// Banter's own version, shown to clients as debugging information.
    pub version: String,
    /// How long a room waits for its first participant.
    pub empty_timeout: Duration,
    /// How long a room stays after its last participant has left, so that one who comes back finds it unchanged.
    pub departure_timeout: Duration,
    /// Clients may have failures played to them (`simulate`), as the tests of SDKs do.
    pub development: bool,
    /// An administrator may unmute a track, not only mute it.
    pub remote_unmute: bool,
    /// A join opens a room that is not there. Otherwise only an API call does, or a token that may create rooms.
    pub auto_create: bool,
    /// Where events of rooms go.
    pub webhooks: Webhooks,
    /// There may be rooms that are no channels, for tokens that an operator's own backend signs.
    pub other_rooms: bool,
    /// Participants of a room for which nobody says otherwise; 0 means any number.
    pub max_participants: u32,
    /// Settings of rooms that a token or an API call may name.
    pub presets: BTreeMap<String, RoomConfiguration>,
    /// Rooms open at the same time.
    pub max_rooms: usize,
    /// Where clients find TURN.
    pub relay: Option<RelayOffer>,
}

impl SignalConfig {
    pub fn new(api_keys: Vec<(String, String)>) -> Self {
        Self {
            api_keys,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            development: false,
            remote_unmute: false,
            auto_create: true,
            webhooks: Webhooks::default(),
            other_rooms: true,
            max_participants: 0,
            presets: BTreeMap::new(),
            max_rooms: 10_000,
            relay: None,
        }
    }
}

/// In bytes.
const MAX_ROOM_NAME: usize = 256;

/// Why a room is closed from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    ChannelDeleted,
    /// By an API call. A channel stays, and the next join opens its room again.
    RoomDeleted,
    Shutdown,
}

/// What a Banter channel allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// People inside at the same time; 0 means any number.
    pub max_participants: u32,
}

/// Asked at each join: is the room a channel, and what is its limit?
pub trait ChannelDirectory: Send + Sync {
    fn channel(&self, id: &str) -> BoxFuture<'_, Option<ChannelLimits>>;
}

/// Both lists in one.
pub trait Directory: ChannelDirectory + MemberDirectory {}

impl<T: ChannelDirectory + MemberDirectory> Directory for T {}

/// Where a client is, as far as trusted proxies vouch for it: an extension of the requests that come to the router. The
/// address of the connection counts where it is missing.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub std::net::IpAddr);

/// The signalling routes: `/rtc`, `/rtc/v1` and their `validate`.
pub fn router(rooms: Rooms) -> Router {
    Router::new()
        .route("/rtc", get(connect::rtc))
        .route("/rtc/v1", get(connect::rtc_v1))
        .route("/rtc/validate", get(connect::validate_rtc))
        .route("/rtc/v1/validate", get(connect::validate_v1))
        .with_state(rooms.clone())
        .layer(axum::middleware::map_response_with_state(rooms, count))
        .layer(allow_any_origin())
}

/// Any origin may read any answer: a browser that cannot read a refusal takes the server for unreachable. What the
/// routes behind it do is decided by a token that no browser sends by itself.
pub fn allow_any_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        // A wildcard does not cover Authorization (Fetch standard, CORS-preflight fetch).
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(Any)
        .max_age(Duration::from_secs(86_400))
}

async fn count(State(rooms): State<Rooms>, response: Response) -> Response {
    rooms.count_answer(response.status().as_u16());
    response
}
