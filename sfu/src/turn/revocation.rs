//! Participants whose credentials open nothing any more, although their time is not over.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::credentials::LONGEST_LEFT;

/// Remembers each for as long as a credential of his can be valid.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    until: HashMap<Box<str>, Instant>,
    /// In the order of expiry, which is that of arrival.
    order: VecDeque<(Instant, Box<str>)>,
}

impl Revocations {
    pub(super) fn contains(&self, participant: &str) -> bool {
        self.until.contains_key(participant)
    }

    /// True if another had to be forgotten for want of room.
    pub(super) fn add(&mut self, participant: &str, limit: usize, now: Instant) -> bool {
        let until = now + LONGEST_LEFT;
        if self.until.insert(participant.into(), until) == Some(until) {
            return false;
        }
        self.order.push_back((until, participant.into()));
        let is_full = self.order.len() > limit;
        if is_full {
            self.forget_first();
        }
        is_full
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.next_expiry().is_some_and(|until| until <= now) {
            self.forget_first();
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        Some(self.order.front()?.0)
    }

    fn forget_first(&mut self) {
        let Some((until, participant)) = self.order.pop_front() else { return };
        // Revoked again since then: there is a later entry.
        if self.until.get(&participant) == Some(&until) {
            self.until.remove(&participant);
        }
    }
}
