//! Administration from other parts of the program: what a room's task is asked to do by name of room and identity.

use banter_protocol::token::{Claims, TokenError, VideoGrant};
use banter_sfu::ParticipantKey;
use futures_util::future;
use livekit_protocol::{
    CreateRoomRequest, ParticipantInfo, ParticipantPermission, Room as RoomInfo, TrackInfo,
    UpdateParticipantMetadata,
};
use tokio::sync::oneshot;

use super::actor::RoomMessage;
use super::room::{CallError, Ending, JoinRefusal, MAX_METADATA, MethodCall, MuteRefusal, Now, Room};
use super::rooms::JoinError;
use super::settings::Wish;
use super::{CloseReason, MAX_ROOM_NAME, Rooms, actor, translate};

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
    #[error("{0}")]
    Invalid(String),
    #[error("only channels are rooms here; create a channel, or set other_rooms to true")]
    ChannelsOnly,
    /// A limit is reached: of a room, or of the server.
    #[error("{0}")]
    Full(String),
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Rooms {
    /// Checks an access token and returns what it says.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.keys().verify(token, actor::now().wall)
    }

    /// Opens a room without anybody in it. One that is open stays as it is.
    pub async fn create_room(&self, request: CreateRoomRequest) -> Result<RoomInfo, AdminError> {
        check_room_name(&request.name)?;
        check_metadata(&request.metadata)?;
        let (name, wish) = (request.name.clone(), Wish::from(request));
        self.ensure_open(&name, wish).await
    }

    /// The rooms that are open, in the order of their names: all, or those of these names.
    pub async fn list_rooms(&self, names: &[String]) -> Vec<RoomInfo> {
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let open: Vec<_> = self.names().into_iter().filter(wanted).collect();
        let infos = open.iter().map(|name| self.call(name, |room, _| room.info()));
        future::join_all(infos).await.into_iter().flatten().collect()
    }

    /// Disconnects everyone in a room and ends it. A channel stays, and its room opens again with the next join.
    pub async fn delete_room(&self, room: &str) -> Result<(), AdminError> {
        match self.close_room(room, CloseReason::RoomDeleted).await {
            true => Ok(()),
            false => Err(AdminError::NoRoom),
        }
    }

    /// Changes a room's metadata and tells everyone in it.
    pub async fn set_room_metadata(&self, room: &str, metadata: String) -> Result<RoomInfo, AdminError> {
        check_metadata(&metadata)?;
        let changed = self.call(room, move |room, now| {
            room.set_metadata(metadata, now);
            room.info()
        });
        changed.await.ok_or(AdminError::NoRoom)
    }

    /// Everyone in a room, those who hide included. Nobody is in a room that does not exist.
    pub async fn participants(&self, room: &str) -> Vec<ParticipantInfo> {
        self.call(room, |room, _| room.everyone()).await.unwrap_or_default()
    }

    pub async fn participant(&self, room: &str, identity: &str) -> Result<ParticipantInfo, AdminError> {
        self.with_participant(room, identity, |room, key, _| {
            room.participant(key).ok_or(AdminError::NoParticipant)
        })
        .await
    }

    /// Ends a participant's session; its client does not come back by itself.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), AdminError> {
        self.with_participant(room, identity, |room, key, now| {
            room.remove(key, Ending::REMOVED, now);
            Ok(())
        })
        .await
    }

    /// Changes what others read of a participant (empty texts leave things as they are), and what it may do.
    pub async fn update_participant(
        &self,
        room: &str,
        identity: &str,
        update: UpdateParticipantMetadata,
        permission: Option<ParticipantPermission>,
    ) -> Result<ParticipantInfo, AdminError> {
        self.with_participant(room, identity, move |room, key, now| {
            room.describe(key, &update, now).map_err(|excess| AdminError::Invalid(excess.to_owned()))?;
            if let Some(permission) = permission {
                let grant = room.grant(key).cloned().ok_or(AdminError::NoParticipant)?;
                room.set_grant(key, translate::permitted(grant, &permission), now);
            }
            room.participant(key).ok_or(AdminError::NoParticipant)
        })
        .await
    }

    /// Subscribes a participant to tracks, or unsubscribes it from them.
    pub async fn update_subscriptions(
        &self,
        room: &str,
        identity: &str,
        track_sids: Vec<String>,
        subscribe: bool,
    ) -> Result<(), AdminError> {
        self.with_participant(room, identity, move |room, key, _| {
            room.subscribe_to(key, &track_sids, subscribe);
            Ok(())
        })
        .await
    }

    /// Moves a participant into another room, which is opened if need be: its client is given a token for it and
    /// connects anew by itself. What keeps it out of there is found before it leaves, and its place there is kept for
    /// it while it is on its way.
    pub async fn move_participant(
        &self,
        room: &str,
        identity: &str,
        destination: &str,
    ) -> Result<(), AdminError> {
        check_room_name(destination)?;
        let (claims, mut grant) = self
            .with_participant(room, identity, |room, key, _| {
                let claims = room.claims(key).cloned().ok_or(AdminError::NoParticipant)?;
                Ok((claims, room.grant(key).cloned().ok_or(AdminError::NoParticipant)?))
            })
            .await?;
        destination.clone_into(&mut grant.room);
        let limit = self.channel(&claims, &grant).await?.map(|channel| channel.max_participants);
        self.ensure_open(destination, Wish::default()).await?;
        let kept = self.call(destination, move |room, now| room.keep_place(&claims, &grant, limit, now));
        let info = kept.await.ok_or(AdminError::NoRoom)?.map_err(JoinError::from)?;
        self.with_participant(room, identity, move |room, key, now| {
            room.send_away(key, info, now);
            Ok(())
        })
        .await
    }

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

    /// Calls a participant's method and waits for the answer. `None` is no such room.
    pub async fn call_method(&self, room: &str, call: MethodCall) -> Option<Result<String, CallError>> {
        let (reply, answer) = oneshot::channel();
        self.tell(room, RoomMessage::CallMethod { call, reply }).await?;
        answer.await.ok()
    }

    /// Finds a room or opens it, and says what it is like.
    async fn ensure_open(&self, name: &str, wish: Wish) -> Result<RoomInfo, AdminError> {
        let channel = self.shared.directory.channel(name).await;
        if channel.is_none() && !self.shared.config.other_rooms {
            return Err(AdminError::ChannelsOnly);
        }
        loop {
            let open = self.open(name, channel.as_ref(), Some(&wish))?;
            if let Some(info) = self.call(name, |room, _| room.info()).await {
                return Ok(info);
            }
            // It has just ended.
            self.forget(name, open.key);
        }
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

fn check_room_name(name: &str) -> Result<(), AdminError> {
    match name.len() {
        0 => Err(AdminError::Invalid("room name cannot be empty".into())),
        1..=MAX_ROOM_NAME => Ok(()),
        _ => Err(AdminError::Invalid(format!("room name length exceeds limits: max length {MAX_ROOM_NAME}"))),
    }
}

fn check_metadata(metadata: &str) -> Result<(), AdminError> {
    match metadata.len() > MAX_METADATA {
        true => Err(AdminError::Invalid(format!("metadata size exceeds limits {MAX_METADATA}"))),
        false => Ok(()),
    }
}

impl From<JoinError> for AdminError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::NoRoom => Self::NoRoom,
            JoinError::UnknownPreset(_) => Self::Invalid(error.to_string()),
            JoinError::Refused(JoinRefusal::Full(_)) | JoinError::TooManyRooms(_) => {
                Self::Full(error.to_string())
            }
            JoinError::Refused(JoinRefusal::Closing) => Self::NoRoom,
            JoinError::ShuttingDown => Self::ShuttingDown,
            JoinError::Excluded(_) | JoinError::MembersUnavailable => Self::Invalid(error.to_string()),
        }
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
