//! The loop that gives a core its datagrams, commands and time, and the world what the core wants of it.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, error, warn};

use super::batch::{MediaSocket, ReceiveBatch};
use super::gauges::{Gauges, MediaCounters};
use super::handle::{Command, Event};
use super::handover::Handover;
use super::relay::{self, Passed, Relay};
use super::streams::{Arrivals, Source, Streams};
use crate::framing::{Framing, rfc4571_header};
use crate::transport::Path;
use crate::turn::{self, Client};
use crate::{RoomKey, Sfu};

const SOCKET: Token = Token(0);
pub(super) const WAKER: Token = Token(1);
const TURN_SOCKET: Token = Token(2);
pub(super) const FIRST_STREAM: usize = 3;

/// Batches taken from the socket before commands and timers get their turn.
const BATCHES_PER_TURN: usize = 8;
/// Commands carried out before the socket gets its turn again. A message to a room's data channels is one.
const COMMANDS_PER_TURN: usize = 64;

/// One media thread's belongings.
pub(super) struct Worker {
    pub(super) sfu: Sfu,
    pub(super) socket: MediaSocket,
    pub(super) poll: Poll,
    pub(super) commands: Receiver<Command>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) listeners: HashMap<RoomKey, UnboundedSender<Event>>,
    pub(super) batch: ReceiveBatch,
    pub(super) streams: Streams,
    pub(super) relay: Option<Relay>,
    pub(super) handover: Handover,
    pub(super) arrivals: Arrivals,
    /// What an arrival is taken to have been sent to where the system does not tell.
    pub(super) local: SocketAddr,
}

/// What the loop is to do next.
#[derive(PartialEq, Eq)]
enum Next {
    Wait,
    /// There are more commands.
    Continue,
    Stop,
}

/// Tells the other threads that this one has ended, also when it panics.
struct Alive(Arc<Gauges>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set_alive(false);
    }
}

