//! Our side of a session description, as text (RFC 8829 §5.2 and §5.3).

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use super::section::{AUDIO_LEVEL, Audio, MID};
use super::{Incoming, LocalAddresses, LocalDescription, Outgoing, parse::Media};
use crate::PayloadType;

/// The largest data-channel message that we take, in bytes.
const MAX_MESSAGE_SIZE: usize = 65_535;
const SCTP_PORT: u16 = 5000; // RFC 8841 §5, by custom
const OPUS: &str = "minptime=10;useinbandfec=1"; // RFC 7587 §6.1

/// The `o=` line: constant but for a version that grows with each description (RFC 8829 §5.2.2).
#[derive(Debug, Default)]
pub(super) struct Origin {
    session: u64,
    version: u64,
}

impl Origin {
    fn advance(&mut self, local: &LocalDescription) {
        if self.session == 0 {
            // The ICE credentials are random for each connection, so a hash of them tells sessions apart (FNV-1a).
            let seed = local.ice_ufrag.bytes().chain(local.ice_pwd.bytes());
            let hash = seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            self.session = (hash >> 2) | 1; // below 2^63, where some parsers stop
        }
        self.version += 1;
    }
}

/// Our part in the DTLS handshake, as `a=setup` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Active,
    Passive,
    Open,
}

/// What every section repeats, and how the first of the bundle differs.
pub(super) struct Printer<'a> {
    text: String,
    local: &'a LocalDescription,
    role: Role,
    candidates_said: bool,
}

