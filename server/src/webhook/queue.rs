//! What waits for one address: a value. Events of a room keep their order; rooms do not wait for each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_protocol::WebhookEvent;

/// Events of one room, as in LiveKit.
const MAX_OF_ROOM: usize = 200;
/// Events of all rooms.
const MAX_WAITING: usize = 10_000;
/// Rooms whose events are on their way at the same time.
const MAX_IN_FLIGHT: usize = 10;
/// An event that has waited so long is news no more, as in LiveKit.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Pauses before the further attempts.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// The queue of one address.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<String, Lane>,
    waiting: usize,
    in_flight: usize,
    dropped: u64,
}

/// One room's events.
#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<Queued>,
    state: State,
    /// Attempts that the first event has had.
    attempts: usize,
    /// Events dropped since the last one that was sent.
    dropped: i32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ready,
    InFlight,
    Pausing(Instant),
}

#[derive(Debug)]
struct Queued {
    event: Arc<WebhookEvent>,
    since: Instant,
}

/// Something to post now. Its outcome comes back by [`Queue::handle_outcome`] with the same room.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) room: String,
    pub(super) event: Arc<WebhookEvent>,
    /// Events of the room that were dropped before this one.
    pub(super) dropped: i32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    /// The receiver was out of order or out of reach: it may take the event later.
    Failed,
    /// The receiver does not want it.
    Refused,
}

/// What became of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// It is tried again after this pause.
    Again(Duration),
    GivenUp,
}

impl Queue {
    /// Puts an event at the end of its room's.
    pub(super) fn handle_event(&mut self, event: Arc<WebhookEvent>, now: Instant) {
        let room = event.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
        let lane = self.lanes.entry(room).or_default();
        if lane.events.len() >= MAX_OF_ROOM || self.waiting >= MAX_WAITING {
            lane.dropped = lane.dropped.saturating_add(1);
            self.dropped += 1;
        } else {
            self.waiting += 1;
            lane.events.push_back(Queued { event, since: now });
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }

    /// What is to be posted next. Call until `None`, after every `handle_*` and at [`Queue::poll_timeout`].
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<Due> {
        if self.in_flight >= MAX_IN_FLIGHT {
            return None;
        }
        self.drop_stale(now);
        let (room, lane) = self.lanes.iter_mut().find(|(_, lane)| lane.is_due(now))?;
        let event = lane.events.front()?.event.clone();
        lane.state = State::InFlight;
        self.in_flight += 1;
        Some(Due { room: room.clone(), event, dropped: lane.dropped })
    }

    pub(super) fn handle_outcome(&mut self, room: &str, outcome: Outcome, now: Instant) -> Fate {
        let Some(lane) = self.lanes.get_mut(room) else { return Fate::GivenUp };
        self.in_flight -= 1;
        let pause = PAUSES.get(lane.attempts).filter(|_| outcome == Outcome::Failed);
        if let Some(pause) = pause {
            lane.attempts += 1;
            lane.state = State::Pausing(now + *pause);
            return Fate::Again(*pause);
        }
        lane.state = State::Ready;
        lane.attempts = 0;
        lane.events.pop_front();
        self.waiting -= 1;
        let fate = if outcome == Outcome::Delivered {
            lane.dropped = 0;
            Fate::Delivered
        } else {
            Fate::GivenUp
        };
        if lane.events.is_empty() {
            self.lanes.remove(room);
        }
        fate
    }

    /// When [`Queue::poll_due`] may have something again, unless something happens before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pauses = self.lanes.values().filter_map(|lane| match lane.state {
            State::Pausing(until) => Some(until),
            State::Ready | State::InFlight => None,
        });
        pauses.min()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many events were never sent, since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The first event of a room is kept while attempts at it go on.
    fn drop_stale(&mut self, now: Instant) {
        for lane in self.lanes.values_mut() {
            while lane.state == State::Ready
                && lane
                    .events
                    .front()
                    .is_some_and(|queued| now.saturating_duration_since(queued.since) > MAX_AGE)
            {
                lane.events.pop_front();
                lane.dropped = lane.dropped.saturating_add(1);
                self.waiting -= 1;
                self.dropped += 1;
            }
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }
}

