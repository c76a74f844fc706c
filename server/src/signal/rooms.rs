//! The registry of rooms: finds or opens the task of a room by its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use banter_protocol::sid::NodeSid;
use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use banter_sfu::RoomKey;
use banter_sfu::net::MediaHandle;
use futures_util::future;
use livekit_protocol::signal_request;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, info_span};

use super::actor::{self, Actor, RoomCall, RoomMessage, SOCKET_QUEUE, Seat, ToSocket};
use super::members::Members;
use super::presence::PresenceBoard;
use super::room::{JoinIntent, JoinRefusal, Now, ResumeIntent, Room, Server};
use super::settings::{UnknownPreset, Wish};
use super::{ChannelLimits, CloseReason, Directory, PresenceEntry, PresenceEvent, SignalConfig};

/// Messages that may wait for a room's task. Clients that send more wait.
const INBOX: usize = 256;

/// Every room of this process. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    pub(super) shared: Arc<Shared>,
}

/// What there is, and how those who knocked were answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rooms: usize,
    pub participants: usize,
    /// Answers to requests to join, by HTTP status; 101 is those who were let in.
    pub answers: BTreeMap<u16, u64>,
}

pub(super) struct Shared {
    pub(super) config: SignalConfig,
    server: Arc<Server>,
    media: MediaHandle,
    pub(super) directory: Arc<dyn Directory>,
    members: Members,
    presence: Arc<PresenceBoard>,
    registry: Mutex<Registry>,
    answers: Mutex<BTreeMap<u16, u64>>,
}

struct Registry {
    rooms: BTreeMap<String, OpenRoom>,
    /// Channels that were deleted while a join may have been on its way. Their ids are never used again.
    deleted: BTreeSet<String>,
    shutting_down: bool,
    opened: u32,
    rng: StdRng,
}

#[derive(Clone, Debug)]
pub(super) struct OpenRoom {
    pub(super) key: RoomKey,
    inbox: mpsc::Sender<RoomMessage>,
    occupancy: Arc<AtomicUsize>,
    /// For a connection test: nobody else is told of it.
    is_test: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum JoinError {
    #[error("requested room does not exist")]
    NoRoom,
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("{0}")]
    Excluded(String),
    #[error("the list of members cannot be read; try again")]
    MembersUnavailable,
    #[error(transparent)]
    UnknownPreset(#[from] UnknownPreset),
    #[error("the server has reached its limit of {0} rooms; try again when one has ended")]
    TooManyRooms(usize),
}

/// One client's place in a room. Dropping it tells the room that the client's socket is gone.
#[derive(Debug)]
pub(super) struct Session {
    seat: Seat,
    room: mpsc::Sender<RoomMessage>,
}

impl Rooms {
    /// # Panics
    /// When `config` has no API key: nobody could ever join.
    pub fn new(
        config: SignalConfig,
        media: MediaHandle,
        directory: Arc<dyn Directory>,
        presence: mpsc::UnboundedSender<PresenceEvent>,
    ) -> Self {
        let keys = ApiKeys::new(config.api_keys.clone()).expect("the configuration has an API key");
        let mut rng = StdRng::try_from_rng(&mut SysRng).expect("the system has randomness");
        let program = format!("banter {}", config.version);
        let server = Arc::new(Server {
            node: NodeSid::random(&mut rng),
            program,
            keys,
            development: config.development,
            remote_unmute: config.remote_unmute,
            relay: config.relay.clone(),
        });
        let registry = Registry {
            rooms: BTreeMap::new(),
            deleted: BTreeSet::new(),
            shutting_down: false,
            opened: 0,
            rng,
        };
        Self {
            shared: Arc::new(Shared {
                config,
                server,
                media,
                directory,
                members: Members::new(),
                presence: Arc::new(PresenceBoard::new(presence)),
                registry: Mutex::new(registry),
                answers: Mutex::default(),
            }),
        }
    }

    /// Who is inside each channel at this moment. Channels with nobody inside are absent.
    pub fn presence(&self) -> HashMap<String, Vec<PresenceEntry>> {
        self.shared.presence.snapshot()
    }

    pub fn tally(&self) -> Tally {
        let answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let registry = self.registry();
        let occupancy = |room: &OpenRoom| room.occupancy.load(Ordering::Relaxed);
        Tally {
            rooms: registry.rooms.len(),
            participants: registry.rooms.values().map(occupancy).sum(),
            answers,
        }
    }

