//! The streams of one worker, for clients whose UDP does not get through: ICE over TCP (RFC 6544), and TURN over TCP and
//! TLS.

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;
use tracing::debug;

use super::backlog::Backlog;
use super::channel::Channel;
use crate::counters::counters;
use crate::framing::{Deframer, Framing};
use crate::transport::{IceCredentials, stun_local_ufrag};

/// Bytes taken from one stream before the others, and UDP, get their turn.
const READ_PER_TURN: usize = 64 * 1024;
/// A stream that has been silent for so long is closed, unless it is needed.
const MAX_SILENCE: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Bytes that the kernel may keep unsent: it does not know that sound grows old, the backlog does.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;

/// A connection that somebody else has accepted, and what has been read of it.
#[derive(Debug)]
pub struct Accepted {
    pub socket: std::net::TcpStream,
    /// Where the handshake is done.
    pub tls: Option<Box<rustls::ServerConnection>>,
    pub framing: Framing,
    /// Without encryption.
    pub early: Vec<u8>,
    /// Dropped when the stream is closed.
    pub place: Box<dyn Any + Send>,
}

impl Accepted {
    /// The worker whose credentials the first frame (RFC 4571) names.
    pub(super) fn worker(&self) -> Option<usize> {
        let (len, rest) = self.early.split_first_chunk::<2>()?;
        let datagram = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
        IceCredentials::worker_of(stun_local_ufrag(datagram)?).map(usize::from)
    }
}

/// The two ends of a stream, ours first.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// What is to be known of a stream from which a frame has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) ends: Ends,
    pub(super) framing: Framing,
    pub(super) is_tls: bool,
}

/// Frames that have come, in order. They are gathered because a stream may not be written to while it is read.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    arena: Vec<u8>,
    frames: Vec<(Source, usize)>,
}

impl Arrivals {
    fn push(&mut self, source: Source, frame: &[u8]) {
        self.arena.extend_from_slice(frame);
        self.frames.push((source, frame.len()));
    }

    /// Each frame, to be changed at will.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Source, &mut [u8])> {
        let mut rest = &mut self.arena[..];
        self.frames.iter().map(move |&(source, len)| {
            let (frame, more) = std::mem::take(&mut rest).split_at_mut(len);
            rest = more;
            (source, frame)
        })
    }

    /// Forgets the frames and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.frames.clear();
    }
}

#[derive(Debug)]
pub(super) struct Streams {
    /// Tokens of the poll from this one on are streams'.
    first_token: usize,
    streams: Slab<Stream>,
    by_ends: HashMap<Ends, usize>,
    /// Those that may have something to read.
    ready: Vec<usize>,
    /// Those that have something to write.
    waiting: Vec<usize>,
    closed: Vec<Source>,
    sweep_at: Option<Instant>,
    scratch: Box<[u8]>,
    counters: StreamCounters,
}

#[derive(Debug)]
struct Stream {
    io: Channel,
    source: Source,
    deframer: Deframer,
    backlog: Backlog,
    heard: Instant,
    _place: Box<dyn Any + Send>,
}

counters! {
    /// What the streams of a worker have carried.
    StreamCounters, SharedStreamCounters {
        /// Streams taken over.
        accepted,
        /// Frames received.
        received,
        /// Frames queued for sending.
        sent,
        /// Frames not sent because the stream did not take them in time, or is gone.
        dropped,
    }
}

impl Streams {
    pub(super) fn new(first_token: usize) -> Self {
        Self {
            first_token,
            streams: Slab::new(),
            by_ends: HashMap::new(),
            ready: Vec::new(),
            waiting: Vec::new(),
            closed: Vec::new(),
            sweep_at: None,
            scratch: vec![0; READ_PER_TURN].into(),
            counters: StreamCounters::default(),
        }
    }

    pub(super) fn counters(&self) -> StreamCounters {
        self.counters
    }

