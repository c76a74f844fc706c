//! The task that owns a room: it carries messages to the room and carries out what the room wants. It has no rules of
//! its own.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use banter_sfu::ParticipantKey;
use banter_sfu::net::{Event, JoinError, NegotiationError, OfferOutcome, RoomHandle};
use futures_util::StreamExt;
use futures_util::future;
use futures_util::stream::FuturesOrdered;
use livekit_protocol::{SignalResponse, signal_request};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::CloseReason;
use super::presence::PresenceBoard;
use super::room::{
    CallError, CallKey, JoinIntent, JoinRefusal, MediaCommand, MethodCall, Now, Output, ResumeIntent, Room,
};
use crate::webhook::Webhooks;

/// Messages that may wait for one client's socket. A client that reads so slowly is cut off.
pub(super) const SOCKET_QUEUE: usize = 2048;
/// How long the end of a room waits for its sockets to send their last messages.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// What reaches a room's task.
#[derive(Debug)]
pub(super) enum RoomMessage {
    Join {
        intent: Box<JoinIntent>,
        limit: Option<u32>,
        socket: mpsc::Sender<ToSocket>,
        reply: oneshot::Sender<Result<Seat, JoinRefusal>>,
    },
    Resume {
        intent: Box<ResumeIntent>,
        socket: mpsc::Sender<ToSocket>,
        /// `None` when there is no session that the client could go on with.
        reply: oneshot::Sender<Option<Seat>>,
    },
    Request {
        from: Seat,
        message: Box<signal_request::Message>,
    },
    SignalClosed {
        from: Seat,
    },
    Call(RoomCall),
    /// A participant's method is to be called.
    CallMethod {
        call: MethodCall,
        reply: oneshot::Sender<Result<String, CallError>>,
    },
    Close {
        reason: CloseReason,
        /// Answered when everyone has been told.
        done: oneshot::Sender<()>,
    },
}

/// Which of a participant's sockets. A resumed session has a new one, and what the old one still says means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    participant: ParticipantKey,
    socket: u64,
}

/// Something that another part of the program does with the room. It answers by a channel of its own.
pub(super) struct RoomCall(pub(super) Box<WithRoom>);

pub(super) type WithRoom = dyn FnOnce(&mut Room, Now) + Send;

impl fmt::Debug for RoomCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomCall").finish_non_exhaustive()
    }
}

/// What reaches a client's socket.
#[derive(Debug)]
pub(super) enum ToSocket {
    Message(Arc<SignalResponse>),
    /// Close, once everything before has been sent.
    HangUp,
}

/// What the media plane answered. Answers come in the order of the commands.
enum Answered {
    Joined(ParticipantKey, Result<(), JoinError>),
    Offer(ParticipantKey, u32, Result<OfferOutcome, NegotiationError>),
    Answer(ParticipantKey, Result<(), NegotiationError>),
}

pub(super) struct Actor {
    room: Room,
    media: RoomHandle,
    events: mpsc::UnboundedReceiver<Event>,
    inbox: mpsc::Receiver<RoomMessage>,
    presence: Arc<PresenceBoard>,
    webhooks: Webhooks,
    /// Read by the registry.
    occupancy: Arc<AtomicUsize>,
    answers: FuturesOrdered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    sockets: BTreeMap<ParticipantKey, (Seat, mpsc::Sender<ToSocket>)>,
    /// Sockets so far.
    seated: u64,
    /// Sockets that have been told to close.
    departing: Vec<mpsc::Sender<ToSocket>>,
    closers: Vec<oneshot::Sender<()>>,
    /// Who waits for the answer of a participant's method.
    callers: BTreeMap<CallKey, oneshot::Sender<Result<String, CallError>>>,
}

impl Actor {
    pub(super) fn new(
        room: Room,
        media: (RoomHandle, mpsc::UnboundedReceiver<Event>),
        inbox: mpsc::Receiver<RoomMessage>,
        presence: Arc<PresenceBoard>,
        webhooks: Webhooks,
        occupancy: Arc<AtomicUsize>,
    ) -> Self {
        let (media, events) = media;
        Self {
            room,
            media,
            events,
            inbox,
            presence,
            webhooks,
            occupancy,
            answers: FuturesOrdered::new(),
            sockets: BTreeMap::new(),
            seated: 0,
            departing: Vec::new(),
            closers: Vec::new(),
            callers: BTreeMap::new(),
        }
    }

    /// Runs until the room is over.
    pub(super) async fn run(mut self) {
        while self.carry_out() {
            let now = now();
            match self.room.poll_timeout() {
                Some(at) if at <= now.instant => self.room.handle_timeout(now),
                at => self.wait(at).await,
            }
        }
        self.say_farewell().await;
    }

