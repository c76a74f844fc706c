//! The server as one value: messages and the time go in; what becomes of them, and a deadline, come out.
//!
//! What requests mean is in `request`, how they are answered in `answer`, what is passed on in `relay`.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Instant, SystemTime};

use rand::rngs::StdRng;
use slab::Slab;
use tracing::debug;

use super::allocation::Allocation;
use super::auth::{Nonces, User, authenticate};
use super::limits::{Answers, Rate, Tally};
use super::pool::{Pool, ReservationToken};
use super::revocation::Revocations;
use super::stun::{Class, ErrorCode, Header, Message, Method};
use super::{Client, Config, ConfigError, Counters, Limits, Outcome, PeerFilter};

/// A TURN server without sockets and clocks.
///
/// It is due at [`Self::next_timeout`] at the latest; every other method also does what is due by then.
#[derive(Debug)]
pub struct Server {
    pub(super) config: Config,
    pub(super) rng: StdRng,
    pub(super) pool: Pool,
    pub(super) allocations: Slab<Allocation>,
    pub(super) allocation_by_client: HashMap<Client, usize>,
    /// What is to be looked at when, each once: so it can be taken back, and a client cannot make it grow.
    pub(super) deadlines: BTreeSet<(Instant, Deadline)>,
    /// Ports that each participant has, with those kept for a next allocation.
    pub(super) ports_by_participant: Tally<Box<str>>,
    pub(super) allocations_by_source: Tally<IpAddr>,
    pub(super) revocations: Revocations,
    /// What may pass each allocation from its client, and to it.
    pub(super) sending: Rate,
    pub(super) receiving: Rate,
    pub(super) counters: Counters,
    pub(super) nonces: Nonces,
    answers: Answers,
    /// The answer at hand, in memory that is used again.
    pub(super) reply: Vec<u8>,
}

/// Whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    Allocation(usize),
    Reservation(ReservationToken),
}

/// An [`Outcome`] whose reply is the server's own.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    Reply,
    Relay { from: SocketAddr, to: SocketAddr, payload: Range<usize> },
    Close,
}

impl Server {
    /// An empty server. `rng` is the source of its keys, tokens and ports, and has to be a good one.
    pub fn new(config: Config, mut rng: StdRng, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let Limits { sent_bytes_per_second, received_bytes_per_second, burst, .. } = config.limits;
        Ok(Self {
            pool: Pool::new(&config),
            nonces: Nonces::new(&mut rng, now),
            answers: Answers::new(&config.limits, &mut rng, now),
            sending: Rate::new(sent_bytes_per_second, burst),
            receiving: Rate::new(received_bytes_per_second, burst),
            config,
            rng,
            allocations: Slab::new(),
            allocation_by_client: HashMap::new(),
            deadlines: BTreeSet::new(),
            ports_by_participant: Tally::new(),
            allocations_by_source: Tally::new(),
            revocations: Revocations::default(),
            counters: Counters::default(),
            reply: Vec::new(),
        })
    }

