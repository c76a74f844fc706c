//! The side that answers: the publisher connection, or the only one, where LiveKit's section rules hold.
//!
//! A section is for one use at a time. One on which the peer has ever sent is never ours to send on. A section that
//! carried a track passes through `inactive` in one answer before it carries another, because clients announce a track
//! only when a section goes from silent to receiving.

use std::collections::{HashMap, HashSet};

use super::parse::{self, Description, MAX_SECTIONS};
use super::print::{Origin, Printer, Role};
use super::section::{self, Audio, Bundle, Content, Direction};
use super::{
    Answered, Incoming, LocalDescription, Outgoing, Peer, ReceiveSection, RemoteTransport, SdpError,
    SendSection, Setup,
};
use crate::{Mid, Ssrc, TrackKey};

#[derive(Debug, Default)]
pub(super) struct Answerer {
    origin: Origin,
    peer: Option<Peer>,
    role: Option<Role>,
    sections: Vec<Section>,
}

/// One media section as the last answer left it.
#[derive(Debug)]
struct Section {
    mid: Mid,
    content: Content,
    /// The peer has sent on it at some time.
    peer_sent: bool,
    /// What the peer sends here had a track before. If that is withdrawn, another takes its place only by name.
    had_track: bool,
    usage: Usage,
}

/// What an audio section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    /// Nothing, and it cannot be used: not audio, or the peer wants nothing on it.
    Closed,
    /// The peer would receive on it.
    Idle,
    /// As `Idle`, but a track was taken off it by the last answer.
    Released,
    Sending(TrackKey, Ssrc),
    /// The peer sends; its track may not have been announced yet.
    Receiving(Option<TrackKey>),
}

impl Answerer {
    pub fn has_remote(&self) -> bool {
        self.peer.is_some()
    }

    pub fn missing_sections(&self, outgoing: &[Outgoing]) -> u32 {
        let wanted: HashSet<TrackKey> = outgoing.iter().map(|track| track.track).collect();
        let usable =
            |section: &&Section| matches!(section.usage, Usage::Idle | Usage::Released | Usage::Sending(..));
        let usable = self.sections.iter().filter(usable).count();
        let missing = wanted.len().saturating_sub(usable);
        u32::try_from(missing.min(self.room_for_more())).unwrap_or(u32::MAX)
    }

    /// Sections that the peer may add, one for data left over: an offer with more would be refused.
    fn room_for_more(&self) -> usize {
        (MAX_SECTIONS - 1).saturating_sub(self.sections.len())
    }

    pub fn is_outdated(&self, outgoing: &[Outgoing]) -> bool {
        let wanted: HashSet<(TrackKey, Ssrc)> =
            outgoing.iter().map(|track| (track.track, track.ssrc)).collect();
        let sent = |section: &Section| match section.usage {
            Usage::Sending(track, ssrc) => Some((track, ssrc)),
            Usage::Closed | Usage::Idle | Usage::Released | Usage::Receiving(_) => None,
        };
        let sent: HashSet<(TrackKey, Ssrc)> = self.sections.iter().filter_map(sent).collect();
        let is_free = |section: &Section| matches!(section.usage, Usage::Idle | Usage::Released);
        let has_room = || self.room_for_more() > 0 || self.sections.iter().any(is_free);
        !sent.is_subset(&wanted) || (sent.len() < wanted.len() && has_room())
    }

    pub fn restarts_ice(&self, sdp: &str) -> bool {
        let Ok(offer) = parse::description(sdp) else { return false };
        let remote = Bundle::of(&offer).and_then(|b| section::transport(&offer, &b, Setup::ActPass));
        remote.is_ok_and(|remote| self.peer.as_ref().is_some_and(|peer| peer.restarts_ice(&remote)))
    }

    pub fn handle_offer(
        &mut self,
        sdp: &str,
        local: &LocalDescription,
        incoming: &[Incoming],
        outgoing: &[Outgoing],
    ) -> Result<Answered, SdpError> {
        let offer = parse::description(sdp)?;
        let bundle = Bundle::of(&offer)?;
        let remote = section::transport(&offer, &bundle, Setup::ActPass)?;
        let role = self.role_towards(&remote)?;
        let ice_restart = self.peer.as_ref().is_some_and(|peer| peer.restarts_ice(&remote));

        let mut sections = self.offered(&offer, &bundle, ice_restart);
        let dropped = bind_incoming(&mut sections, &self.sections, incoming);
        let (unplaced, needs_reoffer) = bind_outgoing(&mut sections, outgoing);
        self.sections = sections;
        self.peer = Some(Peer::of(&remote));
        self.role = Some(role);
        Ok(Answered {
            sdp: self.print(local, role, &offer, &bundle, incoming, outgoing),
            remote,
            ice_restart,
            receiving: self.receiving(incoming),
            sending: self.sending(),
            dropped,
            unplaced,
            needs_reoffer,
        })
    }

