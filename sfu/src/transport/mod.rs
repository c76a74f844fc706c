//! One peer connection's transport: ICE, DTLS and SCTP, as a value.
//!
//! [`Transport`] finds and keeps a path (RFC 8445), proves who is at its end (RFC 8842), hands out the keys for SRTP
//! (RFC 5764) and carries data channels (RFC 8831). Media never comes here: with the paths and keys from its events
//! the caller opens and seals RTP itself.
//!
//! Time is an argument and credentials are given. The parts draw some randomness of their own, of the system's: ICE
//! its transaction ids and tie-breaker, DTLS its keys and timer jitter, SCTP its tags and sequence numbers.

mod data;
mod dcep;
mod dtls;
mod ice;
#[cfg(test)]
mod tests;
mod way;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::data::{ChannelEvent, Channels};
use self::dtls::{DtlsEvent, DtlsSession};
use self::ice::{IceEvent, IceSession};
use crate::rtp::srtp::{DtlsRole, SrtpKeys};

#[cfg(any(test, all(fuzzing, feature = "sim")))]
pub(crate) use self::data::fuzzing;
pub use self::data::{ChannelId, ChannelSpec, MAX_MESSAGE_SIZE, Reliability, SendError};
pub use self::dtls::{Identity, IdentityError};
pub use self::ice::{IceCredentials, IceRole, LocalAddresses, Path, Protocol, stun_local_ufrag};
pub use self::way::Way;

/// Sleep of a transport that waits for nothing.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the peer's session description says of its transport.
#[derive(Clone)]
pub struct RemoteParameters {
    pub ufrag: String,
    pub pwd: String,
    /// Every `a=fingerprint`: hash name in lower case and digest (RFC 8122 §5). One of them has to match.
    pub fingerprints: Vec<(String, Vec<u8>)>,
    /// Our end of the DTLS handshake, as `a=setup` settles it.
    pub role: DtlsRole,
}

impl std::fmt::Debug for RemoteParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteParameters")
            .field("ufrag", &self.ufrag)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The protocols that [`Transport::handle_datagram`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramKind {
    /// First byte 0 to 3 (RFC 7983 §7).
    Stun,
    /// First byte 20 to 63 (RFC 7983 §7).
    Dtls,
}

/// What a transport wants from the world.
#[derive(Debug)]
pub enum Output {
    Transmit(Transmit),
    Event(TransportEvent),
    /// Nothing more for now: call [`Transport::handle_timeout`] at this time, unless something happens before.
    Timeout(Instant),
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    pub path: Path,
    pub bytes: Vec<u8>,
}

/// What happened on a transport.
#[derive(Debug)]
pub enum TransportEvent {
    /// The peer proved by STUN that it knows our credentials, from this address: DTLS and media from it are welcome.
    /// It has not proved that it receives there, so an address that belongs to somebody else stays theirs until
    /// [`Self::Nominated`].
    Validated(Path),
    /// The path to send on from now on: checked in both directions and wanted by the controlling side.
    Nominated(Path),
    /// The peer is authenticated and the SRTP keys are agreed.
    Connected(SrtpKeys),
    /// Nothing has been heard for 10 seconds; it may come back.
    IceDisconnected,
    /// The peer is heard again.
    IceRecovered,
    /// There is no path: none was found in 30 seconds, or the one in use has been silent for 15. Keys and channels are
    /// kept, and [`Transport::restart_ice`] begins anew.
    IceFailed,
    /// The connection is gone for good.
    Failed(FailCause),
    /// A data channel is ready for messages in both directions.
    ChannelOpen { channel: ChannelId, spec: ChannelSpec },
    /// A message on an open channel.
    Data { channel: ChannelId, binary: bool, bytes: Bytes },
    /// A data channel is no more, or could not be opened.
    ChannelClosed { channel: ChannelId },
    /// The peer ended the connection.
    Closed,
}

/// Why a transport failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailCause {
    /// The handshake failed or timed out.
    Dtls,
    /// The certificate is none of those that were signalled.
    FingerprintMismatch,
}

/// One peer connection's transport.
///
/// After every `handle_*` and every other call that takes `&mut self`, call [`Self::poll_output`] until it returns
/// [`Output::Timeout`].
#[derive(Debug)]
pub struct Transport {
    ice: IceSession,
    dtls: DtlsSession,
    data: DataSection,
    outputs: VecDeque<Output>,
    ended: bool,
}

