//! The numbered log of recent events, from which a client that was away for a moment catches up.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::Event;

/// Kept for those who come back: at ten changes a second, the last hundred seconds.
const KEPT: usize = 1024;

/// Position in the log: `epoch-sequence`. The epoch differs from start to start, so a number from an earlier life of
/// the program is never taken for one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    epoch: u64,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event id")]
pub struct InvalidEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.sequence)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, sequence) = text.split_once('-').ok_or(InvalidEventId)?;
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| InvalidEventId)?,
            sequence: sequence.parse().map_err(|_| InvalidEventId)?,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Numbered {
    pub id: EventId,
    pub event: Event,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventHub {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    last: EventId,
    recent: VecDeque<Arc<Numbered>>,
    live: broadcast::Sender<Arc<Numbered>>,
}

/// A place in the log to read on from.
#[derive(Debug)]
pub struct Subscription {
    /// The position at which the subscription began: a snapshot taken later includes everything up to it.
    pub since: EventId,
    /// What was missed; `None` if that is not known any more, so that a snapshot is needed.
    pub missed: Option<Vec<Arc<Numbered>>>,
    live: broadcast::Receiver<Arc<Numbered>>,
}

/// The reader was too slow and has lost events; it has to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged;

impl EventHub {
    /// `epoch` differs from start to start of the program.
    pub fn new(epoch: u64) -> Self {
        let log = Log {
            last: EventId { epoch, sequence: 0 },
            recent: VecDeque::with_capacity(KEPT),
            live: broadcast::Sender::new(KEPT),
        };
        Self { log: Arc::new(Mutex::new(log)) }
    }

    pub fn publish(&self, event: Event) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.last.sequence += 1;
        let numbered = Arc::new(Numbered { id: log.last, event });
        if log.recent.len() == KEPT {
            log.recent.pop_front();
        }
        log.recent.push_back(Arc::clone(&numbered));
        // Nobody watching is fine.
        let _ = log.live.send(numbered);
    }

    /// Watches from here on, or from after `last_seen` if the log still reaches back to it.
    pub fn subscribe(&self, last_seen: Option<EventId>) -> Subscription {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = last_seen.and_then(|seen| log.after(seen));
        Subscription { since: log.last, missed, live: log.live.subscribe() }
    }
}

impl Log {
    fn after(&self, seen: EventId) -> Option<Vec<Arc<Numbered>>> {
        let oldest = self.recent.front().map_or(self.last.sequence + 1, |event| event.id.sequence);
        let known = seen.epoch == self.last.epoch
            && seen.sequence + 1 >= oldest
            && seen.sequence <= self.last.sequence;
        known.then(|| self.recent.iter().filter(|event| event.id.sequence > seen.sequence).cloned().collect())
    }
}

impl Subscription {
    /// Waits for the next event. `None` when the hub is gone.
    pub async fn next(&mut self) -> Option<Result<Arc<Numbered>, Lagged>> {
        match self.live.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Err(Lagged)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use banter_protocol::rest::{ChannelDeletedEvent, ChannelId};

    use super::*;

    #[tokio::test]
    async fn who_was_away_for_a_moment_gets_what_was_missed_and_then_what_comes() {
        let hub = EventHub::new(7);
        hub.publish(event(1));
        let seen = hub.subscribe(None).since;
        hub.publish(event(2));
        hub.publish(event(3));
        let mut back = hub.subscribe(Some(seen));
        assert_eq!(ids(&back.missed), Some(vec!["7-2".to_owned(), "7-3".to_owned()]));
        hub.publish(event(4));
        let next = back.next().await.expect("the hub lives").expect("not lagged");
        assert_eq!(next.id.to_string(), "7-4");
    }

    #[test]
    fn nothing_missed_is_not_the_same_as_not_known() {
        let hub = EventHub::new(7);
        hub.publish(event(1));
        assert_eq!(ids(&hub.subscribe("7-1".parse().ok()).missed), Some(vec![]));
        assert_eq!(ids(&hub.subscribe("6-1".parse().ok()).missed), None, "another life of the program");
        assert_eq!(ids(&hub.subscribe("7-9".parse().ok()).missed), None, "from the future");
    }

    #[test]
    fn the_log_forgets_the_oldest() {
        let hub = EventHub::new(1);
        for n in 0..=KEPT {
            hub.publish(event(n));
        }
        assert!(hub.subscribe("1-0".parse().ok()).missed.is_none());
        assert_eq!(hub.subscribe("1-1".parse().ok()).missed.map(|missed| missed.len()), Some(KEPT));
    }

    #[test]
    fn ids_survive_the_wire() {
        let id = EventId { epoch: 0xfeed, sequence: 12 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1", "-", "x-1", "1-x", "1--1"] {
            assert_eq!(bad.parse::<EventId>(), Err(InvalidEventId), "{bad:?}");
        }
    }

    fn event(n: usize) -> Event {
        Event::ChannelDeleted(ChannelDeletedEvent { channel_id: ChannelId::new(n.to_string()) })
    }

    fn ids(missed: &Option<Vec<Arc<Numbered>>>) -> Option<Vec<String>> {
        missed.as_ref().map(|events| events.iter().map(|event| event.id.to_string()).collect())
    }
}
