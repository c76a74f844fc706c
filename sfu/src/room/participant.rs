//! One participant's session: what it may do, offers and wants.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::data::Backlog;
use crate::net::{ConnectionMode, Permissions};
use crate::quality::Rating;
use crate::{ParticipantKey, RoomKey, TrackKey};

#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) key: ParticipantKey,
    pub(crate) room: RoomKey,
    pub(crate) mode: ConnectionMode,
    pub(crate) may: Permissions,
    /// The `PA_` sid, as others see it in SDP.
    pub(crate) label: String,
    /// Slab index of the connection on which it sends; in single mode it hears on it as well.
    pub(crate) publisher: usize,
    /// Slab index of the second connection, in dual mode.
    pub(crate) subscriber: Option<usize>,
    /// Slab indices of its publications.
    pub(crate) publications: Vec<usize>,
    /// Tracks that it wants to hear, oldest wish first.
    pub(crate) wants: Vec<TrackKey>,
    /// When to ask the client for an offer (single) or to make one (dual).
    pub(crate) negotiate_at: Option<Instant>,
    /// When the client was last asked to negotiate, or given an offer.
    pub(crate) negotiated_at: Option<Instant>,
    /// Receiving sections asked for since the client's latest offer; `None` when not even an offer was asked for.
    pub(crate) sections_asked: Option<u32>,
    /// Its level in the speaker list as last told, in published steps.
    pub(crate) level: f32,
    pub(crate) rating: Rating,
    /// Tracks on whose reception it has reported since its connection was last judged.
    pub(crate) reported: BTreeSet<TrackKey>,
    /// Reliable messages that its channel has not taken yet.
    pub(crate) backlog: Backlog,
    /// Lossy messages that came before the channel for them was open.
    pub(crate) early: Backlog,
}

impl Participant {
    /// Slab index of the connection on which it hears.
    pub(crate) fn hears_on(&self) -> usize {
        self.subscriber.unwrap_or(self.publisher)
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = usize> + use<> {
        [Some(self.publisher), self.subscriber].into_iter().flatten()
    }
}
