//! The doors: a request is checked completely before its WebSocket is accepted, and refused with LiveKit's status codes,
//! which clients act upon (404 sends them from `/rtc/v1` to `/rtc`, 401 and 403 end their attempts).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Extension;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use banter_protocol::signal::{BASE64URL, JoinRequestError, decode_join_request};
use banter_protocol::token::{Claims, TokenError, VideoGrant};
use banter_sfu::net::ConnectionMode;
use base64::Engine;
use livekit_protocol::JoinRequest;
use url::form_urlencoded;

use super::room::{Ending, JoinIntent, ResumeIntent, excess};
use super::rooms::{JoinError, Rooms};
use super::{ClientAddress, MAX_ROOM_NAME, actor, client, socket};

const MAX_IDENTITY: usize = 256;
/// Largest message that a client may send, in bytes.
const MAX_MESSAGE: usize = 2 << 20;
/// Bytes that every socket holds on to while nothing comes: most requests are smaller.
const READ_BUFFER: usize = 2 << 10;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;
type Peer = Result<ConnectInfo<SocketAddr>, ExtensionRejection>;
type Client = Option<Extension<ClientAddress>>;

/// Which of the two doors a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// `/rtc`: two connections, unless the client sends a join request.
    Rtc,
    /// `/rtc/v1`: one connection; the join request is required.
    V1,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
struct Whence {
    /// The other end of the connection: the client, or a proxy.
    peer: Option<SocketAddr>,
    client: Option<IpAddr>,
}

impl Whence {
    fn of(peer: Peer, client: Client) -> Self {
        let peer = peer.ok().map(|ConnectInfo(peer)| peer);
        let told = client.map(|Extension(ClientAddress(address))| address);
        Self { peer, client: told.or(peer.map(|peer| peer.ip().to_canonical())) }
    }
}

