//! One client's WebSocket: frames in and out, keep-alive, and the end.
//!
//! The socket decides nothing about the session; it carries messages between the client and its room.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use banter_protocol::signal::{Frame, Framing};
use livekit_protocol::{SignalRequest, SignalResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::debug;

use super::actor::ToSocket;
use super::rooms::Session;

const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A client that takes longer to take a message is gone, or may as well be.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Three pings without a sign of life: the connection is half open.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(35);

/// A client says so much at once, and then goes on at this pace: what it says beyond that waits in its own connection, so
/// that nobody else in the room waits behind it. A client that joins with many candidates says some dozens of things.
const BURST: u32 = 500;
const REQUEST_INTERVAL: Duration = Duration::from_millis(10);

/// Why a socket's work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Ours to close, after everything was sent.
    Finished,
    /// The client closes, and waits for our half of the handshake.
    Closing,
    /// The client cannot be reached.
    Lost(&'static str),
}

/// Serves one client until either side ends. The session tells the room when it is dropped.
pub(super) async fn run(mut socket: WebSocket, session: Session, mut queue: mpsc::Receiver<ToSocket>) {
    let end = serve(&mut socket, &session, &mut queue).await;
    debug!(?end, "a client's socket ends");
    // The room need not wait for the handshake.
    drop(session);
    match end {
        End::Finished => close(&mut socket).await,
        End::Closing => drain(&mut socket).await,
        End::Lost(_) => {}
    }
}

/// Says one message to a client and closes.
pub(super) async fn turn_away(mut socket: WebSocket, message: SignalResponse) {
    if send(&mut socket, &message, Framing::Binary).await.is_ok() {
        close(&mut socket).await;
    }
}

async fn serve(socket: &mut WebSocket, session: &Session, queue: &mut mpsc::Receiver<ToSocket>) -> End {
    let mut framing = Framing::default();
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    let mut pace = Pace::new(heard_at);
    loop {
        tokio::select! {
            outgoing = queue.recv() => match outgoing {
                Some(ToSocket::Message(message)) => {
                    if let Err(end) = send(socket, &message, framing).await {
                        return end;
                    }
                }
                Some(ToSocket::HangUp) | None => return End::Finished,
            },
            incoming = pace.receive(socket) => {
                heard_at = Instant::now();
                pace.count(heard_at);
                let frame = match incoming {
                    Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.into()),
                    Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_))) => return End::Closing,
                    None => return End::Lost("the client is gone"),
                    Some(Err(_)) => return End::Lost("it broke"),
                };
                framing = frame.framing();
                let SignalRequest { message } = match frame.decode() {
                    Ok(request) => request,
                    Err(error) => {
                        debug!(%error, "a client sent something else than a request");
                        return End::Finished;
                    }
                };
                // A request of a kind that this version does not know is none.
                if let Some(message) = message {
                    session.request(message).await;
                }
            }
            _ = pings.tick() => {
                if let Err(end) = write(socket, Message::Ping(Default::default())).await {
                    return end;
                }
            }
            () = sleep_until(heard_at + SILENCE_TIMEOUT) => return End::Lost("the client is silent"),
        }
    }
}

/// How fast a client may speak.
struct Pace {
    /// When everything that was said would have been said at the pace.
    due: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { due: now }
    }

    fn count(&mut self, now: Instant) {
        self.due = self.due.max(now) + REQUEST_INTERVAL;
    }

    /// When the next one is read.
    fn ready_at(&self) -> Option<Instant> {
        self.due.checked_sub(REQUEST_INTERVAL * BURST)
    }

    /// Nothing is lost when the future is dropped.
    async fn receive(&self, socket: &mut WebSocket) -> Option<Result<Message, axum::Error>> {
        if let Some(ready_at) = self.ready_at() {
            sleep_until(ready_at).await;
        }
        socket.recv().await
    }
}

async fn send(socket: &mut WebSocket, message: &SignalResponse, framing: Framing) -> Result<(), End> {
    match Frame::encode(message, framing) {
        Ok(Frame::Binary(bytes)) => write(socket, Message::Binary(bytes.into())).await,
        Ok(Frame::Text(text)) => write(socket, Message::Text(text.into())).await,
        Err(error) => {
            debug!(%error, "a message cannot be written");
            Ok(())
        }
    }
}

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(WRITE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        // Mostly because the client has begun to close.
        Ok(Err(_)) => Err(End::Closing),
        Err(_) => Err(End::Lost("the client takes no more messages")),
    }
}

async fn close(socket: &mut WebSocket) {
    let frame = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if write(socket, Message::Close(Some(frame))).await.is_ok() {
        drain(socket).await;
    }
}

/// Reads until the closing handshake is complete. Without it the client could lose what was sent last, and would take
/// the end for a failure.
async fn drain(socket: &mut WebSocket) {
    let handshake = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = timeout(WRITE_TIMEOUT, handshake).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_requests_are_read_at_once_and_more_at_a_pace() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace::new(start);
        for _ in 0..BURST {
            assert!(pace.ready_at().is_some_and(|at| at <= start));
            pace.count(start);
        }
        for _ in 0..10 {
            pace.count(start);
        }
        assert_eq!(pace.ready_at(), Some(start + 10 * REQUEST_INTERVAL));
        // Silence makes up for it.
        let later = start + REQUEST_INTERVAL * (BURST + 10);
        pace.count(later);
        assert_eq!(pace.due, later + REQUEST_INTERVAL);
    }
}
