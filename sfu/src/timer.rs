//! A hashed timing wheel (Varghese and Lauck): every session's next deadline, found without a scan of the sessions.

use std::time::{Duration, Instant};

/// Resolution. Timers fire up to one tick late, never early: none of ours is finer than an RTP frame.
const TICK: Duration = Duration::from_millis(5);
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;

/// Entries of type `T`, each due at a tick. An entry is not cancelled: its owner compares the time with what it now wants
/// and ignores a stale one.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    start: Instant,
    /// The first tick that has not been handed out yet.
    next: u64,
    slots: Vec<Vec<(u64, T)>>,
    occupied: [u64; WORDS],
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, next: 0, slots: (0..SLOTS).map(|_| Vec::new()).collect(), occupied: [0; WORDS] }
    }

    /// Makes `entry` come out of [`Self::expire`] at or just after `at`.
    pub(crate) fn schedule(&mut self, at: Instant, entry: T) {
        let tick = self.tick_after(at).max(self.next);
        let slot = (tick % SLOTS as u64) as usize;
        self.slots[slot].push((tick, entry));
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    /// Moves everything due at `now` into `due`, earliest tick first.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<T>) {
        let current = self.tick_before(now);
        while self.next <= current {
            // After a long sleep one turn of the wheel visits every slot, so the rest of the ticks can be skipped.
            if current - self.next >= SLOTS as u64 {
                self.next = current - SLOTS as u64 + 1;
            }
            let slot = (self.next % SLOTS as u64) as usize;
            if self.is_occupied(slot) {
                self.expire_slot(slot, current, due);
            }
            self.next += 1;
        }
    }

    /// When to call [`Self::expire`] next; may be a turn of the wheel too early, never too late. `None`: nothing is scheduled.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let first = (self.next % SLOTS as u64) as usize;
        let ahead = (0..=WORDS).find_map(|step| {
            let word = (first / 64 + step) % WORDS;
            let bits = match step {
                0 => self.occupied[word] & (!0 << (first % 64)),
                WORDS => self.occupied[word] & !(!0 << (first % 64)),
                _ => self.occupied[word],
            };
            (bits != 0).then(|| (word * 64 + bits.trailing_zeros() as usize + SLOTS - first) % SLOTS)
        })?;
        Some(self.start + TICK * u32::try_from(self.next + ahead as u64).unwrap_or(u32::MAX))
    }

    fn expire_slot(&mut self, slot: usize, current: u64, due: &mut Vec<T>) {
        let entries = &mut self.slots[slot];
        entries.retain(|&(tick, entry)| {
            let later = tick > current;
            if !later {
                due.push(entry);
            }
            later
        });
        if entries.is_empty() {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
    }

    fn is_occupied(&self, slot: usize) -> bool {
        self.occupied[slot / 64] & (1 << (slot % 64)) != 0
    }

    fn tick_after(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        nanos.div_ceil(TICK.as_nanos()) as u64
    }

    fn tick_before(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expired(wheel: &mut Wheel<u32>, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due
    }

    #[test]
    fn entries_come_out_in_order_and_never_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.schedule(start + Duration::from_millis(20), 2);
        wheel.schedule(start + Duration::from_millis(10), 1);
        assert_eq!(expired(&mut wheel, start + Duration::from_millis(9)), []);
        assert_eq!(expired(&mut wheel, start + Duration::from_millis(25)), [1, 2]);
        assert_eq!(wheel.next_expiry(), None);
    }

    #[test]
    fn an_entry_beyond_one_turn_waits_for_its_own_turn() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.schedule(start + Duration::from_secs(60), 1);
        for second in 1..60 {
            assert_eq!(expired(&mut wheel, start + Duration::from_secs(second)), []);
        }
        assert_eq!(expired(&mut wheel, start + Duration::from_secs(61)), [1]);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for n in 0..2_000 {
            wheel.schedule(start + Duration::from_millis(u64::from(n) * 7), n);
        }
        let mut due = expired(&mut wheel, start + Duration::from_secs(3_600));
        due.sort_unstable();
        assert_eq!(due, (0..2_000).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn waking_when_told_fires_everything_within_a_tick(delays in proptest::collection::vec(0u64..20_000, 1..50)) {
            let start = Instant::now();
            let mut wheel = Wheel::new(start);
            for (n, delay) in delays.iter().enumerate() {
                wheel.schedule(start + Duration::from_millis(*delay), n);
            }
            let mut fired = vec![None; delays.len()];
            while let Some(at) = wheel.next_expiry() {
                let mut due = Vec::new();
                wheel.expire(at, &mut due);
                for n in due {
                    prop_assert!(fired[n].replace(at).is_none());
                }
            }
            for (n, delay) in delays.iter().enumerate() {
                let late = fired[n].expect("fired") - (start + Duration::from_millis(*delay));
                prop_assert!(late <= TICK, "{late:?}");
            }
        }
    }
}
