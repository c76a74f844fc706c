//! Places that are kept for participants who are on their way here from another room.

use std::time::Duration;

use banter_protocol::token::{Claims, VideoGrant};
use livekit_protocol::Room as RoomInfo;

use super::{JoinRefusal, Now, Room, participant};

/// Clients come within a second or two, on a bad connection somewhat later. Who never comes blocks a place for as long.
const PLACE_KEPT: Duration = Duration::from_secs(15);

impl Room {
    /// Keeps a place for the bearer of `claims`, if there is one, and says what the room is like. `limit` overrides the
    /// room's own, as a channel's may change.
    pub(in crate::signal) fn keep_place(
        &mut self,
        claims: &Claims,
        grant: &VideoGrant,
        limit: Option<u32>,
        now: Now,
    ) -> Result<RoomInfo, JoinRefusal> {
        self.admits(claims, grant, limit, now)?;
        self.kept_places.retain(|_, until| *until > now.instant);
        if !participant::is_dependent(claims, grant) {
            self.kept_places.insert(claims.identity().to_owned(), now.instant + PLACE_KEPT);
        }
        Ok(self.info())
    }

    /// How many places are kept for others than `identity`.
    pub(super) fn places_kept_from(&self, identity: &str, now: Now) -> usize {
        let kept = self.kept_places.iter();
        kept.filter(|(expected, until)| **until > now.instant && *expected != identity).count()
    }
}
