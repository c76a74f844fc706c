//! The seam between the control plane and the media workers: typed commands down, typed events up, keys and plain data.
//!
//! Nothing above it may assume that the worker is local.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::gauges::{Gauges, MediaCounters};
use super::handover::Announcement;
use super::room::RoomHandle;
use super::streams::Accepted;
use crate::framing::Framing;
use crate::outbox::Frames;
use crate::transport::Way;
use crate::turn::stun::Family;
use crate::{Mid, Mirrored, ParticipantKey, RoomKey, TrackKey};

/// How a participant's media travels: LiveKit's `/rtc/v1` (one connection, the client offers) or `/rtc` (two, we offer
/// the subscriber one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionMode {
    Single,
    Dual,
}

/// Which of a participant's peer connections. In [`ConnectionMode::Single`] there is only the publisher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerConnection {
    Publisher,
    Subscriber,
}

/// What a participant may do with media, enforced per packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    pub publish: bool,
    pub subscribe: bool,
}

/// A participant about to join a room.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    pub room: RoomKey,
    pub participant: ParticipantKey,
    pub mode: ConnectionMode,
    pub may: Permissions,
    /// First half of the stream id that others see in SDP: the `PA_` sid.
    pub label: String,
    /// Addresses to advertise beside the worker's own, most wanted first: the one the client reached us by.
    pub extra_addresses: Vec<IpAddr>,
    /// The only way by which its connections may be reached; `None` is any.
    pub only: Option<Way>,
}

/// A track that a participant announced and will send.
#[derive(Clone, Debug)]
pub struct TrackSpec {
    pub track: TrackKey,
    /// The client's own name of it (`add_track.cid`), found again in its SDP.
    pub cid: String,
    /// The name that others see in SDP: the `TR_` sid.
    pub label: String,
    pub muted: bool,
    /// A microphone counts towards the speaker list, other audio does not.
    pub microphone: bool,
    pub red: bool,
    pub stereo: bool,
    pub dtx: bool,
}

/// How a track turned out on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackFormat {
    Opus,
    /// Opus inside RED (RFC 2198).
    Red,
}

/// What came of a client's offer.
#[derive(Clone, Debug)]
pub struct OfferOutcome {
    pub answer: String,
    /// Every section on which we send, with the track bound to it: complete each time.
    pub sending: Vec<(Mid, TrackKey)>,
    /// Tracks of this participant that have a section and had none before this offer.
    pub published: Vec<(TrackKey, Mid, TrackFormat)>,
    /// Tracks of this participant whose section the client gave up in this offer.
    pub unpublished: Vec<TrackKey>,
}

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("participant {0} has joined before")]
    Duplicate(ParticipantKey),
    #[error("the media workers have stopped")]
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub enum NegotiationError {
    #[error("participant {0} is not in a room")]
    UnknownParticipant(ParticipantKey),
    #[error("the session description is not acceptable: {0}")]
    Sdp(String),
    #[error("no {0:?} connection exists or no answer is awaited on it")]
    WrongState(PeerConnection),
    #[error("the media workers have stopped")]
    Stopped,
}

/// Why a connection ended on the media side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// The handshake failed, or the certificate is not the one that was signalled.
    Dtls,
    /// The peer closed the connection.
    Closed,
    /// A defect in one session's stack, contained.
    Panic,
}

/// Whether the peer of a connection is heard, by ICE: media may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is heard again.
    Heard,
    /// Nothing has been heard for 10 seconds; it may come back by itself.
    Silent,
    /// No path is left, or none was found in 30 seconds. What was agreed is kept, and an ICE restart begins anew: the
    /// client's offer on the publisher connection, [`RoomHandle::resume`] on the subscriber one.
    Lost,
}

/// What media of a participant travels by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    Udp,
    /// A stream of the client's (RFC 6544).
    Tcp,
    /// Through our TURN server, to which the client talks by UDP.
    RelayedUdp,
    RelayedTcp,
    RelayedTls,
}

/// The path of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPath {
    pub kind: PathKind,
    /// Of the client's own address, also where that is relayed.
    pub family: Family,
    /// `None` before it is known.
    pub round_trip: Option<Duration>,
}