    /// Takes a stream over, and adds to `arrivals` what was read of it before.
    pub(super) fn adopt(
        &mut self,
        registry: &Registry,
        accepted: Accepted,
        now: Instant,
        arrivals: &mut Arrivals,
    ) -> io::Result<()> {
        let Accepted { socket, tls, framing, mut early, place } = accepted;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
        let ends = (canonical(socket.local_addr()?), canonical(socket.peer_addr()?));
        let source = Source { ends, framing, is_tls: tls.is_some() };
        let mut socket = TcpStream::from_std(socket);
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        registry.register(
            &mut socket,
            Token(self.first_token + key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let stream = entry.insert(Stream {
            io: Channel::new(socket, tls),
            source,
            deframer: Deframer::new(framing),
            backlog: Backlog::default(),
            heard: now,
            _place: place,
        });
        self.by_ends.insert(ends, key);
        self.ready.push(key);
        self.counters.accepted += 1;
        self.sweep_at.get_or_insert(now + SWEEP_EVERY);
        if let Err(error) = stream.take(&mut early, now, &mut self.counters.received, arrivals) {
            self.close(key, &error);
        }
        Ok(())
    }

    /// The poll has something to say of a stream.
    pub(super) fn note(&mut self, event: &Event) {
        let key = event.token().0 - self.first_token;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.io.note(event.is_read_closed() || event.is_error());
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.ready.push(key);
        }
        if event.is_writable() {
            self.waiting.push(key);
        }
    }

    /// Adds every frame that has come to `arrivals`; true if there may be more.
    pub(super) fn receive(&mut self, now: Instant, arrivals: &mut Arrivals) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready.dedup();
        ready.retain(|&key| {
            let Some(stream) = self.streams.get_mut(key) else { return false };
            match stream.receive(&mut self.scratch, now, &mut self.counters.received, arrivals) {
                Ok(more) => more,
                Err(error) => {
                    self.close(key, &error);
                    false
                }
            }
        });
        self.ready.append(&mut ready);
        !self.ready.is_empty()
    }

    /// Queues a frame, which may come in two parts, for the stream between `ends`.
    pub(super) fn send(&mut self, ends: Ends, parts: [&[u8]; 2], now: Instant) {
        let Some(&key) = self.by_ends.get(&ends) else {
            self.counters.dropped += 1;
            return;
        };
        self.waiting.push(key);
        self.counters.dropped += self.streams[key].backlog.push(parts, now) as u64;
        self.counters.sent += 1;
    }

    /// Closes a stream from which nothing good can come.
    pub(super) fn refuse(&mut self, ends: Ends) {
        if let Some(&key) = self.by_ends.get(&ends) {
            self.close(key, &io::ErrorKind::InvalidData.into());
        }
    }

    /// Writes what is queued, as far as the streams take it.
    pub(super) fn flush(&mut self, now: Instant) {
        while let Some(key) = self.waiting.pop() {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            match stream.write(now) {
                Ok(dropped) => self.counters.dropped += dropped as u64,
                Err(error) => self.close(key, &error),
            }
        }
    }

    /// A stream that has ended since it was asked last.
    pub(super) fn poll_closed(&mut self) -> Option<Source> {
        self.closed.pop()
    }

    /// When to call [`Self::sweep`] next.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Closes the streams whose peers have fallen silent, except those that are `needed` all the same.
    pub(super) fn sweep(&mut self, now: Instant, needed: impl Fn(Source) -> bool) {
        if self.sweep_at.is_none_or(|at| now < at) {
            return;
        }
        let is_silent = |stream: &Stream| now >= stream.heard + MAX_SILENCE && !needed(stream.source);
        let silent: Vec<usize> =
            self.streams.iter().filter(|(_, stream)| is_silent(stream)).map(|(key, _)| key).collect();
        for key in silent {
            self.close(key, &io::ErrorKind::TimedOut.into());
        }
        self.sweep_at = (!self.streams.is_empty()).then_some(now + SWEEP_EVERY);
    }

    fn close(&mut self, key: usize, reason: &io::Error) {
        let Stream { source, .. } = self.streams.remove(key);
        debug!(remote = %source.ends.1, %reason, "stream closed");
        self.by_ends.remove(&source.ends);
        self.closed.push(source);
    }
}

impl Stream {
    /// Reads up to `scratch` bytes; true if there may be more. The end of the stream is an error like any other.
    fn receive(
        &mut self,
        scratch: &mut [u8],
        now: Instant,
        received: &mut u64,
        arrivals: &mut Arrivals,
    ) -> io::Result<bool> {
        match self.io.read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.take(&mut scratch[..count], now, received, arrivals)?;
                Ok(self.io.may_have_more())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn take(
        &mut self,
        bytes: &mut [u8],
        now: Instant,
        received: &mut u64,
        arrivals: &mut Arrivals,
    ) -> io::Result<()> {
        let mut input = bytes;
        while let Some(frame) = self.deframer.next_frame(&mut input).map_err(io::Error::other)? {
            arrivals.push(self.source, frame);
            *received += 1;
            self.heard = now;
        }
        Ok(())
    }

    /// Writes as much of the backlog as the stream takes, and counts what has become too old meanwhile.
    fn write(&mut self, now: Instant) -> io::Result<usize> {
        let dropped = self.backlog.write_to(&mut self.io, now)?;
        match self.io.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(dropped),
        }
    }
}

