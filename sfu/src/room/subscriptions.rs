//! Those who hear one publication, to be found without looking through a thousand of them.

use super::subscription::Subscription;

/// Subscriptions in the order of their subscribers' slab indices, one of each.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    pub(crate) fn of(&self, subscriber: usize) -> Option<&Subscription> {
        self.find(subscriber).ok().map(|at| &self.0[at])
    }

    pub(crate) fn of_mut(&mut self, subscriber: usize) -> Option<&mut Subscription> {
        self.find(subscriber).ok().map(|at| &mut self.0[at])
    }

    /// Takes the place of one that the subscriber had.
    pub(crate) fn insert(&mut self, subscription: Subscription) {
        match self.find(subscription.subscriber) {
            Ok(at) => self.0[at] = subscription,
            Err(at) => self.0.insert(at, subscription),
        }
    }

    pub(crate) fn remove(&mut self, subscriber: usize) {
        if let Ok(at) = self.find(subscriber) {
            self.0.remove(at);
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Subscription] {
        &mut self.0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.0.iter()
    }

    fn find(&self, subscriber: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&subscriber, |subscription| subscription.subscriber)
    }
}
