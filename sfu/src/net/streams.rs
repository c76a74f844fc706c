//! The streams of one worker: datagrams in frames (RFC 4571), for clients whose UDP does not get through (RFC 6544).

use std::any::Any;
use std::collections::HashMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;
use tracing::debug;

use super::backlog::Backlog;
use crate::counters::counters;
use crate::transport::{IceCredentials, stun_local_ufrag};

/// Bytes taken from one stream before the others, and UDP, get their turn.
const READ_PER_TURN: usize = 64 * 1024;
/// The longest datagram that a frame may hold; a stream that announces a longer one is closed.
const MAX_FRAME: usize = 16 * 1024;
/// A stream that has been silent for so long is closed. ICE asks every few seconds whether the peer is there.
const MAX_SILENCE: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Bytes that the kernel may keep unsent: it does not know that sound grows old, the backlog does.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;

/// A connection that somebody else has accepted, and what has been read of it.
#[derive(Debug)]
pub struct Accepted {
    pub socket: std::net::TcpStream,
    pub early: Vec<u8>,
    /// Dropped when the stream is closed.
    pub place: Box<dyn Any + Send>,
}

impl Accepted {
    /// The worker whose credentials the first frame names.
    pub(super) fn worker(&self) -> Option<usize> {
        let (len, rest) = self.early.split_first_chunk::<2>()?;
        let datagram = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
        IceCredentials::worker_of(stun_local_ufrag(datagram)?).map(usize::from)
    }
}

/// The two ends of a stream, ours first.
pub(super) type Ends = (SocketAddr, SocketAddr);

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
    closed: Vec<Ends>,
    sweep_at: Option<Instant>,
    scratch: Box<[u8]>,
    counters: StreamCounters,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    ends: Ends,
    /// The beginning of a frame whose end is still to come.
    input: Vec<u8>,
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

    /// Takes a stream over. What was read of it before is read again here.
    pub(super) fn adopt(&mut self, registry: &Registry, accepted: Accepted, now: Instant) -> io::Result<()> {
        let Accepted { socket, early, place } = accepted;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT)?;
        let ends = (canonical(socket.local_addr()?), canonical(socket.peer_addr()?));
        let mut socket = TcpStream::from_std(socket);
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        registry.register(
            &mut socket,
            Token(self.first_token + key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        entry.insert(Stream {
            socket,
            ends,
            input: early,
            backlog: Backlog::default(),
            heard: now,
            _place: place,
        });
        self.by_ends.insert(ends, key);
        self.ready.push(key);
        self.counters.accepted += 1;
        self.sweep_at.get_or_insert(now + SWEEP_EVERY);
        Ok(())
    }

    /// The poll has something to say of a stream.
    pub(super) fn note(&mut self, token: Token, writable: bool) {
        let key = token.0 - self.first_token;
        self.ready.push(key);
        if writable {
            self.waiting.push(key);
        }
    }

    /// Hands every frame that has arrived to `take`, its bytes to be changed at will; true if there may be more.
    pub(super) fn receive(&mut self, now: Instant, mut take: impl FnMut(Ends, &mut [u8])) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready.dedup();
        ready.retain(|&key| {
            let Some(stream) = self.streams.get_mut(key) else { return false };
            match stream.receive(&mut self.scratch, now, &mut self.counters.received, &mut take) {
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

    /// Queues a datagram for the stream between `ends`.
    pub(super) fn send(&mut self, ends: Ends, datagram: &[u8], now: Instant) {
        let queued =
            u16::try_from(datagram.len()).ok().zip(self.by_ends.get(&ends)).is_some_and(|(len, &key)| {
                self.waiting.push(key);
                self.streams[key].backlog.push([&len.to_be_bytes(), datagram], now)
            });
        *(if queued { &mut self.counters.sent } else { &mut self.counters.dropped }) += 1;
    }

    /// Writes what is queued, as far as the streams take it.
    pub(super) fn flush(&mut self, now: Instant) {
        while let Some(key) = self.waiting.pop() {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            match stream.backlog.write_to(&mut stream.socket, now) {
                Ok(dropped) => self.counters.dropped += dropped as u64,
                Err(error) => self.close(key, &error),
            }
        }
    }

    /// A stream that has ended since it was asked last.
    pub(super) fn poll_closed(&mut self) -> Option<Ends> {
        self.closed.pop()
    }

    /// When to call [`Self::sweep`] next.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.sweep_at
    }

    /// Closes the streams whose peers have fallen silent.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.sweep_at.is_none_or(|at| now < at) {
            return;
        }
        let is_silent = |stream: &Stream| now >= stream.heard + MAX_SILENCE;
        let silent: Vec<usize> =
            self.streams.iter().filter(|(_, stream)| is_silent(stream)).map(|(key, _)| key).collect();
        for key in silent {
            self.close(key, &io::ErrorKind::TimedOut.into());
        }
        self.sweep_at = (!self.streams.is_empty()).then_some(now + SWEEP_EVERY);
    }

    fn close(&mut self, key: usize, reason: &io::Error) {
        let Stream { ends, .. } = self.streams.remove(key);
        debug!(remote = %ends.1, %reason, "stream closed");
        self.by_ends.remove(&ends);
        self.closed.push(ends);
    }
}

