//! What has been received, so that nothing is received twice.

use super::{MAX_STREAMS, SrtpError};
use crate::Ssrc;

/// What was received, by stream. A stream begins with its first authenticated packet.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) streams: Vec<Stream>,
    /// Packets accepted from all of them.
    accepted: u64,
}

pub(super) struct Stream {
    pub(super) ssrc: Ssrc,
    pub(super) window: ReplayWindow,
    /// [`Streams::accepted`] when this one was last heard.
    heard: u64,
}

impl Streams {
    pub(super) fn find(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)
    }

    pub(super) fn accept(&mut self, ssrc: Ssrc, index: u64) {
        self.accepted += 1;
        let heard = self.accepted;
        if let Some(stream) = self.find(ssrc) {
            stream.window.accept(index);
            stream.heard = heard;
            return;
        }
        if self.streams.len() == MAX_STREAMS
            && let Some(silent) = (0..MAX_STREAMS).min_by_key(|&at| self.streams[at].heard)
        {
            self.streams.swap_remove(silent);
        }
        self.streams.push(Stream { ssrc, window: ReplayWindow::new(index), heard });
    }
}

/// The 128 indices up to the highest one received (RFC 3711 §3.3.2).
pub(super) struct ReplayWindow {
    pub(super) highest: u64,
    /// Bit n: `highest - n` was received.
    received: u128,
}

impl ReplayWindow {
    pub(super) fn new(first: u64) -> Self {
        Self { highest: first, received: 1 }
    }

    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind < 128 && self.received >> behind & 1 == 0 => Ok(()),
            Some(_) => Err(SrtpError::Replayed),
        }
    }

    /// `index` has passed [`ReplayWindow::check`].
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            let ahead = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.received = self.received.checked_shl(ahead).unwrap_or(0);
            self.highest = index;
        }
        self.received |= 1 << (self.highest - index);
    }
}
