//! How many people watch: each has a bounded number of streams, since each holds a socket and a task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use banter_protocol::rest::UserId;

/// A page has one. This is for many tabs and devices.
pub const MAX_STREAMS: usize = 16;

/// Counts the open streams of each person. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// An open stream's place in the count.
#[derive(Debug)]
pub struct Stream {
    streams: Streams,
    user: UserId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this account has {MAX_STREAMS} event streams open already; close another window of it and try again"
)]
pub struct TooManyStreams;

impl Streams {
    pub fn open(&self, user: &UserId) -> Result<Stream, TooManyStreams> {
        let mut open = self.lock();
        let count = open.entry(user.clone()).or_default();
        if *count >= MAX_STREAMS {
            return Err(TooManyStreams);
        }
        *count += 1;
        Ok(Stream { streams: self.clone(), user: user.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_so_many_and_a_closed_one_makes_room() {
        let streams = Streams::default();
        let (ada, bob) = (UserId::new("ada"), UserId::new("bob"));
        let mut open: Vec<_> =
            (0..MAX_STREAMS).map(|_| streams.open(&ada).expect("within the bound")).collect();
        assert_eq!(streams.open(&ada).err(), Some(TooManyStreams));
        let other = streams.open(&bob);
        assert!(other.is_ok());
        open.pop();
        assert!(streams.open(&ada).is_ok());
        drop((open, other));
        assert!(streams.lock().is_empty());
    }
}
