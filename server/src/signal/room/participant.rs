//! One participant's session in a room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use banter_protocol::rest::MediaPath;
use banter_protocol::sid::ParticipantSid;
use banter_protocol::token::{Claims, VideoGrant};
use banter_sfu::TrackKey;
use banter_sfu::net::{ConnectionMode, ConnectionQuality, PeerConnection, Permissions};
use livekit_protocol::participant_info::{Kind, State};
use livekit_protocol::{AddTrackRequest, ClientInfo, DisconnectReason, ParticipantInfo};

use super::listeners::Listeners;
use super::publication::Publication;
use super::simulate::Mishap;
use crate::signal::presence::PresenceEntry;
use crate::signal::translate;

/// Set by the web app while it plays nothing.
const DEAFENED: &str = "deafened";

#[derive(Debug)]
pub(super) struct Participant {
    pub(super) sid: ParticipantSid,
    /// What the token says, with later changes of name, metadata and attributes. The grant is kept apart.
    pub(super) claims: Claims,
    pub(super) grant: VideoGrant,
    pub(super) client: ClientInfo,
    /// Where the client was when it joined or resumed last.
    pub(super) from: Option<IpAddr>,
    /// Where its client reached us: a name or an address, as in a URL.
    pub(super) host: Option<String>,
    pub(super) mode: ConnectionMode,
    /// Which connection makes the participant active. Fixed when it joins: its client acts upon what it was told then.
    pub(super) primary: PeerConnection,
    pub(super) joined_at: SystemTime,
    pub(super) stage: Stage,
    pub(super) signal: Signal,
    /// When its client last said something by signalling.
    pub(super) heard_at: Instant,
    /// Connections on which the client was heard once and is no longer.
    pub(super) unheard: BTreeSet<PeerConnection>,
    /// What is to go wrong when the session is resumed, in development.
    pub(super) mishap: Option<Mishap>,
    /// Until when the media of a resumed session must be heard again.
    pub(super) recovery: Option<Instant>,
    /// Grows with each change that others are told of.
    pub(super) version: u32,
    pub(super) auto_subscribe: bool,
    /// Announced and published tracks.
    pub(super) publications: BTreeMap<TrackKey, Publication>,
    /// Tracks that wait until another one of the same client id is unpublished.
    pub(super) queued: BTreeMap<String, VecDeque<AddTrackRequest>>,
    pub(super) subscriptions: Subscriptions,
    /// Who may subscribe to this participant's tracks.
    pub(super) listeners: Listeners,
    /// Offers made on the subscriber connection; the last one's id.
    pub(super) offers: u32,
    /// The offer that waits for its answer.
    pub(super) unanswered: Option<u32>,
    /// What its connection was last said to be like, with the score.
    pub(super) quality: Option<(ConnectionQuality, f32)>,
    /// What the media on its primary connection travels by, as last told.
    pub(super) path: Option<MediaPath>,
    /// Number of its latest reliable data packet.
    pub(super) last_sequence: u32,
    /// What the channel's presence last said of this participant.
    pub(super) presence: Option<PresenceEntry>,
}

/// How far the session has come. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Joined,
    /// The primary connection has come up.
    Active,
}

/// The client's end of signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Open,
    /// The socket closed without goodbye; media may still flow.
    Lost {
        since: Instant,
    },
}

/// What a participant wants to hear.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Wishes that differ from the participant's auto-subscription.
    pub(super) wishes: BTreeMap<TrackKey, bool>,
    /// What the media plane has been asked for.
    pub(super) active: BTreeSet<TrackKey>,
    /// Tracks not to be forwarded for the time being. May be set before the subscription exists.
    pub(super) paused: BTreeSet<TrackKey>,
}

impl Participant {
    pub(super) fn identity(&self) -> &str {
        self.claims.identity()
    }

    pub(super) fn kind(&self) -> Kind {
        translate::participant_kind(&self.claims.kind)
    }

    /// Dependents serve others: they neither fill a room nor keep it open.
    pub(super) fn is_dependent(&self) -> bool {
        is_dependent(&self.claims, &self.grant)
    }

    pub(super) fn is_recorder(&self) -> bool {
        self.grant.recorder || self.kind() == Kind::Egress
    }

    pub(super) fn is_publisher(&self) -> bool {
        self.publications.values().any(Publication::is_published)
    }

    pub(super) fn may(&self) -> Permissions {
        Permissions { publish: self.grant.may_publish(), subscribe: self.grant.may_subscribe() }
    }

    /// What everyone is told of this participant.
    pub(super) fn info(&self) -> ParticipantInfo {
        let state = match self.stage {
            Stage::Joined => State::Joined,
            Stage::Active => State::Active,
        };
        let joined_at_ms = translate::unix_millis(self.joined_at);
        let published = self.publications.values().filter(|publication| publication.is_published());
        ParticipantInfo {
            sid: self.sid.to_string(),
            identity: self.identity().to_owned(),
            state: state.into(),
            tracks: published.map(|publication| publication.info.clone()).collect(),
            metadata: self.claims.metadata.clone(),
            joined_at: joined_at_ms / 1000,
            joined_at_ms,
            name: self.claims.name.clone(),
            version: self.version,
            permission: Some(translate::permission(&self.grant)),
            is_publisher: self.is_publisher(),
            kind: self.kind().into(),
            attributes: self.claims.attributes.clone().into_iter().collect(),
            kind_details: translate::kind_details(&self.claims.kind_details),
            client_protocol: self.client.client_protocol,
            capabilities: self.client.capabilities.clone(),
            ..ParticipantInfo::default()
        }
    }

    /// The last thing that others are told of this participant.
    pub(super) fn farewell(&self, reason: DisconnectReason) -> ParticipantInfo {
        ParticipantInfo {
            state: State::Disconnected.into(),
            tracks: Vec::new(),
            is_publisher: false,
            version: self.version + 1,
            disconnect_reason: reason.into(),
            ..self.info()
        }
    }

    pub(super) fn presence_entry(&self, speaking: bool) -> PresenceEntry {
        let name = if self.claims.name.is_empty() { self.identity() } else { &self.claims.name };
        PresenceEntry {
            user_id: self.identity().to_owned(),
            name: name.to_owned(),
            joined_at_ms: translate::unix_millis(self.joined_at),
            muted: !self.publications.values().any(Publication::is_open_microphone),
            deafened: self.claims.attributes.get(DEAFENED).is_some_and(|value| value == "true"),
            server_muted: self.claims.banter_channel && !self.grant.may_publish(),
            server_deafened: self.claims.banter_channel && !self.grant.may_subscribe(),
            speaking,
            path: self.path,
        }
    }
}

/// Clients that have a connection to hear on wait for that one, if they may hear.
pub(super) fn primary(mode: ConnectionMode, client: &ClientInfo, grant: &VideoGrant) -> PeerConnection {
    if mode == ConnectionMode::Dual && client.protocol > 2 && grant.may_subscribe() {
        PeerConnection::Subscriber
    } else {
        PeerConnection::Publisher
    }
}

pub(super) fn is_dependent(claims: &Claims, grant: &VideoGrant) -> bool {
    grant.recorder
        || grant.agent
        || matches!(translate::participant_kind(&claims.kind), Kind::Agent | Kind::Egress)
}
