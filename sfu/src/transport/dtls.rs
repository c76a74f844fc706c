//! DTLS 1.2 (RFC 6347) with the keys of SRTP (RFC 5764): str0m's `dimpl`, and the check that is our duty, of the peer's
//! certificate against the signalled fingerprints (RFC 8122).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Config, Dtls, DtlsCertificate, Output};

use crate::rtp::srtp::{DtlsRole, SrtpKeys};

/// Largest datagram that we send: fits an IPv6 path of 1,280 bytes, headers and all.
const MTU: usize = 1200;
/// First retransmission of a flight; it doubles with each. Quick, because somebody is waiting to talk.
const FLIGHT_RTO: Duration = Duration::from_millis(250);
const FLIGHT_RETRIES: usize = 7;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// No peer has reason to send a longer datagram.
const MAX_DATAGRAM: usize = 2048;
/// No handshake message of a WebRTC peer comes near. What is poured out at once fits a buffer of this size.
const MAX_HANDSHAKE_MESSAGE: usize = 8192;
/// Datagrams kept while ICE has not nominated a path yet: a first flight, which may be in two fragments, and its repeat.
const MAX_EARLY: usize = 4;

/// This process as a DTLS peer: its certificate and the configuration of all its sessions. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    fingerprint: String,
}

/// The cryptography library did not do what it must.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("no DTLS certificate could be made: {0}")]
    Certificate(#[from] dimpl::certificate::CertificateError),
    #[error("the DTLS configuration was refused: {0}")]
    Config(#[from] dimpl::Error),
}

impl Identity {
    /// Makes a self-signed ECDSA P-256 certificate. Runs the cryptography's self-tests, over a millisecond of work:
    /// once per process, never per participant.
    pub fn generate() -> Result<Self, IdentityError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()?;
        let config = Config::builder()
            .mtu(MTU)
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            // ICE has proved that the peer receives where we send before DTLS says a word.
            .use_server_cookie(false)
            .build()?;
        let fingerprint = certificate.fingerprint_str();
        Ok(Self(Arc::new(Shared { certificate, config: Arc::new(config), fingerprint })))
    }

    /// SHA-256 of the certificate, `AB:CD:…`, as in `a=fingerprint:sha-256`.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.0.fingerprint).finish()
    }
}

#[derive(Debug)]
pub(super) enum DtlsEvent {
    Packet(Vec<u8>),
    Connected(SrtpKeys),
    Data(Vec<u8>),
    Failed,
    FingerprintMismatch,
    Closed,
}

#[derive(Debug)]
pub(super) struct DtlsSession {
    identity: Identity,
    role: DtlsRole,
    /// What the peer's description promises; `None` until there is one.
    fingerprints: Option<Vec<Fingerprint>>,
    state: State,
    deadline: Option<Instant>,
    events: VecDeque<DtlsEvent>,
}

#[derive(Debug)]
enum State {
    /// No path or no description yet. Keeps the peer's first flight, so that it need not be repeated.
    Waiting {
        has_path: bool,
        early: Vec<Vec<u8>>,
    },
    Handshaking {
        dtls: Box<Dtls>,
        progress: Progress,
    },
    /// Keeps the peer's certificate, by which later descriptions are judged.
    Connected {
        dtls: Box<Dtls>,
        certificate: Vec<u8>,
    },
    Ended,
}

/// What the handshake has yielded so far; the three come one by one.
#[derive(Debug, Default)]
struct Progress {
    certificate: Option<Vec<u8>>,
    is_finished: bool,
    keys: Option<SrtpKeys>,
}

