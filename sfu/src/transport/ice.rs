//! ICE (RFC 8445): str0m's agent, and what a server adds to it: limits on what one peer may make it remember, a path
//! that follows the peer through a NAT rebinding, and a path given up when nothing is heard any more.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, CandidateKind, IceAgent, IceAgentEvent, IceCreds, Sha1HmacProvider};
use rand::CryptoRng;

use super::{Transmit, Way};
use crate::relayed;
use crate::turn::stun::Family;
use crate::turn::{self, Carrier};

/// Between two checks that confirm a path. Also the consent interval (RFC 7675 asks for at most 5 s).
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Between two checks of one agent, Ta of RFC 8445 §14.2. A server has few pairs, so it may be quick.
const PACING: Duration = Duration::from_millis(20);
/// Checks without an answer before a pair is given up; with [`KEEPALIVE`] about [`FAILED_AFTER`].
const CHECK_RETRANSMITS: usize = 8;
/// Silence after which a peer counts as disconnected, and as gone.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(10);
const FAILED_AFTER: Duration = Duration::from_secs(15);
/// Time to find a first path.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence on the path in use that lets another, living one take its place: more than either side's check interval.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// Paths that one peer may have between two restarts. Each costs memory and checks to an address that it chose.
const MAX_PATHS: usize = 64;
/// Addresses of ours, of each sort. The kernel names them, but a spoofed datagram may have been sent to any of a network.
const MAX_LOCAL: usize = 64;
/// Candidates that one peer may signal between two restarts.
const MAX_REMOTE_CANDIDATES: usize = 32;
/// Longest candidate line that is looked at.
const MAX_CANDIDATE_LEN: usize = 512;

/// Which side nominates (RFC 8445 §6.1.1): the one that made the first offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    Controlling,
    Controlled,
}

/// One side's short-term credentials (RFC 8445 §5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub pwd: String,
}

impl IceCredentials {
    /// 48 random bits to be found by and 144 to be known by.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self { ufrag: ice_chars(rng, 8), pwd: ice_chars(rng, 24) }
    }

    /// The same, with the number of a worker (below 64) before it: who accepts a stream finds its owner by it.
    pub fn of_worker(number: u8, rng: &mut impl CryptoRng) -> Self {
        let Self { ufrag, pwd } = Self::random(rng);
        let mark = char::from(ICE_CHARS[usize::from(number % 64)]);
        Self { ufrag: format!("{mark}{ufrag}"), pwd }
    }

    /// The worker that credentials of ours belong to.
    pub fn worker_of(ufrag: &str) -> Option<u8> {
        let mark = ufrag.bytes().next()?;
        ICE_CHARS.iter().zip(0..).find(|(known, _)| **known == mark).map(|(_, number)| number)
    }
}

const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; // RFC 8839 §5.1

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn ice_chars(rng: &mut impl CryptoRng, len: usize) -> String {
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(ICE_CHARS[usize::from(byte % 64)])).collect()
}

/// What datagrams travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Udp,
    /// A stream that the peer has opened (RFC 6544), each datagram in a frame (RFC 4571).
    Tcp,
    /// Through our own TURN server: the remote address is a relayed one.
    Relayed(Carrier),
}

/// Two ends that datagrams travel between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Path {
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, local, remote }
    }

    /// `by` is how the TURN client reaches the server that has given `remote` out.
    pub fn relayed(local: SocketAddr, remote: SocketAddr, by: Carrier) -> Self {
        Self { protocol: Protocol::Relayed(by), local, remote }
    }

    /// `local` is where the stream was accepted, which need not be an address that anybody was told.
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Tcp, local, remote }
    }
}

/// Where datagrams can arrive.
#[derive(Clone, Debug, Default)]
pub struct LocalAddresses {
    pub udp: Vec<SocketAddr>,
    /// Where streams are accepted.
    pub tcp: Vec<SocketAddr>,
}

impl LocalAddresses {
    pub fn udp(addresses: impl Into<Vec<SocketAddr>>) -> Self {
        Self { udp: addresses.into(), tcp: Vec::new() }
    }

    fn candidates(&self) -> impl Iterator<Item = Result<Candidate, is::IceError>> {
        let udp = self.udp.iter().map(|&address| Candidate::host(address, is::Protocol::Udp));
        let tcp = self.tcp.iter().map(|&address| Candidate::host(address, is::Protocol::Tcp));
        udp.chain(tcp)
    }
}

