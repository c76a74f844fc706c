//! Who of a large room is heard: the few whose microphones stand out most.
//!
//! A place is taken by the first packet that is speech, and kept over pauses until somebody needs it who stands out
//! more. Whoever has said nothing for the [`HOLD`] gives it up, so that silence and steady noise go to nobody. All of
//! it is decided packet by packet: no timer, and nothing that grows with the room.

use std::time::{Duration, Instant};

use super::voice::Voice;
use crate::TrackKey;

/// How long a speaker's silence is forwarded: the end of a word and the breath after it.
const HOLD: Duration = Duration::from_millis(800);
/// After so long without speech a speaker pauses, and gives way to anyone who stands out more by [`OVER_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
/// Decibels; a single click does not take the place of somebody who draws breath.
const OVER_PAUSE: f32 = 3.0;
/// Decibels by which one must stand out more than somebody in the middle of a sentence.
const OVER_SPEECH: f32 = 10.0;

/// What the operator has decided about large rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoudestSpeakers {
    /// Microphones that are forwarded at once; 0 is all of them, in every room.
    pub places: usize,
    /// Rooms with more members than this are large.
    pub above: usize,
}

impl LoudestSpeakers {
    /// Everybody is heard, whatever the size of the room.
    pub const OFF: Self = Self { places: 0, above: 0 };

    pub(crate) fn applies_to(self, members: usize) -> bool {
        self.places > 0 && members > self.above
    }
}

/// The places of one room and those who have them.
#[derive(Debug, Default)]
pub(crate) struct Loudest {
    /// As many as there are places at the most.
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    track: TrackKey,
    /// As of its latest packet.
    voice: Voice,
}

impl Loudest {
    /// Whether the packet that `voice` has just observed is to be heard: its track has a place, or gets one.
    pub(crate) fn admits(&mut self, places: usize, track: TrackKey, voice: &Voice, now: Instant) -> bool {
        self.seats.retain(|seat| seat.track == track || seat.voice.spoke_within(HOLD, now));
        if let Some(at) = self.seats.iter().position(|seat| seat.track == track) {
            let stays = voice.spoke_within(HOLD, now);
            if stays {
                self.seats[at].voice = *voice;
            } else {
                self.seats.swap_remove(at);
            }
            return stays;
        }
        if !voice.spoke_within(Duration::ZERO, now) {
            return false;
        }
        let newcomer = Seat { track, voice: *voice };
        if self.seats.len() < places {
            self.seats.push(newcomer);
            return true;
        }
        let weakest = self.seats.iter_mut().min_by(|a, b| a.defence(now).total_cmp(&b.defence(now)));
        match weakest.filter(|seat| voice.prominence_at(now) >= seat.defence(now)) {
            Some(seat) => {
                *seat = newcomer;
                true
            }
            None => false,
        }
    }

    /// Whether a track has a place at present.
    pub(crate) fn has(&self, track: TrackKey, now: Instant) -> bool {
        self.seats.iter().any(|seat| seat.track == track && seat.voice.spoke_within(HOLD, now))
    }

    /// Takes the place of a track that is muted or gone.
    pub(crate) fn vacate(&mut self, track: TrackKey) {
        self.seats.retain(|seat| seat.track != track);
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn tracks(&self) -> impl Iterator<Item = TrackKey> {
        self.seats.iter().map(|seat| seat.track)
    }
}

impl Seat {
    /// How much somebody must stand out to get this place.
    fn defence(&self, now: Instant) -> f32 {
        let margin = if self.voice.spoke_within(PAUSE, now) { OVER_SPEECH } else { OVER_PAUSE };
        self.voice.prominence_at(now) + margin
    }
}

#[cfg(test)]
mod tests;
