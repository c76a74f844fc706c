//! Accepts connections, tells from what they begin with what they speak, and serves HTTP on them, within bounds: who connects
//! and says nothing, or says it slowly, holds one socket for some seconds, and no address holds all of them. Where there is but
//! one port, streams of media come here too and go to their workers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use banter_sfu::framing::Framing;
use banter_sfu::net::MediaHandle;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tower_service::Service;
use tracing::{debug, warn};

use crate::door::{Early, hand_over};
use crate::sorting::{Opening, sort};
use crate::tls::{Inside, Tls};

/// For the whole head of a request, from the moment that it could be sent. It also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// For the whole TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request's head. A request target alone may have 64 KiB, since it carries a session description.
const MAX_HEAD: usize = 192 * 1024;
const MAX_HEADERS: usize = 100;
/// Before accepting goes on when it has failed, for want of file descriptors above all.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of one address. A browser has up to seven; this is for many of them behind one router.
const MAX_OF_ADDRESS: usize = 512;
/// Connections of one IPv6 network of 64 bits or one IPv4 address are counted together.
const IPV6_NETWORK: u8 = 64;

/// What answers at a port. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Port {
    pub router: Router,
    pub gate: Gate,
    /// Beside plain HTTP. `None` turns away who begins with TLS.
    pub tls: Option<Tls>,
    /// Where streams of media go, if they come here.
    pub media: Option<MediaHandle>,
}

/// Whether a request came by TLS, to this server itself: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct OverTls(pub bool);

/// Counts open connections by address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// Reverse proxies, which bring everybody's.
    exempt: Arc<[IpNet]>,
    limit: usize,
}

/// An open connection's place in the count.
#[derive(Debug)]
pub struct Place {
    gate: Gate,
    address: IpAddr,
}

/// A connection with its place, which it keeps also as a WebSocket.
struct Admitted {
    stream: TcpStream,
    place: Place,
}

impl Gate {
    pub fn new(proxies: &[IpNet]) -> Self {
        Self { open: Arc::default(), exempt: proxies.into(), limit: MAX_OF_ADDRESS }
    }

