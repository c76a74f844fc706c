//! A room as a value: requests, media events and time go in; messages, media commands and presence come out.
//!
//! It reads no clock and owns no task. The actor drives it: after every `handle_*` it calls [`Room::poll_output`] until
//! `None`, then waits until [`Room::poll_timeout`] at the latest. Where to start reading: `join.rs` for how a session
//! begins, `requests.rs` for what clients ask, `media.rs` for what the media plane reports, `leave.rs` for every end.

mod admin;
mod announce;
mod call;
mod connection_test;
mod data;
#[cfg(any(test, fuzzing))]
mod history;
mod join;
mod leave;
mod listeners;
mod media;
mod members;
mod participant;
mod path;
mod place;
mod publication;
mod publish;
mod quality;
mod reach;
mod requests;
mod resume;
#[cfg(any(test, fuzzing))]
mod scene;
mod simulate;
mod subscribe;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use banter_protocol::rest::TestPath;
use banter_protocol::sid::{NodeSid, RoomSid};
use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use banter_sfu::net::{ConnectionMode, DataKind, JoinSpec, PeerConnection, Permissions, TrackSpec};
use banter_sfu::{ParticipantKey, RoomKey, TrackKey};
use bytes::Bytes;
use livekit_protocol::{
    AddTrackRequest, ClientInfo, Room as RoomInfo, SessionDescription, SignalResponse, WebhookEvent,
    signal_response,
};
use rand::rngs::StdRng;

use super::presence::PresenceEvent;
use super::relay::RelayOffer;
use super::translate::{self, Names};
pub(super) use admin::MuteRefusal;
pub(super) use call::CallKey;
use call::Calls;
pub use call::{CallError, MethodCall};
use data::DataRelay;
#[cfg(any(test, fuzzing))]
pub(crate) use history::room_ops;
pub(super) use leave::Ending;
use participant::{Participant, Signal, Stage};
pub(super) use requests::{MAX_METADATA, excess};
use resume::Departures;
pub(super) use resume::ResumeIntent;

/// A participant that is not active by then has failed to join.
const JOIN_DEADLINE: Duration = Duration::from_secs(60);
/// How long after the end of its media a client may still say that it leaves.
const GOODBYE_TIME: Duration = Duration::from_millis(300);
const TOKEN_REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Changes of participants who publish nothing are told together: when many join at once, each costs a message to all.
const UPDATE_DELAY: Duration = Duration::from_millis(100);
/// How often the counters of a room are told at most.
const ROOM_UPDATE_INTERVAL: Duration = Duration::from_secs(5);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: SystemTime,
}

/// What every room of this server says of it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) node: NodeSid,
    /// Name and version of the program.
    pub(super) program: String,
    /// Sign refreshed tokens.
    pub(super) keys: ApiKeys,
    /// Clients may have failures played to them.
    pub(super) development: bool,
    /// Tracks may be unmuted from outside.
    pub(super) remote_unmute: bool,
    pub(super) relay: Option<RelayOffer>,
}

/// What is fixed when a room is opened.
#[derive(Clone, Debug)]
pub(super) struct RoomSettings {
    pub(super) name: String,
    /// The room is a Banter channel: who is inside is presence.
    pub(super) is_channel: bool,
    pub(super) empty_timeout: Duration,
    pub(super) departure_timeout: Duration,
    /// 0 means any number.
    pub(super) max_participants: u32,
    pub(super) metadata: String,
    /// The room tries one path of the network, for a minute, and nobody else hears of it.
    pub(super) test: Option<TestPath>,
}