/// What a participant's connection is like, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionQuality {
    Excellent,
    Good,
    Poor,
    /// Nothing is heard of it.
    Lost,
}

/// One participant's connection, judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    pub participant: ParticipantKey,
    pub quality: ConnectionQuality,
    /// What people would say of it: 1 (bad) to 4.5 (ITU-T P.800.1).
    pub score: f32,
}

/// One participant's place in the speaker list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    pub participant: ParticipantKey,
    /// 0 to 1, linear, in steps of 1/8; 0 when no longer active.
    pub level: f32,
    pub active: bool,
}

/// Which sort of data channel a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// In order, and repeated until it arrives.
    Reliable,
    /// In any order, and never repeated.
    Lossy,
    /// A channel of the client's own, with a label that LiveKit does not know.
    Raw { binary: bool },
}

/// What the media plane tells the control plane, unasked.
#[derive(Clone, Debug)]
pub enum Event {
    /// DTLS is up on this connection for the first time.
    Connected { participant: ParticipantKey, connection: PeerConnection },
    /// The connection is gone for good; the participant stays until [`Command::Leave`].
    Failed { participant: ParticipantKey, connection: PeerConnection, reason: FailReason },
    /// The peer of a connection is no longer heard, or is heard again. Nothing is said of one that is reached at first.
    Reach { participant: ParticipantKey, connection: PeerConnection, reach: Reach },
    /// A connection's path was found, has changed, or is much longer or shorter than was said; a change at most every few
    /// seconds. A path that is lost is [`Event::Reach`].
    Path { participant: ParticipantKey, connection: PeerConnection, path: MediaPath },
    /// Dual mode: send this to the client; its answer comes back by [`MediaHandle::answer`].
    SubscriberOffer { participant: ParticipantKey, sdp: String, sending: Vec<(Mid, TrackKey)> },
    /// Ask the client for this many more receiving sections, in single mode; 0 asks only for a new offer, in either.
    SectionsRequired { participant: ParticipantKey, audio: u32 },
    /// A track that was announced after its section was offered: it is bound as if by [`OfferOutcome::published`].
    Published { participant: ParticipantKey, track: TrackKey, mid: Mid, format: TrackFormat },
    /// `subscriber` can hear `track` from here on: bound and connected.
    Subscribed { track: TrackKey, subscriber: ParticipantKey },
    /// Those whose level or activity changed (a delta) in this room.
    Speakers { room: RoomKey, changes: Vec<Speaker> },
    /// Those whose connection has become better or worse, and those who are new (a delta) in this room.
    Quality { room: RoomKey, changes: Vec<Quality> },
    /// The participant has sent a message on a data channel.
    Data { participant: ParticipantKey, kind: DataKind, message: Bytes },
}

