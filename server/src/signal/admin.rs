//! Administration from other parts of the program: what a room's task is asked to do by name of room and identity.

use banter_protocol::token::VideoGrant;
use banter_sfu::ParticipantKey;
use livekit_protocol::TrackInfo;

use super::Rooms;
use super::room::{MuteRefusal, Now, Room};

/// Why something was not done to a room or to a participant in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    #[error("requested room does not exist")]
    NoRoom,
    #[error("participant does not exist")]
    NoParticipant,
    #[error("track is not found")]
    NoTrack,
    #[error("remote unmute not enabled")]
    RemoteUnmute,
}

impl Rooms {
    /// Changes what a participant may do, down to the media path. `change` gets the present grant.
    pub async fn change_grant(
        &self,
        room: &str,
        identity: &str,
        change: impl FnOnce(&mut VideoGrant) + Send + 'static,
    ) -> Result<(), AdminError> {
        self.with_participant(room, identity, move |room, key, now| {
            let mut grant = room.grant(key).cloned().ok_or(AdminError::NoParticipant)?;
            change(&mut grant);
            room.set_grant(key, grant, now);
            Ok(())
        })
        .await
    }

    /// Mutes a participant's track, or unmutes it where the configuration allows that.
    pub async fn mute_track(
        &self,
        room: &str,
        identity: &str,
        track_sid: &str,
        muted: bool,
    ) -> Result<TrackInfo, AdminError> {
        let sid = track_sid.to_owned();
        self.with_participant(room, identity, move |room, key, now| {
            room.mute_track(key, &sid, muted, now).map_err(AdminError::from)
        })
        .await
    }

    /// Runs `call` in the task of the room, for the participant with this identity.
    pub(super) async fn with_participant<T: Send + 'static>(
        &self,
        room: &str,
        identity: &str,
        call: impl FnOnce(&mut Room, ParticipantKey, Now) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let identity = identity.to_owned();
        let called = self.call(room, move |room, now| {
            let key = room.participant_by_identity(&identity).ok_or(AdminError::NoParticipant)?;
            call(room, key, now)
        });
        called.await.unwrap_or(Err(AdminError::NoRoom))
    }
}

impl From<MuteRefusal> for AdminError {
    fn from(refusal: MuteRefusal) -> Self {
        match refusal {
            MuteRefusal::UnknownTrack => Self::NoTrack,
            MuteRefusal::RemoteUnmute => Self::RemoteUnmute,
        }
    }
}
