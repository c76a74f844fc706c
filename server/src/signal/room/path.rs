//! What each participant's media travels by.

use banter_sfu::ParticipantKey;
use banter_sfu::net::{MediaPath, PeerConnection};
use tracing::info;

use super::Room;
use crate::signal::translate;

impl Room {
    /// The media plane has found a path, or another. Which one counts is the participant's primary connection.
    pub(super) fn path_told(&mut self, key: ParticipantKey, connection: PeerConnection, path: MediaPath) {
        let Some(participant) = self.participants.get_mut(&key) else { return };
        if participant.primary != connection {
            return;
        }
        let path = translate::media_path(path);
        let earlier = participant.path.replace(path);
        if earlier.map(|path| (path.transport, path.family)) != Some((path.transport, path.family)) {
            let (transport, sid) = (path.transport.as_str(), participant.sid.as_str());
            info!(participant = sid, transport, family = path.family, rtt_ms = path.rtt_ms, "media path");
        }
        self.update_presence(key);
    }
}
