//! Rooms: who is inside, what they offer and what they hear. Plain data; the operations are [`crate::Sfu`]'s.

pub(crate) mod participant;
pub(crate) mod publication;
pub(crate) mod speakers;
pub(crate) mod subscription;

pub(crate) use participant::Participant;
pub(crate) use publication::Publication;
pub(crate) use subscription::Subscription;

/// One room of a worker.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Slab indices.
    pub(crate) participants: Vec<usize>,
    /// The speaker list is being judged every [`speakers::INTERVAL`]; rests while nobody sends.
    pub(crate) judging: bool,
    /// Connections are being judged; rests while nobody is inside.
    pub(crate) rating: bool,
}
