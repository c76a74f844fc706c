//! Histories of a room: what clients, the media plane, the server API and time do to it, in any order, with parts that
//! refer to those who have left. For fuzzing, and for tests with random or recorded input.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use banter_protocol::token::Source;
use banter_sfu::Mid;
use banter_sfu::net::{
    ConnectionQuality, Event, FailReason, NegotiationError, OfferOutcome, Quality, Reach, Speaker,
};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::simulate_scenario::Scenario;
use livekit_protocol::{
    DataChannelReceiveState, DataPacket, LeaveRequest, MuteTrackRequest, Ping, SignalRequest,
    SimulateScenario, SubscriptionPermission, SyncState, TrackInfo, TrackPermission, TrackPublishedResponse,
    TrickleRequest, UpdateLocalAudioTrack, UpdateParticipantMetadata, UpdateSubscription,
    UpdateTrackSettings, UserPacket, data_packet,
};
use prost::Message;

use super::scene::{Scene, add_track, grant, intent, outcome};
use super::*;
use crate::signal::CloseReason;

const MAX_STEPS: usize = 100;
const IDENTITIES: u8 = 6;
/// Longest list of anything that a step names.
const MAX_LIST: usize = 4;

/// Plays the [`Step`]s that the input stands for in the room of a channel. [`Scene::settle`] judges each output as it
/// comes; when everybody has left, nothing remains of them, and after a while the room closes.
pub(crate) fn room_ops(input: &[u8]) {
    let mut steps = Unstructured::new(input);
    let mut scene = Scene::channel();
    Arc::get_mut(&mut scene.room.server).expect("nobody shares it").remote_unmute = true;
    for _ in 0..MAX_STEPS {
        if steps.is_empty() || scene.closed {
            break;
        }
        let Ok(step) = steps.arbitrary() else { break };
        scene.act(step);
        let visible = scene.room.participants.values().filter(|participant| !participant.grant.hidden);
        let mut inside: Vec<_> = visible.map(Participant::identity).collect();
        inside.sort_unstable();
        assert!(scene.entries.keys().eq(inside), "presence says something else");
        scene.forget();
    }
    scene.end();
}

/// One thing that happens. Numbers choose among those who are, or were, in the room, and among their tracks.
#[derive(Debug, Arbitrary)]
enum Step {
    Join(Newcomer),
    Resume {
        who: u8,
        names_sid: bool,
        is_dual: bool,
        knows: Option<Knowledge>,
    },
    LoseSocket(u8),
    Ask(u8, Ask),
    /// Any message that protobuf can hold.
    AskAnything(u8, Vec<u8>),
    Media(Happening),
    Order(Order),
    Wait(u8),
    WaitLong(u8),
}

#[derive(Debug, Arbitrary)]
struct Newcomer {
    identity: u8,
    is_dual: bool,
    auto_subscribe: bool,
    protocol: u8,
    capability: Option<u8>,
    rights: Rights,
    track: Option<NewTrack>,
    offers: bool,
    limit: Option<u8>,
}

#[derive(Debug, Arbitrary)]
struct Rights {
    publish: Option<bool>,
    subscribe: Option<bool>,
    data: Option<bool>,
    describe: bool,
    microphone_only: bool,
    hidden: bool,
    recorder: bool,
    agent: bool,
}

#[derive(Debug, Arbitrary)]
struct NewTrack {
    cid: u8,
    kind: u8,
    source: u8,
    encryption: u8,
    feature: Option<u8>,
    muted: bool,
    names_sid: bool,
}

/// What a client that resumes says that it knows.
#[derive(Debug, Arbitrary)]
struct Knowledge {
    published: Option<u8>,
    tracks: Vec<u8>,
    subscribes: bool,
    disabled: Vec<u8>,
    received: Option<(u8, u8)>,
}

/// What a client asks for.
#[derive(Debug, Arbitrary)]
enum Ask {
    AddTrack(NewTrack),
    Mute(u8, bool),
    Subscribe(Vec<u8>, bool),
    Pause(Vec<u8>, bool),
    AllowEveryone,
    /// Identities, or else sids, with all tracks or those given.
    Allow(Vec<(u8, bool, Vec<u8>)>),
    Describe {
        name: String,
        attribute: Option<(u8, String)>,
    },
    Features(u8, Vec<u8>),
    Offer(u8),
    Answer(u8),
    Trickle(String),
    Ping,
    Simulate(Failure),
    Know(Knowledge),
    Leave,
}