/// SCTP costs memory, so it exists only where a session description has a data section and DTLS is up.
#[derive(Debug)]
enum DataSection {
    /// Not negotiated.
    Absent,
    /// Negotiated; DTLS is not up yet.
    Agreed {
        wanted: Vec<(ChannelId, ChannelSpec)>,
    },
    Running(Box<Channels>),
}

impl Transport {
    /// A transport that answers checks on `local` from now on and waits for [`Self::set_remote`].
    pub fn new(
        identity: &Identity,
        role: IceRole,
        credentials: IceCredentials,
        local: LocalAddresses,
        now: Instant,
    ) -> Self {
        Self {
            ice: IceSession::new(role, credentials, local, now),
            dtls: DtlsSession::new(identity),
            data: DataSection::Absent,
            outputs: VecDeque::new(),
            ended: false,
        }
    }

    /// Lets the peer come by `way` only, from now on.
    pub fn restrict(&mut self, way: Way) {
        self.ice.restrict(way);
    }

    /// Our ICE credentials, those of the latest [`Self::restart_ice`].
    pub fn local_credentials(&self) -> &IceCredentials {
        self.ice.local_credentials()
    }

    /// The path that datagrams are sent on, once there is one.
    pub fn path(&self) -> Option<Path> {
        self.ice.destination()
    }

    /// How long a question on that path and its answer took, last time.
    pub fn round_trip(&self) -> Option<Duration> {
        self.ice.round_trip()
    }

    /// Takes what the peer's description says. To be called with every description: new ICE credentials belong to a
    /// restart, and other fingerprints than those that the peer has been authenticated by fail the transport.
    pub fn set_remote(&mut self, remote: RemoteParameters, now: Instant) {
        self.ice.set_remote(remote.ufrag, remote.pwd, now);
        self.dtls.set_remote(&remote.fingerprints, remote.role, now);
    }

    /// Adds a candidate of the peer (`candidate:…`), which may come before its description. Ignored are those that
    /// cannot be used: not UDP, a name (mDNS), another component than 1, a loopback address where we have none, an
    /// address that is no host's, and any beyond the 32nd. The peer's own checks find us without them.
    pub fn add_remote_candidate(&mut self, candidate: &str) {
        self.ice.add_remote_candidate(candidate);
    }

    /// Starts ICE anew with our new credentials (RFC 8445 §9); the peer's follow by [`Self::set_remote`]. Until a new
    /// path is nominated, the old one stays in use.
    pub fn restart_ice(&mut self, credentials: IceCredentials, now: Instant) {
        self.ice.restart(credentials, now);
    }

    /// Says that a stream is closed: the peer is no longer reached by this path.
    pub fn path_closed(&mut self, path: Path, now: Instant) {
        self.ice.path_closed(path, now);
    }

    /// Allows data channels: the session description has a data section. Idempotent.
    pub fn enable_data(&mut self) {
        if matches!(self.data, DataSection::Absent) {
            self.data = DataSection::Agreed { wanted: Vec::new() };
        }
    }

    /// Whether a session description has a data section.
    pub fn has_data(&self) -> bool {
        !matches!(self.data, DataSection::Absent)
    }

    /// Our end of the DTLS handshake, which settles whose stream numbers are even.
    pub fn dtls_role(&self) -> DtlsRole {
        self.dtls.role()
    }

    /// Opens a data channel in-band (RFC 8832) on stream `channel`; [`TransportEvent::ChannelOpen`] follows. Implies
    /// [`Self::enable_data`]. The DTLS server may only use odd streams, the client even ones (RFC 8832 §6).
    pub fn open_channel(&mut self, channel: ChannelId, spec: ChannelSpec) {
        self.enable_data();
        match &mut self.data {
            DataSection::Absent => {}
            DataSection::Agreed { wanted } => wanted.push((channel, spec)),
            DataSection::Running(channels) => channels.open(channel, spec),
        }
    }

    /// Closes a data channel, ours or the peer's.
    pub fn close_channel(&mut self, channel: ChannelId) {
        if let DataSection::Running(channels) = &mut self.data {
            channels.close(channel);
        }
    }

    /// Sends a message on an open data channel.
    pub fn send(&mut self, channel: ChannelId, binary: bool, message: &[u8]) -> Result<(), SendError> {
        match &mut self.data {
            DataSection::Running(channels) => channels.send(channel, binary, message),
            DataSection::Absent | DataSection::Agreed { .. } => Err(SendError::NotOpen),
        }
    }

