//! A signalling client that speaks the wire's words and nothing more.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use banter_protocol::signal::{BASE64URL, Frame, Framing};
use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, JoinResponse, LeaveRequest, SignalRequest,
    SignalResponse, TrackSource, TrackType, WrappedJoinRequest,
};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub framing: Framing,
    /// Received, not yet asked for.
    unread: VecDeque<Response>,
}

/// How a server says no: status, headers and body.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub allow_origin: Option<String>,
    pub body: String,
}

impl Client {
    /// Opens a WebSocket at a path with its query.
    pub async fn open(server: SocketAddr, path: &str, bearer: Option<&str>) -> Result<Self, Refused> {
        let mut request = format!("ws://{server}{path}").into_client_request().expect("it is a URL");
        if let Some(token) = bearer {
            let value = format!("Bearer {token}").parse().expect("a token is a header value");
            request.headers_mut().insert("authorization", value);
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self { socket, framing: Framing::Binary, unread: VecDeque::new() }),
            Err(Error::Http(response)) => {
                let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
                let body = response.body().clone().unwrap_or_default();
                Err(Refused {
                    status: response.status().as_u16(),
                    allow_origin: header("access-control-allow-origin"),
                    body: String::from_utf8(body).expect("errors are text"),
                })
            }
            Err(error) => panic!("the server does not speak WebSocket: {error}"),
        }
    }

    /// Joins with two connections.
    pub async fn join(server: SocketAddr, token: &str) -> (Self, JoinResponse) {
        let path = format!("/rtc?access_token={token}&auto_subscribe=1&sdk=js&version=2.23.0&protocol=17");
        Self::open(server, &path, None).await.expect("the token is good").joined().await
    }

    /// Joins with one connection.
    pub async fn join_v1(server: SocketAddr, token: &str, request: JoinRequest) -> (Self, JoinResponse) {
        let path = format!("/rtc/v1?access_token={token}&join_request={}", wrap(&request));
        Self::open(server, &path, None).await.expect("the token is good").joined().await
    }

    pub async fn joined(mut self) -> (Self, JoinResponse) {
        match self.next().await {
            Some(Response::Join(join)) => (self, join),
            other => panic!("{other:?} came first"),
        }
    }

    pub async fn send(&mut self, message: Request) {
        let request = SignalRequest { message: Some(message) };
        let message = match Frame::encode(&request, self.framing).expect("it encodes") {
            Frame::Binary(bytes) => Message::Binary(bytes.into()),
            Frame::Text(text) => Message::Text(text.into()),
        };
        self.send_raw(message).await;
    }

    /// Sends if the socket is still open.
    pub async fn try_send(&mut self, message: Request) {
        let request = SignalRequest { message: Some(message) };
        if let Ok(Frame::Binary(bytes)) = Frame::encode(&request, Framing::Binary) {
            let _ = self.socket.send(Message::Binary(bytes.into())).await;
        }
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.expect("the socket is open");
    }

    /// The next message, or `None` when the server has closed.
    pub async fn next(&mut self) -> Option<Response> {
        loop {
            let frame = match timeout(PATIENCE, self.socket.next()).await.expect("a message comes in time") {
                Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.into()),
                Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            };
            self.framing = frame.framing();
            return frame.decode::<SignalResponse>().expect("it is a response").message;
        }
    }

    /// The first message that `wanted` picks, among those that have come and those that will.
    pub async fn wait_for<T>(&mut self, wanted: impl Fn(&Response) -> Option<T>) -> T {
        if let Some(index) = self.unread.iter().position(|message| wanted(message).is_some()) {
            let message = self.unread.remove(index).expect("it was found there");
            return wanted(&message).expect("it was wanted before");
        }
        loop {
            let message = self.next().await.expect("the server stays until then");
            match wanted(&message) {
                Some(found) => return found,
                None => self.unread.push_back(message),
            }
        }
    }

    /// The server's farewell, after which it closes.
    pub async fn farewell(&mut self) -> LeaveRequest {
        let leave = self
            .wait_for(|message| match message {
                Response::Leave(leave) => Some(leave.clone()),
                _ => None,
            })
            .await;
        let after = self.next().await;
        assert!(after.is_none(), "{after:?} came after the farewell");
        leave
    }

    /// Closes as a browser does, and checks that the server takes its part.
    pub async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // The server may have begun before.
        let _ = self.socket.close(Some(frame)).await;
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the handshake ends in time") {
                Some(Ok(Message::Close(frame))) => {
                    return assert_eq!(frame.map(|frame| frame.code), Some(CloseCode::Normal));
                }
                Some(Ok(_)) => {}
                end => panic!("the server closed without a word: {end:?}"),
            }
        }
    }

    /// Reads until the server closes.
    pub async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// A join request as it stands in the URL.
pub fn wrap(request: &JoinRequest) -> String {
    let wrapped = WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
    BASE64URL.encode(wrapped.encode_to_vec()).replace('=', "%3D")
}

pub fn join_request() -> JoinRequest {
    JoinRequest {
        client_info: Some(ClientInfo { protocol: 17, ..ClientInfo::default() }),
        connection_settings: Some(ConnectionSettings {
            auto_subscribe: true,
            ..ConnectionSettings::default()
        }),
        ..JoinRequest::default()
    }
}

pub fn microphone(cid: &str) -> AddTrackRequest {
    AddTrackRequest {
        cid: cid.into(),
        r#type: TrackType::Audio.into(),
        source: TrackSource::Microphone.into(),
        ..AddTrackRequest::default()
    }
}

/// What Chromium 140 offers: one section that hears and one that sends `cid`, if it is given. The fingerprint is made
/// up, so no connection comes of it.
pub fn offer(cid: Option<&str>) -> String {
    let session = "v=0\r\n\
        o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
        s=-\r\n\
        t=0 0\r\n\
        a=group:BUNDLE 0 1\r\n\
        a=extmap-allow-mixed\r\n\
        a=msid-semantic: WMS\r\n";
    let receiving = section("0", "recvonly", "");
    match cid {
        None => format!("{}{receiving}", session.replace("0 1", "0")),
        Some(cid) => {
            let source = format!("a=msid:- {cid}\r\na=ssrc:1001 cname:client\r\n");
            format!("{session}{receiving}{}", section("1", "sendonly", &source))
        }
    }
}

fn section(mid: &str, direction: &str, source: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n\
        c=IN IP4 0.0.0.0\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\n\
        a=ice-ufrag:abcd\r\n\
        a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
        a=ice-options:trickle\r\n\
        a=fingerprint:sha-256 {fingerprint}\r\n\
        a=setup:actpass\r\n\
        a=mid:{mid}\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a={direction}\r\n\
        a=rtcp-mux\r\n\
        a=rtpmap:111 opus/48000/2\r\n\
        a=rtcp-fb:111 transport-cc\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:63 red/48000/2\r\n\
        a=fmtp:63 111/111\r\n\
        {source}"
    )
}
