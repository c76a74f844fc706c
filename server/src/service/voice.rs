//! Access tokens for voice channels.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use banter_protocol::rest::{ChannelId, UnixMillis, User};
use banter_protocol::token::{ApiKeys, Claims, VideoGrant};

use super::exclusion::{self, Exclusion};
use crate::signal::Rooms;
use crate::store::standing::Standing;
use crate::store::{self, Database, StoreError};

/// Long enough for an evening: a token is checked at the join and at reconnects only.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Voice {
    database: Database,
    rooms: Rooms,
    keys: ApiKeys,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("this channel does not exist; it may have been deleted")]
    Unknown,
    #[error(
        "this channel is full ({0} people); wait for somebody to leave, or ask an admin to raise its limit"
    )]
    Full(u32),
    #[error(transparent)]
    Excluded(#[from] Exclusion),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Voice {
    pub fn new(database: Database, rooms: Rooms, keys: ApiKeys) -> Self {
        Self { database, rooms, keys }
    }

    /// Signs a token for one channel. Whether there is a place is asked here for a clear answer early, and decided at
    /// the join. Who is inside already may have another: it takes no further place. What moderators have decided is in
    /// the token, and holds at the join as it is then.
    pub async fn token(
        &self,
        caller: &User,
        id: ChannelId,
        from: IpAddr,
        now: UnixMillis,
    ) -> Result<String, TokenError> {
        let (row, user) = (id.clone(), caller.id.clone());
        let (channel, standing) = self
            .database
            .read(move |tx| {
                let gone = Exclusion::Removed { reason: None };
                let standing = store::standing::of(tx, &user)?.ok_or(gone)?;
                if let Some(exclusion) = exclusion::of_person(tx, &standing, Some(from), now)? {
                    return Err(TokenError::from(exclusion));
                }
                let channel = store::channels::by_id(tx, &row)?.ok_or(TokenError::Unknown)?;
                Ok((channel, standing))
            })
            .await?;
        let inside = self.rooms.presence().remove(id.as_str()).unwrap_or_default();
        let rejoins = inside.iter().any(|entry| entry.user_id == caller.id.as_str());
        if !rejoins && self.rooms.occupancy(id.as_str()) >= channel.max_participants as usize {
            return Err(TokenError::Full(channel.max_participants));
        }
        let signed_at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
        Ok(self.keys.sign(&claims(&standing, &id), signed_at, TOKEN_LIFETIME))
    }
}

fn claims(standing: &Standing, channel: &ChannelId) -> Claims {
    let (user, voice) = (&standing.member.user, exclusion::voice(standing));
    Claims {
        banter_channel: true,
        banter_generation: standing.generation,
        video: Some(VideoGrant {
            room_join: true,
            room: channel.as_str().to_owned(),
            can_publish: Some(voice.may_speak),
            can_publish_data: Some(true),
            can_subscribe: Some(voice.may_listen),
            can_update_own_metadata: Some(true),
            ..VideoGrant::default()
        }),
        ..Claims::for_room(user.id.as_str(), &user.username, channel.as_str())
    }
}