/// A socket that takes both families names IPv4 peers by mapped addresses.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests use real sockets, and so the clock")]

    use std::net::{Ipv4Addr, TcpListener};

    use mio::{Events, Poll};

    use super::*;

    const FIRST: usize = 5;

    /// A stream's two ends, ours adopted.
    struct Pair {
        poll: Poll,
        streams: Streams,
        peer: std::net::TcpStream,
        ends: Ends,
        arrivals: Arrivals,
    }

    impl Pair {
        fn new(early: &[u8]) -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (socket, remote) = listener.accept().unwrap();
            let poll = Poll::new().unwrap();
            let mut streams = Streams::new(FIRST);
            let accepted = Accepted {
                socket,
                tls: None,
                framing: Framing::Rfc4571,
                early: early.to_vec(),
                place: Box::new(()),
            };
            let mut arrivals = Arrivals::default();
            streams.adopt(poll.registry(), accepted, Instant::now(), &mut arrivals).unwrap();
            Self { poll, streams, peer, ends: (listener.local_addr().unwrap(), remote), arrivals }
        }

        /// Runs the poll until `done` says of what has arrived and closed that it is enough.
        fn run_until(
            &mut self,
            mut done: impl FnMut(&[Vec<u8>], &[Ends]) -> bool,
        ) -> (Vec<Vec<u8>>, Vec<Ends>) {
            let (mut frames, mut closed) = (Vec::new(), Vec::new());
            let mut events = Events::with_capacity(8);
            for _ in 0..1000 {
                while self.streams.receive(Instant::now(), &mut self.arrivals) {}
                for (source, frame) in self.arrivals.iter_mut() {
                    assert_eq!(source.ends, self.ends);
                    frames.push(frame.to_vec());
                }
                self.arrivals.clear();
                self.streams.flush(Instant::now());
                closed.extend(std::iter::from_fn(|| self.streams.poll_closed()).map(|source| source.ends));
                if done(&frames, &closed) {
                    return (frames, closed);
                }
                self.poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
                events.iter().for_each(|event| self.streams.note(event));
            }
            panic!("this is all that came: {frames:?}, closed: {closed:?}");
        }
    }

    fn framed(datagram: &[u8]) -> Vec<u8> {
        [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let datagrams: Vec<Vec<u8>> = [1, 2, 200, 1400, 16_000].map(|len| vec![len as u8; len]).into();
        let bytes: Vec<u8> = datagrams.iter().flat_map(|datagram| framed(datagram)).collect();
        let mut pair = Pair::new(&bytes[..5]);
        for piece in bytes[5..].chunks(611) {
            pair.peer.write_all(piece).unwrap();
        }
        let (frames, _) = pair.run_until(|frames, _| frames.len() == datagrams.len());
        assert_eq!(frames, datagrams);
        assert_eq!(pair.streams.counters().received, 5);
    }

    #[test]
    fn what_is_sent_comes_out_in_order() {
        let mut pair = Pair::new(&[]);
        let ends = pair.ends;
        for parts in [[&b"one"[..], b""], [b"", b""], [b"th", b"ree"]] {
            pair.streams.send(ends, parts, Instant::now());
        }
        pair.streams.send((ends.1, ends.0), [b"to nobody", b""], Instant::now());
        pair.streams.flush(Instant::now());
        let mut received = [0; 8];
        pair.peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"onethree");
        let StreamCounters { sent, dropped, .. } = pair.streams.counters();
        assert_eq!((sent, dropped), (3, 1));
    }

    #[test]
    fn a_stream_that_ends_is_told_of_once() {
        let mut pair = Pair::new(&framed(b"hello"));
        pair.peer.shutdown(std::net::Shutdown::Both).unwrap();
        let (frames, closed) = pair.run_until(|_, closed| !closed.is_empty());
        assert_eq!((frames, closed), (vec![b"hello".to_vec()], vec![pair.ends]));
        assert!(pair.streams.streams.is_empty() && pair.streams.by_ends.is_empty());
    }

    #[test]
    fn a_frame_that_is_too_long_ends_the_stream() {
        let mut pair = Pair::new(&[]);
        pair.peer.write_all(&[0xFF; 3]).unwrap();
        let (frames, closed) = pair.run_until(|_, closed| !closed.is_empty());
        assert_eq!((frames.len(), closed.len()), (0, 1));
    }

    #[test]
    fn a_silent_stream_is_closed() {
        let mut pair = Pair::new(&[]);
        let now = Instant::now();
        pair.streams.sweep(now + SWEEP_EVERY, |_| false);
        assert!(pair.streams.poll_closed().is_none());
        pair.streams.sweep(now + MAX_SILENCE + SWEEP_EVERY, |_| true);
        assert!(pair.streams.poll_closed().is_none());
        pair.streams.sweep(now + MAX_SILENCE + 2 * SWEEP_EVERY, |_| false);
        assert_eq!(pair.streams.poll_closed().map(|source| source.ends), Some(pair.ends));
        assert_eq!(pair.streams.next_sweep(), None);
    }
}
