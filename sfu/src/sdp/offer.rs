//! The side that offers: the subscriber connection of dual mode.
//!
//! The first section is for data channels, and so the bundle's tag for good. Every other section sends one track, or is
//! inactive; it takes another track only after the peer has answered it as inactive.

use std::collections::{HashMap, HashSet};

use super::parse::{self, Description, MAX_SECTIONS};
use super::print::{Origin, Printer, Role};
use super::section::{self, Audio, Bundle, Content, Direction};
use super::{
    Accepted, LocalDescription, Offered, Outgoing, Peer, RemoteTransport, SdpError, SendSection, Setup,
};
use crate::{Mid, PayloadType, Ssrc, TrackKey};

const DATA_MID: &str = "0";
const PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";
/// What we offer, with LiveKit's payload types.
const AUDIO: Audio = Audio {
    direction: Direction::SendOnly,
    opus: PayloadType(111),
    red: Some(PayloadType(63)),
    nack: true,
    reduced_rtcp: true,
    audio_level_ext: None,
    mid_ext: None,
    cid: None,
    ssrcs: Vec::new(),
};

/// With so many sections a track may come back in one in which it has been: descriptions should not grow for ever where
/// somebody is turned off and on again.
const FRESH_SECTIONS: usize = 128;
/// Tracks that a section remembers to have carried.
const REMEMBERED: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Offerer {
    origin: Origin,
    peer: Option<Peer>,
    /// The part in the DTLS handshake that the peer chose, for the life of the connection.
    peer_setup: Option<Setup>,
    /// Audio sections; the one at index n has mid n + 1.
    sections: Vec<Section>,
    outstanding: bool,
}

#[derive(Debug, Default)]
struct Section {
    usage: Usage,
    /// What it carries or has carried. With two connections, clients on LiveKit's Rust core announce a track once per
    /// section and never again in the same one, so one that comes back needs a section in which it has not been.
    carried: Vec<TrackKey>,
}

/// What an audio section of ours is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Usage {
    #[default]
    Idle,
    /// A track was taken off it in the outstanding offer.
    Released,
    Sending(TrackKey, Ssrc),
    /// The peer refused it for good, perhaps with a track, which is then not offered again and again.
    Refused(Option<TrackKey>),
}

impl Section {
    fn carry(&mut self, track: TrackKey, ssrc: Ssrc) {
        self.usage = Usage::Sending(track, ssrc);
        if self.carried.len() == REMEMBERED {
            self.carried.remove(0);
        }
        self.carried.push(track);
    }
}

impl Usage {
    fn track(self) -> Option<TrackKey> {
        match self {
            Self::Sending(track, _) => Some(track),
            Self::Refused(track) => track,
            Self::Idle | Self::Released => None,
        }
    }
}

impl Offerer {
    pub fn has_remote(&self) -> bool {
        self.peer.is_some()
    }

    pub fn is_outdated(&self, outgoing: &[Outgoing]) -> bool {
        let wanted: HashMap<TrackKey, Ssrc> =
            outgoing.iter().map(|track| (track.track, track.ssrc)).collect();
        let known: HashSet<TrackKey> = self.sections.iter().filter_map(|s| s.usage.track()).collect();
        let unwanted = |section: &Section| match section.usage {
            Usage::Sending(track, ssrc) => wanted.get(&track) != Some(&ssrc),
            Usage::Idle | Usage::Released | Usage::Refused(_) => false,
        };
        let is_idle = |section: &Section| section.usage == Usage::Idle;
        let has_room = self.sections.len() < MAX_SECTIONS - 1 || self.sections.iter().any(is_idle);
        self.sections.iter().any(unwanted)
            || (has_room && !outgoing.iter().all(|track| known.contains(&track.track)))
    }

    pub fn create_offer(
        &mut self,
        local: &LocalDescription,
        outgoing: &[Outgoing],
    ) -> Result<Offered, SdpError> {
        if self.outstanding {
            return Err(SdpError::WrongState);
        }
        let unplaced = self.place(outgoing);
        self.outstanding = true;
        Ok(Offered { sdp: self.print(local, outgoing), sending: self.planned(), unplaced })
    }

    pub fn abandon_offer(&mut self) {
        self.outstanding = false;
    }

    pub fn handle_answer(&mut self, sdp: &str) -> Result<Accepted, SdpError> {
        if !self.outstanding {
            return Err(SdpError::WrongState);
        }
        let answer = parse::description(sdp)?;
        self.check_sections(&answer)?;
        let bundle = Bundle::of(&answer)?;
        let remote = section::transport(&answer, &bundle, Setup::Active)?;
        self.check_peer(&remote)?;
        let ice_restart = self.peer.as_ref().is_some_and(|peer| peer.restarts_ice(&remote));

        let (sending, refused) = self.settle(&answer, &bundle);
        self.peer = Some(Peer::of(&remote));
        self.peer_setup = Some(remote.setup);
        self.outstanding = false;
        Ok(Accepted { remote, ice_restart, sending, refused })
    }

