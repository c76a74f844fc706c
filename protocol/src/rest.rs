//! Bodies of the REST API and of its event stream, as they cross the wire.
//!
//! Answers are snake case and times are milliseconds since the epoch; the request bodies of the voice API keep the
//! camel case that existing clients send.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! without_secrets_in_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
mod connection_test;
mod moderation;

pub use connection_test::{ConnectionTest, PathTest, TestPath, UnknownPath};
pub use moderation::{
    AuditAction, AuditChannel, AuditDetails, AuditEntry, AuditPage, Ban, BanId, CreateBan, ExcludedEvent,
    Member, MoveRequest, ReasonRequest, UnknownAction, UpdateVoice,
};

text_id! {
    /// An account. The identity in access tokens.
    UserId
}
text_id! {
    /// A voice channel. The room name in access tokens.
    ChannelId
}
text_id! {
    /// An invite, as listed; not the secret code that is in the link.
    InviteId
}

/// Wall time in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// What an account may do; each role includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Joins and speaks.
    Member,
    /// Keeps order in calls.
    Moderator,
    /// Creates, edits and deletes channels; invites people.
    Admin,
    /// Everything. There is always at least one once the server is set up.
    Owner,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Owner, Role::Admin, Role::Moderator, Role::Member];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Moderator => "moderator",
            Role::Member => "member",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a role; the roles are owner, admin, moderator and member")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: Role,
    pub created_at: UnixMillis,
}

/// A fresh session: the token is for `Authorization: Bearer`; browsers get the same in a cookie.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub token: String,
    pub user: User,
}

/// Is there no owner yet?
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SetupState {
    pub needed: bool,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct SetupRequest {
    /// The one-time code that the server printed when it started.
    pub code: String,
    pub username: String,
    pub password: String,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct RegisterRequest {
    /// The code in an invite link.
    pub invite: String,
    pub username: String,
    pub password: String,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct LoginRequest {
    pub username: String,
    pub password: String,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct PasswordRequest {
    pub current_password: String,
    pub new_password: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateInvite {
    /// How many people may register with it.
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    pub max_uses: Option<i64>,
    #[schema(minimum = 60, maximum = 2_592_000, default = 604_800)]
    pub expires_in_seconds: Option<i64>,
}

/// An invite, as its maker and other admins see it. The code itself is shown only once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    pub id: InviteId,
    pub max_uses: i64,
    pub uses: i64,
    pub expires_at: UnixMillis,
    /// `null` when it was made at the command line.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    pub created_at: UnixMillis,
}

/// A new invite with its secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedInvite {
    pub code: String,
    /// The link to pass on. The code is in its fragment, which browsers do not send and servers do not log.
    pub url: String,
    #[serde(flatten)]
    pub invite: Invite,
}

/// What a person with the link may know about an invite.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InviteState {
    /// Always true: an unusable invite is the error `invite_invalid`.
    pub valid: bool,
    pub expires_at: UnixMillis,
    pub uses_left: i64,
}

/// A person inside a voice channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    pub user_id: UserId,
    pub name: String,
    pub joined_at: UnixMillis,
    /// No microphone is open: none is published, or all are muted.
    pub muted: bool,
    pub deafened: bool,
    /// A moderator has taken the right to speak away.
    pub server_muted: bool,
    /// A moderator has taken the right to listen away.
    pub server_deafened: bool,
    pub speaking: bool,
    /// `null` before media has found one.
    #[schema(required = true)]
    pub path: Option<MediaPath>,
}

/// How a person's media reaches the server, or its relay. Never from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MediaPath {
    pub transport: MediaTransport,
    /// Of the person's address: 4 or 6.
    #[schema(minimum = 4, maximum = 6)]
    pub family: u8,
    /// `null` before it is measured.
    #[schema(required = true)]
    pub rtt_ms: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MediaTransport {
    Udp,
    Tcp,
    /// Through the server's TURN, to which the person's client talks by UDP.
    RelayUdp,
    RelayTcp,
    RelayTls,
}

impl MediaTransport {
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::RelayUdp, Self::RelayTcp, Self::RelayTls];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::RelayUdp => "relay-udp",
            Self::RelayTcp => "relay-tcp",
            Self::RelayTls => "relay-tls",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    pub id: ChannelId,
    pub name: String,
    #[schema(required = true)]
    pub description: Option<String>,
    #[schema(minimum = 2, maximum = 100)]
    pub max_participants: u32,
    /// Channels are listed by position, then by age.
    pub position: i64,
    pub created_by: UserId,
    pub created_at: UnixMillis,
}