    /// Takes one message of a client: a datagram, or a frame of a stream (see [`crate::framing`]). `wall` is only
    /// compared with the expiry of credentials; what has been allocated lives by `now`.
    pub fn handle(&mut self, client: Client, bytes: &[u8], now: Instant, wall: SystemTime) -> Outcome<'_> {
        self.handle_timeout(now);
        // Most frequent first: media comes in channels, and before there is one, in Send indications.
        let action = match bytes.first() {
            Some(0x40..=0x4F) => self.handle_channel_data(client, bytes, now),
            Some(0x00..=0x3F) => self.handle_stun(client, bytes, now, wall),
            Some(_) | None => self.refuse_junk(client),
        };
        match action {
            Action::Nothing => Outcome::Nothing,
            Action::Reply => Outcome::Reply(&self.reply),
            Action::Relay { from, to, payload } => Outcome::Relay { from, to, payload },
            Action::Close => Outcome::Close,
        }
    }

    /// Ends the allocation of a stream that is closed.
    pub fn stream_closed(&mut self, client: Client) {
        if let Some(&index) = self.allocation_by_client.get(&client) {
            self.end(index);
        }
    }

    /// Ends a participant's allocations. His credentials open nothing here any more, although their time is not over:
    /// every server with the same secret has to be told.
    pub fn revoke(&mut self, participant: &str, now: Instant) {
        self.handle_timeout(now);
        let own = |(index, allocation): (usize, &Allocation)| {
            (*allocation.participant == *participant).then_some(index)
        };
        let allocations: Vec<usize> = self.allocations.iter().filter_map(own).collect();
        for index in allocations {
            self.end(index);
        }
        let lost = self.revocations.add(participant, self.config.limits.revocations, now);
        self.counters.revocations_lost += u64::from(lost);
    }

    /// Allows these peers and no others, from now on and also for allocations that exist.
    pub fn set_peers(&mut self, peers: PeerFilter) {
        self.config.peers = peers;
    }

    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, deadline)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, deadline));
            match deadline {
                Deadline::Allocation(index) => self.expire_addresses(index, now),
                Deadline::Reservation(token) => self.expire_reservation(token),
            }
        }
        self.revocations.expire(now);
    }

    /// When to call [`Self::handle_timeout`] next; `None` while nothing is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|&(at, _)| at);
        deadline.into_iter().chain(self.revocations.next_expiry()).min()
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Allocations at present.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// True if a client has a relayed address.
    pub fn has_allocation(&self, client: Client) -> bool {
        self.allocation_by_client.contains_key(&client)
    }

    /// The client that has a relayed address; `None` if nobody has it.
    pub fn client_of(&self, relayed: SocketAddr) -> Option<Client> {
        Some(self.allocations[self.pool.allocation(relayed)?].client)
    }

    /// True if clients may send there. A relayed address is nobody's peer, or two of them could be made a loop
    /// (RFC 8656 §21.1.7).
    pub(super) fn is_peer(&self, peer: SocketAddr) -> bool {
        (self.config.peers.allows(peer) || self.is_echo(peer)) && !self.config.covers(peer)
    }

    /// Whether it is the peer of tests, or its next port, which clients take for the RTCP of that.
    pub(super) fn is_echo(&self, peer: SocketAddr) -> bool {
        let is_one = |port| self.config.echo.is_some_and(|echo| SocketAddr::new(echo.ip(), port) == peer);
        self.config.echo.is_some_and(|echo| is_one(echo.port()) || is_one(echo.port().wrapping_add(1)))
    }

    /// True if there is a peer at this address.
    pub(super) fn is_address_of_peer(&self, address: IpAddr) -> bool {
        self.config.peers.allows_some_port(address)
            || self.config.echo.is_some_and(|echo| echo.ip() == address)
    }

    /// Bytes that are no message. In a stream nobody can tell where the next one begins.
    pub(super) fn refuse_junk(&mut self, client: Client) -> Action {
        self.counters.malformed += 1;
        if client.transport.is_stream() { Action::Close } else { Action::Nothing }
    }

    /// The message of these bytes, whose header has been read.
    pub(super) fn parse<'a>(&mut self, bytes: &'a [u8]) -> Option<Message<'a>> {
        let message = Message::parse(bytes).ok();
        self.counters.malformed += u64::from(message.is_none());
        message
    }

    fn handle_stun(&mut self, client: Client, bytes: &[u8], now: Instant, wall: SystemTime) -> Action {
        let Ok(Header { class, method }) = Header::parse(bytes) else { return self.refuse_junk(client) };
        match (class, method) {
            (Class::Indication, Method::Send) => self.handle_send(client, bytes, now),
            (
                Class::Request,
                Method::Binding
                | Method::Allocate
                | Method::Refresh
                | Method::CreatePermission
                | Method::ChannelBind,
            ) => self.handle_request(client, bytes, now, wall),
            _ => {
                self.counters.ignored += 1;
                Action::Nothing
            }
        }
    }

    /// Those who ask too often cost no more than the look at a header.
    fn handle_request(&mut self, client: Client, bytes: &[u8], now: Instant, wall: SystemTime) -> Action {
        let is_stranger = !self.allocation_by_client.contains_key(&client);
        let source = client.remote.ip();
        if is_stranger && !self.answers.has_one_for(source, now) {
            self.counters.limited += 1;
            return Action::Nothing;
        }
        let Some(request) = self.parse(bytes) else { return Action::Nothing };
        let is_authentic = match request.method() {
            Method::Binding => {
                self.counters.bindings += 1;
                self.answer_binding(client, &request);
                false
            }
            _ => self.serve_user(client, &request, now, wall),
        };
        if is_stranger && !is_authentic {
            self.answers.count(source, now);
        }
        Action::Reply
    }

    /// Answers a request that has to be signed; true if it was, by somebody whom we know.
    fn serve_user(&mut self, client: Client, request: &Message<'_>, now: Instant, wall: SystemTime) -> bool {
        let user = match self.identify(client, request, now, wall) {
            Ok(user) => user,
            Err(error) => {
                self.counters.challenged += 1;
                self.challenge(client, request, error, now);
                return false;
            }
        };
        let result = match request.method() {
            Method::Allocate => self.allocate(client, request, &user, now),
            Method::Refresh => self.refresh(client, request, &user, now),
            Method::CreatePermission => self.create_permission(client, request, &user, now),
            _ => self.bind_channel(client, request, &user, now),
        };
        self.counters.refused += u64::from(result.is_err());
        self.answer(client, request, &result, &user);
        true
    }

    /// Who sent a request. Those whose time is over, or who were sent away, cannot make allocations any more and are to
    /// us like anyone; what was allocated in time goes on, so that long calls do not break.
    fn identify<'a>(
        &self,
        client: Client,
        request: &Message<'a>,
        now: Instant,
        wall: SystemTime,
    ) -> Result<User<'a>, ErrorCode> {
        let is_fresh = |nonce: &[u8]| self.nonces.is_fresh(nonce, client.remote, now);
        let user = authenticate(request, &self.config.secrets, &self.config.realm, is_fresh)?;
        let is_welcome =
            user.username.is_timely(wall) && !self.revocations.contains(user.username.participant);
        if request.method() == Method::Allocate && !is_welcome {
            return Err(ErrorCode::Unauthenticated);
        }
        Ok(user)
    }

    /// Ends an allocation and everything that belongs to it.
    pub(super) fn end(&mut self, index: usize) {
        let allocation = self.allocations.remove(index);
        for address in allocation.addresses() {
            self.pool.free(address);
        }
        self.deadlines.remove(&(allocation.deadline, Deadline::Allocation(index)));
        self.allocation_by_client.remove(&allocation.client);
        self.ports_by_participant.remove(&*allocation.participant);
        self.allocations_by_source.remove(&allocation.client.remote.ip().to_canonical());
        self.counters.ended += 1;
        debug!(participant = %allocation.participant, transport = ?allocation.transport(), "allocation ended");
    }

    /// Puts an allocation into the list for the time at which the first of its addresses expires, or ends it.
    pub(super) fn schedule(&mut self, index: usize) {
        let Some(at) = self.allocations[index].next_expiry() else { return self.end(index) };
        let before = std::mem::replace(&mut self.allocations[index].deadline, at);
        self.deadlines.remove(&(before, Deadline::Allocation(index)));
        self.deadlines.insert((at, Deadline::Allocation(index)));
    }

    pub(super) fn expire_addresses(&mut self, index: usize, now: Instant) {
        for address in self.allocations[index].expire(now).into_iter().flatten() {
            self.pool.free(address);
        }
        self.schedule(index);
    }

    fn expire_reservation(&mut self, token: ReservationToken) {
        if let Some(reservation) = self.pool.redeem(token) {
            self.ports_by_participant.remove(&*reservation.participant);
        }
    }
}