    /// `None` when the address has as many connections as it may have.
    pub fn admit(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let free = peer.is_loopback() || self.exempt.iter().any(|network| network.contains(&peer));
        let address = counted(peer);
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.limit && !free {
            return None;
        }
        *count += 1;
        Some(Place { gate: self.clone(), address })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn counted(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(_) => IpNet::new(peer, IPV6_NETWORK).map_or(peer, |network| network.network()),
    }
}

/// Serves until `ending` is true, then lets the answers under way end.
pub async fn serve(listener: TcpListener, port: Port, ending: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stop = ending.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match port.gate.admit(peer.ip()) {
                Some(place) => {
                    let stream = Admitted { stream, place };
                    connections.spawn(connection(stream, peer, port.clone(), ending.clone()));
                }
                None => debug!(%peer, "connection refused: its address has too many"),
            },
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: Admitted, peer: SocketAddr, port: Port, mut ending: watch::Receiver<bool>) {
    // Signalling messages are small and urgent.
    let _ = stream.stream.set_nodelay(true);
    let served = tokio::select! {
        opened = open(stream, peer, &port) => opened,
        () = ended(&mut ending) => return,
    };
    match served {
        Ok(Open::Http(stream)) => answer(stream, peer, OverTls(false), port.router, ending).await,
        Ok(Open::Tls(stream)) => answer(stream, peer, OverTls(true), port.router, ending).await,
        Ok(Open::Sorted(stream)) => answer(stream, peer, OverTls(true), port.router, ending).await,
        Ok(Open::HandedOver) => {}
        Err(error) => debug!(%peer, %error, "connection ended before its first request"),
    }
}

/// What has become of a new connection.
enum Open {
    /// HTTP can begin.
    Http(Admitted),
    Tls(Box<TlsStream<Admitted>>),
    /// The same, where the client had to say something first.
    Sorted(Box<BufReader<TlsStream<Admitted>>>),
    /// A media worker has it.
    HandedOver,
}

async fn open(stream: Admitted, peer: SocketAddr, port: &Port) -> io::Result<Open> {
    let first = first_byte(&stream.stream).await?;
    match (sort(&[first]), &port.tls, &port.media) {
        (Ok(Some(Opening::Tls)), Some(tls), Some(media)) => open_shared(stream, peer, tls, media).await,
        (Ok(Some(Opening::Tls)), Some(tls), None) => {
            let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
            debug!(%peer, version = ?stream.get_ref().1.protocol_version(), "TLS handshake done");
            Ok(Open::Tls(Box::new(stream)))
        }
        (Ok(Some(Opening::Tls)), None, _) => {
            Err(io::Error::other("it speaks TLS, which is off at this port"))
        }
        (Ok(None), _, Some(media)) => {
            let Admitted { mut stream, place } = stream;
            let early = Early::of(&mut stream).await?;
            hand_over(media, stream, None, early, Box::new(place))?;
            Ok(Open::HandedOver)
        }
        // What is no HTTP either is told so in its words.
        _ => Ok(Open::Http(stream)),
    }
}

/// Tells HTTP from TURN by the protocol that the client names, or else by what it says first.
async fn open_shared(stream: Admitted, peer: SocketAddr, tls: &Tls, media: &MediaHandle) -> io::Result<Open> {
    let (stream, inside) = timeout(HANDSHAKE_TIMEOUT, tls.accept_shared(stream)).await??;
    debug!(%peer, version = ?stream.get_ref().1.protocol_version(), ?inside, "TLS handshake done");
    let mut stream = match inside {
        Some(Inside::Http) => return Ok(Open::Tls(Box::new(stream))),
        Some(Inside::Turn) | None => BufReader::new(stream),
    };
    let first = timeout(HEAD_TIMEOUT, stream.fill_buf()).await??.first().copied();
    match (inside, sort(first.as_slice())) {
        (_, Ok(None)) if first.is_some() => {
            let early = Early::of(&mut stream).await?;
            if early.framing != Framing::Turn {
                return Err(io::Error::other("it speaks ICE inside of TLS, which nobody does"));
            }
            let Early { framing, mut bytes } = early;
            bytes.extend_from_slice(stream.buffer());
            let (Admitted { stream, place }, tls) = stream.into_inner().into_inner();
            hand_over(media, stream, Some(Box::new(tls)), Early { framing, bytes }, Box::new(place))?;
            Ok(Open::HandedOver)
        }
        (None, Ok(Some(Opening::Http))) => Ok(Open::Sorted(Box::new(stream))),
        _ => Err(io::Error::other("it does not speak inside of TLS what it should")),
    }
}

/// It stays to be read.
async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    match timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await?? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0]),
    }
}

async fn answer<S>(
    stream: S,
    peer: SocketAddr,
    over_tls: OverTls,
    router: Router,
    mut ending: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(over_tls);
        router.clone().call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ended(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        debug!(%peer, %error, "connection ended badly");
    }
}

/// Waits until the program is to end.
pub async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_its_neighbour_has_its_own() {
        let gate = Gate { limit: 2, ..Gate::new(&["192.0.2.9/32".parse().expect("a network")]) };
        let admit = |text: &str| gate.admit(text.parse().expect("an address"));
        let places = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(places.0.is_some() && places.1.is_some());
        assert!(admit("192.0.2.1").is_none());
        let neighbour = admit("192.0.2.2");
        assert!(neighbour.is_some());
        drop(places);
        assert!(admit("192.0.2.1").is_some());
        let proxied: Vec<_> = (0..5).map(|_| admit("192.0.2.9")).collect();
        assert!(proxied.iter().all(Option::is_some));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_what_is_closed_is_forgotten() {
        let gate = Gate { limit: 1, ..Gate::new(&[]) };
        let admit = |text: &str| gate.admit(text.parse().expect("an address"));
        let place = admit("2001:db8::1");
        assert!(place.is_some() && admit("2001:db8::2").is_none() && admit("2001:db8:0:1::1").is_some());
        drop(place);
        assert!(gate.open().is_empty());
    }
}
