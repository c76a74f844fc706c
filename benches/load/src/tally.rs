//! What the bots count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::histogram::Histogram;

/// Of every so many packets of a publisher the spread among listeners is measured.
const SKEW_SAMPLE: u32 = 25;
/// Later than this a packet is of no use to a jitter buffer of usual size.
const LATE: Duration = Duration::from_millis(200);
/// Pieces that a window is cut into at most, to be looked at one by one.
const MAX_PIECES: u32 = 600;

/// The time whose packets are counted, on the harness's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Duration,
    pub to: Duration,
}

impl Window {
    pub fn lasting(from: Duration, duration: Duration) -> Self {
        Self { from, to: from + duration }
    }

    /// Of one of its pieces: a second, or more where there would be too many of them.
    pub fn piece(&self) -> Duration {
        let seconds = (self.to - self.from).div_f64(f64::from(MAX_PIECES)).as_secs_f64().ceil().max(1.0);
        Duration::from_secs_f64(seconds)
    }

    /// In which piece a time is.
    fn find(&self, at: Duration) -> Option<usize> {
        let is_inside = (self.from..self.to).contains(&at);
        is_inside.then(|| ((at - self.from).as_nanos() / self.piece().as_nanos()) as usize)
    }
}

/// A packet that a bot heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When its turn was.
    pub due: Duration,
    pub bytes: usize,
    /// It fills a gap.
    pub is_behind: bool,
    /// Packets before it that have not come.
    pub missing: u64,
    /// Packets whose content it has brought besides its own.
    pub recovered: u64,
    /// Of those whose stamp is read: publisher, number, and how long it was under way.
    pub read: Option<(u32, u32, Duration)>,
}

/// Counts of one piece of the window.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    pub sent: u64,
    pub expected: u64,
    pub received: u64,
    pub latency: Histogram,
}

/// Counts of the packets whose turn was in a window of time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    window: Option<Window>,
    pub sent: u64,
    /// Copies that should have come of them.
    pub expected: u64,
    pub received: u64,
    pub received_bytes: u64,
    /// Missing by their streams' sequence numbers. Fewer than those that did not come where a server leaves packets out.
    pub gaps: i64,
    /// Came as part of a later packet (RED).
    pub recovered: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub late: u64,
    pub latency: Histogram,
    /// From the first word of a join to a connected transport, and to the first packet heard.
    pub connected: Histogram,
    pub first_sound: Histogram,
    pub pieces: Vec<Piece>,
    spread: BTreeMap<(u32, u32), (Duration, Duration)>,
}

impl Tally {
    /// Begins anew. What joins took is kept.
    pub fn restart(&mut self, window: Window) {
        let Self { connected, first_sound, .. } = std::mem::take(self);
        *self = Self { window: Some(window), connected, first_sound, ..Self::default() };
    }

    pub fn note_sent(&mut self, due: Duration, listeners: u64) {
        let Some(piece) = self.piece(due) else { return };
        piece.sent += 1;
        piece.expected += listeners;
        self.sent += 1;
        self.expected += listeners;
    }

    /// A packet came at `at`.
    pub fn note_heard(&mut self, heard: &Heard, at: Duration) {
        let Heard { due, bytes, is_behind, missing, recovered, read } = *heard;
        let Some(piece) = self.piece(due) else { return };
        piece.received += 1 + recovered;
        if let Some((_, _, latency)) = read {
            piece.latency.add(latency);
        }
        self.received += 1;
        self.received_bytes += bytes as u64;
        self.reordered += u64::from(is_behind);
        self.gaps += missing.cast_signed() - i64::from(is_behind) - recovered.cast_signed();
        self.recovered += recovered;
        let Some((publisher, number, latency)) = read else { return };
        self.late += u64::from(latency > LATE);
        self.latency.add(latency);
        if number.is_multiple_of(SKEW_SAMPLE) {
            let (first, last) = self.spread.entry((publisher, number)).or_insert((at, at));
            *first = at.min(*first);
            *last = at.max(*last);
        }
    }