/// A checked request to join.
#[derive(Clone, Debug)]
pub(super) struct JoinIntent {
    pub(super) claims: Claims,
    pub(super) grant: VideoGrant,
    pub(super) client: ClientInfo,
    /// Where the client is.
    pub(super) from: Option<IpAddr>,
    pub(super) mode: ConnectionMode,
    pub(super) auto_subscribe: bool,
    pub(super) add_tracks: Vec<AddTrackRequest>,
    pub(super) offer: Option<SessionDescription>,
    /// Where the client reached us.
    pub(super) extra_addresses: Vec<IpAddr>,
    /// The same as a name or an address in a URL.
    pub(super) host: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JoinRefusal {
    #[error("the room has reached its limit of {0} participants; try again when somebody has left")]
    Full(u32),
    #[error("the room is closing")]
    Closing,
}

/// What a room wants from the world, in order.
#[derive(Debug)]
pub(super) enum Output {
    Send {
        to: ParticipantKey,
        message: Arc<SignalResponse>,
    },
    /// Close the client's socket once everything before has been sent.
    HangUp {
        participant: ParticipantKey,
    },
    Media(MediaCommand),
    Presence(PresenceEvent),
    /// Tell an operator's backend.
    Webhook(Box<WebhookEvent>),
    /// What came of a call of a participant's method.
    CallAnswered {
        call: CallKey,
        answer: Result<String, CallError>,
    },
    /// The room is over. Nothing follows.
    Closed,
}

/// What a room asks of the media plane.
#[derive(Debug)]
pub(super) enum MediaCommand {
    Join(JoinSpec),
    Leave {
        participant: ParticipantKey,
    },
    /// The client has a new socket: what it was told before may be lost.
    Resume {
        participant: ParticipantKey,
    },
    /// The outcome comes back by [`Room::handle_offer_outcome`], with the same id.
    Offer {
        participant: ParticipantKey,
        id: u32,
        sdp: String,
    },
    Answer {
        participant: ParticipantKey,
        sdp: String,
    },
    Trickle {
        participant: ParticipantKey,
        connection: PeerConnection,
        candidate: String,
    },
    Publish {
        participant: ParticipantKey,
        track: TrackSpec,
    },
    Unpublish {
        participant: ParticipantKey,
        track: TrackKey,
    },
    SetMuted {
        participant: ParticipantKey,
        track: TrackKey,
        muted: bool,
    },
    SetPermissions {
        participant: ParticipantKey,
        may: Permissions,
    },
    Subscribe {
        participant: ParticipantKey,
        track: TrackKey,
    },
    Unsubscribe {
        participant: ParticipantKey,
        track: TrackKey,
    },
    SetPaused {
        participant: ParticipantKey,
        track: TrackKey,
        paused: bool,
    },
    SendData {
        to: Vec<ParticipantKey>,
        kind: DataKind,
        message: Bytes,
    },
    CloseRoom,
}

#[derive(Debug)]
pub(super) struct Room {
    key: RoomKey,
    sid: RoomSid,
    server: Arc<Server>,
    settings: RoomSettings,
    rng: StdRng,
    created_at: SystemTime,
    participants: BTreeMap<ParticipantKey, Participant>,
    /// Identities of those who were sent here from another room, and until when they are expected.
    kept_places: BTreeMap<String, Instant>,
    names: Names,
    /// Those who speak, with their level.
    speakers: BTreeMap<ParticipantKey, f32>,
    /// Participants and tracks so far, for keys that are never used again.
    keys: u32,
    departures: Departures,
    data: DataRelay,
    calls: Calls,
    /// Participants whose change waits to be told.
    unannounced: BTreeSet<ParticipantKey>,
    counters_dirty: bool,
    counters_told_at: Option<Instant>,
    /// When the room ends, unless somebody joins before.
    expires_at: Option<Instant>,
    closed: bool,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
}

/// What falls due. A timer that no longer applies when it fires is ignored, so none is ever cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    JoinDeadline(ParticipantKey),
    TokenRefresh(ParticipantKey),
    Absence(ParticipantKey),
    Recovery(ParticipantKey),
    Answer(ParticipantKey, u32),
    FeignedSilence(ParticipantKey),
    MediaClosed(ParticipantKey),
    CallTaken(CallKey),
    CallAnswered(CallKey),
    Announcement,
    Counters,
    Expiry,
    TestOver,
}

impl Room {
    pub(super) fn new(
        key: RoomKey,
        settings: RoomSettings,
        server: Arc<Server>,
        mut rng: StdRng,
        now: Now,
    ) -> Self {
        let mut room = Self {
            key,
            sid: RoomSid::random(&mut rng),
            server,
            rng,
            created_at: now.wall,
            participants: BTreeMap::new(),
            kept_places: BTreeMap::new(),
            names: Names::default(),
            speakers: BTreeMap::new(),
            keys: 0,
            departures: Departures::default(),
            data: DataRelay::default(),
            calls: Calls::default(),
            unannounced: BTreeSet::new(),
            counters_dirty: false,
            counters_told_at: None,
            expires_at: None,
            closed: false,
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            settings,
        };
        room.expire_at(now.instant + room.settings.empty_timeout);
        room.limit_test(now);
        room.hook_room_started(now);
        room
    }

    /// How many count towards the limit.
    pub(super) fn occupancy(&self) -> usize {
        self.participants.values().filter(|participant| !participant.is_dependent()).count()
    }