#[derive(Debug, Arbitrary)]
enum Failure {
    Speech(i32),
    Node,
    Migration,
    ServerLeave,
    SocketOnResume,
    SocketOnResumeAtOnce,
    FullReconnect,
}

/// What the media plane reports.
#[derive(Debug, Arbitrary)]
enum Happening {
    JoinRefused(u8),
    Connected(u8, bool),
    Failed(u8, bool),
    Reach(u8, bool, Option<bool>),
    Offer(u8),
    SectionsRequired(u8, u8),
    /// A section carries a track, found when the track was announced.
    Published(u8),
    /// The answer to an offer: all that was announced has a section, and one track has lost its own.
    Negotiated(u8, Option<u8>),
    NotNegotiated(u8),
    Answered(u8, bool),
    Subscribed(u8, u8),
    Speaks(u8, bool),
    Quality(u8, bool),
    Data(u8, Channel, Packet),
    RawData(u8, Vec<u8>),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Channel {
    Reliable,
    Lossy,
    Raw,
}

#[derive(Debug, Arbitrary)]
struct Packet {
    sequence: u8,
    to: Vec<u8>,
    to_sids: Vec<u8>,
    nonce: Option<u8>,
    payload: Vec<u8>,
}

/// What the server API and moderators do.
#[derive(Debug, Arbitrary)]
enum Order {
    Metadata(String),
    Describe(u8, String),
    Subscribe(u8, Vec<u8>, bool),
    Move(u8),
    Permit(u8, Rights),
    Mute(u8, bool),
    Remove(u8),
    SendData(bool, Packet),
    Look,
    Close,
    Call(u8),
}

impl Scene {
    fn act(&mut self, step: Step) {
        match step {
            Step::Join(newcomer) => self.let_in(newcomer),
            Step::Resume { who, names_sid, is_dual, knows } => {
                self.come_back(who, names_sid, is_dual, knows);
            }
            Step::LoseSocket(who) => {
                if let Some(key) = self.someone(who) {
                    self.room.handle_signal_closed(key, self.now);
                    self.settle();
                }
            }
            Step::Ask(who, ask) => {
                if let Some(key) = self.asker(who) {
                    let request = self.message(ask);
                    self.request(key, request);
                }
            }
            Step::AskAnything(who, bytes) => {
                if let Some(key) = self.asker(who)
                    && let Ok(SignalRequest { message: Some(request) }) =
                        SignalRequest::decode(bytes.as_slice())
                {
                    self.request(key, request);
                }
            }
            Step::Media(happening) => self.happen(happening),
            Step::Order(order) => {
                self.obey(order);
                self.settle();
            }
            Step::Wait(hundredths) => self.advance(Duration::from_millis(10) * u32::from(hundredths)),
            Step::WaitLong(seconds) => self.advance(Duration::from_secs(seconds.into())),
        }
    }

    fn let_in(&mut self, newcomer: Newcomer) {
        let Newcomer {
            identity,
            is_dual,
            auto_subscribe,
            protocol,
            capability,
            rights,
            track,
            offers,
            limit,
        } = newcomer;
        let client = ClientInfo {
            protocol: i32::from(protocol % 20),
            capabilities: capability.into_iter().map(i32::from).collect(),
            ..ClientInfo::default()
        };
        let offer = SessionDescription { id: 1, sdp: "v=0".into(), ..SessionDescription::default() };
        let intent = JoinIntent {
            grant: rights.grant(),
            client,
            mode: mode(is_dual),
            auto_subscribe,
            add_tracks: track.into_iter().map(NewTrack::request).collect(),
            offer: offers.then_some(offer),
            ..intent(&identity_of(identity))
        };
        let _ = self.try_join(intent, limit.map(|limit| u32::from(limit % IDENTITIES)));
    }