    pub fn bind_late(&mut self, incoming: &Incoming) -> Option<ReceiveSection> {
        let bound = Usage::Receiving(Some(incoming.track));
        let waits = |section: &Section| section.usage == Usage::Receiving(None);
        let place = |wanted: &dyn Fn(&Section) -> bool| self.sections.iter().position(wanted);
        let index = place(&|s| s.usage == bound)
            .or_else(|| place(&|s| waits(s) && s.cid() == Some(&incoming.cid)))
            .or_else(|| place(&|s| waits(s) && !s.had_track))?;
        self.sections[index].usage = bound;
        self.sections[index].had_track = true;
        // The answer went out without RED, since nobody knew whether this track may use it.
        self.sections[index].received(&Incoming { red: false, ..incoming.clone() })
    }

    /// Our DTLS role: passive where the peer leaves it to us, and the same for the life of the connection.
    fn role_towards(&self, remote: &RemoteTransport) -> Result<Role, SdpError> {
        if self.peer.as_ref().is_some_and(|peer| !peer.is_same_certificate(remote)) {
            return Err(SdpError::CertificateChanged);
        }
        let role = match (remote.setup, self.role) {
            (Setup::ActPass, Some(role)) => role,
            (Setup::ActPass | Setup::Active, _) => Role::Passive,
            (Setup::Passive, _) => Role::Active,
        };
        if self.role.is_some_and(|before| before != role) { Err(SdpError::Setup) } else { Ok(role) }
    }

    /// The sections of the offer with the use that follows from the peer's directions and from the last answer.
    fn offered(&self, offer: &Description<'_>, bundle: &Bundle<'_>, ice_restart: bool) -> Vec<Section> {
        let before: HashMap<&str, &Section> = self.sections.iter().map(|s| (s.mid.0.as_str(), s)).collect();
        let section = |(index, &mid): (usize, &&str)| {
            let content = section::content(offer, bundle, index);
            let before = before.get(mid).copied();
            let sends = matches!(&content, Content::Audio(audio) if audio.direction.sends());
            let peer_sent = sends || before.is_some_and(|before| before.peer_sent);
            let usage = match (&content, before.map(|before| before.usage)) {
                (Content::Audio(_), Some(Usage::Receiving(track))) if sends => Usage::Receiving(track),
                (Content::Audio(_), _) if sends => Usage::Receiving(None),
                (Content::Audio(audio), _) if audio.direction == Direction::Inactive || peer_sent => {
                    Usage::Closed
                }
                (Content::Audio(_), Some(sending @ Usage::Sending(..))) => sending,
                // A client that restarts ICE may have dropped the last answer, so that it still believes in the track.
                (Content::Audio(_), Some(Usage::Released)) if ice_restart => Usage::Released,
                (Content::Audio(_), _) => Usage::Idle,
                (Content::Foreign | Content::Data | Content::Refused, _) => Usage::Closed,
            };
            let had_track = sends && before.is_some_and(|before| before.had_track);
            Section { mid: Mid(mid.to_owned()), content, peer_sent, had_track, usage }
        };
        bundle.mids.iter().enumerate().map(section).collect()
    }

    fn receiving(&self, incoming: &[Incoming]) -> Vec<ReceiveSection> {
        let tracks: HashMap<TrackKey, &Incoming> = incoming.iter().map(|t| (t.track, t)).collect();
        let section = |section: &Section| section.received(tracks.get(&section.received_track()?)?);
        self.sections.iter().filter_map(section).collect()
    }

    fn sending(&self) -> Vec<SendSection> {
        let section = |section: &Section| match (section.usage, &section.content) {
            (Usage::Sending(track, ssrc), Content::Audio(audio)) => Some(SendSection {
                mid: section.mid.clone(),
                track,
                ssrc,
                opus: audio.opus,
                red: audio.red,
                mid_ext: audio.mid_ext,
                nack: audio.nack,
            }),
            _ => None,
        };
        self.sections.iter().filter_map(section).collect()
    }

    fn print(
        &mut self,
        local: &LocalDescription,
        role: Role,
        offer: &Description<'_>,
        bundle: &Bundle<'_>,
        incoming: &[Incoming],
        outgoing: &[Outgoing],
    ) -> String {
        let incoming: HashMap<TrackKey, &Incoming> =
            incoming.iter().map(|track| (track.track, track)).collect();
        let outgoing: HashMap<TrackKey, &Outgoing> =
            outgoing.iter().map(|track| (track.track, track)).collect();
        let tag = bundle.mids[bundle.tag];
        let accepted = bundle.mids.iter().enumerate().filter(|(index, _)| bundle.contains(*index));
        let others = accepted.map(|(_, mid)| *mid).filter(|mid| *mid != tag);
        let mids: Vec<&str> = std::iter::once(tag).chain(others).collect();
        let mut printer = Printer::begin(&mut self.origin, local, role, bundle.is_group.then_some(&mids[..]));
        for (media, section) in offer.media.iter().zip(&self.sections) {
            let (mid, protocol) = (section.mid.0.as_str(), media.protocol);
            match (&section.content, section.usage) {
                (Content::Refused, _) => printer.refused(media.kind, protocol, media.formats[0], mid),
                (Content::Foreign, _) => printer.foreign(media, mid),
                (Content::Data, _) => printer.data(protocol, mid),
                (Content::Audio(audio), Usage::Receiving(track)) => {
                    let track = track.and_then(|track| incoming.get(&track).copied());
                    printer.receiving(protocol, mid, audio, track);
                }
                (Content::Audio(audio), Usage::Sending(track, _)) => {
                    printer.sending(protocol, mid, audio, outgoing[&track]);
                }
                (Content::Audio(audio), Usage::Closed | Usage::Idle | Usage::Released) => {
                    printer.idle(protocol, mid, audio);
                }
            }
        }
        printer.finish()
    }
}

