//! A room whose clients and media plane are played, with a model of what both know: what no output may contradict,
//! whatever happens. For tests and for fuzzing.
#![expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]

use std::collections::{BTreeMap, BTreeSet};

use banter_protocol::signal::{Frame, Framing};
use banter_sfu::Mid;
use banter_sfu::net::{Event, OfferOutcome, TrackFormat};
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{ParticipantInfo, TrackSource, TrackType};
use rand::SeedableRng;

use super::leave::REPLACES_BY_IDENTITY;
use super::*;
use crate::signal::presence::PresenceEntry;

/// A room with all that it has said and asked for.
pub(super) struct Scene {
    pub(super) room: Room,
    pub(super) now: Now,
    pub(super) messages: BTreeMap<ParticipantKey, Vec<Response>>,
    pub(super) media: Vec<MediaCommand>,
    pub(super) presence: Vec<PresenceEvent>,
    pub(super) webhooks: Vec<WebhookEvent>,
    pub(super) answers: BTreeMap<CallKey, Result<String, CallError>>,
    pub(super) hung_up: BTreeSet<ParticipantKey>,
    pub(super) closed: bool,
    pub(super) sids: BTreeMap<ParticipantKey, String>,
    /// What the media plane has been told: a model of it.
    pub(super) in_media: BTreeSet<ParticipantKey>,
    pub(super) owner_by_track: BTreeMap<TrackKey, ParticipantKey>,
    pub(super) subscribed: BTreeSet<(ParticipantKey, TrackKey)>,
    pub(super) may: BTreeMap<ParticipantKey, Permissions>,
    pub(super) entries: BTreeMap<String, PresenceEntry>,
    pub(super) version_by_listener: BTreeMap<(ParticipantKey, String), u32>,
    /// Whom each client sees: the sid of every identity.
    rosters: BTreeMap<ParticipantKey, BTreeMap<String, String>>,
}

impl Scene {
    pub(super) fn channel() -> Self {
        Self::with(true)
    }

    pub(super) fn with(is_channel: bool) -> Self {
        Self::begin(is_channel, None)
    }

    /// A room that tries a path.
    #[cfg(test)]
    pub(super) fn of_test(path: TestPath) -> Self {
        Self::begin(false, Some(path))
    }

    fn begin(is_channel: bool, test: Option<TestPath>) -> Self {
        let now = Now { instant: Instant::now(), wall: SystemTime::now() };
        let settings = RoomSettings {
            name: "lobby".into(),
            is_channel,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            max_participants: 0,
            metadata: String::new(),
            test,
        };
        let mut rng = StdRng::seed_from_u64(7);
        let server = Server {
            node: NodeSid::random(&mut rng),
            program: "banter test".into(),
            keys: ApiKeys::new(vec![("key".into(), "secret".into())]).expect("one key"),
            development: true,
            remote_unmute: false,
            relay: None,
        };
        Self {
            room: Room::new(RoomKey(1), settings, Arc::new(server), rng, now),
            now,
            messages: BTreeMap::new(),
            media: Vec::new(),
            presence: Vec::new(),
            webhooks: Vec::new(),
            answers: BTreeMap::new(),
            hung_up: BTreeSet::new(),
            closed: false,
            sids: BTreeMap::new(),
            in_media: BTreeSet::new(),
            owner_by_track: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            may: BTreeMap::new(),
            entries: BTreeMap::new(),
            version_by_listener: BTreeMap::new(),
            rosters: BTreeMap::new(),
        }
    }

    pub(super) fn try_join(
        &mut self,
        intent: JoinIntent,
        limit: Option<u32>,
    ) -> Result<ParticipantKey, JoinRefusal> {
        let key = self.room.handle_join(intent, limit, self.now)?;
        self.sids.insert(key, self.room.participants[&key].sid.to_string());
        self.settle();
        Ok(key)
    }

    pub(super) fn resume_as(&mut self, intent: ResumeIntent) -> Option<ParticipantKey> {
        let resumed = self.room.handle_resume(intent, self.now);
        if let Some(key) = resumed {
            self.hung_up.remove(&key);
        }
        self.settle();
        resumed
    }

    pub(super) fn request(&mut self, key: ParticipantKey, request: Request) {
        self.room.handle_request(key, request, self.now);
        self.settle();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.room.handle_media_event(event, self.now);
        self.settle();
    }