impl Stream {
    /// Reads up to `scratch` bytes; true if there may be more. The end of the stream is an error like any other.
    fn receive(
        &mut self,
        scratch: &mut [u8],
        now: Instant,
        received: &mut u64,
        take: &mut impl FnMut(Ends, &mut [u8]),
    ) -> io::Result<bool> {
        // What has come before the end is taken first.
        let outcome = self.read(scratch);
        let mut start = 0;
        while let Some((len, rest)) = self.input[start..].split_first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes(*len));
            if len > MAX_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if rest.len() < len {
                break;
            }
            start += 2;
            take(self.ends, &mut self.input[start..start + len]);
            start += len;
            *received += 1;
            self.heard = now;
        }
        self.input.drain(..start);
        outcome
    }

    fn read(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        match self.socket.read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend_from_slice(&scratch[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
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

    use std::io::Write;
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
    }

    impl Pair {
        fn new(early: &[u8]) -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (socket, remote) = listener.accept().unwrap();
            let poll = Poll::new().unwrap();
            let mut streams = Streams::new(FIRST);
            let accepted = Accepted { socket, early: early.to_vec(), place: Box::new(()) };
            streams.adopt(poll.registry(), accepted, Instant::now()).unwrap();
            Self { poll, streams, peer, ends: (listener.local_addr().unwrap(), remote) }
        }

        /// Runs the poll until `done` says of what has arrived and closed that it is enough.
        fn run_until(
            &mut self,
            mut done: impl FnMut(&[Vec<u8>], &[Ends]) -> bool,
        ) -> (Vec<Vec<u8>>, Vec<Ends>) {
            let (mut frames, mut closed) = (Vec::new(), Vec::new());
            let mut events = Events::with_capacity(8);
            for _ in 0..1000 {
                while self.streams.receive(Instant::now(), |ends, frame| {
                    assert_eq!(ends, self.ends);
                    frames.push(frame.to_vec());
                }) {}
                self.streams.flush(Instant::now());
                closed.extend(std::iter::from_fn(|| self.streams.poll_closed()));
                if done(&frames, &closed) {
                    return (frames, closed);
                }
                self.poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
                events.iter().for_each(|event| self.streams.note(event.token(), event.is_writable()));
            }
            panic!("this is all that came: {frames:?}, closed: {closed:?}");
        }
    }

    fn framed(datagram: &[u8]) -> Vec<u8> {
        [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let datagrams: Vec<Vec<u8>> = [0, 1, 2, 200, 1400, 16_000].map(|len| vec![len as u8; len]).into();
        let bytes: Vec<u8> = datagrams.iter().flat_map(|datagram| framed(datagram)).collect();
        let mut pair = Pair::new(&bytes[..5]);
        for piece in bytes[5..].chunks(611) {
            pair.peer.write_all(piece).unwrap();
        }
        let (frames, _) = pair.run_until(|frames, _| frames.len() == datagrams.len());
        assert_eq!(frames, datagrams);
        assert_eq!(pair.streams.counters().received, 6);
    }

    #[test]
    fn what_is_sent_comes_out_in_frames() {
        let mut pair = Pair::new(&[]);
        let ends = pair.ends;
        for datagram in [&b"one"[..], b"", b"three"] {
            pair.streams.send(ends, datagram, Instant::now());
        }
        pair.streams.send((ends.1, ends.0), b"to nobody", Instant::now());
        pair.streams.flush(Instant::now());
        let mut received = [0; 14];
        pair.peer.read_exact(&mut received).unwrap();
        assert_eq!(received.to_vec(), [framed(b"one"), framed(b""), framed(b"three")].concat());
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
        pair.streams.sweep(now + SWEEP_EVERY);
        assert_eq!(pair.streams.poll_closed(), None);
        pair.streams.sweep(now + MAX_SILENCE + SWEEP_EVERY);
        assert_eq!(pair.streams.poll_closed(), Some(pair.ends));
        assert_eq!(pair.streams.next_sweep(), None);
    }
}
