//! Turns what the rooms report into events for those who watch.

use std::collections::HashSet;

use banter_protocol::rest::{ChannelId, ParticipantEvent, ParticipantLeftEvent, SpeakingEvent, UserId};
use tokio::sync::mpsc;

use super::{Event, EventHub, presence};
use crate::signal::PresenceEvent;
use crate::store::{self, Database};

/// Passes presence on until the rooms are gone. Rooms that are no channels (opened with the API key) stay private.
pub async fn forward(
    mut reports: mpsc::UnboundedReceiver<PresenceEvent>,
    database: Database,
    events: EventHub,
) {
    // Ids are never used twice, so what was a channel once needs no second look.
    let mut channels = HashSet::new();
    while let Some(report) = reports.recv().await {
        let room = room(&report);
        if !channels.contains(room) {
            if !is_channel(&database, room).await {
                continue;
            }
            channels.insert(room.to_owned());
        }
        events.publish(event(report));
    }
}

async fn is_channel(database: &Database, room: &str) -> bool {
    let id = ChannelId::new(room);
    let found = database.read(move |tx| store::channels::by_id(tx, &id)).await;
    found.is_ok_and(|channel| channel.is_some())
}

fn room(report: &PresenceEvent) -> &str {
    match report {
        PresenceEvent::Joined { channel, .. }
        | PresenceEvent::Updated { channel, .. }
        | PresenceEvent::Left { channel, .. }
        | PresenceEvent::Speaking { channel, .. } => channel,
    }
}

fn event(report: PresenceEvent) -> Event {
    match report {
        PresenceEvent::Joined { channel, entry } => Event::ParticipantJoined(ParticipantEvent {
            channel_id: ChannelId::new(channel),
            participant: presence(entry),
        }),
        PresenceEvent::Updated { channel, entry } => Event::ParticipantUpdated(ParticipantEvent {
            channel_id: ChannelId::new(channel),
            participant: presence(entry),
        }),
        PresenceEvent::Left { channel, user_id, reason } => Event::ParticipantLeft(ParticipantLeftEvent {
            channel_id: ChannelId::new(channel),
            user_id: UserId::new(user_id),
            reason,
        }),
        PresenceEvent::Speaking { channel, user_ids } => Event::Speaking(SpeakingEvent {
            channel_id: ChannelId::new(channel),
            user_ids: user_ids.into_iter().map(UserId::new).collect(),
        }),
    }
}
