//! Offer and answer for one peer connection, as a pure state machine (RFC 8829, and LiveKit's single-connection rules).
//!
//! [`Negotiation`] holds what has been agreed; it never sees a socket, a clock or a key. What it needs to print (ICE
//! credentials, fingerprint, candidates) is handed in as [`LocalDescription`]; what it learns comes back as values.

mod answer;
mod offer;
mod parse;
mod print;
mod section;

use crate::transport::LocalAddresses;
use crate::{Mid, PayloadType, Ssrc, TrackKey};

/// What our side says of its transport in an offer or answer.
#[derive(Clone, Debug)]
pub struct LocalDescription {
    pub ice_ufrag: String,
    pub ice_pwd: String,
    /// SHA-256 of the DTLS certificate, `AB:CD:…`.
    pub fingerprint: String,
    /// Host candidates, each sort in order of preference.
    pub candidates: LocalAddresses,
}

/// What the peer said of its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    pub ice_ufrag: String,
    pub ice_pwd: String,
    /// Every `a=fingerprint` given: hash name in lower case and digest bytes. Never empty.
    pub fingerprints: Vec<(String, Vec<u8>)>,
    pub setup: Setup,
    /// Text after `a=` of each usable candidate line (`candidate:…`); mDNS names, TCP, loopback-on-remote are left to ICE.
    pub candidates: Vec<String>,
    pub has_data_section: bool,
}

/// `a=setup` as the peer said it (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Active,
    Passive,
    ActPass,
}

/// A track that this peer announced by signalling and that waits for, or has, a section of the peer's SDP.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub track: TrackKey,
    /// The client's name of it: matches the second token of `a=msid`.
    pub cid: String,
    /// Whether RED may be accepted for it (RFC 2198).
    pub red: bool,
    pub stereo: bool,
    pub dtx: bool,
    /// The most that the peer is to send on average, in bits per second, if it is to be limited.
    pub max_bitrate: Option<u32>,
}

/// A track of somebody else that this peer should receive.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub track: TrackKey,
    /// The SSRC that we chose for it towards this peer.
    pub ssrc: Ssrc,
    /// `<PA_sid>|<TR_sid>`: stream id and CNAME.
    pub stream_id: String,
    /// `TR_sid`.
    pub track_id: String,
    /// The source sends RED, so RED is listed first where the peer knows it.
    pub red: bool,
    pub stereo: bool,
}

/// A section on which the peer sends and we receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveSection {
    pub mid: Mid,
    pub track: TrackKey,
    pub opus: PayloadType,
    pub red: Option<PayloadType>,
    /// Header-extension ids in use on this section (RFC 8285), 1 to 255.
    pub audio_level_ext: Option<u8>,
    pub mid_ext: Option<u8>,
    /// From `a=ssrc`; often one, may be none (then the first packet with the right MID decides).
    pub ssrcs: Vec<Ssrc>,
    /// We may ask for repeats (`a=rtcp-fb … nack`).
    pub nack: bool,
}

/// A section on which we send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendSection {
    pub mid: Mid,
    pub track: TrackKey,
    pub ssrc: Ssrc,
    pub opus: PayloadType,
    /// Present when the peer takes RED.
    pub red: Option<PayloadType>,
    /// Id of the header extension in which the peer takes the section's mid (RFC 8285), 1 to 255.
    pub mid_ext: Option<u8>,
    /// The peer may ask for repeats (`a=rtcp-fb … nack`).
    pub nack: bool,
}

/// What came of the peer's offer. The lists of sections are complete each time.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The answer, for the peer.
    pub sdp: String,
    pub remote: RemoteTransport,
    /// The peer's ICE credentials differ from those of its last description.
    pub ice_restart: bool,
    pub receiving: Vec<ReceiveSection>,
    pub sending: Vec<SendSection>,
    /// Incoming tracks that had a section and lost it by this offer.
    pub dropped: Vec<TrackKey>,
    /// Outgoing tracks for which the peer must add a section.
    pub unplaced: u32,
    /// An outgoing track waits for a section that this answer made free: it gets it at the peer's next offer.
    pub needs_reoffer: bool,
}

/// An offer of ours, for the peer.
#[derive(Clone, Debug)]
pub struct Offered {
    pub sdp: String,
    /// Every section on which we would send, with its track.
    pub sending: Vec<(Mid, TrackKey)>,
    /// Outgoing tracks beyond the number of sections that a description may have.
    pub unplaced: u32,
}

/// What came of the peer's answer. The list of sections is complete each time.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub remote: RemoteTransport,
    /// The peer's ICE credentials differ from those of its last description.
    pub ice_restart: bool,
    pub sending: Vec<SendSection>,
    /// Outgoing tracks whose section the peer refused for good; they are not offered again.
    pub refused: Vec<TrackKey>,
}

