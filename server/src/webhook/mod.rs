//! Webhooks: an operator's backend is told what happens in rooms, as a LiveKit server tells it.
//!
//! Rooms put events into a bounded channel and never wait. For each address a task keeps one [`Queue`] and posts what
//! is due: in order within a room, several rooms at once, again after a failure, and never without bound.

mod delivery;
mod queue;
mod sign;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use banter_protocol::token::ApiKeys;
use livekit_protocol::{Room, WebhookEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use url::Url;

use delivery::Delivery;
use sign::Signer;

/// Events on their way from the rooms to the queue of one address.
const CHANNEL: usize = 1024;

/// What is sent where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookConfig {
    pub urls: Vec<Url>,
    /// The key that signs; `None` is the first one.
    pub api_key: Option<String>,
    pub filter: Filter,
    /// Events about tracks describe the whole room, and not only its name and id.
    pub full_room: bool,
}

/// Which events are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// If there are any, only these, whatever is excluded.
    pub included: BTreeSet<String>,
    pub excluded: BTreeSet<String>,
}

/// The rooms' end: cheap to clone, never waits. The default one has nobody to tell.
#[derive(Clone, Default)]
pub struct Webhooks {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    targets: Vec<mpsc::Sender<Arc<WebhookEvent>>>,
    filter: Filter,
    full_room: bool,
    counts: Arc<Counts>,
}

/// The tasks behind [`Webhooks`].
#[derive(Debug)]
pub struct Deliveries {
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

/// What has become of events so far, over all addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookCounters {
    pub delivered: u64,
    /// Given up after the last attempt.
    pub failed: u64,
    /// Attempts after the first one.
    pub retried: u64,
    /// Never sent: a queue was full, or they had become too old.
    pub dropped: u64,
    /// In queues at this moment.
    pub waiting: u64,
}

/// Starts a task for each address.
///
/// # Errors
/// When there is no usable TLS on this machine.
pub fn start(config: &WebhookConfig, keys: &ApiKeys) -> anyhow::Result<(Webhooks, Deliveries)> {
    let counts = Arc::new(Counts::default());
    let (ending, ending_seen) = watch::channel(false);
    let (mut targets, mut tasks) = (Vec::new(), JoinSet::new());
    for url in &config.urls {
        let (target, events) = mpsc::channel(CHANNEL);
        let signer = Signer::new(keys.clone(), config.api_key.clone());
        let delivery = Delivery::new(url.clone(), signer, counts.clone())?;
        tasks.spawn(delivery.run(events, ending_seen.clone()));
        targets.push(target);
    }
    let shared = Shared { targets, filter: config.filter.clone(), full_room: config.full_room, counts };
    Ok((Webhooks { shared: Arc::new(shared) }, Deliveries { ending, tasks }))
}

impl Webhooks {
    /// Sends `event` to every address that wants it, at some time.
    pub fn send(&self, mut event: WebhookEvent) {
        let shared = &self.shared;
        if shared.targets.is_empty() || !shared.filter.takes(&event.event) {
            return;
        }
        if event.track.is_some() && !shared.full_room {
            event.room = event.room.map(|room| Room { sid: room.sid, name: room.name, ..Room::default() });
        }
        let event = Arc::new(event);
        for target in &shared.targets {
            if target.try_send(event.clone()).is_err() {
                shared.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn counters(&self) -> WebhookCounters {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        WebhookCounters {
            delivered: read(&counts.delivered),
            failed: read(&counts.failed),
            retried: read(&counts.retried),
            dropped: read(&counts.dropped),
            waiting: read(&counts.waiting),
        }
    }
}

impl Deliveries {
    /// Sends what is still queued, for no longer than `bound`.
    pub async fn drain(mut self, bound: Duration) {
        self.ending.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(bound, all).await.is_err() {
            tracing::warn!("some webhooks could not be delivered before the end");
        }
    }
}

impl Filter {
    fn takes(&self, event: &str) -> bool {
        if self.included.is_empty() { !self.excluded.contains(event) } else { self.included.contains(event) }
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_events_go_before_excluded_ones() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let mut filter = Filter { included: BTreeSet::new(), excluded: set(&["room_started"]) };
        assert!(filter.takes("room_finished") && !filter.takes("room_started"));
        filter.included = set(&["room_started"]);
        assert!(filter.takes("room_started") && !filter.takes("room_finished"));
    }
}