    pub(super) fn count_answer(&self, status: u16) {
        *self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    /// How many participants count towards the limit of `room`.
    pub fn occupancy(&self, room: &str) -> usize {
        let registry = self.registry();
        registry.rooms.get(room).map_or(0, |room| room.occupancy.load(Ordering::Relaxed))
    }

    /// Disconnects everyone in `room`, ends it, and waits until its clients have been told. Says whether there was one.
    pub async fn close_room(&self, room: &str, reason: CloseReason) -> bool {
        let open = {
            let mut registry = self.registry();
            if reason == CloseReason::ChannelDeleted {
                registry.deleted.insert(room.to_owned());
            }
            registry.rooms.remove(room)
        };
        match open {
            Some(open) => {
                open.close(reason).await;
                true
            }
            None => false,
        }
    }

    /// The names of the rooms that are open, in their order, without those of connection tests.
    pub(super) fn names(&self) -> Vec<String> {
        let registry = self.registry();
        let listed = registry.rooms.iter().filter(|(_, room)| !room.is_test);
        listed.map(|(name, _)| name.clone()).collect()
    }

    /// Tells everyone in every room that the server ends, and waits until they have been told. Nobody joins after it.
    pub async fn shutdown(&self) {
        let open = {
            let mut registry = self.registry();
            registry.shutting_down = true;
            std::mem::take(&mut registry.rooms)
        };
        future::join_all(open.values().map(|room| room.close(CloseReason::Shutdown))).await;
    }

    /// Runs `call` in the task that owns the room called `name`, after everything that came before, and answers with
    /// what it returned. `None` when there is no such room, or it ends at this moment.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        name: &str,
        call: impl FnOnce(&mut Room, Now) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // Who no longer waits for the answer does not need it.
        let call = RoomCall(Box::new(move |room, now| drop(reply.send(call(room, now)))));
        self.tell(name, RoomMessage::Call(call)).await?;
        answer.await.ok()
    }

    /// Gives a room a message. `None` when there is no such room.
    pub(super) async fn tell(&self, name: &str, message: RoomMessage) -> Option<()> {
        let open = self.registry().rooms.get(name).cloned()?;
        open.inbox.send(message).await.ok()
    }

    pub(super) fn directory(&self) -> &dyn Directory {
        &*self.shared.directory
    }

    pub(super) fn members(&self) -> &Members {
        &self.shared.members
    }

    /// The channels in which a person is seen.
    pub(super) fn channels_of(&self, user: &str) -> Vec<String> {
        self.shared.presence.channels_of(user)
    }

    /// The names of all rooms at this moment.
    pub(super) fn open_rooms(&self) -> Vec<String> {
        self.registry().rooms.keys().cloned().collect()
    }

    pub(super) fn keys(&self) -> &ApiKeys {
        &self.shared.server.keys
    }

    /// Whether a room would take a participant, without letting it in.
    pub(super) async fn has_place(&self, claims: &Claims, grant: &VideoGrant) -> Result<(), JoinError> {
        let channel = self.channel(claims, grant).await?;
        let limit = channel.map(|channel| channel.max_participants);
        let (claims, grant, name) = (claims.clone(), grant.clone(), grant.room.clone());
        let may_open = limit.is_some() || self.opens_on_join(&claims, &grant);
        let admitted = self.call(&name, move |room, now| room.admits(&claims, &grant, limit, now)).await;
        match admitted {
            Some(admitted) => Ok(admitted?),
            // A room that is not there, or ends at this moment, would be opened anew.
            None if may_open => Ok(()),
            None => Err(JoinError::NoRoom),
        }
    }

    /// Lets a participant into its room, which is opened if need be. What the room has to say to the client comes out
    /// of the receiver, the join response first.
    pub(super) async fn enter(
        &self,
        intent: JoinIntent,
    ) -> Result<(Session, mpsc::Receiver<ToSocket>), JoinError> {
        let channel = self.channel(&intent.claims, &intent.grant).await?;
        let limit = channel.as_ref().map(|channel| channel.max_participants);
        let may_open = channel.is_some() || self.opens_on_join(&intent.claims, &intent.grant);
        let wish = may_open.then(|| Wish::from(&intent));
        loop {
            let open = self.open(&intent.grant.room, channel.as_ref(), wish.as_ref())?;
            let (socket, queue) = mpsc::channel(SOCKET_QUEUE);
            let (reply, answer) = oneshot::channel();
            let message = RoomMessage::Join { intent: Box::new(intent.clone()), limit, socket, reply };
            if open.inbox.send(message).await.is_ok() {
                match answer.await {
                    Ok(Ok(seat)) => return Ok((Session { seat, room: open.inbox }, queue)),
                    Ok(Err(JoinRefusal::Closing)) | Err(_) => {}
                    Ok(Err(refusal)) => return Err(refusal.into()),
                }
            }
            // The room has just ended; its successor takes the participant.
            self.forget(&intent.grant.room, open.key);
        }
    }

    /// Whether the bearer of a token may go on with a session, if there is one.
    pub(super) async fn admits_resume(&self, intent: &ResumeIntent) -> Result<(), JoinError> {
        let ResumeIntent { claims, grant, from, .. } = intent;
        self.admit_member(claims, &mut grant.clone(), *from).await?;
        self.channel(claims, grant).await.map(drop)
    }