/// Our ufrag in the USERNAME of a STUN request, by which the transport it is for can be found. Proves nothing.
pub fn stun_local_ufrag(datagram: &[u8]) -> Option<&str> {
    let (ours, _theirs) = StunMessage::parse(datagram).ok()?.username()?.split_once(':')?;
    Some(ours)
}

#[derive(Debug)]
pub(super) enum IceEvent {
    Validated(Path),
    Nominated(Path),
    Disconnected,
    Recovered,
    /// The path is given up, or none was found. A restart begins anew.
    Failed,
}

#[derive(Debug)]
pub(super) struct IceSession {
    agent: IceAgent,
    credentials: IceCredentials,
    local: LocalAddresses,
    /// The only way by which the peer may come.
    only: Option<Way>,
    /// Candidates that came before the credentials they belong to.
    early_candidates: Vec<String>,
    candidates_taken: usize,
    /// Where authenticated STUN came from since the last restart.
    paths: Vec<KnownPath>,
    destination: Option<Path>,
    /// What the agent itself has nominated last.
    agents_choice: Option<Path>,
    /// The path that the peer wants by its latest check.
    wanted: Option<Path>,
    liveness: Liveness,
    /// When authenticated STUN was last received on any path.
    heard: Instant,
    events: VecDeque<IceEvent>,
}

#[derive(Debug)]
struct KnownPath {
    path: Path,
    heard: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    /// Nothing to connect to yet.
    New,
    Checking {
        since: Instant,
        /// After a failure.
        again: bool,
    },
    Connected,
    Disconnected,
    Failed,
}

impl IceSession {
    pub(super) fn new(
        role: IceRole,
        credentials: IceCredentials,
        local: LocalAddresses,
        now: Instant,
    ) -> Self {
        let mut agent = IceAgent::with_hmac(to_agent(&credentials.ufrag, &credentials.pwd), &HmacSha1);
        agent.set_controlling(role == IceRole::Controlling);
        agent.set_timing_advance(PACING);
        agent.set_max_stun_rto(KEEPALIVE);
        agent.set_max_stun_retransmits(CHECK_RETRANSMITS);
        for candidate in local.candidates() {
            match candidate {
                Ok(candidate) => {
                    agent.add_local_candidate(candidate);
                }
                Err(error) => tracing::debug!(%error, "local address is no candidate"),
            }
        }
        agent.handle_timeout(now);
        Self {
            agent,
            credentials,
            local,
            only: None,
            early_candidates: Vec::new(),
            candidates_taken: 0,
            paths: Vec::new(),
            destination: None,
            agents_choice: None,
            wanted: None,
            liveness: Liveness::New,
            heard: now,
            events: VecDeque::new(),
        }
    }

    pub(super) fn restrict(&mut self, way: Way) {
        self.only = Some(way);
    }

    pub(super) fn local_credentials(&self) -> &IceCredentials {
        &self.credentials
    }

    pub(super) fn destination(&self) -> Option<Path> {
        self.destination
    }