/// Why a request is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("invalid authorization header. Must start with Bearer ")]
    Header,
    #[error("invalid authorization token: {0}")]
    Token(#[from] TokenError),
    #[error("no permissions to access the room")]
    NoGrant,
    #[error("permissions denied")]
    MayNotJoin,
    #[error("join_request is required")]
    NoJoinRequest,
    #[error(transparent)]
    JoinRequest(#[from] JoinRequestError),
    #[error("identity cannot be empty")]
    NoIdentity,
    #[error("identity is longer than {MAX_IDENTITY} bytes")]
    LongIdentity,
    #[error("room name cannot be empty")]
    NoRoomName,
    #[error("room name is longer than {MAX_ROOM_NAME} bytes")]
    LongRoomName,
    #[error("attributes are not base64url of a JSON object of texts")]
    Attributes,
    #[error("the token does not permit to {0}")]
    NotPermitted(&'static str),
    #[error("{0}")]
    TooLong(&'static str),
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// What passed the checks.
enum Admission {
    Join(Box<JoinIntent>),
    /// The client wants to go on with an earlier session.
    Resume(Box<ResumeIntent>),
}

pub(super) async fn rtc(
    State(rooms): State<Rooms>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    peer: Peer,
    client: Client,
    upgrade: Upgrade,
) -> Response {
    open(Door::Rtc, rooms, query, headers, Whence::of(peer, client), upgrade).await
}

pub(super) async fn rtc_v1(
    State(rooms): State<Rooms>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    peer: Peer,
    client: Client,
    upgrade: Upgrade,
) -> Response {
    open(Door::V1, rooms, query, headers, Whence::of(peer, client), upgrade).await
}

pub(super) async fn validate_rtc(
    State(rooms): State<Rooms>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    peer: Peer,
    client: Client,
) -> Response {
    validate(Door::Rtc, &rooms, query, &headers, Whence::of(peer, client)).await
}

pub(super) async fn validate_v1(
    State(rooms): State<Rooms>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    peer: Peer,
    client: Client,
) -> Response {
    validate(Door::V1, &rooms, query, &headers, Whence::of(peer, client)).await
}

async fn open(
    door: Door,
    rooms: Rooms,
    query: Option<String>,
    headers: HeaderMap,
    whence: Whence,
    upgrade: Upgrade,
) -> Response {
    let Ok(upgrade) = upgrade else { return StatusCode::NOT_FOUND.into_response() };
    let upgrade =
        upgrade.read_buffer_size(READ_BUFFER).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    let admission = match admit(door, &rooms, query.as_deref(), &headers, whence) {
        Ok(admission) => admission,
        Err(refusal) => return refusal.into_response(),
    };
    // A network that was frozen delivers attempts at once that clients have long given up. Their connections have ended, which is
    // noticed while this waits.
    tokio::task::yield_now().await;
    match admission {
        Admission::Join(intent) => match rooms.join(*intent).await {
            Ok((session, queue)) => upgrade.on_upgrade(|socket| socket::run(socket, session, queue)),
            Err(error) => Refusal::Join(error).into_response(),
        },
        Admission::Resume(intent) => match rooms.resume(*intent).await {
            Ok(Some((session, queue))) => upgrade.on_upgrade(|socket| socket::run(socket, session, queue)),
            // There is no session to go on with, so the client is asked to begin anew.
            Ok(None) => {
                upgrade.on_upgrade(|socket| socket::turn_away(socket, Ending::STATE_MISMATCH.message()))
            }
            Err(error) => Refusal::Join(error).into_response(),
        },
    }
}

async fn validate(
    door: Door,
    rooms: &Rooms,
    query: Option<String>,
    headers: &HeaderMap,
    whence: Whence,
) -> Response {
    let result = match admit(door, rooms, query.as_deref(), headers, whence) {
        Ok(Admission::Join(intent)) => rooms.admits(&intent).await.map_err(Refusal::from),
        Ok(Admission::Resume(intent)) => rooms.admits_resume(&intent).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(()) => "success".into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Checks everything that can be checked without the room, in LiveKit's order.
fn admit(
    door: Door,
    rooms: &Rooms,
    query: Option<&str>,
    headers: &HeaderMap,
    whence: Whence,
) -> Result<Admission, Refusal> {
    let query = Query::parse(query.unwrap_or_default());
    let mut claims = match access_token(headers, &query)? {
        Some(token) => rooms.keys().verify(token, actor::now().wall)?,
        None => return Err(Refusal::NoGrant),
    };
    let mut grant = claims.video.take().ok_or(Refusal::NoGrant)?;
    let request = match query.get("join_request").filter(|parameter| !parameter.is_empty()) {
        Some(parameter) => Some(decode_join_request(parameter)?),
        None if door == Door::V1 => return Err(Refusal::NoJoinRequest),
        None => None,
    };
    if !grant.room_join {
        return Err(Refusal::MayNotJoin);
    }
    // A member of this server is in one call at a time, with one session.
    if let Some(suffix) = query.get("publish").filter(|suffix| !suffix.is_empty() && !claims.banter_channel) {
        become_second(suffix, &mut claims, &mut grant);
    }
    check_names(&claims, &grant)?;
    let extra_addresses = reached_addresses(headers, whence.peer);
    let host = reached_host(headers);
    let resumes = request.as_ref().map_or_else(|| query.is_set("reconnect"), |request| request.reconnect);
    if resumes {
        let intent = to_resume(request, &query, claims, grant);
        return Ok(Admission::Resume(Box::new(ResumeIntent { from: whence.client, host, ..intent })));
    }
    let intent = match request {
        Some(request) => from_join_request(request, claims, grant)?,
        None => from_query(&query, claims, grant)?,
    };
    Ok(Admission::Join(Box::new(JoinIntent { extra_addresses, host, from: whence.client, ..intent })))
}

/// A session that goes on keeps what it was begun with, so little of a request matters.
fn to_resume(
    request: Option<JoinRequest>,
    query: &Query<'_>,
    claims: Claims,
    grant: VideoGrant,
) -> ResumeIntent {
    let (mode, sid, sync_state) = match request {
        Some(request) => (ConnectionMode::Single, request.participant_sid, request.sync_state),
        None => (ConnectionMode::Dual, query.get("sid").unwrap_or_default().to_owned(), None),
    };
    ResumeIntent { claims, grant, from: None, mode, sid, sync_state, host: None }
}

/// The token from the header, or else from the query, as browsers cannot set headers on a WebSocket.
fn access_token<'a>(headers: &'a HeaderMap, query: &'a Query<'_>) -> Result<Option<&'a str>, Refusal> {
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return Ok(query.get("access_token").filter(|token| !token.is_empty()));
    };
    let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    token.map(Some).ok_or(Refusal::Header)
}

/// Makes this the second connection of somebody who is in the room already: it only sends, under a name of its own.
fn become_second(suffix: &str, claims: &mut Claims, grant: &mut VideoGrant) {
    let suffix = format!("#{suffix}");
    // A refreshed token has it already.
    if !claims.identity().ends_with(&suffix) {
        claims.subject = format!("{}{suffix}", claims.identity());
    }
    grant.can_subscribe = Some(false);
}

fn check_names(claims: &Claims, grant: &VideoGrant) -> Result<(), Refusal> {
    match () {
        () if claims.identity().is_empty() => Err(Refusal::NoIdentity),
        () if claims.identity().len() > MAX_IDENTITY => Err(Refusal::LongIdentity),
        () if grant.room.is_empty() => Err(Refusal::NoRoomName),
        () if grant.room.len() > MAX_ROOM_NAME => Err(Refusal::LongRoomName),
        () => Ok(()),
    }
}

fn from_join_request(
    request: JoinRequest,
    mut claims: Claims,
    grant: VideoGrant,
) -> Result<JoinIntent, Refusal> {
    let publishes = !request.add_track_requests.is_empty();
    if publishes && !grant.may_publish() {
        return Err(Refusal::NotPermitted("publish"));
    }
    let attributes: BTreeMap<_, _> = request.participant_attributes.into_iter().collect();
    describe(&mut claims, &grant, request.metadata, attributes)?;
    Ok(JoinIntent {
        claims,
        grant,
        client: request.client_info.unwrap_or_default(),
        from: None,
        mode: ConnectionMode::Single,
        auto_subscribe: request.connection_settings.unwrap_or_default().auto_subscribe,
        add_tracks: request.add_track_requests,
        offer: request.publisher_offer,
        extra_addresses: Vec::new(),
        host: None,
    })
}

fn from_query(query: &Query<'_>, mut claims: Claims, grant: VideoGrant) -> Result<JoinIntent, Refusal> {
    let attributes = match query.get("attributes").filter(|parameter| !parameter.is_empty()) {
        Some(parameter) => read_attributes(parameter).ok_or(Refusal::Attributes)?,
        None => BTreeMap::new(),
    };
    describe(&mut claims, &grant, String::new(), attributes)?;
    Ok(JoinIntent {
        claims,
        grant,
        client: client::parse(query.iter()),
        from: None,
        mode: ConnectionMode::Dual,
        auto_subscribe: query.get("auto_subscribe").is_none_or(is_true),
        add_tracks: Vec::new(),
        offer: None,
        extra_addresses: Vec::new(),
        host: None,
    })
}

/// Puts what the client says of itself over what the token says.
fn describe(
    claims: &mut Claims,
    grant: &VideoGrant,
    metadata: String,
    attributes: BTreeMap<String, String>,
) -> Result<(), Refusal> {
    if metadata.is_empty() && attributes.is_empty() {
        return Ok(());
    }
    if !grant.may_update_own_metadata() {
        return Err(Refusal::NotPermitted("set metadata or attributes"));
    }
    if !metadata.is_empty() {
        claims.metadata = metadata;
    }
    claims.attributes.extend(attributes.into_iter().filter(|(_, value)| !value.is_empty()));
    excess(claims).map_or(Ok(()), |excess| Err(Refusal::TooLong(excess)))
}

fn read_attributes(parameter: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&BASE64URL.decode(parameter).ok()?).ok()
}

/// Where the client reached us: the address in its URL, which may be one that we do not know as ours, and loopback,
/// which the media workers do not advertise by themselves.
fn reached_addresses(headers: &HeaderMap, peer: Option<SocketAddr>) -> Vec<IpAddr> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(host_address);
    let loopback =
        peer.map(|peer| peer.ip().to_canonical()).filter(IpAddr::is_loopback).map(|peer| match peer {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    let mut seen = BTreeSet::new();
    host.into_iter().chain(loopback).filter(|address| seen.insert(*address)).collect()
}

/// The host of the URL that the client used, without the port.
fn reached_host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
    Some(host.host().to_owned())
}

fn host_address(host: &str) -> Option<IpAddr> {
    let address = match host.parse::<SocketAddr>() {
        Ok(address) => address.ip(),
        Err(_) => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true")
}

/// The parameters of a URL; of equal names the first counts.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        use super::room::JoinRefusal;
        let status = match &self {
            Self::Header
            | Self::Token(_)
            | Self::NoGrant
            | Self::MayNotJoin
            | Self::NotPermitted(_)
            | Self::Join(JoinError::Excluded(_)) => StatusCode::UNAUTHORIZED,
            Self::NoJoinRequest
            | Self::JoinRequest(_)
            | Self::NoIdentity
            | Self::LongIdentity
            | Self::NoRoomName
            | Self::LongRoomName
            | Self::Attributes
            | Self::TooLong(_)
            | Self::Join(JoinError::UnknownPreset(_)) => StatusCode::BAD_REQUEST,
            Self::Join(JoinError::NoRoom) => StatusCode::NOT_FOUND,
            // LiveKit says 500 here, which clients take for a fault of the server and try again.
            Self::Join(JoinError::Refused(JoinRefusal::Full(_))) => StatusCode::FORBIDDEN,
            Self::Join(
                JoinError::Refused(JoinRefusal::Closing)
                | JoinError::ShuttingDown
                | JoinError::MembersUnavailable
                | JoinError::TooManyRooms(_),
            ) => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::debug!(%status, reason = %self, "join refused");
        (status, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_gives_an_address_only_when_it_is_one() {
        for (host, address) in [
            ("192.0.2.7:7880", Some("192.0.2.7")),
            ("192.0.2.7", Some("192.0.2.7")),
            ("[2001:db8::1]:7880", Some("2001:db8::1")),
            ("[::1]", Some("::1")),
            ("0.0.0.0:7880", None),
            ("voice.example.org", None),
            ("localhost:7880", None),
        ] {
            assert_eq!(
                host_address(host),
                address.map(|address| address.parse().expect("an address")),
                "{host}"
            );
        }
    }

    #[test]
    fn who_comes_by_loopback_is_told_of_it() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost:7880".parse().expect("a header"));
        let peer = |text: &str| Some(text.parse().expect("an address"));
        let reached = |peer| reached_addresses(&headers, peer);
        assert_eq!(reached(peer("127.0.0.1:5")), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(reached(peer("[::ffff:127.0.0.1]:5")), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(reached(peer("[::1]:5")), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert!(reached(peer("198.51.100.4:5")).is_empty());
    }
}