impl DtlsSession {
    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            role: DtlsRole::Server,
            fingerprints: None,
            state: State::Waiting { has_path: false, early: Vec::new() },
            deadline: None,
            events: VecDeque::new(),
        }
    }

    pub(super) fn role(&self) -> DtlsRole {
        self.role
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    pub(super) fn set_remote(&mut self, fingerprints: &[(String, Vec<u8>)], role: DtlsRole, now: Instant) {
        let fingerprints: Vec<Fingerprint> = fingerprints.iter().filter_map(Fingerprint::known).collect();
        match &self.state {
            State::Waiting { .. } => {
                self.role = role;
                self.fingerprints = Some(fingerprints);
                self.start_when_ready(now);
            }
            State::Handshaking { .. } => self.fingerprints = Some(fingerprints),
            State::Connected { certificate, .. } => {
                if !fingerprints.iter().any(|fingerprint| fingerprint.matches(certificate)) {
                    self.end(DtlsEvent::FingerprintMismatch);
                }
            }
            State::Ended => {}
        }
    }

    /// There is a path to send on.
    pub(super) fn set_path(&mut self, now: Instant) {
        if let State::Waiting { has_path, .. } = &mut self.state {
            *has_path = true;
            self.start_when_ready(now);
        }
    }

    pub(super) fn handle_datagram(&mut self, bytes: &[u8], now: Instant) {
        if bytes.len() > MAX_DATAGRAM || has_oversized_handshake(bytes) {
            return;
        }
        match &mut self.state {
            State::Waiting { early, .. } => {
                if early.len() < MAX_EARLY {
                    early.push(bytes.to_vec());
                }
            }
            State::Handshaking { dtls, .. } | State::Connected { dtls, .. } => {
                let result = dtls.handle_timeout(now).and_then(|()| dtls.handle_packet(bytes));
                self.settle(result);
            }
            State::Ended => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if let State::Handshaking { dtls, .. } | State::Connected { dtls, .. } = &mut self.state {
            let result = dtls.handle_timeout(now);
            self.settle(result);
        }
    }

    /// Sends application data; ignored until connected.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if let State::Connected { dtls, .. } = &mut self.state {
            let result = dtls.send_application_data(bytes).map(|_accepted| ());
            self.settle(result);
        }
    }

    pub(super) fn close(&mut self) {
        if let State::Handshaking { dtls, .. } | State::Connected { dtls, .. } = &mut self.state {
            let result = dtls.close();
            self.settle(result);
        }
        self.state = State::Ended;
        self.deadline = None;
    }

    pub(super) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn start_when_ready(&mut self, now: Instant) {
        let State::Waiting { has_path: true, early } = &mut self.state else { return };
        if self.fingerprints.is_none() {
            return;
        }
        let early = std::mem::take(early);
        let Shared { config, certificate, .. } = &*self.identity.0;
        let mut dtls = Dtls::new_12(Arc::clone(config), certificate.clone(), now);
        dtls.set_active(self.role == DtlsRole::Client);
        let result = dtls.handle_timeout(now);
        self.state = State::Handshaking { dtls: Box::new(dtls), progress: Progress::default() };
        self.settle(result);
        for datagram in early {
            self.handle_datagram(&datagram, now);
        }
    }

    /// Takes everything that the handshake or the connection has to say after a step.
    fn settle(&mut self, result: Result<(), dimpl::Error>) {
        if let Err(error) = result {
            tracing::debug!(%error, "DTLS failed");
            return self.end(DtlsEvent::Failed);
        }
        let mut buffer = [0; MAX_HANDSHAKE_MESSAGE];
        while let State::Handshaking { dtls, .. } | State::Connected { dtls, .. } = &mut self.state {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => self.events.push_back(DtlsEvent::Packet(bytes.to_vec())),
                Output::ApplicationData(bytes) => self.events.push_back(DtlsEvent::Data(bytes.to_vec())),
                Output::PeerCert(certificate) => {
                    let certificate = certificate.to_vec();
                    self.check_certificate(certificate);
                }
                Output::Connected => self.advance(|progress| progress.is_finished = true),
                Output::KeyingMaterial(material, profile) => match self.split_keys(&material, profile) {
                    Some(keys) => self.advance(|progress| progress.keys = Some(keys)),
                    None => return self.end(DtlsEvent::Failed),
                },
                Output::CloseNotify => self.end(DtlsEvent::Closed),
                // The keys come in one step with the end of the handshake. A peer that speaks no SRTP is not one of ours.
                Output::Timeout(_) if self.is_finished_without_keys() => return self.end(DtlsEvent::Failed),
                Output::Timeout(at) => {
                    self.deadline = Some(at);
                    return;
                }
                // A buffer for the largest message that is let in is never too small, and no other output is known.
                _ => return self.end(DtlsEvent::Failed),
            }
        }
    }

    fn is_finished_without_keys(&self) -> bool {
        matches!(&self.state, State::Handshaking { progress, .. } if progress.is_finished)
    }

    fn split_keys(&self, material: &[u8], profile: dimpl::SrtpProfile) -> Option<SrtpKeys> {
        SrtpKeys::from_dtls(profile.try_into().ok()?, material, self.role).ok()
    }

    fn check_certificate(&mut self, certificate: Vec<u8>) {
        let fingerprints = self.fingerprints.as_deref().unwrap_or_default();
        if fingerprints.iter().any(|fingerprint| fingerprint.matches(&certificate)) {
            self.advance(|progress| progress.certificate = Some(certificate));
        } else {
            self.end(DtlsEvent::FingerprintMismatch);
        }
    }

    /// Notes one result of the handshake and, with the last, is connected.
    fn advance(&mut self, note: impl FnOnce(&mut Progress)) {
        let State::Handshaking { progress, .. } = &mut self.state else { return };
        note(progress);
        if !(progress.is_finished && progress.certificate.is_some() && progress.keys.is_some()) {
            return;
        }
        let State::Handshaking { dtls, progress } = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        if let (Some(certificate), Some(keys)) = (progress.certificate, progress.keys) {
            self.state = State::Connected { dtls, certificate };
            self.events.push_back(DtlsEvent::Connected(keys));
        }
    }

    fn end(&mut self, event: DtlsEvent) {
        self.state = State::Ended;
        self.deadline = None;
        self.events.push_back(event);
    }
}

