//! One worker's rooms as one value: datagrams, commands and the time go in; datagrams, events and a deadline come out.
//!
//! The commands are methods too: those about who is where and hears whom are in `control.rs`, those about session
//! descriptions in `negotiate.rs`. What a packet goes through is in `forward/`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime};

use rand::rngs::StdRng;
use slab::Slab;
use tracing::{debug, error, trace};

use crate::connection::{Claim, Connection, Remote, TransactionId};
use crate::net::{Event, FailReason, PeerConnection, Reach};
use crate::outbox::{Departures, Frames};
use crate::relayed;
use crate::room::{Participant, Publication, Room};
use crate::rtp::srtp::SrtpKeys;
use crate::timer::Wheel;
use crate::transport::{
    DatagramKind, FailCause, Identity, Output, Path, Protocol, TransportEvent, stun_local_ufrag,
};
use crate::{Config, Counters, Mirrored, Outbox, ParticipantKey, RoomKey, TrackKey, demux};

/// The selective forwarding unit: the rooms of one worker.
///
/// After every call of a `handle_*` method or a command, take what is in [`Self::outbox`] and [`Self::poll_event`], then
/// sleep until [`Self::next_timeout`] at the latest and call [`Self::handle_timeout`].
#[derive(Debug)]
pub struct Sfu {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) rng: StdRng,
    pub(crate) clock: Clock,
    pub(crate) rooms: HashMap<RoomKey, Room>,
    pub(crate) participants: Slab<Participant>,
    pub(crate) participant_by_key: HashMap<ParticipantKey, usize>,
    pub(crate) publications: Slab<Publication>,
    pub(crate) publication_by_track: HashMap<TrackKey, usize>,
    pub(crate) connections: Slab<Connection>,
    pub(crate) connection_by_remote: HashMap<Remote, usize>,
    pub(crate) connection_by_ufrag: HashMap<String, usize>,
    pub(crate) connection_by_probe: HashMap<TransactionId, usize>,
    pub(crate) wheel: Wheel<Timer>,
    due: Vec<Timer>,
    pub(crate) departures: Departures,
    pub(crate) events: VecDeque<(RoomKey, Event)>,
    claims: Vec<(Remote, Claim)>,
    /// What the other workers have to know of rooms that they share, by their number.
    pub(crate) mirrored: Vec<Mirrored>,
    pub(crate) counters: Counters,
}

/// What the wheel wakes us for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    Connection(usize),
    Negotiation(usize),
    Speakers(RoomKey),
    Quality(RoomKey),
}

/// One reading of both clocks, from which the wall time at any instant follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    instant: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(crate) fn wall_at(&self, now: Instant) -> SystemTime {
        self.wall + now.saturating_duration_since(self.instant)
    }
}

