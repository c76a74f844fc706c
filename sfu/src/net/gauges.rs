//! What a worker shows of itself to other threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::batch::{SharedSocketCounters, SocketCounters};
use super::streams::{SharedStreamCounters, StreamCounters};
use crate::Counters;
use crate::counters::SharedCounters;

/// Counts since the start, of the cores and of their sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    pub core: Counters,
    pub socket: SocketCounters,
    pub streams: StreamCounters,
}

/// One worker's numbers. Only its own thread writes.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    core: SharedCounters,
    socket: SharedSocketCounters,
    streams: SharedStreamCounters,
    participants: AtomicUsize,
    alive: AtomicBool,
}

impl Gauges {
    pub(super) fn publish(&self, counters: MediaCounters, participants: usize) {
        let MediaCounters { core, socket, streams } = counters;
        self.core.store(core);
        self.socket.store(socket);
        self.streams.store(streams);
        self.participants.store(participants, Ordering::Relaxed);
    }

    pub(super) fn counters(&self) -> MediaCounters {
        MediaCounters { core: self.core.load(), socket: self.socket.load(), streams: self.streams.load() }
    }

    pub(super) fn participants(&self) -> usize {
        self.participants.load(Ordering::Relaxed)
    }

    pub(super) fn set_alive(&self, alive: bool) {
        self.alive.store(alive, Ordering::Release);
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }
}
