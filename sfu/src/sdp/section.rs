//! What one media section of the peer says, and which sections share the one transport.

use std::collections::{HashMap, HashSet};

use super::parse::{Description, Media};
use super::{RemoteTransport, SdpError, Setup};
use crate::{Mid, PayloadType, Ssrc};

pub(super) const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"; // RFC 6464
pub(super) const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid"; // RFC 9143 §15

const MAX_CANDIDATES: usize = 64;
const MAX_FINGERPRINTS: usize = 16;
const MAX_SSRCS: usize = 16;
const MAX_MID: usize = 64;

/// Which way media flows on a section, as the one who wrote it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// What can be done with a section of the peer.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Audio with Opus.
    Audio(Audio),
    /// Media that this server does not carry: video, or audio without Opus.
    Foreign,
    /// Data channels (RFC 8841).
    Data,
    /// Nothing: the peer has given it up, or it is outside the bundle or of an unknown kind.
    Refused,
}

/// What an audio section offers.
#[derive(Clone, Debug)]
pub(super) struct Audio {
    pub direction: Direction,
    pub opus: PayloadType,
    pub red: Option<PayloadType>,
    pub nack: bool,
    /// RTCP packets need not be compound (RFC 5506).
    pub reduced_rtcp: bool,
    pub audio_level_ext: Option<u8>,
    pub mid_ext: Option<u8>,
    /// The second token of `a=msid`.
    pub cid: Option<String>,
    pub ssrcs: Vec<Ssrc>,
}

/// The sections of a description that travel over its one transport (RFC 9143).
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// Every section's mid, in order, bundled or not.
    pub mids: Vec<&'a str>,
    /// Index of the section whose transport attributes count.
    pub tag: usize,
    /// False when the peer does not bundle and the tag stands alone.
    pub is_group: bool,
    member: Vec<bool>,
}

impl<'a> Bundle<'a> {
    /// Finds the transport of a description. Sections outside the group have none.
    pub fn of(description: &Description<'a>) -> Result<Self, SdpError> {
        let mids = mids(description)?;
        let usable = |index: usize| is_usable(&description.media[index]);
        let group = description.session.values("group").find_map(|group| group.strip_prefix("BUNDLE"));
        let listed: Vec<&str> = group.unwrap_or_default().split_ascii_whitespace().collect();
        let index_by_mid: HashMap<&str, usize> = mids.iter().copied().zip(0..).collect();
        let place = |mid: &&str| index_by_mid.get(mid).copied();
        // A name in the group that no section bears, or a section that the peer gave up, cannot be the tag.
        let tag = match group {
            Some(_) => listed.iter().filter_map(place).find(|index| usable(*index)),
            None => (0..mids.len()).find(|index| usable(*index)),
        };
        let tag = tag.ok_or(SdpError::Missing("media section"))?;
        let members: HashSet<&str> = listed.iter().copied().collect();
        let member = mids.iter().enumerate();
        let member = member.map(|(i, mid)| usable(i) && (i == tag || members.contains(mid))).collect();
        Ok(Self { mids, tag, is_group: group.is_some(), member })
    }

    pub fn contains(&self, index: usize) -> bool {
        self.member[index]
    }
}

/// Every section's mid, in order. Absent, duplicate and unprintable ones are refused.
fn mids<'a>(description: &Description<'a>) -> Result<Vec<&'a str>, SdpError> {
    let mut seen = HashSet::new();
    let name = |media: &Media<'a>| {
        let mid = media.attributes.value("mid").ok_or(SdpError::Missing("mid"))?;
        if mid.is_empty() || mid.len() > MAX_MID || !mid.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SdpError::Missing("mid"));
        }
        if !seen.insert(mid) {
            return Err(SdpError::DuplicateMid(Mid(mid.to_owned())));
        }
        Ok(mid)
    };
    description.media.iter().map(name).collect()
}