    fn come_back(&mut self, who: u8, names_sid: bool, is_dual: bool, knows: Option<Knowledge>) {
        let Some(key) = self.someone(who) else { return };
        let JoinIntent { claims, grant, .. } = intent(&identity_of(who));
        let known = self.room.participants.get(&key);
        let sync_state = knows.map(|knowledge| self.sync_state(knowledge));
        let resume = ResumeIntent {
            claims: known.map_or(claims, |participant| participant.claims.clone()),
            grant: known.map_or(grant, |participant| participant.grant.clone()),
            from: None,
            host: None,
            mode: mode(is_dual),
            sid: if names_sid { self.sids[&key].clone() } else { String::new() },
            sync_state,
        };
        self.resume_as(resume);
    }

    fn message(&self, ask: Ask) -> Request {
        match ask {
            Ask::AddTrack(track) => Request::AddTrack(track.request()),
            Ask::Mute(track, muted) => Request::Mute(MuteTrackRequest { sid: self.track_sid(track), muted }),
            Ask::Subscribe(tracks, subscribe) => Request::Subscription(UpdateSubscription {
                track_sids: self.track_sids(&tracks),
                subscribe,
                participant_tracks: Vec::new(),
            }),
            Ask::Pause(tracks, disabled) => Request::TrackSetting(UpdateTrackSettings {
                track_sids: self.track_sids(&tracks),
                disabled,
                ..UpdateTrackSettings::default()
            }),
            Ask::AllowEveryone => Request::SubscriptionPermission(SubscriptionPermission {
                all_participants: true,
                track_permissions: Vec::new(),
            }),
            Ask::Allow(listeners) => Request::SubscriptionPermission(SubscriptionPermission {
                all_participants: false,
                track_permissions: listeners
                    .iter()
                    .take(MAX_LIST)
                    .map(|(who, by_sid, tracks)| self.permission(*who, *by_sid, tracks))
                    .collect(),
            }),
            Ask::Describe { name, attribute } => Request::UpdateMetadata(UpdateParticipantMetadata {
                metadata: name.clone(),
                name,
                attributes: attribute.into_iter().map(|(key, value)| (attribute_name(key), value)).collect(),
                request_id: 1,
            }),
            Ask::Features(track, features) => Request::UpdateAudioTrack(UpdateLocalAudioTrack {
                track_sid: self.track_sid(track),
                features: features.into_iter().take(MAX_LIST).map(i32::from).collect(),
            }),
            Ask::Offer(id) => Request::Offer(description(id)),
            Ask::Answer(id) => Request::Answer(description(id)),
            Ask::Trickle(candidate_init) => {
                Request::Trickle(TrickleRequest { candidate_init, ..TrickleRequest::default() })
            }
            Ask::Ping => Request::PingReq(Ping::default()),
            Ask::Simulate(failure) => {
                Request::Simulate(SimulateScenario { scenario: Some(failure.scenario()) })
            }
            Ask::Know(knowledge) => Request::SyncState(self.sync_state(knowledge)),
            Ask::Leave => Request::Leave(LeaveRequest::default()),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Published(track) => self.carry(track),
            Happening::Negotiated(who, lost) => self.negotiated(who, lost),
            Happening::JoinRefused(who) => {
                if let Some(participant) = self.someone(who) {
                    let refused = Err(banter_sfu::net::JoinError::Stopped);
                    self.room.handle_media_joined(participant, refused, self.now);
                    self.settle();
                }
            }
            Happening::NotNegotiated(who) => {
                if let Some(participant) = self.someone(who) {
                    let failed = Err(NegotiationError::Sdp("nonsense".into()));
                    self.room.handle_offer_outcome(participant, 1, failed, self.now);
                    self.settle();
                }
            }
            Happening::Answered(who, well) => {
                if let Some(participant) = self.someone(who) {
                    let answered = if well { Ok(()) } else { Err(NegotiationError::Sdp("nonsense".into())) };
                    self.room.handle_answer_outcome(participant, answered, self.now);
                    self.settle();
                }
            }
            event => {
                if let Some(event) = self.event_of(event) {
                    self.event(event);
                }
            }
        }
    }

