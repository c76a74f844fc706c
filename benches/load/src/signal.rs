//! A bot's signalling: one WebSocket, LiveKit's messages, and the media thread asked for descriptions.
#![expect(clippy::disallowed_methods, reason = "pings carry the wall time")]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, JoinResponse, LeaveRequest, Ping,
    SessionDescription, SignalRequest, SignalResponse, SignalTarget, TrackSource, TrackType, TrickleRequest,
    WrappedJoinRequest,
};
use prost::Message as _;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls};
use url::Url;

use crate::args::Mode;
use crate::bot::{Newcomer, Target};
use crate::media::{BotKey, Command, MediaHandle, TurnServer, Way};

/// Sections to hear on that a bot offers from the start, as LiveKit's SDKs do.
const PREFILLED: u32 = 3;
const PROTOCOL: i32 = 16;
const PING_INTERVAL: Duration = Duration::from_secs(5);
const CID: &str = "microphone";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A bot that is to join.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its number in the run.
    pub bot: u32,
    pub url: Url,
    pub token: String,
    pub mode: Mode,
    /// Address to speak to the server from, if it matters: servers count the connections of each.
    pub from: Option<IpAddr>,
    pub route: Route,
    /// Number in the run and place in the room of one with a microphone.
    pub publishes: Option<(u32, u32)>,
    pub red: bool,
    pub listeners: u64,
    pub is_visitor: bool,
    pub is_sampled: bool,
}

/// How a bot's media is to reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Udp,
    Tcp,
    Turn,
}

/// A bot in a room.
#[derive(Debug)]
pub struct Session {
    socket: Socket,
    media: MediaHandle,
    bot: BotKey,
    mode: Mode,
    /// An offer of ours waits for its answer.
    is_offering: bool,
    /// Another offer is to follow.
    must_offer: bool,
    offers: u32,
}

impl Session {
    /// Joins, and begins to negotiate.
    pub async fn join(plan: &Plan, media: MediaHandle, began: Instant) -> anyhow::Result<Self> {
        let mut socket = connect(plan).await.context("the WebSocket is not opened")?;
        let response =
            next(&mut socket).await?.context("the server closed the socket before it said anything")?;
        let Some(Response::Join(join)) = response.message else {
            bail!("the server did not begin with a join response: {response:?}");
        };
        let who = Newcomer {
            began,
            has_two_connections: plan.mode == Mode::V0,
            listeners: plan.listeners,
            is_visitor: plan.is_visitor,
            is_sampled: plan.is_sampled,
        };
        let way = way(plan.route, &join)?;
        let bot = media.ask(|reply| Command::Enter { who, way, reply }).await??;
        let mut session =
            Self { socket, media, bot, mode: plan.mode, is_offering: false, must_offer: false, offers: 0 };
        if plan.mode == Mode::V1 {
            session.media.send(Command::Hear { bot, sections: PREFILLED });
        }
        if let Some((publisher, slot)) = plan.publishes {
            let track = AddTrackRequest {
                cid: CID.into(),
                name: CID.into(),
                r#type: TrackType::Audio.into(),
                source: TrackSource::Microphone.into(),
                disable_red: !plan.red,
                ..AddTrackRequest::default()
            };
            session.send(Request::AddTrack(track)).await?;
            session.media.send(Command::Speak { bot, publisher, slot, cid: CID.into() });
        }
        if plan.mode == Mode::V1 || plan.publishes.is_some() {
            session.offer().await?;
        }
        Ok(session)
    }