impl<'a> Printer<'a> {
    /// Begins a description. `bundle` names the accepted sections, tag first; `None` for a peer that does not bundle.
    pub fn begin(
        origin: &mut Origin,
        local: &'a LocalDescription,
        role: Role,
        bundle: Option<&[&str]>,
    ) -> Self {
        origin.advance(local);
        let mut printer = Self { text: String::with_capacity(4096), local, role, candidates_said: false };
        printer.line(format_args!("v=0"));
        printer.line(format_args!("o=- {} {} IN IP4 127.0.0.1", origin.session, origin.version));
        printer.line(format_args!("s=-"));
        printer.line(format_args!("t=0 0"));
        if let Some(mids) = bundle {
            printer.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        printer.line(format_args!("a=ice-options:trickle"));
        printer.line(format_args!("a=fingerprint:sha-256 {}", local.fingerprint));
        printer
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        write!(self.text, "{line}\r\n").expect("writing to a String cannot fail");
    }

    /// Says no to a section; port 0 is all that counts (RFC 3264 §6).
    pub fn refused(&mut self, kind: &str, protocol: &str, format: &str, mid: &str) {
        self.line(format_args!("m={kind} 0 {protocol} {format}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=inactive"));
        self.line(format_args!("a=mid:{mid}"));
    }

    /// Accepts a section of media that we do not carry, with nothing flowing. Refusing it would stop the client's
    /// transceiver for good and let it put another mid in this place.
    pub fn foreign(&mut self, media: &Media<'_>, mid: &str) {
        let format = media.formats[0];
        self.media(media.kind, media.protocol, format_args!("{format}"), mid, None);
        self.line(format_args!("a=inactive"));
        self.line(format_args!("a=rtcp-mux"));
        for name in ["rtpmap", "fmtp"] {
            let of_format = |value: &&str| value.split_once(' ').is_some_and(|(number, _)| number == format);
            if let Some(value) = media.attributes.values(name).find(of_format) {
                self.line(format_args!("a={name}:{value}"));
            }
        }
    }

    pub fn data(&mut self, protocol: &str, mid: &str) {
        self.media("application", protocol, format_args!("webrtc-datachannel"), mid, None);
        self.line(format_args!("a=sctp-port:{SCTP_PORT}"));
        self.line(format_args!("a=max-message-size:{MAX_MESSAGE_SIZE}"));
    }

    pub fn idle(&mut self, protocol: &str, mid: &str, audio: &Audio) {
        self.audio(protocol, mid, audio, Flow::Idle);
    }

    /// A section on which the peer sends. `incoming` is absent as long as no announced track belongs to it.
    pub fn receiving(&mut self, protocol: &str, mid: &str, audio: &Audio, incoming: Option<&Incoming>) {
        self.audio(protocol, mid, audio, Flow::Receive(incoming));
    }

    pub fn sending(&mut self, protocol: &str, mid: &str, audio: &Audio, outgoing: &Outgoing) {
        self.audio(protocol, mid, audio, Flow::Send(outgoing));
    }

    fn audio(&mut self, protocol: &str, mid: &str, audio: &Audio, flow: Flow<'_>) {
        let formats = flow.formats(audio);
        let list: Vec<String> = formats.iter().map(|pt| pt.0.to_string()).collect();
        self.media("audio", protocol, format_args!("{}", list.join(" ")), mid, flow.max_bitrate());
        self.line(format_args!("a={}", flow.direction()));
        self.line(format_args!("a=rtcp-mux"));
        if audio.reduced_rtcp {
            self.line(format_args!("a=rtcp-rsize"));
        }
        if let Some(id) = audio.mid_ext {
            self.line(format_args!("a=extmap:{id} {MID}"));
        }
        // On every section, whoever sends: libwebrtc offers a new section only the extensions that the last answer kept.
        if let Some(id) = audio.audio_level_ext {
            self.line(format_args!("a=extmap:{id} {AUDIO_LEVEL}"));
        }
        let opus = audio.opus.0;
        for pt in formats {
            if pt == audio.opus {
                self.line(format_args!("a=rtpmap:{opus} opus/48000/2"));
                self.line(format_args!("a=fmtp:{opus} {OPUS}{}", flow.opus_parameters()));
            } else {
                self.line(format_args!("a=rtpmap:{} red/48000/2", pt.0));
                self.line(format_args!("a=fmtp:{} {opus}/{opus}", pt.0));
            }
        }
        if audio.nack {
            self.line(format_args!("a=rtcp-fb:{opus} nack"));
        }
        if let Flow::Send(Outgoing { ssrc, stream_id, track_id, .. }) = flow {
            self.line(format_args!("a=msid:{stream_id} {track_id}"));
            self.line(format_args!("a=ssrc:{} cname:{stream_id}", ssrc.0));
            self.line(format_args!("a=ssrc:{} msid:{stream_id} {track_id}", ssrc.0));
        }
    }

    /// Begins a section. `max_bitrate` is said as bandwidth (RFC 3890): libwebrtc heeds it whatever its page has asked for.
    fn media(
        &mut self,
        kind: &str,
        protocol: &str,
        formats: fmt::Arguments<'_>,
        mid: &str,
        max_bitrate: Option<u32>,
    ) {
        self.line(format_args!("m={kind} 9 {protocol} {formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if let Some(bitrate) = max_bitrate {
            self.line(format_args!("b=TIAS:{bitrate}"));
        }
        let local = self.local;
        // Bundled sections share the transport of the first, so only that one names candidates (RFC 8829 §5.3.1).
        if !self.candidates_said {
            self.candidates_said = true;
            let LocalAddresses { udp, tcp } = &local.candidates;
            for (index, address) in udp.iter().enumerate() {
                self.line(format_args!("a={}", udp_candidate(index, *address)));
            }
            for (index, address) in tcp.iter().enumerate() {
                self.line(format_args!("a={}", tcp_candidate(udp.len() + index, *address)));
            }
            self.line(format_args!("a=end-of-candidates"));
        }
        self.line(format_args!("a=ice-ufrag:{}", local.ice_ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.ice_pwd));
        let setup = match self.role {
            Role::Active => "active",
            Role::Passive => "passive",
            Role::Open => "actpass",
        };
        self.line(format_args!("a=setup:{setup}"));
        self.line(format_args!("a=mid:{mid}"));
    }
}

/// What flows on an audio section, from our side.
enum Flow<'a> {
    Idle,
    Receive(Option<&'a Incoming>),
    Send(&'a Outgoing),
}

impl Flow<'_> {
    fn direction(&self) -> &'static str {
        match self {
            Flow::Idle => "inactive",
            Flow::Receive(_) => "recvonly",
            Flow::Send(_) => "sendonly",
        }
    }

    /// The first format is what the peer will send; a track that is not announced yet may forbid RED.
    fn formats(&self, audio: &Audio) -> Vec<PayloadType> {
        let red_first = match self {
            Flow::Receive(incoming) if !incoming.is_some_and(|track| track.red) => return vec![audio.opus],
            Flow::Receive(_) => true,
            Flow::Send(outgoing) => outgoing.red,
            Flow::Idle => false,
        };
        match audio.red {
            Some(red) if red_first => vec![red, audio.opus],
            Some(red) => vec![audio.opus, red],
            None => vec![audio.opus],
        }
    }

    /// What the peer is to send at the most, in bits per second, if it is to be limited.
    fn max_bitrate(&self) -> Option<u32> {
        match self {
            Flow::Receive(incoming) => incoming.and_then(|track| track.max_bitrate),
            Flow::Send(_) | Flow::Idle => None,
        }
    }

    /// Parameters beside those of every Opus section: what we would like to get, or what we will send (RFC 7587 §6.1).
    fn opus_parameters(&self) -> String {
        let (dtx, stereo) = match self {
            Flow::Receive(incoming) => (incoming.is_none_or(|t| t.dtx), incoming.is_some_and(|t| t.stereo)),
            Flow::Send(outgoing) if outgoing.stereo => return ";sprop-stereo=1".to_owned(),
            Flow::Send(_) | Flow::Idle => (false, false),
        };
        let dtx = if dtx { ";usedtx=1" } else { "" };
        let bitrate = self.max_bitrate().or(stereo.then_some(510_000));
        let bitrate = bitrate.map(|bitrate| format!(";maxaveragebitrate={bitrate}")).unwrap_or_default();
        let stereo = if stereo { ";stereo=1" } else { "" };
        format!("{dtx}{stereo}{bitrate}")
    }
}

/// `candidate:…` for the address at place `index` in the order of preference (RFC 8839 §5.1, RFC 8445 §5.1.2.1).
fn udp_candidate(index: usize, address: SocketAddr) -> String {
    let preference = 65_535 - index.min(65_535);
    let priority = (126 << 24) | (preference << 8) | 255;
    format!("candidate:{} 1 udp {priority} {} {} typ host", index + 1, address.ip(), address.port())
}

/// The same for an address at which streams are accepted (RFC 6544 §4.2 and §4.5). The direction, which belongs to the
/// local preference, is the same for all.
fn tcp_candidate(index: usize, address: SocketAddr) -> String {
    let preference = (4 << 13) | (8191 - index.min(8191));
    let priority = (90 << 24) | (preference << 8) | 255;
    let (ip, port) = (address.ip(), address.port());
    format!("candidate:{} 1 tcp {priority} {ip} {port} typ host tcptype passive", index + 1)
}