    /// From the latest check on the path in use that was answered.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        // The agent measures only what it has chosen.
        let measured = self.destination.is_some() && self.destination == self.agents_choice;
        measured.then(|| self.agent.nominated_pair_rtt()).flatten()
    }

    pub(super) fn is_validated(&self, path: Path) -> bool {
        self.paths.iter().any(|known| known.path == path)
    }

    pub(super) fn set_remote(&mut self, ufrag: String, pwd: String, now: Instant) {
        self.agent.set_remote_credentials(IceCreds { ufrag, pass: pwd });
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.pair(&candidate);
        }
        if self.liveness == Liveness::New {
            self.liveness = Liveness::Checking { since: now, again: false };
        }
        self.agent.handle_timeout(now);
    }

    pub(super) fn add_remote_candidate(&mut self, candidate: &str) {
        if self.candidates_taken >= MAX_REMOTE_CANDIDATES || candidate.len() > MAX_CANDIDATE_LEN {
            return;
        }
        self.candidates_taken += 1;
        if self.agent.remote_credentials().is_some() {
            self.pair(candidate);
        } else {
            self.early_candidates.push(candidate.to_owned());
        }
    }

    fn pair(&mut self, candidate: &str) {
        let line = candidate.trim().trim_start_matches("a=");
        match Candidate::from_sdp_string(line) {
            Ok(candidate) if self.is_usable(&candidate) => self.agent.add_remote_candidate(candidate),
            Ok(_) => tracing::trace!("candidate is of no use"),
            Err(error) => tracing::trace!(%error, "candidate not understood"),
        }
    }

    fn is_usable(&self, candidate: &Candidate) -> bool {
        let address = candidate.addr();
        let reachable = match address.ip() {
            ip if ip.is_loopback() => self.local.udp.iter().any(|own| own.ip().is_loopback()),
            ip if ip.is_unspecified() || ip.is_multicast() => false,
            IpAddr::V4(ip) => !ip.is_broadcast(),
            IpAddr::V6(_) => true,
        };
        candidate.proto() == is::Protocol::Udp
            && candidate.kind() != CandidateKind::PeerReflexive
            && address.port() != 0
            && reachable
            && self.only.is_none_or(|way| way.leads_to(address))
    }

    /// A path that can carry nothing any more, as a stream that is closed, makes way for any other that lives.
    pub(super) fn path_closed(&mut self, path: Path, now: Instant) {
        self.paths.retain(|known| known.path != path);
        self.leave_stale_path(now);
    }

    pub(super) fn restart(&mut self, credentials: IceCredentials, now: Instant) {
        self.agent.ice_restart(to_agent(&credentials.ufrag, &credentials.pwd), true);
        self.credentials = credentials;
        self.early_candidates.clear();
        self.candidates_taken = 0;
        self.wanted = None;
        let destination = self.destination;
        self.paths.retain(|known| Some(known.path) == destination);
        self.heard = now;
        self.liveness = match self.liveness {
            Liveness::Failed => Liveness::Checking { since: now, again: true },
            Liveness::Checking { again, .. } => Liveness::Checking { since: now, again },
            other @ (Liveness::New | Liveness::Connected | Liveness::Disconnected) => other,
        };
    }

    pub(super) fn handle_datagram(&mut self, path: Path, bytes: &[u8], now: Instant) {
        let Ok(message) = StunMessage::parse(bytes) else { return };
        let is_known = self.is_validated(path);
        let is_welcome = is_known || self.paths.len() < MAX_PATHS;
        let is_allowed = self.only.is_none_or(|way| way.takes(path));
        if self.liveness == Liveness::Failed || !is_welcome || !is_allowed || !self.is_local(path) {
            return;
        }
        let wants_path =
            message.is_binding_request() && (self.agent.controlling() || message.use_candidate());
        let packet = StunPacket {
            proto: to_agent_protocol(path.protocol),
            source: path.remote,
            destination: path.local,
            message,
        };
        if !self.agent.handle_packet(now, packet) {
            return;
        }
        self.note_heard(path, now);
        if wants_path {
            self.wanted = Some(path);
        }
        // The check in the other direction goes out with the answer, without waiting for its turn.
        self.agent.handle_timeout(now);
        self.take_agent_events(now);
        self.leave_stale_path(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.liveness == Liveness::Failed {
            return;
        }
        self.agent.handle_timeout(now);
        self.take_agent_events(now);
        self.leave_stale_path(now);
        self.review_liveness(now);
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.agent.poll_transmit()?;
        let path = self.path_of(transmit.proto, transmit.source, transmit.destination);
        Some(Transmit { path, bytes: transmit.contents.into() })
    }

    pub(super) fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    /// Call with nothing left to transmit.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let liveness = match self.liveness {
            Liveness::Failed => return None,
            Liveness::New => None,
            Liveness::Checking { since, .. } => Some(since + CONNECT_TIMEOUT),
            Liveness::Connected => Some(self.heard + DISCONNECTED_AFTER),
            Liveness::Disconnected => Some(self.heard + FAILED_AFTER),
        };
        self.agent.poll_timeout().into_iter().chain(liveness).min()
    }

    /// Whether datagrams can arrive at this end. An address that this machine got after its start, or one that is not to be
    /// named to clients, becomes known when something has come in by it.
    fn is_local(&mut self, path: Path) -> bool {
        let addresses = match path.protocol {
            Protocol::Udp | Protocol::Relayed(_) => &mut self.local.udp,
            Protocol::Tcp => &mut self.local.tcp,
        };
        if addresses.contains(&path.local) {
            return true;
        }
        if addresses.len() >= MAX_LOCAL {
            return false;
        }
        match Candidate::host(path.local, to_agent_protocol(path.protocol)) {
            Ok(candidate) => {
                addresses.push(path.local);
                self.agent.add_local_candidate(candidate);
                true
            }
            Err(_) => false,
        }
    }

    /// A pair of the agent's as a path.
    fn path_of(&self, protocol: is::Protocol, local: SocketAddr, remote: SocketAddr) -> Path {
        match protocol {
            is::Protocol::Udp if relayed::is_relayed(remote.ip()) => self.relayed_path(local, remote),
            is::Protocol::Udp => Path::udp(local, remote),
            // The agent has no candidates of other kinds.
            is::Protocol::Tcp | is::Protocol::SslTcp | is::Protocol::Tls => Path::tcp(local, remote),
        }
    }

    /// By what a relayed address is reached is known once something has come from it. Before, it does not matter: questions go
    /// to whoever has the address.
    fn relayed_path(&self, local: SocketAddr, remote: SocketAddr) -> Path {
        let unheard = Carrier { transport: turn::Transport::Udp, family: Family::of(remote) };
        let is_it = |known: &&KnownPath| {
            let Path { protocol, local: known_local, remote: known_remote } = known.path;
            matches!(protocol, Protocol::Relayed(_)) && (known_local, known_remote) == (local, remote)
        };
        let known = self.paths.iter().filter(is_it).max_by_key(|known| known.heard);
        known.map_or(Path::relayed(local, remote, unheard), |known| known.path)
    }

    fn note_heard(&mut self, path: Path, now: Instant) {
        self.heard = now;
        if self.liveness == Liveness::Disconnected {
            self.liveness = Liveness::Connected;
            self.events.push_back(IceEvent::Recovered);
        }
        match self.paths.iter_mut().find(|known| known.path == path) {
            Some(known) => known.heard = now,
            None => {
                self.paths.push(KnownPath { path, heard: now });
                self.events.push_back(IceEvent::Validated(path));
            }
        }
    }

    fn take_agent_events(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { proto, source, destination } = event {
                let path = self.path_of(proto, source, destination);
                self.agents_choice = Some(path);
                // The agent goes by priority and holds on to a pair for as long as it may still answer.
                if self.destination.is_none() || !self.is_stale(path, now) {
                    self.nominate(path);
                }
            }
        }
    }

    /// Moves to the path that the peer wants when the one in use has fallen silent, as after a NAT rebinding. The agent
    /// itself would do so only when it gives the old pair up, 15 seconds later.
    fn leave_stale_path(&mut self, now: Instant) {
        let (Some(wanted), Some(current)) = (self.wanted, self.destination) else { return };
        if wanted != current
            && self.is_stale(current, now)
            && !self.is_stale(wanted, now)
            && self.agent.has_viable_remote_candidate(wanted.remote)
        {
            self.nominate(wanted);
        }
    }

    fn is_stale(&self, path: Path, now: Instant) -> bool {
        !self.paths.iter().any(|known| known.path == path && now < known.heard + STALE_AFTER)
    }

    fn nominate(&mut self, path: Path) {
        if self.destination == Some(path) {
            return;
        }
        self.destination = Some(path);
        self.events.push_back(IceEvent::Nominated(path));
        if let Liveness::Checking { again, .. } = self.liveness {
            self.liveness = Liveness::Connected;
            self.events.extend(again.then_some(IceEvent::Recovered));
        }
    }

    fn review_liveness(&mut self, now: Instant) {
        let (next, event) = match self.liveness {
            Liveness::Checking { since, .. } if now >= since + CONNECT_TIMEOUT => return self.give_up(),
            Liveness::Connected if now >= self.heard + DISCONNECTED_AFTER => {
                (Liveness::Disconnected, IceEvent::Disconnected)
            }
            Liveness::Disconnected if now >= self.heard + FAILED_AFTER => return self.give_up(),
            _ => return,
        };
        self.liveness = next;
        self.events.push_back(event);
    }

    fn give_up(&mut self) {
        self.liveness = Liveness::Failed;
        self.destination = None;
        self.paths.clear();
        self.events.push_back(IceEvent::Failed);
    }
}

fn to_agent_protocol(protocol: Protocol) -> is::Protocol {
    match protocol {
        // A relayed address is one of UDP like any other, to both agents.
        Protocol::Udp | Protocol::Relayed(_) => is::Protocol::Udp,
        Protocol::Tcp => is::Protocol::Tcp,
    }
}

fn to_agent(ufrag: &str, pwd: &str) -> IceCreds {
    IceCreds { ufrag: ufrag.to_owned(), pass: pwd.to_owned() }
}

/// MESSAGE-INTEGRITY (RFC 8489 §14.5) by the library that does all other cryptography here.
#[derive(Debug)]
struct HmacSha1;

impl Sha1HmacProvider for HmacSha1 {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        for payload in payloads {
            context.update(payload);
        }
        context.sign().as_ref().try_into().expect("SHA-1 has 20 bytes")
    }
}
