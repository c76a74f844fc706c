//! One session with its socket and its link, in a task of its own.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::time::{Duration, Instant};

use banter_protocol::rest::TestPath;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use str0m::RtcError;
use str0m::net::Protocol;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::Server;
use super::gather::{self, Gathered, Relay, gather};
use super::link::{Link, has_route};
use super::socket::Socket;
use crate::measure::{Packet, payload_len};
use crate::report::Failure;
use crate::session::{Event, Output, Part, Session, Transmit, named};

/// How often the server is to hear of a client (it says so in its join response).
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Number and length before a datagram in a channel (RFC 8656 §12.4).
const CHANNEL_HEADER_LEN: usize = 4;

/// What an endpoint is asked to send, and since when departures are counted.
pub(super) struct Speak(pub(super) Packet);

/// What happens at an endpoint.
#[derive(Debug)]
pub(super) enum Happening {
    Session(Event),
    Failed(Failure),
}

/// Speaks what comes in by `speak` until that is closed, and tells what happens.
pub(super) struct Endpoint {
    path: TestPath,
    socket: Socket,
    session: Session,
    link: Link,
    relay: Option<Relay>,
    start: Instant,
}

/// What is known of an endpoint before it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) is_v6: bool,
    /// Datagrams travel as such, at least from here to the server.
    pub(super) in_datagrams: bool,
}

impl Endpoint {
    /// Joins, and finds the candidates. `start` is the beginning of the test.
    pub(super) async fn join(
        server: &Server,
        path: TestPath,
        token: &str,
        part: Part,
        start: Instant,
    ) -> Result<Self, Failure> {
        let joined = Socket::join(server, token).await;
        let (socket, join) = joined.map_err(|error| Failure::Signalling(error.to_string()))?;
        let Gathered { link, relay, candidates } =
            gather(server, path, &join.ice_servers, socket.peer).await?;
        let session = Session::new(part, candidates, Instant::now());
        Ok(Self { path, socket, session, link, relay, start })
    }

    pub(super) fn manner(&self) -> Manner {
        let in_datagrams = match &self.relay {
            Some(relay) => !relay.in_stream,
            None => self.path != TestPath::Tcp,
        };
        Manner { is_v6: gather::is_v6(self.path, self.relay.as_ref()), in_datagrams }
    }

    pub(super) async fn run(
        mut self,
        mut speak: mpsc::UnboundedReceiver<Speak>,
        happenings: mpsc::UnboundedSender<Happening>,
    ) {
        if let Err(failure) = self.serve(&mut speak, &happenings).await {
            // Whoever no longer listens knows enough.
            let _ = happenings.send(Happening::Failed(failure));
        }
        self.socket.close().await;
    }

    async fn serve(
        &mut self,
        speak: &mut mpsc::UnboundedReceiver<Speak>,
        happenings: &mpsc::UnboundedSender<Happening>,
    ) -> Result<(), Failure> {
        let mut pings = tokio::time::interval(PING_INTERVAL);
        loop {
            let wake = self.drain(happenings).await?;
            tokio::select! {
                message = self.socket.next() => {
                    let message = message.map_err(|error| Failure::Ended(error.to_string()))?;
                    self.take_signal(message).await?;
                }
                arrival = self.link.next() => {
                    let now = Instant::now();
                    let (from, at, bytes) = match &mut self.relay {
                        None => (arrival.from, arrival.at, &arrival.bytes[..]),
                        Some(relay) => match relay.client.handle_message(&arrival.bytes, now) {
                            Some((peer, datagram)) => (peer, relay.relayed, datagram),
                            None => continue,
                        },
                    };
                    self.session.handle_datagram(self.protocol(), from, at, bytes, now).map_err(broken)?;
                }
                packet = speak.recv() => match packet {
                    Some(Speak(packet)) => self.speak(packet)?,
                    None => return Ok(()),
                },
                _ = pings.tick() => self.signal(Request::Ping(0)).await?,
                () = sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if let Some(relay) = &mut self.relay {
                        relay.client.handle_timeout(now);
                    }
                    self.session.handle_timeout(now).map_err(broken)?;
                }
            }
        }
    }

    /// Does everything that the cores want, and says when they want more.
    async fn drain(&mut self, happenings: &mpsc::UnboundedSender<Happening>) -> Result<Instant, Failure> {
        let wake = loop {
            match self.session.poll_output(Instant::now()).map_err(broken)? {
                Output::Signal(request) => self.signal(*request).await?,
                Output::Transmit(transmit) => self.transmit(transmit).await,
                Output::Event(event) => {
                    let _ = happenings.send(Happening::Session(event));
                }
                Output::Timeout(at) => break at,
            }
        };
        let Some(relay) = &mut self.relay else { return Ok(wake) };
        while let Some(message) = relay.client.poll_transmit() {
            self.link.send(relay.local, relay.server, &message).await;
        }
        Ok(relay.client.poll_timeout().map_or(wake, |at| at.min(wake)))
    }

    async fn transmit(&mut self, Transmit { from, to, bytes }: Transmit) {
        match &mut self.relay {
            Some(relay) => relay.client.send(to, &bytes, Instant::now()),
            None => self.link.send(from, to, &bytes).await,
        }
    }

    async fn take_signal(&mut self, message: Response) -> Result<(), Failure> {
        if let Response::Answer(answer) = &message {
            self.find_way(&answer.sdp).await?;
        }
        self.session.handle_signal(message, Instant::now()).map_err(broken)
    }

    /// Goes where the server says that it is.
    async fn find_way(&mut self, sdp: &str) -> Result<(), Failure> {
        match self.path {
            TestPath::Tcp if self.session.is_nowhere() => {
                let addresses = named(sdp, Protocol::Tcp);
                let (link, candidate) = gather::open_stream(&addresses).await?;
                self.link = link;
                self.session.add_candidate(candidate);
                Ok(())
            }
            TestPath::Udp4 | TestPath::Udp6 => {
                let addresses = named(sdp, Protocol::Udp);
                let is_hopeless = !addresses.is_empty() && !addresses.into_iter().any(has_route);
                if is_hopeless { Err(Failure::NoRoute) } else { Ok(()) }
            }
            TestPath::Tcp | TestPath::TurnUdp | TestPath::TurnTcp | TestPath::TurnTls => Ok(()),
        }
    }

    async fn signal(&mut self, request: Request) -> Result<(), Failure> {
        self.socket.send(request).await.map_err(|error| Failure::Ended(error.to_string()))
    }

    fn speak(&mut self, packet: Packet) -> Result<(), Failure> {
        let now = Instant::now();
        let wrapping = if self.relay.is_some() { CHANNEL_HEADER_LEN } else { 0 };
        let len = payload_len(packet, self.session.overhead() + wrapping, self.manner().is_v6);
        self.session.speak(packet.encode(self.start, now, len), now).map(drop).map_err(broken)
    }

    fn protocol(&self) -> Protocol {
        if self.path == TestPath::Tcp { Protocol::Tcp } else { Protocol::Udp }
    }
}

fn broken(error: RtcError) -> Failure {
    Failure::Ended(error.to_string())
}