impl Section {
    fn cid(&self) -> Option<&String> {
        match &self.content {
            Content::Audio(Audio { cid, .. }) => cid.as_ref(),
            Content::Foreign | Content::Data | Content::Refused => None,
        }
    }

    fn received_track(&self) -> Option<TrackKey> {
        match self.usage {
            Usage::Receiving(track) => track,
            Usage::Closed | Usage::Idle | Usage::Released | Usage::Sending(..) => None,
        }
    }

    fn received(&self, incoming: &Incoming) -> Option<ReceiveSection> {
        let Content::Audio(audio) = &self.content else { return None };
        Some(ReceiveSection {
            mid: self.mid.clone(),
            track: incoming.track,
            opus: audio.opus,
            red: audio.red.filter(|_| incoming.red),
            audio_level_ext: audio.audio_level_ext,
            mid_ext: audio.mid_ext,
            ssrcs: audio.ssrcs.clone(),
            nack: audio.nack,
        })
    }
}

/// Gives each section on which the peer sends its track, and returns the tracks that lost theirs.
///
/// A section whose msid names a track is that track's. Others keep what they had, and what then has no track takes
/// those tracks that never had a section, in order: some clients write another id into their SDP than they announced.
fn bind_incoming(sections: &mut [Section], before: &[Section], incoming: &[Incoming]) -> Vec<TrackKey> {
    let announced: HashSet<TrackKey> = incoming.iter().map(|track| track.track).collect();
    let mut named: HashMap<&str, TrackKey> = incoming.iter().map(|t| (t.cid.as_str(), t.track)).collect();
    let receives = |section: &&mut Section| matches!(section.usage, Usage::Receiving(_));

    let exact: Vec<Option<TrackKey>> = sections
        .iter()
        .map(|s| if matches!(s.usage, Usage::Receiving(_)) { named.remove(s.cid()?.as_str()) } else { None })
        .collect();
    let mut placed: HashSet<TrackKey> = exact.iter().flatten().copied().collect();
    for (section, exact) in sections.iter_mut().zip(exact).filter(|(section, _)| receives(section)) {
        let mut kept = |usage| match usage {
            Usage::Receiving(track) => track.filter(|t| announced.contains(t) && placed.insert(*t)),
            Usage::Closed | Usage::Idle | Usage::Released | Usage::Sending(..) => None,
        };
        section.usage = Usage::Receiving(exact.or_else(|| kept(section.usage)));
    }

    let had: Vec<TrackKey> = before.iter().filter_map(Section::received_track).collect();
    let seen: HashSet<TrackKey> = had.iter().copied().collect();
    let mut pending = incoming.iter().map(|t| t.track).filter(|t| !placed.contains(t) && !seen.contains(t));
    let waits = |section: &&mut Section| section.usage == Usage::Receiving(None) && !section.had_track;
    for section in sections.iter_mut().filter(waits) {
        section.usage = Usage::Receiving(pending.next());
    }
    for section in sections.iter_mut() {
        section.had_track |= section.received_track().is_some();
    }
    had.into_iter().filter(|track| announced.contains(track) && !placed.contains(track)).collect()
}

/// Gives each outgoing track a section. Returns how many need a further section, and whether some only need that a
/// section freed here is offered once more.
fn bind_outgoing(sections: &mut [Section], outgoing: &[Outgoing]) -> (u32, bool) {
    let wanted: HashMap<TrackKey, Ssrc> = outgoing.iter().map(|track| (track.track, track.ssrc)).collect();
    let mut placed = HashSet::new();
    let mut returning = 0;
    for section in sections.iter_mut() {
        let Usage::Sending(track, ssrc) = section.usage else { continue };
        let source = wanted.get(&track).copied().filter(|_| placed.insert(track));
        if source != Some(ssrc) {
            section.usage = Usage::Released;
            // Another source means that the track was given up and is wanted again. A client announces it only once it
            // has seen it go, so it comes back with the next offer.
            returning += usize::from(source.is_some());
        }
    }
    let mut waiting = outgoing.iter().filter(|track| placed.insert(track.track));
    for section in sections.iter_mut().filter(|section| section.usage == Usage::Idle) {
        let Some(Outgoing { track, ssrc, .. }) = waiting.next() else { break };
        section.usage = Usage::Sending(*track, *ssrc);
    }
    let waiting = waiting.count() + returning;
    let released = sections.iter().filter(|section| section.usage == Usage::Released).count();
    let unplaced = u32::try_from(waiting.saturating_sub(released)).unwrap_or(u32::MAX);
    (unplaced, waiting > 0 && released > 0)
}