/// Whether the section can be accepted at all: offered, of a kind that we know, and with RTCP on the port of its RTP,
/// for we have only that one (RFC 8834 §4.5).
fn is_usable(media: &Media<'_>) -> bool {
    // Port 0 gives a section up, except where it only waits for the bundle (RFC 9143 §6).
    let offered = media.port != 0 || media.attributes.has("bundle-only");
    offered
        && match (media.kind, media.protocol) {
            ("audio" | "video", "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "RTP/SAVPF") => {
                media.attributes.has("rtcp-mux")
            }
            ("application", "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP") => media.formats[0] == "webrtc-datachannel",
            _ => false,
        }
}

/// Reads the section at `index`.
pub(super) fn content(description: &Description<'_>, bundle: &Bundle<'_>, index: usize) -> Content {
    let media = &description.media[index];
    if !bundle.contains(index) {
        return Content::Refused;
    }
    match media.kind {
        "application" => Content::Data,
        "audio" => audio(description, media).map_or(Content::Foreign, Content::Audio),
        _ => Content::Foreign,
    }
}

fn audio(description: &Description<'_>, media: &Media<'_>) -> Option<Audio> {
    let encodings = by_payload_type(media, "rtpmap");
    let parameters = by_payload_type(media, "fmtp");
    let listed =
        || media.formats.iter().filter_map(|format| format.parse::<u8>().ok()).filter(|pt| *pt < 128);
    let is =
        |pt: u8, encoding: &str| encodings[usize::from(pt)].is_some_and(|e| e.eq_ignore_ascii_case(encoding));
    let opus = listed().find(|pt| is(*pt, "opus/48000/2"))?;
    // RED names the payload types of its blocks (RFC 2198 §5); only that over this Opus is of use.
    let carries_opus = |pt: u8| {
        let blocks = parameters[usize::from(pt)].unwrap_or_default();
        blocks.split('/').all(|block| block.trim().parse() == Ok(opus))
    };
    let red = listed().find(|pt| is(*pt, "red/48000/2") && carries_opus(*pt));
    let is_nack = |value: &str| {
        value.split_once(' ').is_some_and(|(pt, kind)| {
            (pt == "*" || pt.parse() == Ok(opus)) && kind.trim().eq_ignore_ascii_case("nack")
        })
    };
    Some(Audio {
        direction: direction(description, media),
        opus: PayloadType(opus),
        red: red.map(PayloadType),
        nack: media.attributes.values("rtcp-fb").any(is_nack),
        reduced_rtcp: media.attributes.has("rtcp-rsize"),
        audio_level_ext: extension(description, media, AUDIO_LEVEL),
        mid_ext: extension(description, media, MID),
        cid: cid(media),
        ssrcs: ssrcs(media),
    })
}

/// The values of the attributes called `name`, each under the payload type that it begins with.
fn by_payload_type<'a>(media: &Media<'a>, name: &str) -> [Option<&'a str>; 128] {
    let mut table = [None; 128];
    for value in media.attributes.values(name) {
        let Some((format, rest)) = value.split_once(' ') else { continue };
        let place = format.parse::<u8>().ok().and_then(|pt| table.get_mut(usize::from(pt)));
        if let Some(place) = place {
            place.get_or_insert(rest.trim());
        }
    }
    table
}

fn direction(description: &Description<'_>, media: &Media<'_>) -> Direction {
    const NAMES: [(&str, Direction); 4] = [
        ("sendonly", Direction::SendOnly),
        ("recvonly", Direction::RecvOnly),
        ("inactive", Direction::Inactive),
        ("sendrecv", Direction::SendRecv),
    ];
    let said = NAMES.iter().find(|(name, _)| media.attributes.has(name));
    let said = said.or_else(|| NAMES.iter().find(|(name, _)| description.session.has(name)));
    said.map_or(Direction::SendRecv, |(_, direction)| *direction)
}

/// The id of a header extension that the peer may send (RFC 8285 §5).
fn extension(description: &Description<'_>, media: &Media<'_>, uri: &str) -> Option<u8> {
    let id = |value: &str| {
        let mut words = value.split_ascii_whitespace();
        let (id, direction) = words.next().map(|id| id.split_once('/').unwrap_or((id, "sendrecv")))?;
        let usable = words.next() == Some(uri) && matches!(direction, "sendrecv" | "sendonly");
        id.parse().ok().filter(|id| usable && *id > 0)
    };
    media
        .attributes
        .values("extmap")
        .find_map(id)
        .or_else(|| description.session.values("extmap").find_map(id))
}