impl Sfu {
    /// An empty unit. `rng` is the source of SSRCs, first sequence numbers and ICE credentials; the ICE and DTLS crates
    /// draw randomness of their own besides.
    pub fn new(config: Config, identity: Identity, rng: StdRng, now: Instant, wall: SystemTime) -> Self {
        Self {
            config,
            identity,
            rng,
            clock: Clock { instant: now, wall },
            rooms: HashMap::new(),
            participants: Slab::new(),
            participant_by_key: HashMap::new(),
            publications: Slab::new(),
            publication_by_track: HashMap::new(),
            connections: Slab::new(),
            connection_by_remote: HashMap::new(),
            connection_by_ufrag: HashMap::new(),
            connection_by_probe: HashMap::new(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            departures: Departures::default(),
            events: VecDeque::new(),
            claims: Vec::new(),
            mirrored: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one datagram that arrived at `local` from `remote`. Its bytes are decrypted in place.
    pub fn handle_datagram(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &mut [u8], now: Instant) {
        self.handle_arrival(Path::udp(local, remote), bytes, now);
    }

    /// Takes what was in one frame (RFC 4571) of a stream that was accepted at `local`. Its bytes are decrypted in place.
    pub fn handle_frame(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &mut [u8], now: Instant) {
        self.handle_arrival(Path::tcp(local, remote), bytes, now);
    }

    /// Takes what a TURN client has sent from its relayed address. Its bytes are decrypted in place.
    pub(crate) fn handle_relayed(&mut self, path: Path, bytes: &mut [u8], now: Instant) {
        self.handle_arrival(path, bytes, now);
    }

    /// A stream has ended: nobody is reached by it any more.
    pub fn stream_closed(&mut self, local: SocketAddr, remote: SocketAddr, now: Instant) {
        let path = Path::tcp(local, remote);
        let Some(&connection) = self.connection_by_remote.get(&path.into()) else { return };
        self.contain(connection, |sfu| {
            sfu.connections[connection].transport.path_closed(path, now);
            sfu.drive(connection, now);
        });
    }

    fn handle_arrival(&mut self, path: Path, bytes: &mut [u8], now: Instant) {
        self.counters.datagrams += 1;
        // Most frequent first: a speaker sends fifty RTP packets a second, a STUN check every few.
        match demux::kind(bytes) {
            Some(demux::Kind::Rtp) => {
                self.with_validated(path, |sfu, connection| sfu.handle_rtp(connection, bytes, now))
            }
            Some(demux::Kind::Rtcp) => {
                self.with_validated(path, |sfu, connection| sfu.handle_rtcp(connection, bytes, now))
            }
            Some(demux::Kind::Stun) => self.handle_stun(path, bytes, now),
            Some(demux::Kind::Dtls) => self.with_validated(path, |sfu, connection| {
                sfu.connections[connection].transport.handle_datagram(DatagramKind::Dtls, path, bytes, now);
                sfu.drive(connection, now);
            }),
            None => self.counters.unvalidated += 1,
        }
    }

    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(now, &mut due);
        for timer in due.drain(..) {
            match timer {
                Timer::Connection(connection) => self.connection_timeout(connection, now),
                Timer::Negotiation(participant) => self.negotiation_timeout(participant, now),
                Timer::Speakers(room) => self.judge_speakers(room, now),
                Timer::Quality(room) => self.judge_quality(room, now),
            }
        }
        self.due = due;
    }

    /// When to call [`Self::handle_timeout`] next; `None` while nothing is scheduled.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.wheel.next_expiry()
    }

    /// Datagrams to send, in order. Clear it once they are sent.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.departures.datagrams
    }

    /// What to send on streams, in order. Clear it once it is sent.
    pub fn frames(&mut self) -> &mut Frames {
        &mut self.departures.frames
    }

    /// What to send to relayed addresses, in order. Clear it once it is sent.
    pub fn relayed(&mut self) -> &mut Frames {
        &mut self.departures.relayed
    }

    /// The next event and the room it belongs to. `None` means nothing more for now.
    pub fn poll_event(&mut self) -> Option<(RoomKey, Event)> {
        self.events.pop_front()
    }

    /// What the workers on the same port have to know, in order.
    pub(crate) fn take_claims(&mut self) -> impl Iterator<Item = (Remote, Claim)> {
        self.claims.drain(..)
    }