    pub(super) fn outcome(&mut self, key: ParticipantKey, outcome: OfferOutcome) {
        self.room.handle_offer_outcome(key, 1, Ok(outcome), self.now);
        self.settle();
    }

    /// Lets time pass, timer by timer.
    pub(super) fn advance(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some(at) = self.room.poll_timeout().filter(|at| *at <= end) {
            self.now.wall += at - self.now.instant;
            self.now.instant = at;
            self.room.handle_timeout(self.now);
            self.settle();
        }
        self.now.wall += end - self.now.instant;
        self.now.instant = end;
    }

    /// Takes every output in, and checks that it makes sense.
    pub(super) fn settle(&mut self) {
        while let Some(output) = self.room.poll_output() {
            assert!(!self.closed, "{output:?} came after the end");
            match output {
                Output::Send { to, message } => self.receive(to, &message),
                Output::HangUp { participant } => {
                    self.hung_up.insert(participant);
                }
                Output::Media(command) => {
                    self.model(&command);
                    self.media.push(command);
                }
                Output::Presence(event) => {
                    self.follow(&event);
                    self.presence.push(event);
                }
                Output::Webhook(event) => {
                    serde_json::to_value(&*event).expect("an operator's backend can read it");
                    self.webhooks.push(*event);
                }
                Output::CallAnswered { call, answer } => {
                    assert!(self.answers.insert(call, answer).is_none(), "{call:?} was answered twice");
                }
                Output::Closed => self.closed = true,
            }
        }
        self.compare_rosters();
    }

    fn receive(&mut self, to: ParticipantKey, message: &SignalResponse) {
        assert!(!self.hung_up.contains(&to), "{message:?} was sent after the farewell");
        check_encoding(message);
        let message = message.message.clone().expect("a message says something");
        match &message {
            Response::Join(join) => {
                let others = join.other_participants.iter();
                let roster = others.map(|info| (info.identity.clone(), info.sid.clone())).collect();
                self.rosters.insert(to, roster);
            }
            Response::Update(update) => {
                for info in &update.participants {
                    self.learn(to, info);
                }
            }
            _ => {}
        }
        self.messages.entry(to).or_default().push(message);
    }

    fn learn(&mut self, listener: ParticipantKey, info: &ParticipantInfo) {
        let known = self.version_by_listener.entry((listener, info.sid.clone())).or_default();
        assert!(info.version >= *known, "the version of {} went back", info.identity);
        *known = info.version;
        // Older clients know others by sid, newer ones by identity.
        let client = self.room.participants.get(&listener).map_or(0, |it| it.client.protocol);
        let roster = self.rosters.entry(listener).or_default();
        let is_meant = client >= REPLACES_BY_IDENTITY || roster.get(&info.identity) == Some(&info.sid);
        if self.sids.get(&listener) == Some(&info.sid) {
            // Everybody is in its own list.
        } else if info.state() != State::Disconnected {
            roster.insert(info.identity.clone(), info.sid.clone());
        } else if is_meant {
            roster.remove(&info.identity);
        }
    }

    /// Every client that can be told sees those who are there and do not hide, and nobody else. Who has just come takes
    /// a moment to be announced, and until then an earlier session of the same identity stands for it.
    fn compare_rosters(&self) {
        let nobody = BTreeMap::new();
        for (listener, it) in &self.room.participants {
            if it.signal != Signal::Open || self.hung_up.contains(listener) {
                continue;
            }
            let roster = self.rosters.get(listener).unwrap_or(&nobody);
            let others = self.room.participants.iter().filter(|(key, _)| *key != listener);
            let visible: BTreeMap<&str, (&str, bool)> = others
                .filter(|(_, other)| !other.grant.hidden)
                .map(|(key, other)| {
                    (other.identity(), (other.sid.as_str(), self.room.unannounced.contains(key)))
                })
                .collect();
            for (identity, sid) in roster {
                let there = visible.get(identity.as_str());
                let is_there = there.is_some_and(|(now, is_new)| now == sid || *is_new);
                assert!(is_there, "{} still sees {identity} ({sid})", it.identity());
            }
            for (identity, (sid, is_new)) in visible {
                let is_seen = roster.get(identity).is_some_and(|seen| seen == sid);
                assert!(is_seen || is_new, "{} does not see {identity} ({sid})", it.identity());
            }
        }
    }

