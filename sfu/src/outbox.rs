//! Datagrams on their way out, in one arena that is allocated once: written and sealed where they are sent from.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::transport::{Path, Protocol};

/// What a core wants sent, in order. The driver sends it whole and clears it.
///
/// ```
/// # use banter_sfu::Outbox;
/// let mut outbox = Outbox::default();
/// let to = "192.0.2.1:5000".parse().unwrap();
/// outbox.begin(100)[..5].copy_from_slice(b"hello");
/// outbox.commit(to, None, 5);
/// assert_eq!(outbox.iter().next().unwrap().payload, b"hello");
/// ```
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    /// Where the committed datagrams end.
    filled: usize,
    datagrams: Vec<Datagram>,
}

#[derive(Debug)]
struct Datagram {
    to: SocketAddr,
    from: Option<IpAddr>,
    range: Range<usize>,
}

/// One datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    pub to: SocketAddr,
    /// The local address to send from: the one that the peer knows us by. `None` leaves it to the routing table.
    pub from: Option<IpAddr>,
    pub payload: &'a [u8],
}

impl Outbox {
    /// An outbox that will not allocate before it holds more than this.
    pub fn with_capacity(datagrams: usize, bytes: usize) -> Self {
        Self { arena: vec![0; bytes], filled: 0, datagrams: Vec::with_capacity(datagrams) }
    }

    /// Room for one datagram of up to `max_len` bytes, of arbitrary content. It counts once [`Outbox::commit`] is
    /// called; beginning again without that takes the same room.
    pub fn begin(&mut self, max_len: usize) -> &mut [u8] {
        let end = self.filled + max_len;
        if self.arena.len() < end {
            self.arena.resize(end.max(2 * self.arena.len()), 0);
        }
        &mut self.arena[self.filled..end]
    }

    /// The first `len` bytes of what [`Outbox::begin`] gave.
    fn begun(&self, len: usize) -> &[u8] {
        &self.arena[self.filled..self.filled + len]
    }

    /// Queues the first `len` bytes of what [`Outbox::begin`] gave.
    ///
    /// # Panics
    /// When `len` is more than was asked for.
    pub fn commit(&mut self, to: SocketAddr, from: Option<IpAddr>, len: usize) {
        let range = self.filled..self.filled + len;
        assert!(range.end <= self.arena.len(), "a datagram is committed within the room it was given");
        self.filled = range.end;
        self.datagrams.push(Datagram { to, from, range });
    }

    /// Queues a copy of a whole datagram.
    pub fn push(&mut self, to: SocketAddr, from: Option<IpAddr>, payload: &[u8]) {
        self.begin(payload.len()).copy_from_slice(payload);
        self.commit(to, from, payload.len());
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Transmit<'_>> {
        self.datagrams.iter().map(|datagram| Transmit {
            to: datagram.to,
            from: datagram.from,
            payload: &self.arena[datagram.range.clone()],
        })
    }

    /// The datagram at a position of [`Outbox::iter`].
    pub fn get(&self, at: usize) -> Option<Transmit<'_>> {
        let Datagram { to, from, ref range } = *self.datagrams.get(at)?;
        Some(Transmit { to, from, payload: &self.arena[range.clone()] })
    }

    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Forgets the datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.datagrams.clear();
    }
}

/// Datagrams with their paths, in order: those that do not go out by UDP as they are.
#[derive(Debug, Default)]
pub struct Frames {
    arena: Vec<u8>,
    frames: Vec<(Path, Range<usize>)>,
}

impl Frames {
    pub(crate) fn push(&mut self, path: Path, payload: &[u8]) {
        let start = self.arena.len();
        self.arena.extend_from_slice(payload);
        self.frames.push((path, start..self.arena.len()));
    }

    /// Each datagram with its path, to be changed at will.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Path, &mut [u8])> {
        let mut rest = &mut self.arena[..];
        self.frames.iter().map(move |(path, range)| {
            let (datagram, more) = std::mem::take(&mut rest).split_at_mut(range.len());
            rest = more;
            (*path, datagram)
        })
    }

    /// Each datagram with its path.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Path, &[u8])> {
        self.frames.iter().map(|(path, range)| (*path, &self.arena[range.clone()]))
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Forgets the datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
    }
}

/// What a core wants sent, by the way that it goes.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    pub(crate) datagrams: Outbox,
    pub(crate) frames: Frames,
    /// For relayed addresses.
    pub(crate) relayed: Frames,
}

impl Departures {
    /// See [`Outbox::begin`]: whatever the way, a datagram is written where UDP, which is the rule, sends it from.
    #[inline]
    pub(crate) fn begin(&mut self, max_len: usize) -> &mut [u8] {
        self.datagrams.begin(max_len)
    }

    /// Queues the first `len` bytes of what [`Self::begin`] gave.
    #[inline]
    pub(crate) fn commit(&mut self, path: Path, len: usize) {
        match path.protocol {
            Protocol::Udp => self.datagrams.commit(path.remote, Some(path.local.ip()), len),
            Protocol::Tcp => self.frames.push(path, self.datagrams.begun(len)),
            Protocol::Relayed(_) => self.relayed.push(path, self.datagrams.begun(len)),
        }
    }

    pub(crate) fn push(&mut self, path: Path, payload: &[u8]) {
        match path.protocol {
            Protocol::Udp => self.datagrams.push(path.remote, Some(path.local.ip()), payload),
            Protocol::Tcp => self.frames.push(path, payload),
            Protocol::Relayed(_) => self.relayed.push(path, payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    #[test]
    fn datagrams_come_out_in_order_at_their_final_length() {
        let mut outbox = Outbox::with_capacity(1, 4);
        outbox.begin(10)[..3].copy_from_slice(b"one");
        outbox.commit(TO, None, 3);
        outbox.push(TO, Some(TO.ip()), b"three");
        let payloads: Vec<_> = outbox.iter().map(|transmit| transmit.payload).collect();
        assert_eq!(payloads, [&b"one"[..], b"three"]);
        assert_eq!(outbox.get(1).unwrap().from, Some(TO.ip()));
        assert_eq!(outbox.get(2), None);
    }

    #[test]
    fn what_is_begun_and_not_committed_is_not_sent() {
        let mut outbox = Outbox::default();
        outbox.begin(50).fill(1);
        assert!(outbox.is_empty());
        outbox.push(TO, None, b"two");
        assert_eq!(outbox.iter().map(|transmit| transmit.payload).collect::<Vec<_>>(), [b"two"]);
    }

    #[test]
    fn clearing_keeps_the_memory() {
        let mut outbox = Outbox::with_capacity(2, 100);
        outbox.push(TO, None, &[1; 100]);
        let at = outbox.begin(0).as_ptr();
        outbox.clear();
        assert_eq!((outbox.len(), outbox.iter().len()), (0, 0));
        assert_eq!(outbox.begin(100).as_ptr().wrapping_add(100), at);
    }
}
