//! Offer and answer for one peer connection, as a pure state machine (RFC 8829, and LiveKit's single-connection rules).
//!
//! [`Negotiation`] holds what has been agreed; it never sees a socket, a clock or a key. What it needs to print (ICE
//! credentials, fingerprint, candidates) is handed in as [`LocalDescription`]; what it learns comes back as values.

use std::net::SocketAddr;

use crate::{Mid, PayloadType, Ssrc, TrackKey};

/// What our side says of its transport in an offer or answer.
#[derive(Clone, Debug)]
pub struct LocalDescription {
    pub ice_ufrag: String,
    pub ice_pwd: String,
    /// SHA-256 of the DTLS certificate, `AB:CD:…`.
    pub fingerprint: String,
    /// Host candidates, UDP, in order of preference.
    pub candidates: Vec<SocketAddr>,
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
    /// The peer may ask for repeats (`a=rtcp-fb … nack`).
    pub nack: bool,
}
