//! Voice channels, and who is inside them.

use std::sync::Arc;

use banter_protocol::rest::{
    Channel, ChannelDeletedEvent, ChannelEvent, ChannelId, ChannelWithParticipants, CreateChannel, Role,
    UnixMillis, UpdateChannel, User,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::CryptoRng;
use tokio::sync::Mutex;

use super::names::{self, NameError};
use super::{Forbidden, require, secrets};
use crate::events::{Event, EventHub, with_participants};
use crate::signal::{ChannelDirectory, ChannelLimits, CloseReason, Rooms};
use crate::store::{self, Database, StoreError};

pub const NAME_CHARS: usize = 100;
pub const DESCRIPTION_CHARS: usize = 500;
pub const MAX_PARTICIPANTS: std::ops::RangeInclusive<i64> = 2..=100;
pub const DEFAULT_MAX_PARTICIPANTS: u32 = 50;
pub const POSITIONS: std::ops::RangeInclusive<i64> = 0..=1_000_000;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channels {
    database: Database,
    rooms: Rooms,
    events: EventHub,
    /// Held from a write to its event, so that events are in the order of the writes.
    order: Arc<Mutex<()>>,
}

/// What is wrong with a channel as described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelFault {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the description is longer than {DESCRIPTION_CHARS} characters; shorten it")]
    Description,
    #[error(
        "a channel holds between {} and {} people; choose a number in that range",
        MAX_PARTICIPANTS.start(),
        MAX_PARTICIPANTS.end()
    )]
    MaxParticipants,
    #[error("a position is a number between {} and {}", POSITIONS.start(), POSITIONS.end())]
    Position,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateChannelError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Fault(#[from] ChannelFault),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum UpdateChannelError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Fault(#[from] ChannelFault),
    #[error("this channel does not exist; it may have been deleted")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteChannelError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("this channel does not exist; it may have been deleted")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Channels {
    pub fn new(database: Database, rooms: Rooms, events: EventHub) -> Self {
        Self { database, rooms, events, order: Arc::default() }
    }

    /// All channels in the order in which they are shown, with the people inside.
    pub async fn list(&self) -> Result<Vec<ChannelWithParticipants>, StoreError> {
        let channels = self.database.read(|tx| store::channels::all(tx)).await?;
        Ok(with_participants(channels, self.rooms.presence()))
    }

    pub async fn create(
        &self,
        caller: &User,
        request: CreateChannel,
        now: UnixMillis,
        rng: &mut (impl CryptoRng + Send),
    ) -> Result<Channel, CreateChannelError> {
        require(caller, Role::Admin)?;
        let channel = Channel {
            id: ChannelId::new(secrets::id(rng)),
            name: name(&request.name)?,
            description: description(request.description.as_deref())?,
            max_participants: request
                .max_participants
                .map_or(Ok(DEFAULT_MAX_PARTICIPANTS), max_participants)?,
            position: request.position.map_or(Ok(0), position)?,
            created_by: caller.id.clone(),
            created_at: now,
        };
        let _order = self.order.lock().await;
        let row = channel.clone();
        self.database.write(move |tx| store::channels::insert(tx, &row)).await?;
        self.events.publish(Event::ChannelCreated(ChannelEvent { channel: channel.clone() }));
        Ok(channel)
    }

    pub async fn update(
        &self,
        caller: &User,
        id: ChannelId,
        request: UpdateChannel,
    ) -> Result<Channel, UpdateChannelError> {
        require(caller, Role::Admin)?;
        let _order = self.order.lock().await;
        let (before, after) = self
            .database
            .write(move |tx| {
                let before = store::channels::by_id(tx, &id)?.ok_or(UpdateChannelError::Unknown)?;
                let after = changed(before.clone(), request)?;
                store::channels::update(tx, &after)?;
                Ok::<_, UpdateChannelError>((before, after))
            })
            .await?;
        if before != (Channel { position: before.position, ..after.clone() }) {
            self.events.publish(Event::ChannelUpdated(ChannelEvent { channel: after.clone() }));
        }
        if before.position != after.position {
            self.events.publish(Event::ChannelMoved(ChannelEvent { channel: after.clone() }));
        }
        Ok(after)
    }

    /// Deletes a channel and disconnects who is inside, telling them why.
    pub async fn delete(&self, caller: &User, id: ChannelId) -> Result<(), DeleteChannelError> {
        require(caller, Role::Admin)?;
        let _order = self.order.lock().await;
        let row = id.clone();
        if !self.database.write(move |tx| store::channels::delete(tx, &row)).await? {
            return Err(DeleteChannelError::Unknown);
        }
        self.events.publish(Event::ChannelDeleted(ChannelDeletedEvent { channel_id: id.clone() }));
        self.rooms.close_room(id.as_str(), CloseReason::ChannelDeleted).await;
        Ok(())
    }
}

fn changed(mut channel: Channel, request: UpdateChannel) -> Result<Channel, ChannelFault> {
    if let Some(raw) = request.name {
        channel.name = name(&raw)?;
    }
    if let Some(raw) = request.description {
        channel.description = description(raw.as_deref())?;
    }
    if let Some(raw) = request.max_participants {
        channel.max_participants = max_participants(raw)?;
    }
    if let Some(raw) = request.position {
        channel.position = position(raw)?;
    }
    Ok(channel)
}

fn name(raw: &str) -> Result<String, ChannelFault> {
    Ok(names::line(raw, NAME_CHARS)?)
}

/// Free text of several lines; an empty one is none.
fn description(raw: Option<&str>) -> Result<Option<String>, ChannelFault> {
    let Some(text) = raw.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > DESCRIPTION_CHARS {
        return Err(ChannelFault::Description);
    }
    Ok(Some(text.to_owned()))
}

fn max_participants(raw: i64) -> Result<u32, ChannelFault> {
    if !MAX_PARTICIPANTS.contains(&raw) {
        return Err(ChannelFault::MaxParticipants);
    }
    u32::try_from(raw).map_err(|_| ChannelFault::MaxParticipants)
}

fn position(raw: i64) -> Result<i64, ChannelFault> {
    if POSITIONS.contains(&raw) { Ok(raw) } else { Err(ChannelFault::Position) }
}

/// The channels as signalling asks for them at each join.
#[derive(Debug)]
pub struct Directory(pub Database);

impl ChannelDirectory for Directory {
    fn channel(&self, id: &str) -> BoxFuture<'_, Option<ChannelLimits>> {
        let id = ChannelId::new(id);
        async move {
            let found = self.0.read(move |tx| store::channels::by_id(tx, &id)).await;
            let channel = found
                .inspect_err(|error| tracing::error!(%error, "looking up a channel failed"))
                .ok()
                .flatten()?;
            Some(ChannelLimits { max_participants: channel.max_participants })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_both_ends() {
        assert_eq!(max_participants(1), Err(ChannelFault::MaxParticipants));
        assert_eq!(max_participants(2), Ok(2));
        assert_eq!(max_participants(100), Ok(100));
        assert_eq!(max_participants(101), Err(ChannelFault::MaxParticipants));
        assert_eq!(position(0), Ok(0));
        assert_eq!(position(-1), Err(ChannelFault::Position));
        assert!(name(&"x".repeat(100)).is_ok());
        assert!(name(&"x".repeat(101)).is_err());
        assert!(description(Some(&"x".repeat(501))).is_err());
        assert_eq!(description(Some("  ")), Ok(None));
    }
}