    fn event_of(&self, happening: Happening) -> Option<Event> {
        Some(match happening {
            Happening::Connected(who, second) => {
                Event::Connected { participant: self.someone(who)?, connection: connection(second) }
            }
            Happening::Failed(who, closed) => Event::Failed {
                participant: self.someone(who)?,
                connection: PeerConnection::Publisher,
                reason: if closed { FailReason::Closed } else { FailReason::Dtls },
            },
            Happening::Reach(who, second, reach) => Event::Reach {
                participant: self.someone(who)?,
                connection: connection(second),
                reach: match reach {
                    None => Reach::Silent,
                    Some(false) => Reach::Lost,
                    Some(true) => Reach::Heard,
                },
            },
            Happening::Offer(who) => Event::SubscriberOffer {
                participant: self.someone(who)?,
                sdp: "v=0".into(),
                sending: self.sending(who),
            },
            Happening::SectionsRequired(who, audio) => {
                Event::SectionsRequired { participant: self.someone(who)?, audio: audio.into() }
            }
            Happening::Subscribed(who, track) => {
                Event::Subscribed { track: self.some_track(track)?, subscriber: self.someone(who)? }
            }
            Happening::Speaks(who, active) => {
                let speaker = Speaker { participant: self.someone(who)?, level: 0.5, active };
                Event::Speakers { room: RoomKey(1), changes: vec![speaker] }
            }
            Happening::Quality(who, good) => {
                let quality = if good { ConnectionQuality::Excellent } else { ConnectionQuality::Lost };
                let quality = Quality { participant: self.someone(who)?, quality, score: 4.5 };
                Event::Quality { room: RoomKey(1), changes: vec![quality] }
            }
            Happening::Data(who, channel, packet) => {
                let message = self.packet(packet).encode_to_vec().into();
                Event::Data { participant: self.someone(who)?, kind: channel.kind(), message }
            }
            Happening::RawData(who, bytes) => Event::Data {
                participant: self.someone(who)?,
                kind: DataKind::Reliable,
                message: bytes.into(),
            },
            _ => return None,
        })
    }

    /// A section was there before the track was announced.
    fn carry(&mut self, track: u8) {
        let Some(track) = self.some_track(track) else { return };
        let Some(&participant) = self.owner_by_track.get(&track) else { return };
        let (mid, format) = (Mid("3".into()), banter_sfu::net::TrackFormat::Opus);
        self.event(Event::Published { participant, track, mid, format });
    }

    fn negotiated(&mut self, who: u8, lost: Option<u8>) {
        let Some(key) = self.someone(who) else { return };
        let own = |(_, owner): &(&TrackKey, &ParticipantKey)| **owner == key;
        let mut published: Vec<TrackKey> =
            self.owner_by_track.iter().filter(own).map(|(track, _)| *track).collect();
        let lost = lost.filter(|_| !published.is_empty());
        let lost: Vec<TrackKey> =
            lost.map(|number| published.remove(usize::from(number) % published.len())).into_iter().collect();
        for track in &lost {
            // The media plane ends the subscriptions of a track that it has lost by itself.
            self.owner_by_track.remove(track);
            self.subscribed.retain(|(_, subscribed)| subscribed != track);
        }
        let outcome = OfferOutcome { sending: self.sending(who), ..outcome(&published, &lost) };
        self.outcome(key, outcome);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Metadata(metadata) => self.room.set_metadata(metadata, self.now),
            Order::Describe(who, name) => {
                let Some(key) = self.someone(who) else { return };
                let update = UpdateParticipantMetadata { name, ..UpdateParticipantMetadata::default() };
                let _ = self.room.describe(key, &update, self.now);
            }
            Order::Subscribe(who, tracks, subscribe) => {
                let Some(key) = self.someone(who) else { return };
                let sids = self.track_sids(&tracks);
                self.room.subscribe_to(key, &sids, subscribe);
            }
            Order::Move(who) => {
                let Some(key) = self.someone(who) else { return };
                self.room.send_away(
                    key,
                    RoomInfo { name: "elsewhere".into(), ..RoomInfo::default() },
                    self.now,
                );
            }
            Order::Permit(who, rights) => {
                let Some(key) = self.someone(who) else { return };
                self.room.set_grant(key, rights.grant(), self.now);
            }
            Order::Mute(track, muted) => {
                let Some(track) = self.some_track(track) else { return };
                let Some(&owner) = self.owner_by_track.get(&track) else { return };
                let sid = self.room.participants[&owner].publications[&track].info.sid.clone();
                self.room.mute_track(owner, &sid, muted, self.now).expect("the track is there");
            }
            Order::Remove(who) => {
                let Some(key) = self.someone(who) else { return };
                self.room.remove(key, Ending::REMOVED, self.now);
            }
            Order::SendData(reliable, packet) => {
                let to = packet.to.iter().take(MAX_LIST).map(|&who| identity_of(who)).collect();
                #[expect(deprecated, reason = "it is how callers choose the channel")]
                let packet = DataPacket { kind: i32::from(!reliable), ..self.packet(packet) };
                let _ = self.room.send_data(packet, to);
            }
            Order::Look => self.look(),
            Order::Call(identity) => {
                let identity = identity_of(identity);
                self.room.call_method(MethodCall { identity, ..MethodCall::default() }, self.now);
            }
            Order::Close => self.room.handle_close(CloseReason::RoomDeleted, self.now),
        }
    }

