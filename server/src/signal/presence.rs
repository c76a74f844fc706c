//! Who is inside each Banter channel, as the HTTP API and its event stream see it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use banter_protocol::rest::MediaPath;
use tokio::sync::mpsc;

/// One person inside a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEntry {
    /// The identity in the token: Banter's user id.
    pub user_id: String,
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: i64,
    /// No unmuted microphone track.
    pub muted: bool,
    /// The participant says that it plays nothing (attribute `deafened`).
    pub deafened: bool,
    /// A moderator has taken the right to speak away.
    pub server_muted: bool,
    /// A moderator has taken the right to listen away.
    pub server_deafened: bool,
    pub speaking: bool,
    /// `None` before media has found one.
    pub path: Option<MediaPath>,
}

/// A change in a channel, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEvent {
    Joined {
        channel: String,
        entry: PresenceEntry,
    },
    Updated {
        channel: String,
        entry: PresenceEntry,
    },
    /// `reason` is LiveKit's name of it in lower case, such as `client_initiated`.
    Left {
        channel: String,
        user_id: String,
        reason: String,
    },
    /// Everyone who speaks, complete each time.
    Speaking {
        channel: String,
        user_ids: Vec<String>,
    },
}

/// The latest state of every channel. Each event is applied before it is passed on, so that who reads the state and
/// then the events misses nothing.
#[derive(Debug)]
pub(super) struct PresenceBoard {
    entries_by_channel: Mutex<BTreeMap<String, BTreeMap<String, PresenceEntry>>>,
    events: mpsc::UnboundedSender<PresenceEvent>,
}

impl PresenceBoard {
    pub(super) fn new(events: mpsc::UnboundedSender<PresenceEvent>) -> Self {
        Self { entries_by_channel: Mutex::default(), events }
    }

    pub(super) fn snapshot(&self) -> HashMap<String, Vec<PresenceEntry>> {
        let channels = self.entries_by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        channels.iter().map(|(id, entries)| (id.clone(), entries.values().cloned().collect())).collect()
    }

    /// The channels in which a person is.
    pub(super) fn channels_of(&self, user: &str) -> Vec<String> {
        let channels = self.entries_by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        channels.iter().filter(|(_, entries)| entries.contains_key(user)).map(|(id, _)| id.clone()).collect()
    }

    /// Applies an event and passes it on. Both happen under one lock, so rooms cannot overtake each other.
    pub(super) fn record(&self, event: PresenceEvent) {
        let mut channels = self.entries_by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        apply(&mut channels, &event);
        // Nobody listens while the program ends.
        let _ = self.events.send(event);
    }
}

fn apply(channels: &mut BTreeMap<String, BTreeMap<String, PresenceEntry>>, event: &PresenceEvent) {
    match event {
        PresenceEvent::Joined { channel, entry } | PresenceEvent::Updated { channel, entry } => {
            channels.entry(channel.clone()).or_default().insert(entry.user_id.clone(), entry.clone());
        }
        PresenceEvent::Left { channel, user_id, .. } => {
            let Some(entries) = channels.get_mut(channel) else { return };
            entries.remove(user_id);
            if entries.is_empty() {
                channels.remove(channel);
            }
        }
        PresenceEvent::Speaking { channel, user_ids } => {
            let Some(entries) = channels.get_mut(channel) else { return };
            for entry in entries.values_mut() {
                entry.speaking = user_ids.contains(&entry.user_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_the_events() {
        let (events, mut received) = mpsc::unbounded_channel();
        let board = PresenceBoard::new(events);
        board.record(PresenceEvent::Joined { channel: "c1".into(), entry: entry("alice") });
        board.record(PresenceEvent::Joined { channel: "c1".into(), entry: entry("bob") });
        board.record(PresenceEvent::Speaking { channel: "c1".into(), user_ids: vec!["bob".into()] });
        board.record(PresenceEvent::Left {
            channel: "c1".into(),
            user_id: "alice".into(),
            reason: "client_initiated".into(),
        });

        let inside = board.snapshot().remove("c1").expect("bob is inside");
        assert_eq!(inside, [PresenceEntry { speaking: true, ..entry("bob") }]);
        assert!(matches!(received.try_recv(), Ok(PresenceEvent::Joined { .. })));

        board.record(PresenceEvent::Left {
            channel: "c1".into(),
            user_id: "bob".into(),
            reason: "client_initiated".into(),
        });
        assert!(board.snapshot().is_empty());
    }

    fn entry(user_id: &str) -> PresenceEntry {
        PresenceEntry {
            user_id: user_id.into(),
            name: user_id.into(),
            joined_at_ms: 1,
            muted: true,
            deafened: false,
            server_muted: false,
            server_deafened: false,
            speaking: false,
            path: None,
        }
    }
}
