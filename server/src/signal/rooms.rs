//! The registry of rooms: finds or opens the actor of a room by its name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use banter_sfu::net::MediaHandle;
use tokio::sync::mpsc;

use super::presence::PresenceBoard;
use super::{ChannelDirectory, CloseReason, PresenceEntry, PresenceEvent, SignalConfig};

/// Every room of this process. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    config: SignalConfig,
    media: MediaHandle,
    channels: Arc<dyn ChannelDirectory>,
    presence: PresenceBoard,
}

impl Rooms {
    pub fn new(
        config: SignalConfig,
        media: MediaHandle,
        channels: Arc<dyn ChannelDirectory>,
        presence: mpsc::UnboundedSender<PresenceEvent>,
    ) -> Self {
        let presence = PresenceBoard::new(presence);
        Self { shared: Arc::new(Shared { config, media, channels, presence }) }
    }

    /// Who is inside each channel at this moment. Channels with nobody inside are absent.
    pub fn presence(&self) -> HashMap<String, Vec<PresenceEntry>> {
        self.shared.presence.snapshot()
    }

    /// How many participants count towards the limit of `room`.
    pub fn occupancy(&self, room: &str) -> usize {
        self.shared.presence.snapshot().get(room).map_or(0, Vec::len)
    }

    /// Disconnects everyone in `room` and ends it. Unknown rooms are ignored.
    pub async fn close_room(&self, room: &str, reason: CloseReason) {
        tracing::debug!(room, ?reason, "closing a room");
    }

    /// Tells everyone in every room that the server ends, and waits until they have been told.
    pub async fn shutdown(&self) {
        tracing::debug!(dev = self.shared.config.dev, "closing all rooms");
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { config: _, media, channels: _, presence } = &*self.shared;
        f.debug_struct("Rooms").field("media", media).field("presence", presence).finish()
    }
}
