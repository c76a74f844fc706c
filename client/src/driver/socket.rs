//! The WebSocket of signalling, and the connections under it.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use banter_protocol::signal::{BASE64URL, Frame, Framing};
use base64::Engine as _;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    ClientInfo, ConnectionSettings, JoinRequest, JoinResponse, SignalRequest, SignalResponse,
    WrappedJoinRequest,
};
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Server;

const PATIENCE: Duration = Duration::from_secs(10);
/// For one address; a host may have several.
const CONNECT_PATIENCE: Duration = Duration::from_secs(4);
/// The version of LiveKit's protocol that is spoken.
const PROTOCOL: i32 = 17;
const PINGS: usize = 5;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("the address of {host} is not found: {cause}")]
    Name { host: String, cause: String },
    #[error("{address} cannot be reached: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the server refuses the session: {message} (HTTP {status})")]
    Refused { status: u16, message: String },
    #[error("the WebSocket failed: {0}")]
    WebSocket(String),
    #[error("the server does not answer in time")]
    Silent,
}

/// The way to the room, after the join.
pub(super) struct Socket {
    stream: WebSocketStream<Box<dyn Stream>>,
    /// Where the server was reached.
    pub(super) peer: SocketAddr,
}

impl Socket {
    /// Joins with an access token.
    pub(super) async fn join(server: &Server, token: &str) -> Result<(Self, JoinResponse), SocketError> {
        let mut socket = Self::open(server, token).await?;
        match timeout(PATIENCE, socket.next()).await {
            Ok(Ok(Response::Join(join))) => Ok((socket, join)),
            Ok(Ok(_)) => Err(SocketError::WebSocket("something else came before the join response".into())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SocketError::Silent),
        }
    }

    async fn open(server: &Server, token: &str) -> Result<Self, SocketError> {
        let (stream, peer) = connect(server).await?;
        let upgraded = timeout(PATIENCE, client_async(url(server, token), stream)).await;
        match upgraded.map_err(|_| SocketError::Silent)? {
            Ok((stream, _)) => Ok(Self { stream, peer }),
            Err(Error::Http(response)) => Err(SocketError::Refused {
                status: response.status().as_u16(),
                message: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned(),
            }),
            Err(error) => Err(SocketError::WebSocket(error.to_string())),
        }
    }

    pub(super) async fn send(&mut self, request: Request) -> Result<(), SocketError> {
        let request = SignalRequest { message: Some(request) };
        let Ok(Frame::Binary(bytes)) = Frame::encode(&request, Framing::Binary) else { return Ok(()) };
        self.stream.send(Message::Binary(bytes.into())).await.map_err(broken)
    }

    /// The server's next message. Can be cancelled: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Response, SocketError> {
        loop {
            let frame = match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes.into()),
                Some(Ok(Message::Text(text))) => Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_))) | None => {
                    return Err(SocketError::WebSocket("the server has closed it".to_owned()));
                }
                Some(Err(error)) => return Err(broken(error)),
            };
            // A message that this version does not know is of no concern.
            if let Ok(SignalResponse { message: Some(message) }) = frame.decode() {
                return Ok(message);
            }
        }
    }

    /// Says goodbye. Who does not hear it notices the end of the connection.
    pub(super) async fn close(mut self) {
        let _ = self.send(Request::Leave(Default::default())).await;
        let _ = timeout(Duration::from_millis(500), self.stream.close(None)).await;
    }
}

pub(super) async fn ping(server: &Server, token: &str) -> Result<Duration, SocketError> {
    let mut socket = Socket::open(server, token).await?;
    let mut shortest = Duration::MAX;
    for _ in 0..PINGS {
        let began = Instant::now();
        socket.stream.send(Message::Ping(Default::default())).await.map_err(broken)?;
        let pong = async {
            loop {
                match socket.stream.next().await {
                    Some(Ok(Message::Pong(_))) => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(broken(error)),
                    None => return Err(SocketError::WebSocket("the server has closed it".to_owned())),
                }
            }
        };
        timeout(PATIENCE, pong).await.map_err(|_| SocketError::Silent)??;
        shortest = shortest.min(began.elapsed());
    }
    socket.close().await;
    Ok(shortest)
}

/// Connects to the server's host, with TLS if its address says so.
async fn connect(server: &Server) -> Result<(Box<dyn Stream>, SocketAddr), SocketError> {
    let host = server.base.host_str().unwrap_or_default();
    let port = server.base.port_or_known_default().unwrap_or_default();
    let (stream, peer) = connect_to(host, port).await?;
    if !server.is_tls() {
        return Ok((Box::new(stream), peer));
    }
    Ok((
        Box::new(shake(server, host, stream).await.map_err(|error| SocketError::Tls(error.to_string()))?),
        peer,
    ))
}

/// Shakes hands as with the server itself.
pub(super) async fn shake(
    server: &Server,
    host: &str,
    stream: TcpStream,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connector = TlsConnector::from(Arc::clone(&server.tls));
    match timeout(CONNECT_PATIENCE, connector.connect(name, stream)).await {
        Ok(shaken) => shaken,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Connects to the first address of a host that takes it.
pub(super) async fn connect_to(host: &str, port: u16) -> Result<(TcpStream, SocketAddr), SocketError> {
    let mut failure = None;
    for address in resolve(host, port).await? {
        match connect_at(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(source) => {
                failure.get_or_insert(SocketError::Connect { address, source });
            }
        }
    }
    Err(failure
        .unwrap_or_else(|| SocketError::Name { host: host.to_owned(), cause: "no address".to_owned() }))
}

pub(super) async fn connect_at(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SocketError> {
    let found = lookup_host((host.trim_matches(['[', ']']), port)).await;
    found
        .map(Iterator::collect)
        .map_err(|error| SocketError::Name { host: host.to_owned(), cause: error.to_string() })
}

/// The address of the door for one connection, with everything that a join says.
fn url(server: &Server, token: &str) -> String {
    let request = JoinRequest {
        client_info: Some(ClientInfo {
            sdk: livekit_protocol::client_info::Sdk::Rust.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            ..ClientInfo::default()
        }),
        connection_settings: Some(ConnectionSettings {
            auto_subscribe: true,
            ..ConnectionSettings::default()
        }),
        ..JoinRequest::default()
    };
    let wrapped = WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
    let request = BASE64URL.encode(wrapped.encode_to_vec()).replace('=', "%3D");
    let scheme = if server.is_tls() { "wss" } else { "ws" };
    let host = server.base.host_str().unwrap_or_default();
    let port = server.base.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = server.base.path().trim_end_matches('/');
    format!("{scheme}://{host}{port}{path}/rtc/v1?access_token={token}&join_request={request}")
}

fn broken(error: Error) -> SocketError {
    SocketError::WebSocket(error.to_string())
}