impl Lane {
    fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Ready => !self.events.is_empty(),
            State::InFlight => false,
            State::Pausing(until) => until <= now,
        }
    }

    fn is_idle(&self) -> bool {
        self.events.is_empty() && self.state == State::Ready
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::Room;

    use super::*;

    #[test]
    fn a_rooms_events_go_one_after_the_other_and_rooms_side_by_side() {
        let (mut queue, now) = (Queue::default(), start());
        for (room, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
            queue.handle_event(event(room, id), now);
        }
        assert_eq!(due(&mut queue, now), ["1", "3"]);
        assert_eq!(queue.handle_outcome("a", Outcome::Delivered, now), Fate::Delivered);
        assert_eq!(due(&mut queue, now), ["2"]);
        queue.handle_outcome("a", Outcome::Delivered, now);
        queue.handle_outcome("b", Outcome::Delivered, now);
        assert_eq!((queue.waiting(), queue.lanes.len(), queue.in_flight), (0, 0, 0));
    }

    #[test]
    fn a_failure_is_tried_again_with_growing_pauses_before_what_comes_after() {
        let (mut queue, mut now) = (Queue::default(), start());
        queue.handle_event(event("a", "1"), now);
        queue.handle_event(event("a", "2"), now);
        for pause in PAUSES {
            assert_eq!(due(&mut queue, now), ["1"]);
            assert_eq!(queue.handle_outcome("a", Outcome::Failed, now), Fate::Again(pause));
            assert_eq!(due(&mut queue, now), [""; 0], "it pauses");
            now = queue.poll_timeout().expect("a pause ends");
        }
        assert_eq!(due(&mut queue, now), ["1"]);
        assert_eq!(queue.handle_outcome("a", Outcome::Failed, now), Fate::GivenUp);
        assert_eq!(due(&mut queue, now), ["2"], "the next has its own attempts");
        assert_eq!(queue.handle_outcome("a", Outcome::Failed, now), Fate::Again(PAUSES[0]));
    }

    #[test]
    fn what_is_refused_is_not_tried_again() {
        let (mut queue, now) = (Queue::default(), start());
        queue.handle_event(event("a", "1"), now);
        due(&mut queue, now);
        assert_eq!(queue.handle_outcome("a", Outcome::Refused, now), Fate::GivenUp);
        assert_eq!(queue.poll_timeout(), None);
    }

    #[test]
    fn old_events_are_dropped_and_the_next_says_how_many() {
        let (mut queue, now) = (Queue::default(), start());
        for id in ["1", "2", "3"] {
            queue.handle_event(event("a", id), now);
        }
        due(&mut queue, now);
        let later = now + MAX_AGE + Duration::from_secs(1);
        queue.handle_event(event("a", "4"), later);
        queue.handle_outcome("a", Outcome::Delivered, later);
        let next = queue.poll_due(later).expect("the new event");
        assert_eq!((next.event.id.as_str(), next.dropped), ("4", 2));
        assert_eq!((queue.take_dropped(), queue.waiting()), (2, 1));
    }

    #[test]
    fn a_room_that_is_never_heard_fills_no_memory() {
        let (mut queue, now) = (Queue::default(), start());
        for _ in 0..3 * MAX_OF_ROOM {
            queue.handle_event(event("a", "x"), now);
        }
        assert_eq!(queue.waiting(), MAX_OF_ROOM);
        for room in 0..2 * MAX_WAITING {
            queue.handle_event(event(&room.to_string(), "x"), now);
        }
        assert_eq!(queue.waiting(), MAX_WAITING);
        assert!(queue.lanes.len() <= MAX_WAITING);
        assert_eq!(due(&mut queue, now).len(), MAX_IN_FLIGHT);
    }

    fn due(queue: &mut Queue, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| queue.poll_due(now)).map(|due| due.event.id.clone()).collect()
    }

    fn event(room: &str, id: &str) -> Arc<WebhookEvent> {
        let room = Some(Room { name: room.into(), ..Room::default() });
        Arc::new(WebhookEvent { room, id: id.into(), ..WebhookEvent::default() })
    }

    fn start() -> Instant {
        crate::ambient::now().monotonic
    }
}