fn cid(media: &Media<'_>) -> Option<String> {
    let own = media.attributes.values("msid");
    // Before RFC 8830 the same stood under `a=ssrc`.
    let of_source = media.attributes.values("ssrc").filter_map(|line| line.split_once(" msid:"));
    own.chain(of_source.map(|(_, msid)| msid)).find_map(second).map(str::to_owned)
}

fn second(msid: &str) -> Option<&str> {
    msid.split_ascii_whitespace().nth(1)
}

fn ssrcs(media: &Media<'_>) -> Vec<Ssrc> {
    let mut found = Vec::new();
    for line in media.attributes.values("ssrc") {
        let ssrc = line.split_ascii_whitespace().next().and_then(|id| id.parse().ok()).map(Ssrc);
        if let Some(ssrc) = ssrc
            && !found.contains(&ssrc)
            && found.len() < MAX_SSRCS
        {
            found.push(ssrc);
        }
    }
    found
}

/// The transport of a description: that of its bundle's tag. `unsaid` is the meaning of an absent `a=setup`.
pub(super) fn transport(
    description: &Description<'_>,
    bundle: &Bundle<'_>,
    unsaid: Setup,
) -> Result<RemoteTransport, SdpError> {
    let media = &description.media[bundle.tag];
    let credential = |name, length: std::ops::RangeInclusive<usize>| {
        let value = description.inherited(media, name).ok_or(SdpError::Missing(name))?;
        // More than the ice-chars of RFC 8839 §5.4: some stacks put `-`, `_` or `=` in.
        let printable = value.bytes().all(|b| b.is_ascii_graphic());
        (printable && length.contains(&value.len())).then(|| value.to_owned()).ok_or(SdpError::Missing(name))
    };
    let candidates = media.attributes.values("candidate").filter(|c| is_rtp_component(c));
    Ok(RemoteTransport {
        ice_ufrag: credential("ice-ufrag", 4..=256)?,
        ice_pwd: credential("ice-pwd", 22..=256)?,
        fingerprints: fingerprints(description, media)?,
        setup: setup(description.inherited(media, "setup"), unsaid)?,
        candidates: candidates.take(MAX_CANDIDATES).map(|c| format!("candidate:{c}")).collect(),
        has_data_section: description
            .media
            .iter()
            .enumerate()
            .any(|(index, media)| media.kind == "application" && bundle.contains(index)),
    })
}

/// With rtcp-mux there is only component 1.
fn is_rtp_component(candidate: &str) -> bool {
    candidate.split_ascii_whitespace().nth(1) == Some("1")
}

fn setup(said: Option<&str>, unsaid: Setup) -> Result<Setup, SdpError> {
    match said {
        None => Ok(unsaid),
        Some("active") => Ok(Setup::Active),
        Some("passive") => Ok(Setup::Passive),
        Some("actpass") => Ok(Setup::ActPass),
        Some(_) => Err(SdpError::Setup),
    }
}

/// Those of the section, else those of the session (RFC 8122 §5).
fn fingerprints(
    description: &Description<'_>,
    media: &Media<'_>,
) -> Result<Vec<(String, Vec<u8>)>, SdpError> {
    let own: Vec<_> =
        media.attributes.values("fingerprint").filter_map(fingerprint).take(MAX_FINGERPRINTS).collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let shared = description.session.values("fingerprint").filter_map(fingerprint);
    let shared: Vec<_> = shared.take(MAX_FINGERPRINTS).collect();
    if shared.is_empty() { Err(SdpError::Missing("fingerprint")) } else { Ok(shared) }
}

fn fingerprint(value: &str) -> Option<(String, Vec<u8>)> {
    let (hash, digest) = value.split_once(' ')?;
    let byte = |pair: &str| if pair.len() == 2 { u8::from_str_radix(pair, 16).ok() } else { None };
    let digest: Option<Vec<u8>> = digest.trim().split(':').map(byte).collect();
    digest.filter(|bytes| bytes.len() >= 16).map(|bytes| (hash.to_ascii_lowercase(), bytes))
}