impl Worker {
    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        let _alive = Alive(self.gauges.clone());
        if let Err(error) = self.run_until_stopped() {
            error!(%error, "a media worker ends: its socket cannot be polled");
        }
    }

    fn run_until_stopped(&mut self) -> io::Result<()> {
        self.poll.registry().register(&mut self.socket, SOCKET, Interest::READABLE)?;
        if let Some(socket) = self.relay.as_mut().and_then(|relay| relay.socket.as_mut()) {
            self.poll.registry().register(socket, TURN_SOCKET, Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(64);
        let (mut more, mut media_may_have_more, mut turn_may_have_more) = (false, false, false);
        loop {
            let timeout = if more { Some(Duration::ZERO) } else { self.sleep() };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let now = Instant::now();
            // Before datagrams: a neighbour says whose a peer is before that peer is answered.
            let obeyed = self.obey(now);
            for event in &events {
                match event.token() {
                    SOCKET => {
                        media_may_have_more |= event.is_readable();
                        self.socket.resume(now);
                    }
                    TURN_SOCKET => {
                        turn_may_have_more |= event.is_readable();
                        if let Some(socket) = self.turn_socket() {
                            socket.resume(now);
                        }
                    }
                    Token(number) if number >= FIRST_STREAM => self.streams.note(event),
                    _ => {}
                }
            }
            // Sockets are polled by edges, so each is read until it is empty, over several turns if need be, and not before
            // there is something: a call for nothing is a tenth of what a packet costs.
            media_may_have_more = media_may_have_more && self.receive();
            turn_may_have_more = turn_may_have_more && self.receive_turn();
            more = media_may_have_more || turn_may_have_more;
            let now = Instant::now();
            match obeyed {
                Next::Wait => {}
                Next::Continue => more = true,
                Next::Stop => return Ok(()),
            }
            more |= self.receive_frames(now);
            self.sfu.handle_timeout(now);
            self.keep_streams(now);
            self.flush(now);
            self.watch_sockets()?;
            let counters = MediaCounters {
                core: self.sfu.counters(),
                socket: self.socket.counters(),
                streams: self.streams.counters(),
            };
            self.gauges.publish(counters, self.sfu.participants());
        }
    }

    fn turn_socket(&mut self) -> Option<&mut MediaSocket> {
        self.relay.as_mut().and_then(|relay| relay.socket.as_mut())
    }

    /// Is woken when a full socket takes more.
    fn watch_sockets(&mut self) -> io::Result<()> {
        let registry = self.poll.registry();
        self.socket.watch(registry, SOCKET)?;
        let turn = self.relay.as_mut().and_then(|relay| relay.socket.as_mut());
        turn.map_or(Ok(()), |socket| socket.watch(registry, TURN_SOCKET))
    }

    fn sleep(&self) -> Option<Duration> {
        let relay = self.relay.as_ref().and_then(|relay| relay.server.next_timeout());
        let next = [self.sfu.next_timeout(), self.streams.next_sweep(), relay].into_iter().flatten().min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Takes what has arrived; true if there may be more. Each batch is sent on before the next is taken: nothing is
    /// held back to make a batch.
    fn receive(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            if let Err(error) = self.socket.receive(&mut self.batch) {
                warn!(%error, "receiving failed");
                return false;
            }
            let now = Instant::now();
            let port = self.local.port();
            let Self { batch, socket, sfu, relay, streams, handover, .. } = self;
            for datagram in batch.iter_mut() {
                let local = datagram.to.map_or(self.local, |address| SocketAddr::new(address, port));
                match relay {
                    Some(relay) if turn::is_for_turn(datagram.payload) => {
                        let client = Client { transport: turn::Transport::Udp, local, remote: datagram.from };
                        take_turn(relay, client, datagram.payload, sfu, streams, handover, now);
                        continue;
                    }
                    _ => {}
                }
                let path = Path::udp(local, datagram.from);
                match handover.neighbour(path, datagram.payload) {
                    Some(neighbour) => {
                        handover.push(neighbour, path, datagram.payload);
                        socket.count_handed_over();
                    }
                    None => sfu.handle_datagram(local, datagram.from, datagram.payload, now),
                }
            }
            self.flush(now);
            if !self.batch.may_have_more() {
                return false;
            }
        }
        true
    }

    /// The same for the port of TURN.
    fn receive_turn(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let Self { batch, sfu, relay: Some(relay), streams, handover, .. } = self else { return false };
            let Some(socket) = &mut relay.socket else { return false };
            if let Err(error) = socket.receive(batch) {
                warn!(%error, "receiving failed");
                return false;
            }
            let bound = socket.local_addr();
            let now = Instant::now();
            for datagram in batch.iter_mut() {
                let address = datagram.to.unwrap_or(self.local.ip());
                let local = SocketAddr::new(address, bound.port());
                let client = Client { transport: turn::Transport::Udp, local, remote: datagram.from };
                take_turn(relay, client, datagram.payload, sfu, streams, handover, now);
            }
            self.flush(now);
            if !self.batch.may_have_more() {
                return false;
            }
        }
        true
    }

    /// Takes what has arrived on streams; true if there may be more.
    fn receive_frames(&mut self, now: Instant) -> bool {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let more = self.streams.receive(now, &mut arrivals);
        self.take_frames(&mut arrivals, now);
        self.arrivals = arrivals;
        self.flush(now);
        more
    }

    fn take_frames(&mut self, arrivals: &mut Arrivals, now: Instant) {
        for (Source { ends, framing, is_tls }, frame) in arrivals.iter_mut() {
            let Self { sfu, streams, relay, handover, .. } = self;
            match (framing, relay) {
                (Framing::Rfc4571, _) => sfu.handle_frame(ends.0, ends.1, frame, now),
                (Framing::Turn, Some(relay)) => {
                    let client = relay::client(ends, is_tls);
                    take_turn(relay, client, frame, sfu, streams, handover, now);
                }
                (Framing::Turn, None) => streams.refuse(ends),
            }
        }
        arrivals.clear();
    }

    /// Closes streams that nobody needs. A TURN client that has an allocation may have nothing to say for minutes.
    fn keep_streams(&mut self, now: Instant) {
        let relay = self.relay.as_ref();
        self.streams.sweep(now, |Source { ends, framing, is_tls }| match framing {
            Framing::Rfc4571 => false,
            Framing::Turn => {
                relay.is_some_and(|relay| relay.server.has_allocation(relay::client(ends, is_tls)))
            }
        });
        if let Some(relay) = &mut self.relay {
            relay.server.handle_timeout(now);
        }
    }

    /// A flood of commands must not hold up the packets that arrive meanwhile.
    fn obey(&mut self, now: Instant) -> Next {
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.flush(now);
                    return Next::Stop;
                }
                Ok(command) => self.execute(command, now),
                Err(TryRecvError::Empty) => return Next::Wait,
            }
        }
        Next::Continue
    }

    /// A caller that has gone away does not read the reply; that is no fault.
    fn execute(&mut self, command: Command, now: Instant) {
        let sfu = &mut self.sfu;
        match command {
            Command::OpenRoom { room, events } => {
                sfu.open_room(room);
                self.listeners.insert(room, events);
            }
            Command::ExtendRoom { room, worker } => sfu.extend_room(room, worker),
            Command::CloseRoom { room } => {
                if let Some(relay) = &self.relay {
                    sfu.labels(room).for_each(|participant| relay.revoke(participant));
                }
                sfu.close_room(room, now);
                self.listeners.remove(&room);
            }
            Command::Join { spec, reply } => {
                if let Some(relay) = &mut self.relay {
                    relay.name_addresses(&spec.extra_addresses);
                }
                drop(reply.send(sfu.join(spec, now)));
            }
            Command::Leave { participant } => {
                if let (Some(relay), Some(label)) = (&self.relay, sfu.label(participant)) {
                    relay.revoke(label);
                }
                sfu.leave(participant, now);
            }
            Command::Resume { participant } => sfu.resume(participant, now),
            Command::Offer { participant, sdp, reply } => drop(reply.send(sfu.offer(participant, &sdp, now))),
            Command::Answer { participant, sdp, reply } => {
                drop(reply.send(sfu.answer(participant, &sdp, now)))
            }
            Command::Trickle { participant, connection, candidate } => {
                sfu.trickle(participant, connection, &candidate, now);
            }
            Command::Publish { participant, track } => sfu.publish(participant, track),
            Command::Unpublish { participant, track } => sfu.unpublish(participant, track, now),
            Command::SetMuted { participant, track, muted } => sfu.set_muted(participant, track, muted),
            Command::Subscribe { participant, track } => sfu.subscribe(participant, track, now),
            Command::Unsubscribe { participant, track } => sfu.unsubscribe(participant, track, now),
            Command::SetPaused { participant, track, paused } => sfu.set_paused(participant, track, paused),
            Command::SetPermissions { participant, may } => sfu.set_permissions(participant, may, now),
            Command::SendData { to, kind, message } => sfu.send_data(&to, kind, &message, now),
            Command::Adopt { accepted } => {
                let mut arrivals = std::mem::take(&mut self.arrivals);
                if let Err(error) = self.streams.adopt(self.poll.registry(), accepted, now, &mut arrivals) {
                    debug!(%error, "a stream ended before it was taken over");
                }
                self.take_frames(&mut arrivals, now);
                self.arrivals = arrivals;
            }
            Command::Arrivals { mut datagrams } => {
                for (path, datagram) in datagrams.iter_mut() {
                    sfu.handle_relayed(path, datagram, now);
                }
            }
            Command::Claim(announcement) => self.handover.note(announcement, sfu),
            Command::Mirrored { from, told } => {
                sfu.handle_mirrored(&told, now);
                self.handover.give_back(from, told);
            }
            Command::Spent { told } => self.handover.reuse(told),
            Command::ToClients { datagrams } => {
                if let Some(relay) = &mut self.relay {
                    for (path, datagram) in datagrams.iter() {
                        relay.wrap(path, datagram, sfu.outbox(), &mut self.streams, now);
                    }
                }
            }
            Command::NameAddress { address } => {
                if let Some(relay) = &mut self.relay {
                    relay.learn_address(address);
                }
            }
            Command::External { addresses } => {
                if let Some(relay) = &mut self.relay {
                    addresses.iter().for_each(|&address| relay.learn_address(address));
                }
                sfu.set_external(addresses);
            }
            Command::RevokeRelay { participant } => {
                if let Some(relay) = &mut self.relay {
                    relay.server.revoke(&participant, now);
                }
            }
            Command::Stop => {}
        }
        self.flush(now);
    }

    fn flush(&mut self, now: Instant) {
        self.send(now);
        while let Some(Source { ends: (local, remote), framing, is_tls }) = self.streams.poll_closed() {
            match (framing, &mut self.relay) {
                (Framing::Rfc4571, _) => self.sfu.stream_closed(local, remote, now),
                (Framing::Turn, Some(relay)) => {
                    relay.server.stream_closed(relay::client((local, remote), is_tls));
                }
                (Framing::Turn, None) => {}
            }
            self.send(now);
        }
        while let Some((room, event)) = self.sfu.poll_event() {
            if let Some(listener) = self.listeners.get(&room) {
                // A room actor that has ended closes its room; until that arrives its events are nobody's.
                let _ = listener.send(event);
            }
        }
    }

    fn send(&mut self, now: Instant) {
        self.handover.announce(self.sfu.take_claims());
        self.handover.flush();
        // Before what is sent here, so that the others begin meanwhile.
        self.handover.mirror(&mut self.sfu);
        if let Some(relay) = &mut self.relay {
            if !self.sfu.relayed().is_empty() {
                let mut relayed = std::mem::take(self.sfu.relayed());
                for (path, datagram) in relayed.iter() {
                    relay.send(path, datagram, self.sfu.outbox(), &mut self.streams, now);
                }
                relayed.clear();
                *self.sfu.relayed() = relayed;
            }
            relay.flush(now);
        }
        let outbox = self.sfu.outbox();
        if !outbox.is_empty() {
            self.socket.send(outbox, now);
            outbox.clear();
        }
        let frames = self.sfu.frames();
        if !frames.is_empty() {
            for (path, payload) in frames.iter() {
                // Whatever is longer than a frame may be is dropped, as a network would.
                if let Some(header) = rfc4571_header(payload.len()) {
                    self.streams.send((path.local, path.remote), [&header, payload], now);
                }
            }
            frames.clear();
        }
        self.streams.flush(now);
    }
}

/// Gives a message to the TURN server, and what comes of it to the core that it is for.
fn take_turn(
    relay: &mut Relay,
    client: Client,
    message: &mut [u8],
    sfu: &mut Sfu,
    streams: &mut Streams,
    handover: &mut Handover,
    now: Instant,
) {
    let passed = relay.handle(client, message, sfu.outbox(), streams, now);
    let Some(Passed { path, datagram }) = passed else { return };
    match handover.neighbour(path, datagram) {
        Some(neighbour) => handover.push(neighbour, path, datagram),
        None => sfu.handle_relayed(path, datagram, now),
    }
}