    /// How much later the last listener hears a packet than the first.
    pub fn skew(&self) -> Histogram {
        let mut skew = Histogram::default();
        self.spread.values().for_each(|(first, last)| skew.add(last.saturating_sub(*first)));
        skew
    }

    /// The share of the expected copies that has not come.
    pub fn lost(&self) -> f64 {
        match self.expected {
            0 => 0.0,
            expected => expected.saturating_sub(self.received + self.recovered) as f64 / expected as f64,
        }
    }

    /// Takes in what others counted in the same window.
    pub fn add(&mut self, other: &Self) {
        self.window = self.window.or(other.window);
        for (mine, others) in [
            (&mut self.sent, other.sent),
            (&mut self.expected, other.expected),
            (&mut self.received, other.received),
            (&mut self.received_bytes, other.received_bytes),
            (&mut self.recovered, other.recovered),
            (&mut self.duplicated, other.duplicated),
            (&mut self.reordered, other.reordered),
            (&mut self.late, other.late),
        ] {
            *mine += others;
        }
        self.gaps += other.gaps;
        self.latency.merge(&other.latency);
        self.connected.merge(&other.connected);
        self.first_sound.merge(&other.first_sound);
        self.pieces.resize_with(self.pieces.len().max(other.pieces.len()), Piece::default);
        for (mine, others) in self.pieces.iter_mut().zip(&other.pieces) {
            mine.sent += others.sent;
            mine.expected += others.expected;
            mine.received += others.received;
            mine.latency.merge(&others.latency);
        }
        for (packet, &(first, last)) in &other.spread {
            let mine = self.spread.entry(*packet).or_insert((first, last));
            *mine = (mine.0.min(first), mine.1.max(last));
        }
    }

    fn piece(&mut self, due: Duration) -> Option<&mut Piece> {
        let at = self.window?.find(due)?;
        if self.pieces.len() <= at {
            self.pieces.resize_with(at + 1, Piece::default);
        }
        self.pieces.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn heard(number: u32, due: u64, came: u64) -> Heard {
        let read = Some((0, number, at(came - due)));
        Heard { due: at(due), bytes: 100, is_behind: false, missing: 0, recovered: 0, read }
    }

    fn tally(sent: &[u64], came: &[(u32, u64, u64)]) -> Tally {
        let mut tally = Tally::default();
        tally.restart(Window::lasting(at(100), at(2_000)));
        sent.iter().for_each(|&due| tally.note_sent(at(due), 2));
        for &(number, due, came) in came {
            tally.note_heard(&heard(number, due, came), at(came));
        }
        tally
    }

    #[test]
    fn only_what_is_sent_in_the_window_counts() {
        let tally = tally(
            &[99, 100, 1_199, 2_100],
            &[(1, 99, 100), (25, 100, 101), (25, 100, 104), (26, 1_199, 1_500)],
        );
        assert_eq!((tally.received, tally.late, tally.lost()), (3, 1, 0.25));
        assert_eq!((tally.skew().len(), tally.skew().quantile(1.0)), (1, Some(at(3))));
        let pieces: Vec<_> = tally.pieces.iter().map(|piece| (piece.expected, piece.received)).collect();
        assert_eq!(pieces, [(2, 2), (2, 1)]);
    }

    #[test]
    fn what_two_have_counted_is_added() {
        let mut sum = tally(&[100, 500], &[(25, 100, 101)]);
        sum.add(&tally(&[1_200], &[(25, 100, 106), (27, 1_200, 1_201)]));
        assert_eq!((sum.sent, sum.expected, sum.received), (3, 6, 3));
        assert_eq!(sum.skew().quantile(1.0), Some(at(5)), "one packet, heard by two");
        assert_eq!(sum.pieces.len(), 2);
    }

    #[test]
    fn a_long_window_has_long_pieces() {
        assert_eq!(Window::lasting(at(5), Duration::from_secs(20)).piece(), Duration::from_secs(1));
        assert_eq!(Window::lasting(at(5), Duration::from_secs(86_400)).piece(), Duration::from_secs(144));
    }
}
