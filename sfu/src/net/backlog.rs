//! What waits to be written to a stream: bounded in bytes and in age, because sound that is late is worth nothing.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Bytes that may wait for one stream.
const MAX_BYTES: usize = 256 * 1024;
/// What has waited longer is dropped.
const MAX_AGE: Duration = Duration::from_millis(200);
/// Bytes written before they are let go of, where the queue never runs empty.
const COMPACT_FROM: usize = 64 * 1024;

/// Frames in the order in which they go out. A frame of which a part is written is written whole.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// How far `bytes` is dealt with.
    start: usize,
    frames: VecDeque<Frame>,
    /// How much of the first frame is written.
    written: usize,
}

#[derive(Debug)]
struct Frame {
    queued: Instant,
    len: usize,
}

impl Backlog {
    /// Adds a frame made of `parts`, and lets the oldest go where there is no room for it; returns how many that were. A
    /// frame of which a part is written is not among them.
    pub(super) fn push(&mut self, parts: [&[u8]; 2], now: Instant) -> usize {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut dropped = 0;
        while self.bytes.len() - self.start + len > MAX_BYTES && self.drop_oldest() {
            dropped += 1;
        }
        self.compact();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.frames.push_back(Frame { queued: now, len });
        dropped
    }

    /// Drops the oldest frame of which nothing is written; false if there is none.
    fn drop_oldest(&mut self) -> bool {
        let first = usize::from(self.written > 0);
        let Some(oldest) = self.frames.remove(first) else { return false };
        if first > 0 {
            // What is left of the frame before moves up to the one after.
            let begun = self.start..self.start + self.frames[0].len;
            self.bytes.copy_within(begun, self.start + oldest.len);
        }
        self.start += oldest.len;
        true
    }

    /// Writes as much as `sink` takes, and counts what has become too old meanwhile. An error other than
    /// [`io::ErrorKind::WouldBlock`] is the end of the stream.
    pub(super) fn write_to(&mut self, sink: &mut impl Write, now: Instant) -> io::Result<usize> {
        let mut dropped = 0;
        while let Some(first) = self.frames.front() {
            if self.written == 0 && now >= first.queued + MAX_AGE {
                self.drop_oldest();
                dropped += 1;
                continue;
            }
            // What has just been queued goes with it: one call for all. Only the first can be too old, as they are in order.
            match sink.write(&self.bytes[self.start + self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.note_written(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.compact();
        Ok(dropped)
    }

    fn note_written(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.frames.front()
            && self.written >= first.len
        {
            self.written -= first.len;
            self.start += first.len;
            self.frames.pop_front();
        }
    }

    fn compact(&mut self) {
        if self.frames.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start >= COMPACT_FROM {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim;

    /// Takes so many bytes and then no more for now.
    struct Sink {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(room: usize) -> Sink {
        Sink { taken: Vec::new(), room }
    }

    #[test]
    fn frames_go_out_whole_and_in_order_however_little_is_taken() {
        let now = sim::beginning();
        let mut backlog = Backlog::default();
        let mut sink = sink(0);
        for number in 0..50_u8 {
            assert_eq!(backlog.push([&[number], &vec![number; usize::from(number)]], now), 0);
        }
        while !backlog.frames.is_empty() {
            sink.room = 7;
            assert_eq!(backlog.write_to(&mut sink, now).unwrap(), 0);
        }
        let expected: Vec<u8> = (0..50_u8).flat_map(|number| vec![number; usize::from(number) + 1]).collect();
        assert_eq!(sink.taken, expected);
        assert!(backlog.bytes.is_empty());
    }

    #[test]
    fn what_is_old_is_dropped_but_never_the_rest_of_a_frame() {
        let start = sim::beginning();
        let mut backlog = Backlog::default();
        let mut sink = sink(3);
        for text in [b"first", b"other"] {
            backlog.push([text, &[]], start);
        }
        backlog.write_to(&mut sink, start).unwrap();
        let later = start + MAX_AGE;
        backlog.push([b"fresh", &[]], later);
        sink.room = 2;
        assert_eq!(backlog.write_to(&mut sink, later).unwrap(), 1);
        sink.room = 100;
        assert_eq!(backlog.write_to(&mut sink, later).unwrap(), 0);
        assert_eq!(sink.taken, b"firstfresh");
    }

    #[test]
    fn e13_a_stream_that_takes_nothing_costs_a_bounded_amount() {
        let now = sim::beginning();
        let mut backlog = Backlog::default();
        let frame = vec![0; 1000];
        let dropped: usize = (0..10_000).map(|_| backlog.push([&frame, &[]], now)).sum();
        let kept = MAX_BYTES / 1000;
        assert_eq!(dropped, 10_000 - kept);
        assert!(backlog.bytes.len() <= MAX_BYTES + COMPACT_FROM, "{} bytes are kept", backlog.bytes.len());
        assert_eq!(backlog.write_to(&mut sink(0), now + MAX_AGE).unwrap(), kept);
        assert_eq!(backlog.push([&frame, &[]], now), 0);
    }

    #[test]
    fn where_there_is_no_room_the_oldest_go_but_never_the_rest_of_a_frame() {
        let now = sim::beginning();
        let mut backlog = Backlog::default();
        let frame = |number: u8| vec![number; MAX_BYTES / 4];
        let push = |backlog: &mut Backlog, number| backlog.push([&frame(number), &[]], now);
        for number in 1..=4 {
            assert_eq!(push(&mut backlog, number), 0);
        }
        let mut sink = sink(10);
        backlog.write_to(&mut sink, now).unwrap();
        assert_eq!(push(&mut backlog, 5), 1);
        sink.room = MAX_BYTES;
        backlog.write_to(&mut sink, now).unwrap();
        assert_eq!(sink.taken, [1, 3, 4, 5].map(frame).concat());
    }

    #[test]
    fn a_queue_that_never_runs_empty_is_let_go_of_behind() {
        let now = sim::beginning();
        let mut backlog = Backlog::default();
        let mut sink = sink(0);
        for _ in 0..1000 {
            backlog.push([&[0; 1000], &[]], now);
            sink.room = 999;
            backlog.write_to(&mut sink, now).unwrap();
        }
        assert!(backlog.bytes.len() <= COMPACT_FROM + 3000, "{} bytes are kept", backlog.bytes.len());
    }
}
