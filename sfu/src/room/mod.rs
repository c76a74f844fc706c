//! Rooms: who is inside, what they offer and what they hear. Plain data; the operations are [`crate::Sfu`]'s.

pub(crate) mod loudest;
pub(crate) mod participant;
pub(crate) mod publication;
pub(crate) mod speakers;
pub(crate) mod subscription;
mod subscriptions;
pub(crate) mod voice;

use crate::{ParticipantKey, TrackKey};

pub use loudest::LoudestSpeakers;
pub(crate) use participant::Participant;
pub(crate) use publication::Publication;
pub(crate) use subscription::Subscription;

/// One room of a worker.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Slab indices.
    pub(crate) participants: Vec<usize>,
    /// Who is heard while the room is large.
    pub(crate) loudest: loudest::Loudest,
    /// The speaker list is being judged every [`speakers::INTERVAL`]; rests while nobody sends.
    pub(crate) judging: bool,
    /// Connections are being judged; rests while nobody is inside.
    pub(crate) rating: bool,
    /// Other workers on which members may be.
    pub(crate) spans: Vec<Span>,
    /// Slab indices of publications that mirror those of other workers.
    pub(crate) mirrors: Vec<usize>,
    /// Subscriptions to tracks that are not known here yet.
    pub(crate) wishes: Vec<Wish>,
}

/// A room's part on another worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) worker: u8,
    pub(crate) members: usize,
}

/// A subscription to a track of which no word has come yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) subscriber: ParticipantKey,
    pub(crate) track: TrackKey,
    pub(crate) is_paused: bool,
}

impl Room {
    /// Members, those on other workers included.
    pub(crate) fn size(&self) -> usize {
        self.participants.len() + self.spans.iter().map(|span| span.members).sum::<usize>()
    }
}