/// A channel and who is inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelWithParticipants {
    #[serde(flatten)]
    pub channel: Channel,
    /// By the time of joining.
    pub participants: Vec<Presence>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateChannel {
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    #[schema(max_length = 500)]
    pub description: Option<String>,
    #[schema(minimum = 2, maximum = 100, default = 50)]
    pub max_participants: Option<i64>,
    #[schema(minimum = 0, maximum = 1_000_000, default = 0)]
    pub position: Option<i64>,
}

/// Whatever is left out stays as it is; `description: null` removes the description.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateChannel {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, value_type = Option<String>)]
    pub description: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 2, maximum = 100)]
    pub max_participants: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub position: Option<i64>,
}

/// Keeps apart a field that is absent (`None`) and one that is null (`Some(None)`).
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoiceTokenRequest {
    pub channel_id: ChannelId,
}

/// What a LiveKit client needs to join.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VoiceToken {
    pub token: String,
    /// Base address for the client, `ws://` or `wss://`.
    pub ws_url: String,
}

/// Parts of the server that must work before it can serve calls.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Readiness {
    pub database: PartState,
    pub media: PartState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    Ok,
    Failed,
}

/// What the media workers have done since the start.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MediaStatus {
    pub participants: usize,
    /// Packets by their fate: `due` is always the sum of `forwarded`, `late` and `unsendable`.
    pub core: BTreeMap<String, u64>,
    /// Datagrams between the program and the kernel.
    pub socket: BTreeMap<String, u64>,
    /// Frames on TCP, for clients whose UDP does not get through.
    pub streams: BTreeMap<String, u64>,
}

/// Every failure of the API, in one shape.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ErrorDetail {
    pub code: ErrorCode,
    /// Cause and next step, in English.
    pub message: String,
    /// The body's field at fault, with `validation_failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How long to wait, with `too_many_requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// What the moderator gave as the reason, with `banned` and `membership_ended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ends by itself, with `banned` and `address_banned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No session, or one that has ended.
    Unauthorized,
    InvalidCredentials,
    /// The role does not allow it.
    Forbidden,
    /// The account was kicked; a new invite brings it back.
    MembershipEnded,
    Banned,
    AddressBanned,
    UserNotFound,
    NotInVoice,
    OriginMismatch,
    NotFound,
    MethodNotAllowed,
    ChannelNotFound,
    InviteInvalid,
    ValidationFailed,
    MalformedBody,
    UsernameTaken,
    ChannelFull,
    SetupDone,
    SetupCodeInvalid,
    TooManyRequests,
    PayloadTooLarge,
    UnsupportedMediaType,
    Internal,
}

/// `event: snapshot`: everything, once at the start of a stream that does not resume another.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SnapshotEvent {
    pub channels: Vec<ChannelWithParticipants>,
}

/// `event: channel_created`, `channel_updated` and `channel_moved` (its position changed).
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ChannelEvent {
    pub channel: Channel,
}

/// `event: channel_deleted`
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ChannelDeletedEvent {
    pub channel_id: ChannelId,
}

/// `event: participant_joined` and `participant_updated`
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ParticipantEvent {
    pub channel_id: ChannelId,
    pub participant: Presence,
}

/// `event: participant_left`
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ParticipantLeftEvent {
    pub channel_id: ChannelId,
    pub user_id: UserId,
    /// LiveKit's name for it in lower case, such as `client_initiated`, `room_deleted` or `server_shutdown`.
    pub reason: String,
}

/// `event: speaking`: everyone who speaks in the channel now, complete each time.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SpeakingEvent {
    pub channel_id: ChannelId,
    pub user_ids: Vec<UserId>,
}

without_secrets_in_debug!(
    Session,
    SetupRequest,
    RegisterRequest,
    LoginRequest,
    PasswordRequest,
    CreatedInvite,
    VoiceToken,
    PathTest
);