    /// Gives each track a section, new ones at the end, and returns how many found no room.
    fn place(&mut self, outgoing: &[Outgoing]) -> u32 {
        let wanted: HashMap<TrackKey, &Outgoing> = outgoing.iter().map(|t| (t.track, t)).collect();
        let mut placed = HashSet::new();
        for Section { usage, .. } in &mut self.sections {
            *usage = match *usage {
                // Another source means that the track was given up and is wanted again. A client announces it only once
                // it has seen it go, so it comes back with the next offer.
                Usage::Sending(track, ssrc) => match wanted.get(&track) {
                    Some(outgoing) if placed.insert(track) && outgoing.ssrc == ssrc => *usage,
                    _ => Usage::Released,
                },
                Usage::Refused(track) => {
                    placed.extend(track);
                    *usage
                }
                Usage::Idle | Usage::Released => *usage,
            };
        }
        let waiting: Vec<TrackKey> =
            outgoing.iter().map(|track| track.track).filter(|track| placed.insert(*track)).collect();
        let mut without = 0;
        for track in waiting {
            match self.section_for(track) {
                Some(section) => section.carry(track, wanted[&track].ssrc),
                None => without += 1,
            }
        }
        without
    }

    /// An idle section in which the track has not been, or a new one at the end.
    fn section_for(&mut self, track: TrackKey) -> Option<&mut Section> {
        let is_idle = |section: &Section| section.usage == Usage::Idle;
        let is_fresh = |section: &Section| is_idle(section) && !section.carried.contains(&track);
        let fresh = self.sections.iter().position(is_fresh);
        let any = || self.sections.iter().position(is_idle).filter(|_| self.sections.len() >= FRESH_SECTIONS);
        let new = || (self.sections.len() < MAX_SECTIONS - 1).then_some(self.sections.len());
        let index = fresh.or_else(any).or_else(new)?;
        if index == self.sections.len() {
            self.sections.push(Section::default());
        }
        Some(&mut self.sections[index])
    }

    fn planned(&self) -> Vec<(Mid, TrackKey)> {
        let sending = |(index, section): (usize, &Section)| match section.usage {
            Usage::Sending(track, _) => Some((mid(index), track)),
            Usage::Idle | Usage::Released | Usage::Refused(_) => None,
        };
        self.sections.iter().enumerate().filter_map(sending).collect()
    }

    fn print(&mut self, local: &LocalDescription, outgoing: &[Outgoing]) -> String {
        let outgoing: HashMap<TrackKey, &Outgoing> =
            outgoing.iter().map(|track| (track.track, track)).collect();
        let mids: Vec<String> = (0..self.sections.len()).map(|index| mid(index).0).collect();
        let open = self
            .sections
            .iter()
            .zip(&mids)
            .filter(|(section, _)| !matches!(section.usage, Usage::Refused(_)));
        let bundle: Vec<&str> = std::iter::once(DATA_MID).chain(open.map(|(_, mid)| mid.as_str())).collect();
        let mut printer = Printer::begin(&mut self.origin, local, Role::Open, Some(&bundle));
        printer.data("UDP/DTLS/SCTP", DATA_MID);
        for (section, mid) in self.sections.iter().zip(&mids) {
            match section.usage {
                Usage::Sending(track, _) => printer.sending(PROTOCOL, mid, &AUDIO, outgoing[&track]),
                Usage::Idle | Usage::Released => printer.idle(PROTOCOL, mid, &AUDIO),
                Usage::Refused(_) => printer.refused("audio", PROTOCOL, "111", mid),
            }
        }
        printer.finish()
    }

    fn check_sections(&self, answer: &Description<'_>) -> Result<(), SdpError> {
        let ours = std::iter::once(DATA_MID.to_owned()).chain((0..self.sections.len()).map(|i| mid(i).0));
        let theirs = answer.media.iter().map(|media| media.attributes.value("mid").unwrap_or_default());
        if theirs.eq(ours) { Ok(()) } else { Err(SdpError::Mismatch) }
    }

    fn check_peer(&self, remote: &RemoteTransport) -> Result<(), SdpError> {
        // The answer is where the choice is made (RFC 8842 §5.3), once.
        if remote.setup == Setup::ActPass || self.peer_setup.is_some_and(|before| before != remote.setup) {
            return Err(SdpError::Setup);
        }
        match &self.peer {
            Some(peer) if !peer.is_same_certificate(remote) => Err(SdpError::CertificateChanged),
            _ => Ok(()),
        }
    }

    /// Takes over what the answer says of each section.
    fn settle(&mut self, answer: &Description<'_>, bundle: &Bundle) -> (Vec<SendSection>, Vec<TrackKey>) {
        let (mut sending, mut refused) = (Vec::new(), Vec::new());
        for (index, Section { usage, .. }) in self.sections.iter_mut().enumerate() {
            let Content::Audio(audio) = section::content(answer, bundle, index + 1) else {
                let track = usage.track();
                refused.extend(track.filter(|_| !matches!(usage, Usage::Refused(_))));
                *usage = Usage::Refused(track);
                continue;
            };
            match *usage {
                // A section that the peer leaves inactive stays the track's: it may want it at the next offer.
                Usage::Sending(track, ssrc) if audio.direction.receives() => {
                    let Audio { opus, red, mid_ext, nack, .. } = audio;
                    sending.push(SendSection { mid: mid(index), track, ssrc, opus, red, mid_ext, nack });
                }
                Usage::Released => *usage = Usage::Idle,
                Usage::Sending(..) | Usage::Idle | Usage::Refused(_) => {}
            }
        }
        (sending, refused)
    }
}

fn mid(index: usize) -> Mid {
    Mid((index + 1).to_string())
}