/// A digest of a certificate by an algorithm that may be trusted for it (RFC 8122 §5).
#[derive(Debug)]
pub(super) struct Fingerprint {
    algorithm: &'static digest::Algorithm,
    digest: Vec<u8>,
}

impl Fingerprint {
    /// `None` for hashes that we do not know or, like MD5 and SHA-1, no longer trust.
    pub(super) fn known((hash, digest): &(String, Vec<u8>)) -> Option<Self> {
        let algorithm = match hash.as_str() {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => return None,
        };
        Some(Self { algorithm, digest: digest.clone() })
    }

    pub(super) fn matches(&self, certificate: &[u8]) -> bool {
        digest::digest(self.algorithm, certificate).as_ref() == self.digest
    }
}

/// Whether the datagram has, in plaintext, a fragment of a handshake message larger than [`MAX_HANDSHAKE_MESSAGE`].
pub(super) fn has_oversized_handshake(mut datagram: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22; // RFC 5246 §6.2.1
    // Type 1, version 2, epoch 2, sequence number 6, length 2 (RFC 6347 §4.1).
    while let Some((header, rest)) = datagram.split_first_chunk::<13>() {
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let Some((record, rest)) = rest.split_at_checked(length) else { return false };
        let is_plaintext = header[3..5] == [0, 0];
        if header[0] == HANDSHAKE && is_plaintext && has_oversized_message(record) {
            return true;
        }
        datagram = rest;
    }
    false
}

fn has_oversized_message(mut record: &[u8]) -> bool {
    let u24 = |high, middle, low| u32::from_be_bytes([0, high, middle, low]) as usize;
    // Type 1, length 3, sequence number 2, fragment offset 3, fragment length 3 (RFC 6347 §4.2.2).
    while let Some((header, rest)) = record.split_first_chunk::<12>() {
        if u24(header[1], header[2], header[3]) > MAX_HANDSHAKE_MESSAGE {
            return true;
        }
        let Some((_, rest)) = rest.split_at_checked(u24(header[9], header[10], header[11])) else {
            return false;
        };
        record = rest;
    }
    false
}