    async fn wait(&mut self, until: Option<Instant>) {
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            Some(answered) = self.answers.next() => self.handle_answered(answered),
            Some(event) = self.events.recv() => self.room.handle_media_event(event, now()),
            Some(message) = self.inbox.recv() => self.handle_message(message),
            () = sleep_until(until.into()) => {}
        }
    }

    fn handle_answered(&mut self, answered: Answered) {
        match answered {
            Answered::Joined(participant, result) => {
                self.room.handle_media_joined(participant, result, now());
            }
            Answered::Offer(participant, id, result) => {
                self.room.handle_offer_outcome(participant, id, result, now());
            }
            Answered::Answer(participant, result) => {
                self.room.handle_answer_outcome(participant, result, now());
            }
        }
    }

    fn handle_message(&mut self, message: RoomMessage) {
        match message {
            // Whoever has given up meanwhile must not take the place of their own next attempt.
            RoomMessage::Join { reply, .. } if reply.is_closed() => {}
            RoomMessage::Join { intent, limit, socket, reply } => {
                let result = self.room.handle_join(*intent, limit, now());
                // Who no longer waits for the answer has dropped its end of the socket too.
                let _ = reply.send(result.map(|participant| self.seat(participant, socket)));
            }
            RoomMessage::Resume { intent, socket, reply } => {
                let resumed = self.room.handle_resume(*intent, now());
                let _ = reply.send(resumed.map(|participant| self.seat(participant, socket)));
            }
            RoomMessage::Request { from, message } => {
                if self.is_seated(from) {
                    self.room.handle_request(from.participant, *message, now());
                }
            }
            RoomMessage::SignalClosed { from } => {
                if self.is_seated(from) {
                    self.sockets.remove(&from.participant);
                    self.room.handle_signal_closed(from.participant, now());
                }
            }
            RoomMessage::Call(RoomCall(call)) => call(&mut self.room, now()),
            RoomMessage::CallMethod { call, reply } => {
                let key = self.room.call_method(call, now());
                self.callers.insert(key, reply);
            }
            RoomMessage::Close { reason, done } => {
                self.closers.push(done);
                self.room.handle_close(reason, now());
            }
        }
    }

    /// Gives a participant its socket. One that it had before is dropped, and closes: it may be half open, so nothing
    /// is waited for.
    fn seat(&mut self, participant: ParticipantKey, socket: mpsc::Sender<ToSocket>) -> Seat {
        self.seated += 1;
        let seat = Seat { participant, socket: self.seated };
        self.sockets.insert(participant, (seat, socket));
        seat
    }

    fn is_seated(&self, seat: Seat) -> bool {
        self.sockets.get(&seat.participant).is_some_and(|(current, _)| *current == seat)
    }

    /// Does what the room wants. Returns whether the room goes on.
    fn carry_out(&mut self) -> bool {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Send { to, message } => self.send(to, message),
                Output::HangUp { participant } => self.hang_up(participant),
                Output::Media(command) => self.command(command),
                Output::Presence(event) => self.presence.record(event),
                Output::Webhook(event) => self.webhooks.send(*event),
                Output::CallAnswered { call, answer } => {
                    if let Some(caller) = self.callers.remove(&call) {
                        // Whoever no longer waits does not read the answer.
                        let _ = caller.send(answer);
                    }
                }
                Output::Closed => return false,
            }
        }
        self.occupancy.store(self.room.occupancy(), Ordering::Relaxed);
        true
    }

    fn send(&mut self, to: ParticipantKey, message: Arc<SignalResponse>) {
        let Some((_, socket)) = self.sockets.get(&to) else { return };
        match socket.try_send(ToSocket::Message(message)) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => {
                warn!(participant = %to, "a client reads too slowly and is cut off");
            }
            Err(TrySendError::Closed(_)) => debug!(participant = %to, "a client's socket is gone"),
        }
        self.sockets.remove(&to);
        self.room.handle_signal_closed(to, now());
    }

    fn hang_up(&mut self, participant: ParticipantKey) {
        let Some((_, socket)) = self.sockets.remove(&participant) else { return };
        // A full queue ends by itself when this sender is dropped.
        if socket.try_send(ToSocket::HangUp).is_ok() {
            self.departing.retain(|socket| !socket.is_closed());
            self.departing.push(socket);
        }
    }

    /// Commands go out at once and in order; what has an answer is heard of later.
    fn command(&mut self, command: MediaCommand) {
        let media = &mut self.media;
        match command {
            MediaCommand::Join(spec) => {
                let participant = spec.participant;
                let joined = media.join(spec);
                self.expect(async move { Answered::Joined(participant, joined.await) });
            }
            MediaCommand::Offer { participant, id, sdp } => {
                let outcome = media.offer(participant, sdp);
                self.expect(async move { Answered::Offer(participant, id, outcome.await) });
            }
            MediaCommand::Answer { participant, sdp } => {
                let taken = media.answer(participant, sdp);
                self.expect(async move { Answered::Answer(participant, taken.await) });
            }
            MediaCommand::Leave { participant } => media.leave(participant),
            MediaCommand::Resume { participant } => media.resume(participant),
            MediaCommand::Trickle { participant, connection, candidate } => {
                media.trickle(participant, connection, candidate);
            }
            MediaCommand::Publish { participant, track } => media.publish(participant, track),
            MediaCommand::Unpublish { participant, track } => media.unpublish(participant, track),
            MediaCommand::SetPermissions { participant, may } => media.set_permissions(participant, may),
            MediaCommand::SetMuted { participant, track, muted } => {
                media.set_muted(participant, track, muted);
            }
            MediaCommand::Subscribe { participant, track } => media.subscribe(participant, track),
            MediaCommand::Unsubscribe { participant, track } => media.unsubscribe(participant, track),
            MediaCommand::SetPaused { participant, track, paused } => {
                media.set_paused(participant, track, paused);
            }
            MediaCommand::SendData { to, kind, message } => media.send_data(&to, kind, &message),
            MediaCommand::CloseRoom => media.close(),
        }
    }

    fn expect(&mut self, answer: impl Future<Output = Answered> + Send + 'static) {
        self.answers.push_back(Box::pin(answer));
    }

    /// Lets the sockets send what is queued, then tells those who wait that the room is over.
    async fn say_farewell(mut self) {
        self.occupancy.store(0, Ordering::Relaxed);
        // Messages that arrive from here on are dropped with their reply channels, which their senders notice.
        self.inbox.close();
        let closed = future::join_all(self.departing.iter().map(mpsc::Sender::closed));
        let _ = tokio::time::timeout(FAREWELL_TIME, closed).await;
        for done in self.closers {
            let _ = done.send(());
        }
    }
}

pub(super) fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}