/// Why a description was not accepted. The negotiation is as it was before the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the description has too many {0}")]
    TooLarge(&'static str),
    #[error("line {line} of the description cannot be read: {reason}")]
    Malformed { line: usize, reason: &'static str },
    #[error("the description has no usable {0}")]
    Missing(&'static str),
    #[error("two media sections are called {0}")]
    DuplicateMid(Mid),
    /// `a=setup` is unknown, or would turn the roles of the running DTLS association around.
    #[error("the DTLS roles do not fit")]
    Setup,
    /// A new certificate would need a new DTLS association, which is a new session here.
    #[error("the peer changed its certificate")]
    CertificateChanged,
    /// The sections of the answer are not those of the offer.
    #[error("the answer does not fit the offer")]
    Mismatch,
    /// An offer is outstanding, or none is, or this side never offers or never answers.
    #[error("not in this state of the negotiation")]
    WrongState,
}

/// The negotiation of one peer connection.
#[derive(Debug)]
pub struct Negotiation(Side);

#[derive(Debug)]
enum Side {
    Answerer(answer::Answerer),
    Offerer(offer::Offerer),
}

impl Negotiation {
    /// The connection on which the peer offers: its publisher connection, or its only one.
    pub fn answerer() -> Self {
        Self(Side::Answerer(answer::Answerer::default()))
    }

    /// The connection on which we offer: the peer's subscriber connection.
    pub fn offerer() -> Self {
        Self(Side::Offerer(offer::Offerer::default()))
    }

    /// Whether the peer has described itself yet.
    pub fn has_remote(&self) -> bool {
        match &self.0 {
            Side::Answerer(answerer) => answerer.has_remote(),
            Side::Offerer(offerer) => offerer.has_remote(),
        }
    }

    /// How many receiving sections the peer must add for all of `outgoing` to find one: those in use for other tracks
    /// count as free, since they will be. Zero where we offer, for there we add them ourselves.
    pub fn missing_sections(&self, outgoing: &[Outgoing]) -> u32 {
        match &self.0 {
            Side::Answerer(answerer) => answerer.missing_sections(outgoing),
            Side::Offerer(_) => 0,
        }
    }

    /// Whether another round would change which tracks are sent: one has no section yet, or is no longer wanted.
    /// Tracks that the peer refused do not count.
    pub fn is_outdated(&self, outgoing: &[Outgoing]) -> bool {
        match &self.0 {
            Side::Answerer(answerer) => answerer.is_outdated(outgoing),
            Side::Offerer(offerer) => offerer.is_outdated(outgoing),
        }
    }

    /// Whether the peer's credentials in `sdp` are not those of its last description, so that ours must be new ones
    /// too (RFC 8445 §9). False for a first description and for one that cannot be read.
    pub fn restarts_ice(&self, sdp: &str) -> bool {
        match &self.0 {
            Side::Answerer(answerer) => answerer.restarts_ice(sdp),
            Side::Offerer(_) => false,
        }
    }

    /// Answers the peer's offer. `incoming` are all tracks that the peer has announced, `outgoing` all that it should
    /// receive; each call binds what can be bound and frees what is no longer listed.
    pub fn handle_offer(
        &mut self,
        sdp: &str,
        local: &LocalDescription,
        incoming: &[Incoming],
        outgoing: &[Outgoing],
    ) -> Result<Answered, SdpError> {
        match &mut self.0 {
            Side::Answerer(answerer) => answerer.handle_offer(sdp, local, incoming, outgoing),
            Side::Offerer(_) => Err(SdpError::WrongState),
        }
    }

    /// Binds a track that was announced after its section was offered, so that it needs no further offer. `None` when
    /// no section waits for a track.
    pub fn bind_late(&mut self, incoming: &Incoming) -> Option<ReceiveSection> {
        match &mut self.0 {
            Side::Answerer(answerer) => answerer.bind_late(incoming),
            Side::Offerer(_) => None,
        }
    }

    /// Offers `outgoing`, and a section for data channels. At most one offer is outstanding at a time.
    pub fn create_offer(
        &mut self,
        local: &LocalDescription,
        outgoing: &[Outgoing],
    ) -> Result<Offered, SdpError> {
        match &mut self.0 {
            Side::Answerer(_) => Err(SdpError::WrongState),
            Side::Offerer(offerer) => offerer.create_offer(local, outgoing),
        }
    }

    /// Waits for an answer no longer. The next offer takes the place of the outstanding one, whether or not that has
    /// reached the peer.
    pub fn abandon_offer(&mut self) {
        if let Side::Offerer(offerer) = &mut self.0 {
            offerer.abandon_offer();
        }
    }

    /// Takes the peer's answer to the outstanding offer. After an error the offer is still outstanding.
    pub fn handle_answer(&mut self, sdp: &str) -> Result<Accepted, SdpError> {
        match &mut self.0 {
            Side::Answerer(_) => Err(SdpError::WrongState),
            Side::Offerer(offerer) => offerer.handle_answer(sdp),
        }
    }
}

/// What the peer's last description said of itself and must hold on to.
#[derive(Debug)]
struct Peer {
    ice_ufrag: String,
    ice_pwd: String,
    fingerprints: Vec<(String, Vec<u8>)>,
}

impl Peer {
    fn of(remote: &RemoteTransport) -> Self {
        Self {
            ice_ufrag: remote.ice_ufrag.clone(),
            ice_pwd: remote.ice_pwd.clone(),
            fingerprints: remote.fingerprints.clone(),
        }
    }

    fn restarts_ice(&self, remote: &RemoteTransport) -> bool {
        (&self.ice_ufrag, &self.ice_pwd) != (&remote.ice_ufrag, &remote.ice_pwd)
    }

    /// Whether `remote` speaks of the same certificate, in any order of hashes.
    fn is_same_certificate(&self, remote: &RemoteTransport) -> bool {
        self.fingerprints.len() == remote.fingerprints.len()
            && remote.fingerprints.iter().all(|given| self.fingerprints.contains(given))
    }
}
