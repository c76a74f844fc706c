//! What happens, for those who watch: channels and the people in them, numbered, kept for a while and passed on.

mod hub;
mod presence;
mod streams;

use std::collections::HashMap;

use banter_protocol::rest::{
    Channel, ChannelDeletedEvent, ChannelEvent, ChannelWithParticipants, ParticipantEvent,
    ParticipantLeftEvent, Presence, SpeakingEvent, UnixMillis, UserId,
};
use serde::Serialize;

pub use hub::{EventHub, EventId, Numbered, Subscription};
pub use presence::forward;
pub use streams::{Streams, TooManyStreams};

use crate::signal::PresenceEntry;

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Event {
    ChannelCreated(ChannelEvent),
    ChannelUpdated(ChannelEvent),
    ChannelMoved(ChannelEvent),
    ChannelDeleted(ChannelDeletedEvent),
    ParticipantJoined(ParticipantEvent),
    ParticipantUpdated(ParticipantEvent),
    ParticipantLeft(ParticipantLeftEvent),
    Speaking(SpeakingEvent),
}

impl Event {
    /// The name in the event stream.
    pub fn name(&self) -> &'static str {
        match self {
            Event::ChannelCreated(_) => "channel_created",
            Event::ChannelUpdated(_) => "channel_updated",
            Event::ChannelMoved(_) => "channel_moved",
            Event::ChannelDeleted(_) => "channel_deleted",
            Event::ParticipantJoined(_) => "participant_joined",
            Event::ParticipantUpdated(_) => "participant_updated",
            Event::ParticipantLeft(_) => "participant_left",
            Event::Speaking(_) => "speaking",
        }
    }
}

/// Puts the people into their channels, by the time of joining.
pub fn with_participants(
    channels: Vec<Channel>,
    mut entries_by_channel: HashMap<String, Vec<PresenceEntry>>,
) -> Vec<ChannelWithParticipants> {
    channels
        .into_iter()
        .map(|channel| {
            let entries = entries_by_channel.remove(channel.id.as_str()).unwrap_or_default();
            let mut participants: Vec<_> = entries.into_iter().map(presence).collect();
            participants.sort_by(|a, b| (a.joined_at, &a.user_id).cmp(&(b.joined_at, &b.user_id)));
            ChannelWithParticipants { channel, participants }
        })
        .collect()
}

fn presence(entry: PresenceEntry) -> Presence {
    let PresenceEntry {
        user_id,
        name,
        joined_at_ms,
        muted,
        deafened,
        server_muted,
        server_deafened,
        speaking,
        path,
    } = entry;
    let (user_id, joined_at) = (UserId::new(user_id), UnixMillis(joined_at_ms));
    Presence { user_id, name, joined_at, muted, deafened, server_muted, server_deafened, speaking, path }
}
