//! Whether a packet goes out at all, where there are too many who talk to hear them all.

use std::time::Instant;

use super::ring::Packet;
use crate::LoudestSpeakers;
use crate::room::Publication;
use crate::rtp::AudioLevel;
use crate::sfu::Sfu;

/// An Opus packet without a frame worth playing, as encoders make of silence (RFC 6716 §3.1: hardly more than the TOC).
const SILENT_PAYLOAD: usize = 2;
const SILENCE: AudioLevel = AudioLevel { voice: false, below_overload: 127 };

impl Sfu {
    /// Whether a packet of a publication that has just been listened to is to be heard here. It then bears the number and
    /// the marker with which it goes out: those of a stream without what was held back, whose clock ran on meanwhile.
    pub(crate) fn select(&mut self, publication: usize, packet: &mut Packet<'_>, now: Instant) -> bool {
        let is_heard = self.has_place(publication, now) && self.publications[publication].renumber(packet);
        self.counters.withheld += u64::from(!is_heard);
        is_heard
    }

    /// Other sound than that of microphones, such as a shared screen's, is never measured against them.
    fn has_place(&mut self, publication: usize, now: Instant) -> bool {
        let rule = self.config.loudest;
        let publication = &mut self.publications[publication];
        if !publication.spec.microphone || rule.places == 0 {
            return true;
        }
        let Some(room) = self.rooms.get_mut(&publication.owner.room(&self.participants)) else { return true };
        let (track, voice) = (publication.spec.track, &publication.voice);
        let has_place = !rule.applies_to(room.size()) || room.loudest.admits(rule.places, track, voice, now);
        if !has_place {
            publication.numbering.detach();
        }
        has_place
    }
}

impl Publication {
    /// Measures a packet, if it may have to be measured against others.
    pub(super) fn listen(
        &mut self,
        packet: &Packet<'_>,
        level: Option<AudioLevel>,
        rule: LoudestSpeakers,
        now: Instant,
    ) {
        if self.spec.microphone && rule.places > 0 {
            let is_silent = packet.payload.len() - packet.primary <= SILENT_PAYLOAD;
            self.voice.observe(level.or(is_silent.then_some(SILENCE)), now);
        }
    }

    /// False for a packet from before its talk spurt.
    fn renumber(&mut self, packet: &mut Packet<'_>) -> bool {
        // The first packet of a talk spurt is marked, for receivers to choose their delay anew (RFC 3551 §4.1).
        packet.marker |= !self.numbering.is_anchored();
        let number = self.numbering.outgoing(packet.seq);
        packet.seq = number.unwrap_or(packet.seq);
        number.is_some()
    }
}
