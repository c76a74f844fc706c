//! Keeping order: members, bans and the audit log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Channel, ChannelId, ErrorDetail, UnixMillis, User, UserId};

text_id! {
    /// A ban.
    BanId
}

/// A member as those see them who keep order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    #[serde(flatten)]
    pub user: User,
    /// May not speak, until a moderator lifts it.
    pub server_muted: bool,
    /// May not listen, until a moderator lifts it.
    pub server_deafened: bool,
}

/// What a moderator decides about somebody's voice. Whatever is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateVoice {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_muted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_deafened: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// Why somebody is disconnected or kicked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ReasonRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// Where somebody's call is moved, and why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveRequest {
    pub channel_id: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// At least one of `user_id` and `address` is needed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CreateBan {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// An address or a network (`203.0.113.7`, `203.0.113.0/24`, `2001:db8::/48`); admins only. A single IPv6 address
    /// stands for its network of 64 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub address: Option<String>,
    /// Bans the address as well from which the person signed in last; admins only.
    #[serde(default)]
    pub include_address: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// For good, if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315_360_000)]
    pub expires_in_seconds: Option<i64>,
}

/// A ban that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ban {
    pub id: BanId,
    #[schema(required = true)]
    pub user_id: Option<UserId>,
    #[schema(required = true)]
    pub username: Option<String>,
    /// In CIDR notation.
    #[schema(required = true)]
    pub network: Option<String>,
    #[schema(required = true)]
    pub reason: Option<String>,
    /// `null` when it was made at the command line.
    #[schema(required = true)]
    pub created_by: Option<UserId>,
    #[schema(required = true)]
    pub created_by_name: Option<String>,
    pub created_at: UnixMillis,
    /// `null` for good.
    #[schema(required = true)]
    pub expires_at: Option<UnixMillis>,
}

/// Something that a moderator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    ServerMute,
    ServerUnmute,
    ServerDeafen,
    ServerUndeafen,
    Move,
    Disconnect,
    Kick,
    Ban,
    Unban,
}

impl AuditAction {
    pub const ALL: [AuditAction; 9] = [
        AuditAction::ServerMute,
        AuditAction::ServerUnmute,
        AuditAction::ServerDeafen,
        AuditAction::ServerUndeafen,
        AuditAction::Move,
        AuditAction::Disconnect,
        AuditAction::Kick,
        AuditAction::Ban,
        AuditAction::Unban,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AuditAction::ServerMute => "server_mute",
            AuditAction::ServerUnmute => "server_unmute",
            AuditAction::ServerDeafen => "server_deafen",
            AuditAction::ServerUndeafen => "server_undeafen",
            AuditAction::Move => "move",
            AuditAction::Disconnect => "disconnect",
            AuditAction::Kick => "kick",
            AuditAction::Ban => "ban",
            AuditAction::Unban => "unban",
        }
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an action of the audit log")]
pub struct UnknownAction(String);

impl FromStr for AuditAction {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// What an action was about, beside the person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditDetails {
    /// Where the person was moved from. Left out when it was deleted at the same moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_channel: Option<AuditChannel>,
    /// Where the person was moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_channel: Option<AuditChannel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban_id: Option<BanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// When the ban ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// A channel as it was called then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditChannel {
    pub id: ChannelId,
    pub name: String,
}

impl From<Channel> for AuditChannel {
    fn from(channel: Channel) -> Self {
        Self { id: channel.id, name: channel.name }
    }
}

/// Who did what to whom, why and when. Names are as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Grows with time.
    pub id: i64,
    pub at: UnixMillis,
    pub action: AuditAction,
    /// `null` when it was done at the command line.
    #[schema(required = true)]
    pub actor_id: Option<UserId>,
    #[schema(required = true)]
    pub actor_name: Option<String>,
    /// `null` when it was about an address alone.
    #[schema(required = true)]
    pub target_id: Option<UserId>,
    #[schema(required = true)]
    pub target_name: Option<String>,
    #[schema(required = true)]
    pub reason: Option<String>,
    pub details: AuditDetails,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// Pass it as `before` for the next page; `null` on the last one.
    #[schema(required = true)]
    pub next_before: Option<i64>,
}

/// `event: excluded`: the reader has been kicked or banned. It is the last event of the stream.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExcludedEvent {
    pub error: ErrorDetail,
}