    /// Whatever is told to the server API can be written.
    fn look(&self) {
        for info in self.room.everyone() {
            serde_json::to_value(info).expect("it can be written");
        }
        serde_json::to_value(self.room.info()).expect("it can be written");
        for key in self.sids.keys() {
            let is_inside = self.room.participants.contains_key(key);
            assert_eq!(self.room.participant(*key).is_some(), is_inside);
            assert_eq!(self.room.claims(*key).is_some(), is_inside);
        }
        assert!(self.room.occupancy() <= self.room.participants.len());
    }

    /// Lets go of what was said, which has been judged.
    fn forget(&mut self) {
        self.messages.clear();
        self.media.clear();
        self.presence.clear();
        self.webhooks.clear();
    }

    /// Everybody leaves, and nobody comes back.
    fn end(&mut self) {
        for key in self.room.keys_of_all() {
            self.request(key, Request::Leave(LeaveRequest::default()));
        }
        assert!(self.room.participants.is_empty() && self.entries.is_empty());
        assert!(self.in_media.is_empty() && self.subscribed.is_empty() && self.owner_by_track.is_empty());
        assert!(self.room.names.tracks().is_empty() && self.room.speakers.is_empty());
        assert!(self.room.unannounced.is_empty() && self.room.calls.is_empty());
        let wait = self.room.settings.empty_timeout.max(self.room.settings.departure_timeout);
        self.advance(wait);
        assert!(self.closed, "an empty room closes");
    }

    fn sync_state(&self, knowledge: Knowledge) -> SyncState {
        let Knowledge { published, tracks, subscribes, disabled, received } = knowledge;
        let track = |number| TrackInfo { sid: self.track_sid(number), ..TrackInfo::default() };
        let published =
            published.map(|number| TrackPublishedResponse { cid: "mic".into(), track: Some(track(number)) });
        let received = received.map(|(who, last_seq)| DataChannelReceiveState {
            publisher_sid: self.sid_of(who),
            last_seq: last_seq.into(),
        });
        SyncState {
            publish_tracks: published.into_iter().collect(),
            subscription: Some(UpdateSubscription {
                track_sids: self.track_sids(&tracks),
                subscribe: subscribes,
                participant_tracks: Vec::new(),
            }),
            track_sids_disabled: self.track_sids(&disabled),
            datachannel_receive_states: received.into_iter().collect(),
            ..SyncState::default()
        }
    }

    #[expect(deprecated, reason = "older clients name sids")]
    fn packet(&self, packet: Packet) -> DataPacket {
        let Packet { sequence, to, to_sids, nonce, payload } = packet;
        let user = UserPacket {
            payload,
            destination_sids: to_sids.iter().take(MAX_LIST).map(|&who| self.sid_of(who)).collect(),
            nonce: nonce.map(|nonce| vec![nonce; 16]).unwrap_or_default(),
            ..UserPacket::default()
        };
        DataPacket {
            destination_identities: to.iter().take(MAX_LIST).map(|&who| identity_of(who)).collect(),
            sequence: sequence.into(),
            value: Some(data_packet::Value::User(user)),
            ..DataPacket::default()
        }
    }

    fn permission(&self, who: u8, by_sid: bool, tracks: &[u8]) -> TrackPermission {
        let (participant_identity, participant_sid) =
            if by_sid { (String::new(), self.sid_of(who)) } else { (identity_of(who), String::new()) };
        TrackPermission {
            participant_identity,
            participant_sid,
            all_tracks: tracks.is_empty(),
            track_sids: self.track_sids(tracks),
        }
    }

