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
use tracing::{error, warn};

use super::batch::{MediaSocket, ReceiveBatch};
use super::gauges::Gauges;
use super::handle::{Command, Event};
use crate::{RoomKey, Sfu};

const SOCKET: Token = Token(0);
pub(super) const WAKER: Token = Token(1);

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
        let mut events = Events::with_capacity(8);
        let mut more = false;
        loop {
            let timeout = if more { Some(Duration::ZERO) } else { self.sleep() };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            // The socket is polled by edges, so it is read until it is empty, over several turns if need be.
            more = self.receive();
            let now = Instant::now();
            match self.obey(now) {
                Next::Wait => {}
                Next::Continue => more = true,
                Next::Stop => return Ok(()),
            }
            self.sfu.handle_timeout(now);
            self.flush();
            self.gauges.publish(self.sfu.counters(), self.socket.counters(), self.sfu.participants());
        }
    }

    fn sleep(&self) -> Option<Duration> {
        self.sfu.next_timeout().map(|at| at.saturating_duration_since(Instant::now()))
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
            for datagram in self.batch.iter_mut() {
                let local =
                    datagram.to.map_or(self.local, |address| SocketAddr::new(address, self.local.port()));
                self.sfu.handle_datagram(local, datagram.from, datagram.payload, now);
            }
            self.flush();
            if !self.batch.may_have_more() {
                return false;
            }
        }
        true
    }

    /// A flood of commands must not hold up the packets that arrive meanwhile.
    fn obey(&mut self, now: Instant) -> Next {
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.flush();
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
            Command::CloseRoom { room } => {
                sfu.close_room(room, now);
                self.listeners.remove(&room);
            }
            Command::Join { spec, reply } => drop(reply.send(sfu.join(spec, now))),
            Command::Leave { participant } => sfu.leave(participant, now),
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
            Command::Stop => {}
        }
        self.flush();
    }

    fn flush(&mut self) {
        let outbox = self.sfu.outbox();
        if !outbox.is_empty() {
            self.socket.send(outbox);
            outbox.clear();
        }
        while let Some((room, event)) = self.sfu.poll_event() {
            if let Some(listener) = self.listeners.get(&room) {
                // A room actor that has ended closes its room; until that arrives its events are nobody's.
                let _ = listener.send(event);
            }
        }
    }
}