    pub(super) fn model(&mut self, command: &MediaCommand) {
        match command {
            MediaCommand::Join(spec) => {
                assert!(self.in_media.insert(spec.participant));
                self.may.insert(spec.participant, spec.may);
            }
            MediaCommand::Leave { participant } => {
                assert!(self.in_media.remove(participant));
                self.owner_by_track.retain(|_, owner| owner != participant);
                let tracks = &self.owner_by_track;
                self.subscribed.retain(|(key, track)| key != participant && tracks.contains_key(track));
            }
            MediaCommand::Publish { participant, track } => {
                assert!(self.owner_by_track.insert(track.track, *participant).is_none());
            }
            MediaCommand::Unpublish { participant, track } => {
                assert_eq!(self.owner_by_track.remove(track), Some(*participant));
                self.subscribed.retain(|(_, subscribed)| subscribed != track);
            }
            MediaCommand::SetPermissions { participant, may } => {
                assert!(self.in_media.contains(participant));
                self.may.insert(*participant, *may);
            }
            MediaCommand::Subscribe { participant, track } => {
                let owner = self.owner_by_track.get(track).expect("the track exists");
                assert!(owner != participant && self.in_media.contains(participant));
                assert!(self.may[participant].subscribe && self.may[owner].publish);
                assert!(self.subscribed.insert((*participant, *track)));
            }
            MediaCommand::Unsubscribe { participant, track } => {
                assert!(self.subscribed.remove(&(*participant, *track)));
            }
            MediaCommand::SetPaused { participant, track, .. } => {
                assert!(self.subscribed.contains(&(*participant, *track)));
            }
            MediaCommand::SetMuted { participant, track, .. } => {
                assert_eq!(self.owner_by_track.get(track), Some(participant));
            }
            MediaCommand::Offer { participant, .. }
            | MediaCommand::Answer { participant, .. }
            | MediaCommand::Trickle { participant, .. }
            | MediaCommand::Resume { participant } => assert!(self.in_media.contains(participant)),
            MediaCommand::SendData { to, .. } => assert!(to.iter().all(|key| self.in_media.contains(key))),
            MediaCommand::CloseRoom => assert!(self.in_media.is_empty()),
        }
    }

    pub(super) fn follow(&mut self, event: &PresenceEvent) {
        match event {
            PresenceEvent::Joined { entry, .. } => {
                assert!(self.entries.insert(entry.user_id.clone(), entry.clone()).is_none());
            }
            PresenceEvent::Updated { entry, .. } => {
                assert!(self.entries.insert(entry.user_id.clone(), entry.clone()).is_some());
            }
            PresenceEvent::Left { user_id, .. } => assert!(self.entries.remove(user_id).is_some()),
            PresenceEvent::Speaking { user_ids, .. } => {
                for entry in self.entries.values_mut() {
                    entry.speaking = user_ids.contains(&entry.user_id);
                }
            }
        }
    }
}

/// Whatever a client speaks, it can be told. What it asked for itself comes back to it as it came.
fn check_encoding(message: &SignalResponse) {
    let mut message = message.clone();
    if let Some(Response::RequestResponse(response)) = &mut message.message {
        response.request = None;
    }
    for framing in [Framing::Binary, Framing::Json] {
        Frame::encode(&message, framing).expect("every message can be written");
    }
}

pub(super) fn grant() -> VideoGrant {
    VideoGrant { room_join: true, room: "lobby".into(), ..VideoGrant::default() }
}

pub(super) fn intent(identity: &str) -> JoinIntent {
    JoinIntent {
        claims: Claims { video: None, ..Claims::for_room(identity, identity, "lobby") },
        grant: grant(),
        client: ClientInfo { protocol: 17, ..ClientInfo::default() },
        from: None,
        host: Some("talk.example".into()),
        mode: ConnectionMode::Single,
        auto_subscribe: true,
        add_tracks: Vec::new(),
        offer: None,
        extra_addresses: Vec::new(),
    }
}

pub(super) fn add_track(cid: &str) -> AddTrackRequest {
    AddTrackRequest {
        cid: cid.into(),
        r#type: TrackType::Audio.into(),
        source: TrackSource::Microphone.into(),
        ..AddTrackRequest::default()
    }
}

pub(super) fn outcome(published: &[TrackKey], unpublished: &[TrackKey]) -> OfferOutcome {
    OfferOutcome {
        answer: "v=0".into(),
        sending: Vec::new(),
        published: published.iter().map(|track| (*track, Mid("3".into()), TrackFormat::Red)).collect(),
        unpublished: unpublished.to_vec(),
    }
}