    /// Sections in which a participant is sent what it hears.
    fn sending(&self, who: u8) -> Vec<(Mid, TrackKey)> {
        let heard = self.subscribed.iter().filter(|(key, _)| Some(*key) == self.someone(who));
        heard.map(|(_, track)| (Mid(track.to_string()), *track)).collect()
    }

    /// Somebody who is or was in the room. The latest come first, since they are most likely there.
    fn someone(&self, who: u8) -> Option<ParticipantKey> {
        self.sids.keys().rev().cycle().nth(who.into()).copied()
    }

    /// Somebody whose socket is open, for only those ask.
    fn asker(&self, who: u8) -> Option<ParticipantKey> {
        let key = self.someone(who)?;
        let participant = self.room.participants.get(&key)?;
        (participant.signal == Signal::Open).then_some(key)
    }

    fn sid_of(&self, who: u8) -> String {
        self.someone(who).map_or_else(|| "PA_nobody".to_owned(), |key| self.sids[&key].clone())
    }

    /// A track that the media plane knows.
    fn some_track(&self, number: u8) -> Option<TrackKey> {
        self.owner_by_track.keys().rev().cycle().nth(number.into()).copied()
    }

    fn track_sid(&self, number: u8) -> String {
        let sid = || {
            let track = self.some_track(number)?;
            let owner = self.room.participants.get(&self.owner_by_track[&track])?;
            Some(owner.publications.get(&track)?.info.sid.clone())
        };
        sid().unwrap_or_else(|| "TR_AMnothing".to_owned())
    }

    fn track_sids(&self, numbers: &[u8]) -> Vec<String> {
        numbers.iter().take(MAX_LIST).map(|&number| self.track_sid(number)).collect()
    }
}

impl Rights {
    fn grant(self) -> VideoGrant {
        let Self { publish, subscribe, data, describe, microphone_only, hidden, recorder, agent } = self;
        VideoGrant {
            can_publish: publish,
            can_subscribe: subscribe,
            can_publish_data: data,
            can_publish_sources: microphone_only.then_some(Source::Microphone).into_iter().collect(),
            can_update_own_metadata: Some(describe),
            hidden,
            recorder,
            agent,
            ..grant()
        }
    }
}

impl NewTrack {
    fn request(self) -> AddTrackRequest {
        let Self { cid, kind, source, encryption, feature, muted, names_sid } = self;
        AddTrackRequest {
            r#type: i32::from(kind / 64),
            source: i32::from(source % 8),
            encryption: i32::from(encryption / 32),
            audio_features: feature.into_iter().map(i32::from).collect(),
            muted,
            // Few clients ask for another codec of a track.
            sid: if names_sid && cid % 4 == 0 { "TR_AMother".to_owned() } else { String::new() },
            ..add_track(&format!("track{}", cid % 4))
        }
    }
}

impl Failure {
    fn scenario(self) -> Scenario {
        match self {
            Self::Speech(seconds) => Scenario::SpeakerUpdate(seconds),
            Self::Node => Scenario::NodeFailure(true),
            Self::Migration => Scenario::Migration(true),
            Self::ServerLeave => Scenario::ServerLeave(true),
            Self::SocketOnResume => Scenario::DisconnectSignalOnResume(true),
            Self::SocketOnResumeAtOnce => Scenario::DisconnectSignalOnResumeNoMessages(true),
            Self::FullReconnect => Scenario::LeaveRequestFullReconnect(true),
        }
    }
}

impl Channel {
    fn kind(self) -> DataKind {
        match self {
            Self::Reliable => DataKind::Reliable,
            Self::Lossy => DataKind::Lossy,
            Self::Raw => DataKind::Raw { binary: true },
        }
    }
}

fn identity_of(number: u8) -> String {
    format!("user{}", number % IDENTITIES)
}

/// The first is the one that presence reads.
fn attribute_name(number: u8) -> String {
    ["deafened", "role", "mood"][usize::from(number) % 3].to_owned()
}

fn mode(is_dual: bool) -> ConnectionMode {
    if is_dual { ConnectionMode::Dual } else { ConnectionMode::Single }
}

fn connection(is_second: bool) -> PeerConnection {
    if is_second { PeerConnection::Subscriber } else { PeerConnection::Publisher }
}

fn description(id: u8) -> SessionDescription {
    SessionDescription { id: u32::from(id % 4), sdp: "v=0".into(), ..SessionDescription::default() }
}