    /// Lives in the room until `leaving` is over.
    pub async fn stay(mut self, leaving: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut leaving = std::pin::pin!(leaving);
        let mut pings = tokio::time::interval(PING_INTERVAL);
        let outcome = loop {
            tokio::select! {
                () = &mut leaving => break Ok(()),
                _ = pings.tick() => if let Err(error) = self.ping().await {
                    break Err(error);
                },
                message = next(&mut self.socket) => match message {
                    Ok(Some(SignalResponse { message: Some(message) })) => {
                        if let Err(error) = self.handle(message).await {
                            break Err(error);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break Err(anyhow::anyhow!("the server closed the socket")),
                    Err(error) => break Err(error),
                },
            }
        };
        // Who has been cut off says goodbye in vain.
        let _ = self.send(Request::Leave(LeaveRequest::default())).await;
        self.media.send(Command::Leave { bot: self.bot });
        let _ = self.socket.close(None).await;
        outcome
    }

    async fn handle(&mut self, message: Response) -> anyhow::Result<()> {
        let bot = self.bot;
        match message {
            Response::Answer(SessionDescription { sdp, .. }) => {
                self.media.ask(|reply| Command::Accept { bot, answer: sdp, reply }).await??;
                self.is_offering = false;
                if std::mem::take(&mut self.must_offer) {
                    self.offer().await?;
                }
            }
            Response::Offer(SessionDescription { sdp, id, .. }) => {
                let sdp = self.media.ask(|reply| Command::Answer { bot, offer: sdp, reply }).await??;
                let answer =
                    SessionDescription { r#type: "answer".into(), sdp, id, ..SessionDescription::default() };
                self.send(Request::Answer(answer)).await?;
            }
            Response::Trickle(TrickleRequest { candidate_init, target, .. }) => {
                let target = match SignalTarget::try_from(target) {
                    Ok(SignalTarget::Subscriber) if self.mode == Mode::V0 => Target::Subscriber,
                    _ => Target::Publisher,
                };
                let init: serde_json::Value = serde_json::from_str(&candidate_init)?;
                if let Some(candidate) = init["candidate"].as_str().filter(|text| !text.is_empty()) {
                    self.media.send(Command::Candidate { bot, target, candidate: candidate.to_owned() });
                }
            }
            Response::MediaSectionsRequirement(wanted) => {
                self.media.send(Command::Hear { bot, sections: wanted.num_audios });
                self.offer().await?;
            }
            Response::Leave(leave) => bail!("the server sent the bot away: {:?}", leave.reason()),
            _ => {}
        }
        Ok(())
    }

    /// One offer at a time: a further one waits for the answer.
    async fn offer(&mut self) -> anyhow::Result<()> {
        if self.is_offering {
            self.must_offer = true;
            return Ok(());
        }
        let bot = self.bot;
        let sdp = self.media.ask(|reply| Command::Offer { bot, reply }).await?;
        self.is_offering = true;
        self.offers += 1;
        let offer = SessionDescription {
            r#type: "offer".into(),
            sdp,
            id: self.offers,
            ..SessionDescription::default()
        };
        self.send(Request::Offer(offer)).await
    }

    async fn ping(&mut self) -> anyhow::Result<()> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        self.send(Request::PingReq(Ping { timestamp, rtt: 0 })).await
    }

    async fn send(&mut self, message: Request) -> anyhow::Result<()> {
        let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
        Ok(self.socket.send(Message::Binary(bytes.into())).await?)
    }
}

async fn connect(plan: &Plan) -> anyhow::Result<Socket> {
    let host = plan.url.host_str().context("the URL names no host")?.trim_matches(['[', ']']);
    let port = plan.url.port_or_known_default().context("the URL names no port")?;
    let mut failure = anyhow::anyhow!("{host} has no address");
    for to in lookup_host((host, port)).await? {
        match open(to, plan.from).await {
            Ok(stream) => return Ok(client_async_tls(address(plan)?, stream).await?.0),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn open(to: SocketAddr, from: Option<IpAddr>) -> anyhow::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from.filter(|from| to.ip().is_loopback() && from.is_ipv4() == to.is_ipv4()) {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(to).await.with_context(|| format!("nobody accepts connections at {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn way(route: Route, join: &JoinResponse) -> anyhow::Result<Way> {
    match route {
        Route::Udp => Ok(Way::Udp),
        Route::Tcp => Ok(Way::Tcp),
        Route::Turn => {
            let named = join.ice_servers.iter().flat_map(|server| {
                server.urls.iter().map(|url| TurnServer::read(url, &server.username, &server.credential))
            });
            let server = named.flatten().next();
            server.map(Way::Turn).context("the server names no TURN server by UDP: is one switched on?")
        }
    }
}

/// The next message; `None` when the socket is closed.
async fn next(socket: &mut Socket) -> anyhow::Result<Option<SignalResponse>> {
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(bytes) => return Ok(Some(SignalResponse::decode(bytes)?)),
            Message::Close(_) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

fn address(plan: &Plan) -> anyhow::Result<String> {
    let base = plan.url.as_str().trim_end_matches('/');
    let token = &plan.token;
    Ok(match plan.mode {
        Mode::V0 => format!(
            "{base}/rtc?access_token={token}&auto_subscribe=1&sdk=rust&version=0.1&protocol={PROTOCOL}"
        ),
        Mode::V1 => {
            let settings = ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() };
            let client = ClientInfo { protocol: PROTOCOL, version: "0.1".into(), ..ClientInfo::default() };
            let request = JoinRequest {
                client_info: Some(client),
                connection_settings: Some(settings),
                ..JoinRequest::default()
            };
            let wrapped =
                WrappedJoinRequest { join_request: request.encode_to_vec(), ..WrappedJoinRequest::default() };
            let join = BASE64_URL_SAFE.encode(wrapped.encode_to_vec());
            format!("{base}/rtc/v1?access_token={token}&join_request={join}")
        }
    })
}