    /// Gives a participant a new socket. What the room has to say to the client comes out of the receiver, the reconnect
    /// response first. `None` when there is no session that the client could go on with.
    pub(super) async fn resume(
        &self,
        intent: ResumeIntent,
    ) -> Result<Option<(Session, mpsc::Receiver<ToSocket>)>, JoinError> {
        self.admits_resume(&intent).await?;
        let Some(open) = self.registry().rooms.get(&intent.grant.room).cloned() else { return Ok(None) };
        let (socket, queue) = mpsc::channel(SOCKET_QUEUE);
        let (reply, answer) = oneshot::channel();
        let message = RoomMessage::Resume { intent: Box::new(intent), socket, reply };
        // A room that ends at this moment has no sessions any more.
        let sent = open.inbox.send(message).await;
        let seat = if sent.is_ok() { answer.await.unwrap_or(None) } else { None };
        Ok(seat.map(|seat| (Session { seat, room: open.inbox }, queue)))
    }

    /// The channel that a token is for. `None` for other rooms, which only tokens that Banter did not issue may name.
    pub(super) async fn channel(
        &self,
        claims: &Claims,
        grant: &VideoGrant,
    ) -> Result<Option<ChannelLimits>, JoinError> {
        let channel = self.shared.directory.channel(&grant.room).await;
        let channels_only =
            claims.banter_channel || !self.shared.config.other_rooms && claims.banter_test.is_none();
        if channel.is_none() && channels_only { Err(JoinError::NoRoom) } else { Ok(channel) }
    }

    fn opens_on_join(&self, claims: &Claims, grant: &VideoGrant) -> bool {
        self.shared.config.auto_create || grant.room_create || claims.banter_test.is_some()
    }

    /// Finds a room, or opens it as wished. Without a wish it has to be there.
    pub(super) fn open(
        &self,
        name: &str,
        channel: Option<&ChannelLimits>,
        wish: Option<&Wish>,
    ) -> Result<OpenRoom, JoinError> {
        let mut registry = self.registry();
        if registry.shutting_down {
            return Err(JoinError::ShuttingDown);
        }
        if channel.is_some() && registry.deleted.contains(name) {
            return Err(JoinError::NoRoom);
        }
        if let Some(open) = registry.rooms.get(name) {
            return Ok(open.clone());
        }
        let config = &self.shared.config;
        let settings = config.settings(name, channel, wish.ok_or(JoinError::NoRoom)?)?;
        let is_test = settings.test.is_some();
        if registry.rooms.len() >= config.max_rooms {
            return Err(JoinError::TooManyRooms(config.max_rooms));
        }
        registry.opened += 1;
        let key = RoomKey(registry.opened.into());
        let rng = StdRng::from_rng(&mut registry.rng);
        let room = Room::new(key, settings, self.shared.server.clone(), rng, actor::now());
        let (inbox, messages) = mpsc::channel(INBOX);
        let occupancy = Arc::new(AtomicUsize::new(0));
        let media = self.shared.media.open_room(key);
        let actor = Actor::new(
            room,
            media,
            messages,
            self.shared.presence.clone(),
            self.shared.config.webhooks.clone(),
            occupancy.clone(),
        );
        let open = OpenRoom { key, inbox, occupancy, is_test };
        registry.rooms.insert(name.to_owned(), open.clone());
        let (rooms, ended) = (self.clone(), name.to_owned());
        let run = async move {
            actor.run().await;
            rooms.forget(&ended, key);
        };
        tokio::spawn(run.instrument(info_span!(parent: None, "room", name)));
        Ok(open)
    }

    /// Takes a room that has ended off the list, unless its successor is already on it.
    pub(super) fn forget(&self, name: &str, key: RoomKey) {
        let mut registry = self.registry();
        if registry.rooms.get(name).is_some_and(|room| room.key == key) {
            registry.rooms.remove(name);
        }
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenRoom {
    async fn close(&self, reason: CloseReason) {
        let (done, closed) = oneshot::channel();
        if self.inbox.send(RoomMessage::Close { reason, done }).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Session {
    /// Passes a request of the client on. Waits while the room is busy, which slows this client down.
    pub(super) async fn request(&self, message: signal_request::Message) {
        // A room that is over has told the socket to close.
        let message = RoomMessage::Request { from: self.seat, message: Box::new(message) };
        let _ = self.room.send(message).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let message = RoomMessage::SignalClosed { from: self.seat };
        if let Err(mpsc::error::TrySendError::Full(message)) = self.room.try_send(message) {
            let room = self.room.clone();
            tokio::spawn(async move { room.send(message).await });
        }
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("open", &self.registry().rooms.keys()).finish_non_exhaustive()
    }
}