    /// Whether a peer is there, by ICE.
    pub(crate) fn has_peer_at(&self, remote: Remote) -> bool {
        self.connection_by_remote.contains_key(&remote)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Participants at present.
    pub fn participants(&self) -> usize {
        self.participants.len()
    }

    /// Runs `f` for the connection whose peer has proved by ICE that it is at the other end of `path`.
    fn with_validated(&mut self, path: Path, f: impl FnOnce(&mut Self, usize)) {
        match self.connection_by_remote.get(&path.into()) {
            Some(&connection) => self.contain(connection, |sfu| f(sfu, connection)),
            None => {
                self.counters.unvalidated += 1;
                trace!(remote = %path.remote, "datagram from an address that is not validated");
            }
        }
    }

    fn handle_stun(&mut self, path: Path, bytes: &[u8], now: Instant) {
        // What comes from a network cannot come from a relayed address.
        let is_forged = path.protocol == Protocol::Udp && relayed::is_relayed(path.remote.ip());
        let Some(connection) = self.connection_of_stun(bytes).filter(|_| !is_forged) else {
            self.counters.unvalidated += 1;
            return;
        };
        self.contain(connection, |sfu| {
            sfu.connections[connection].transport.handle_datagram(DatagramKind::Stun, path, bytes, now);
            sfu.drive(connection, now);
        });
    }

    /// A question names our credentials, an answer the transaction of our question.
    fn connection_of_stun(&mut self, bytes: &[u8]) -> Option<usize> {
        if let Some(ufrag) = stun_local_ufrag(bytes) {
            return self.connection_by_ufrag.get(ufrag).copied();
        }
        let id = bytes.get(8..)?.first_chunk::<12>()?;
        self.connection_by_probe.remove(id)
    }

    /// Runs `f` so that a panic in it ends this connection's session and nothing else.
    pub(crate) fn contain(&mut self, connection: usize, f: impl FnOnce(&mut Self)) {
        // What `f` leaves half done is the connection's own state, which is not touched again; the tables around it
        // are changed in single steps.
        if catch_unwind(AssertUnwindSafe(|| f(self))).is_err() {
            error!(connection, "a session's stack panicked; the session ends");
            self.fail(connection, FailReason::Panic);
        }
    }

    /// Takes everything that a connection's transport has to say, and sets its next deadline.
    pub(crate) fn drive(&mut self, index: usize, now: Instant) {
        loop {
            if self.connections[index].failed {
                return;
            }
            match self.connections[index].transport.poll_output(now) {
                Output::Transmit(transmit) => {
                    if let Some(id) = question_id(&transmit.bytes) {
                        self.expect_answer(index, id);
                    }
                    self.departures.push(transmit.path, &transmit.bytes);
                }
                Output::Event(event) => self.handle_transport_event(index, event, now),
                Output::Timeout(_) if self.send_backlog(index) => {}
                Output::Timeout(at) => return self.arm(index, at),
            }
        }
    }

    /// Wakes the connection at `at`, or when its reports are due, whichever is first.
    fn arm(&mut self, index: usize, at: Instant) {
        let connection = &mut self.connections[index];
        let at = if connection.is_connected() { at.min(connection.report_at) } else { at };
        if connection.deadline.is_none_or(|armed| at < armed) {
            connection.deadline = Some(at);
            self.wheel.schedule(at, Timer::Connection(index));
        }
    }

    fn connection_timeout(&mut self, index: usize, now: Instant) {
        // Stale entries are left in the wheel; only the deadline that is still wanted counts.
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.deadline.is_none_or(|deadline| deadline > now) || connection.failed {
            return;
        }
        connection.deadline = None;
        self.contain(index, |sfu| {
            let connection = &mut sfu.connections[index];
            connection.transport.handle_timeout(now);
            if connection.is_connected() && connection.report_at <= now {
                sfu.report(index, now);
            }
            sfu.drive(index, now);
        });
    }

    fn expect_answer(&mut self, index: usize, id: TransactionId) {
        if let Some(given_up) = self.connections[index].probe(id) {
            self.connection_by_probe.remove(&given_up);
        }
        self.connection_by_probe.insert(id, index);
    }

    fn handle_transport_event(&mut self, index: usize, event: TransportEvent, now: Instant) {
        match event {
            TransportEvent::Validated(path) => self.validated(index, path.into()),
            TransportEvent::Nominated(path) => self.nominated(index, path),
            TransportEvent::Connected(keys) => self.connected(index, &keys, now),
            TransportEvent::Failed(FailCause::Dtls | FailCause::FingerprintMismatch) => {
                self.fail(index, FailReason::Dtls);
            }
            TransportEvent::Closed => self.fail(index, FailReason::Closed),
            TransportEvent::IceDisconnected => self.emit_reach(index, Reach::Silent),
            TransportEvent::IceRecovered => self.emit_reach(index, Reach::Heard),
            TransportEvent::IceFailed => self.lose_path(index),
            TransportEvent::ChannelOpen { channel, spec } => self.channel_opened(index, channel, &spec, now),
            TransportEvent::Data { channel, binary, bytes } => {
                self.data_received(index, channel, binary, bytes);
            }
            TransportEvent::ChannelClosed { channel } => self.channel_closed(index, channel),
        }
    }

    /// The peer knows our credentials, but not that it receives at this address: nobody else's is taken away for it.
    fn validated(&mut self, index: usize, remote: Remote) {
        if self.connection_by_remote.contains_key(&remote) {
            return;
        }
        self.route(index, remote);
        self.claim(remote, Claim::Validated);
    }

    fn nominated(&mut self, index: usize, path: Path) {
        debug!(connection = index, protocol = ?path.protocol, local = %path.local, remote = %path.remote, "path nominated");
        self.connections[index].egress.path = Some(path);
        self.route(index, path.into());
        self.claim(path.into(), Claim::Nominated);
        // Later changes wait for the next review, so that a client cannot make many.
        if self.connections[index].told_path.is_none() {
            self.review_path(index);
        }
    }

    /// Takes datagrams from an address for those of this connection.
    fn route(&mut self, index: usize, remote: Remote) {
        if let Some(given_up) = self.connections[index].validate(remote)
            && self.connection_by_remote.get(&given_up) == Some(&index)
        {
            self.connection_by_remote.remove(&given_up);
            self.claim(given_up, Claim::Released);
        }
        self.connection_by_remote.insert(remote, index);
    }

    /// A stream is one worker's from its first message on; all else arrives where the system likes.
    fn claim(&mut self, remote: Remote, claim: Claim) {
        if self.config.shares_port && remote.protocol != Protocol::Tcp {
            self.claims.push((remote, claim));
        }
    }

    fn connected(&mut self, index: usize, keys: &SrtpKeys, now: Instant) {
        let connection = &mut self.connections[index];
        connection.inbound = Some(keys.inbound());
        connection.egress.outbound = Some(keys.outbound());
        connection.report_at = now;
        let (participant, which) = (connection.participant, connection.which);
        debug!(connection = index, profile = ?keys.profile(), "connected");
        self.emit_connected(participant, which);
        self.open_data_channels(index);
        self.subscriptions_connected(participant, index);
    }

    fn emit_connected(&mut self, participant: usize, connection: PeerConnection) {
        let Participant { key, room, .. } = self.participants[participant];
        self.events.push_back((room, Event::Connected { participant: key, connection }));
    }

    /// Nothing is sent until ICE has found a path again. What is negotiated stays as it is.
    fn lose_path(&mut self, index: usize) {
        self.connections[index].egress.path = None;
        self.forget_validated(index);
        self.emit_reach(index, Reach::Lost);
    }

    fn emit_reach(&mut self, index: usize, reach: Reach) {
        let Connection { participant, which: connection, .. } = self.connections[index];
        self.note_reach(participant, reach);
        let Participant { key: participant, room, .. } = self.participants[participant];
        debug!(%participant, ?connection, ?reach, "reach changed");
        self.events.push_back((room, Event::Reach { participant, connection, reach }));
    }

    /// Ends a connection for good. The participant stays until it is told to leave.
    pub(crate) fn fail(&mut self, index: usize, reason: FailReason) {
        let connection = &mut self.connections[index];
        if std::mem::replace(&mut connection.failed, true) {
            return;
        }
        let (participant, which) = (connection.participant, connection.which);
        connection.inbound = None;
        connection.egress.outbound = None;
        self.forget_addresses(index);
        self.silence_subscriptions(participant, index);
        let Participant { key, room, .. } = self.participants[participant];
        debug!(participant = %key, connection = ?which, ?reason, "connection failed");
        self.events.push_back((room, Event::Failed { participant: key, connection: which, reason }));
    }

    /// Its addresses may be somebody else's by now.
    fn forget_validated(&mut self, index: usize) {
        for remote in std::mem::take(&mut self.connections[index].validated) {
            if self.connection_by_remote.get(&remote) == Some(&index) {
                self.connection_by_remote.remove(&remote);
                self.claim(remote, Claim::Released);
            }
        }
    }

    /// Takes a connection out of the tables by which datagrams find it.
    pub(crate) fn forget_addresses(&mut self, index: usize) {
        self.forget_validated(index);
        let connection = &mut self.connections[index];
        for ufrag in connection.ufrags.drain(..) {
            self.connection_by_ufrag.remove(&ufrag);
        }
        for id in connection.probes.drain(..) {
            self.connection_by_probe.remove(&id);
        }
    }
}

/// The transaction id, if the datagram is a STUN request (RFC 8489 §5).
fn question_id(bytes: &[u8]) -> Option<TransactionId> {
    (bytes.first_chunk::<2>()? == &[0, 1]).then(|| bytes.get(8..)?.first_chunk().copied()).flatten()
}