/// What the control plane asks of a worker. Made through [`MediaHandle`] and [`RoomHandle`].
#[derive(Debug)]
pub enum Command {
    OpenRoom {
        room: RoomKey,
        events: mpsc::UnboundedSender<Event>,
    },
    CloseRoom {
        room: RoomKey,
    },
    /// The room may have members on another worker from now on.
    ExtendRoom {
        room: RoomKey,
        worker: u8,
    },
    Join {
        spec: JoinSpec,
        reply: oneshot::Sender<Result<(), JoinError>>,
    },
    Leave {
        participant: ParticipantKey,
    },
    Resume {
        participant: ParticipantKey,
    },
    Offer {
        participant: ParticipantKey,
        sdp: String,
        reply: oneshot::Sender<Result<OfferOutcome, NegotiationError>>,
    },
    Answer {
        participant: ParticipantKey,
        sdp: String,
        reply: oneshot::Sender<Result<(), NegotiationError>>,
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
    SetPermissions {
        participant: ParticipantKey,
        may: Permissions,
    },
    SendData {
        to: Vec<ParticipantKey>,
        kind: DataKind,
        message: Bytes,
    },
    /// Takes a stream over for media.
    Adopt {
        accepted: Accepted,
    },
    /// What has arrived on another worker, or at its TURN server, for the core here.
    Arrivals {
        datagrams: Frames,
    },
    /// What another worker has told of rooms with members on both.
    Mirrored {
        from: usize,
        told: Mirrored,
    },
    /// The memory of such a message comes back, empty.
    Spent {
        told: Mirrored,
    },
    /// Another worker on the same port has found out where a peer of its own is.
    Claim(Announcement),
    /// What another worker sends to clients of the TURN server here.
    ToClients {
        datagrams: Frames,
    },
    /// Clients are told of this address, on some worker: they may reach it through TURN.
    NameAddress {
        address: IpAddr,
    },
    /// A router in front of this machine has these addresses.
    External {
        addresses: Vec<IpAddr>,
    },
    /// A participant has left: their TURN credentials open nothing any more.
    RevokeRelay {
        participant: String,
    },
    Stop,
}

/// The way to one worker: where its commands go, and the means to wake it.
#[derive(Clone, Debug)]
pub(super) struct WorkerLink {
    pub(super) commands: std::sync::mpsc::Sender<Command>,
    pub(super) waker: Arc<mio::Waker>,
    pub(super) gauges: Arc<Gauges>,
    /// Participants that rooms have placed there: at once, where the gauges follow.
    pub(super) placed: Arc<AtomicUsize>,
}

impl WorkerLink {
    pub(super) fn send(&self, command: Command) {
        // A worker that has stopped answers nothing: the reply channels inside the command close, which callers see.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }

    /// Sends what can wait until the worker wakes for something else.
    pub(super) fn leave(&self, command: Command) {
        // One that has stopped wants nothing back.
        let _ = self.commands.send(command);
    }
}

/// The control plane's end of the media workers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaHandle {
    workers: Arc<[WorkerLink]>,
    /// Members of one room on one worker, before another is taken.
    members_per_worker: usize,
}

impl MediaHandle {
    pub(super) fn new(workers: Vec<WorkerLink>, members_per_worker: usize) -> Self {
        Self { workers: workers.into(), members_per_worker }
    }

    /// What all workers have done so far, added up.
    pub fn counters(&self) -> MediaCounters {
        let mut sum = MediaCounters::default();
        for worker in self.workers.iter() {
            let MediaCounters { core, socket, streams } = worker.gauges.counters();
            sum.core += core;
            sum.socket += socket;
            sum.streams += streams;
        }
        sum
    }

    /// Sessions that exist on the media plane.
    pub fn participants(&self) -> usize {
        self.workers.iter().map(|worker| worker.gauges.participants()).sum()
    }

    /// Whether every worker's thread is running.
    pub fn is_alive(&self) -> bool {
        self.workers.iter().all(|worker| worker.gauges.is_alive())
    }

    /// Gives a stream to a worker. With frames of RFC 4571 it is the one that the first frame is for, which has to be there
    /// whole: the stream comes back if that is no STUN request, or names nobody's credentials. A TURN client may go to any.
    pub fn adopt(&self, accepted: Accepted) -> Result<(), Accepted> {
        let worker = match accepted.framing {
            Framing::Rfc4571 => accepted.worker().and_then(|number| self.workers.get(number)),
            Framing::Turn => self.workers.iter().min_by_key(|worker| worker.gauges.participants()),
        };
        match worker {
            Some(worker) => {
                worker.send(Command::Adopt { accepted });
                Ok(())
            }
            None => Err(accepted),
        }
    }

    /// Names these addresses, of a router in front of this machine, to whoever joins from now on.
    pub fn set_external(&self, addresses: &[IpAddr]) {
        for worker in self.workers.iter() {
            worker.send(Command::External { addresses: addresses.to_vec() });
        }
    }

    /// Opens a room, which goes to a worker when somebody joins. Events of the room arrive on the receiver, those of each participant in
    /// order; closing the room is [`RoomHandle::close`].
    pub fn open_room(&self, room: RoomKey) -> (RoomHandle, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (RoomHandle::new(room, self.workers.clone(), self.members_per_worker, events), receiver)
    }
}