    /// Lets everything happen that is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now.instant
        {
            self.timers.pop_first();
            self.fire(timer, now);
        }
    }

    /// What is to be done next. Call after every `handle_*` until it returns `None`; `None` means idle, not finished.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Room::handle_timeout`] is to be called, unless something else happens before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|&(at, _)| at)
    }

    fn fire(&mut self, timer: Timer, now: Now) {
        match timer {
            Timer::JoinDeadline(participant) => self.join_deadline_passed(participant, now),
            Timer::TokenRefresh(participant) => self.refresh_token(participant, now),
            Timer::Absence(participant) => self.judge_absence(participant, now),
            Timer::Recovery(participant) => self.judge_recovery(participant, now),
            Timer::Answer(participant, id) => self.judge_answer(participant, id, now),
            Timer::FeignedSilence(participant) => self.feign_silence(participant),
            Timer::MediaClosed(participant) => self.media_closed(participant, now),
            Timer::CallTaken(call) => self.judge_call_taken(call),
            Timer::CallAnswered(call) => self.judge_call_answered(call),
            Timer::Announcement => self.announce_gathered(),
            Timer::Counters => self.tell_counters(now),
            Timer::Expiry => self.expire(now),
            Timer::TestOver => self.close_with(Ending::ROOM_CLOSED, now),
        }
    }

    fn expire_at(&mut self, at: Instant) {
        self.expires_at = Some(at);
        self.timers.insert((at, Timer::Expiry));
    }

    fn expire(&mut self, now: Now) {
        if self.expires_at.is_some_and(|at| at <= now.instant) {
            // Those who only serve others may still be inside.
            self.close_with(Ending::ROOM_CLOSED, now);
        }
    }

    fn close_with(&mut self, ending: Ending, now: Now) {
        for key in self.keys_of_all() {
            self.remove(key, ending, now);
        }
        self.hook_room_finished(ending, now);
        self.closed = true;
        self.timers.clear();
        self.media(MediaCommand::CloseRoom);
        self.outputs.push_back(Output::Closed);
    }

    /// A number that no participant and no track of this process has had.
    fn next_key(&mut self) -> u64 {
        self.keys += 1;
        self.key.0 << 32 | u64::from(self.keys)
    }

    pub(super) fn info(&self) -> RoomInfo {
        let created_ms = translate::unix_millis(self.created_at);
        let visible = || self.participants.values().filter(|participant| !participant.grant.hidden);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        RoomInfo {
            sid: self.sid.to_string(),
            name: self.settings.name.clone(),
            empty_timeout: seconds(self.settings.empty_timeout),
            departure_timeout: seconds(self.settings.departure_timeout),
            max_participants: self.settings.max_participants,
            creation_time: created_ms / 1000,
            creation_time_ms: created_ms,
            enabled_codecs: join::codecs(),
            metadata: self.settings.metadata.clone(),
            num_participants: count(visible().count()),
            active_recording: self.participants.values().any(Participant::is_recorder),
            num_publishers: count(visible().filter(|participant| participant.is_publisher()).count()),
            ..RoomInfo::default()
        }
    }

    fn media(&mut self, command: MediaCommand) {
        self.outputs.push_back(Output::Media(command));
    }

    fn send(&mut self, to: ParticipantKey, message: signal_response::Message) {
        self.send_shared(to, Arc::new(SignalResponse { message: Some(message) }));
    }

    fn send_shared(&mut self, to: ParticipantKey, message: Arc<SignalResponse>) {
        let open = self.participants.get(&to).is_some_and(|participant| participant.signal == Signal::Open);
        if open {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Signs a token for the client to come back with, and has the next one made in time.
    fn refresh_token(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        // A test is over before its tokens are.
        if self.settings.test.is_some() {
            return;
        }
        let claims = Claims { video: Some(participant.grant.clone()), ..participant.claims.clone() };
        let token = self.server.keys.sign(&claims, now.wall, join::refreshed_ttl(&claims, now.wall));
        self.send(key, signal_response::Message::RefreshToken(token));
        self.timers.retain(|&(_, timer)| timer != Timer::TokenRefresh(key));
        self.timers.insert((now.instant + TOKEN_REFRESH_INTERVAL, Timer::TokenRefresh(key)));
    }

    fn join_deadline_passed(&mut self, key: ParticipantKey, now: Now) {
        let Some(participant) = self.participants.get(&key) else { return };
        if participant.stage != Stage::Active {
            self.remove(key, Ending::JOIN_FAILURE, now);
        }
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