    /// Takes a STUN or DTLS datagram that came from `path.remote` to `path.local`. Anything wrong with it is ignored.
    pub fn handle_datagram(&mut self, kind: DatagramKind, path: Path, bytes: &[u8], now: Instant) {
        if self.ended {
            return;
        }
        match kind {
            DatagramKind::Stun => self.ice.handle_datagram(path, bytes, now),
            DatagramKind::Dtls if self.ice.is_validated(path) => {
                self.dtls.handle_datagram(bytes, now);
                self.pump(now);
            }
            DatagramKind::Dtls => {}
        }
    }

    /// Lets time pass. Calling early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        self.ice.handle_timeout(now);
        self.dtls.handle_timeout(now);
        if let DataSection::Running(channels) = &mut self.data {
            channels.handle_timeout(now);
        }
    }

    /// Ends the connection, telling the peer if there is a handshake behind us. Poll once more afterwards.
    pub fn close(&mut self) {
        if !self.ended {
            self.dtls.close();
            self.data = DataSection::Absent;
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() {
            self.pump(now);
        }
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(self.deadline(now)))
    }

    fn deadline(&mut self, now: Instant) -> Instant {
        let idle = now + IDLE;
        if self.ended {
            return idle;
        }
        let channels = match &self.data {
            DataSection::Running(channels) => channels.deadline(),
            DataSection::Absent | DataSection::Agreed { .. } => None,
        };
        [self.ice.deadline(), self.dtls.deadline(), channels].into_iter().flatten().fold(idle, Instant::min)
    }

    /// Moves what the parts have to say to each other and into `outputs`.
    fn pump(&mut self, now: Instant) {
        while !self.ended && (self.pump_ice(now) || self.pump_dtls(now) || self.pump_channels(now)) {}
    }

    fn pump_ice(&mut self, now: Instant) -> bool {
        if let Some(transmit) = self.ice.poll_transmit() {
            self.outputs.push_back(Output::Transmit(transmit));
            return true;
        }
        let Some(event) = self.ice.poll_event() else { return false };
        match event {
            IceEvent::Validated(path) => self.emit(TransportEvent::Validated(path)),
            IceEvent::Nominated(path) => {
                self.emit(TransportEvent::Nominated(path));
                self.dtls.set_path(now);
            }
            IceEvent::Disconnected => self.emit(TransportEvent::IceDisconnected),
            IceEvent::Recovered => self.emit(TransportEvent::IceRecovered),
            IceEvent::Failed => self.emit(TransportEvent::IceFailed),
        }
        true
    }

    fn pump_dtls(&mut self, now: Instant) -> bool {
        let Some(event) = self.dtls.poll_event() else { return false };
        match event {
            DtlsEvent::Packet(bytes) => self.transmit(bytes),
            DtlsEvent::Connected(keys) => self.emit(TransportEvent::Connected(keys)),
            DtlsEvent::Data(bytes) => {
                if let DataSection::Running(channels) = &mut self.data {
                    channels.handle_datagram(bytes, now);
                }
            }
            DtlsEvent::Failed => self.fail(FailCause::Dtls),
            DtlsEvent::FingerprintMismatch => self.fail(FailCause::FingerprintMismatch),
            DtlsEvent::Closed => {
                self.emit(TransportEvent::Closed);
                self.end();
            }
        }
        true
    }

    fn pump_channels(&mut self, now: Instant) -> bool {
        if let DataSection::Agreed { wanted } = &mut self.data
            && self.dtls.is_connected()
        {
            let wanted = std::mem::take(wanted);
            self.data = DataSection::Running(Box::new(Channels::new(self.dtls.role(), wanted)));
        }
        let DataSection::Running(channels) = &mut self.data else { return false };
        let Some(event) = channels.poll_event(now) else { return false };
        match event {
            ChannelEvent::Packet(bytes) => self.dtls.send(&bytes),
            ChannelEvent::Open { channel, spec } => self.emit(TransportEvent::ChannelOpen { channel, spec }),
            ChannelEvent::Data { channel, binary, bytes } => {
                self.emit(TransportEvent::Data { channel, binary, bytes });
            }
            ChannelEvent::Closed { channel } => self.emit(TransportEvent::ChannelClosed { channel }),
        }
        true
    }

    fn emit(&mut self, event: TransportEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn transmit(&mut self, bytes: Vec<u8>) {
        if let Some(path) = self.ice.destination() {
            self.outputs.push_back(Output::Transmit(Transmit { path, bytes }));
        }
    }

    fn fail(&mut self, cause: FailCause) {
        tracing::debug!(?cause, "transport failed");
        self.emit(TransportEvent::Failed(cause));
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        self.data = DataSection::Absent;
    }
}
