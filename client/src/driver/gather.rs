//! Finding the candidates of a path: addresses of this machine, or a relayed one.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use banter_protocol::rest::TestPath;
use banter_sfu::framing::Framing;
use banter_sfu::turn::credentials::Credentials;
use banter_sfu::turn::stun::Family;
use livekit_protocol::IceServer;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use str0m::Candidate;
use str0m::net::{Protocol, TcpType};
use tokio::time::sleep_until;

use super::Server;
use super::link::{Link, any, own_addresses};
use super::socket::{connect_at, resolve, shake};
use crate::report::{Failure, Unreachable};
use crate::turn::{Client, Event};

/// What media travels in, and where ICE is to be told that it comes from.
pub(super) struct Gathered {
    pub(super) link: Link,
    pub(super) relay: Option<Relay>,
    pub(super) candidates: Vec<Candidate>,
}

/// An allocation.
pub(super) struct Relay {
    pub(super) client: Client,
    pub(super) server: SocketAddr,
    /// From where we speak to the server.
    pub(super) local: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) in_stream: bool,
}

/// Gathers for a path. For ICE over TCP the server has to say first where it listens: see [`open_stream`].
pub(super) async fn gather(
    server: &Server,
    path: TestPath,
    ice_servers: &[IceServer],
    signalling: SocketAddr,
) -> Result<Gathered, Failure> {
    match path {
        TestPath::Udp4 | TestPath::Udp6 => {
            let is_local = signalling.ip().to_canonical().is_loopback();
            let addresses = own_addresses(path == TestPath::Udp6, is_local);
            if addresses.is_empty() {
                return Err(Failure::NoAddress);
            }
            let (link, locals) = Link::datagrams(&addresses).await.map_err(|_| Failure::NoAddress)?;
            let candidates =
                locals.into_iter().filter_map(|local| Candidate::host(local, Protocol::Udp).ok());
            Ok(Gathered { link, relay: None, candidates: candidates.collect() })
        }
        TestPath::Tcp => Ok(Gathered { link: Link::nowhere(), relay: None, candidates: Vec::new() }),
        TestPath::TurnUdp | TestPath::TurnTcp | TestPath::TurnTls => {
            let (host, port, credentials) = turn_server(path, ice_servers).ok_or(Failure::NotNamed)?;
            let addresses =
                resolve(&host, port).await.map_err(|error| Failure::Signalling(error.to_string()))?;
            allocate_somewhere(server, path, &host, &addresses, &credentials).await
        }
    }
}

/// The first of the addresses at which the server takes streams that can be reached, as a candidate.
pub(super) async fn open_stream(addresses: &[SocketAddr]) -> Result<(Link, Candidate), Failure> {
    let attempts =
        addresses.iter().map(|address| Box::pin(async move { (*address, connect_at(*address).await) }));
    let mut attempts: Vec<_> = attempts.collect();
    let mut failure = None;
    while !attempts.is_empty() {
        let ((address, connected), _, rest) = futures_util::future::select_all(attempts).await;
        attempts = rest;
        let opened = connected.and_then(|stream| stream.local_addr().map(|local| (stream, local)));
        match opened {
            Ok((stream, local)) => {
                let candidate = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build();
                let link = Link::stream(Box::new(stream), Framing::Rfc4571, local, address);
                return candidate.map(|candidate| (link, candidate)).map_err(|_| Failure::NoAddress);
            }
            // The first address is the one that the server prefers.
            Err(error) if failure.is_none() || address == addresses[0] => {
                failure = Some(Failure::Unreachable { address, how: Unreachable::of(&error) });
            }
            Err(_) => {}
        }
    }
    Err(failure.unwrap_or(Failure::NotNamed))
}

/// Host, port and credentials of the server for a path, out of `turn:host:port?transport=udp` (RFC 7065 §3.1).
fn turn_server(path: TestPath, ice_servers: &[IceServer]) -> Option<(String, u16, Credentials)> {
    let (scheme, transport) = match path {
        TestPath::TurnUdp => ("turn:", "udp"),
        TestPath::TurnTcp => ("turn:", "tcp"),
        TestPath::TurnTls => ("turns:", "tcp"),
        TestPath::Udp4 | TestPath::Udp6 | TestPath::Tcp => return None,
    };
    ice_servers.iter().find_map(|server| {
        let (place, _) = server.urls.iter().find_map(|url| {
            url.strip_prefix(scheme)?.split_once("?transport=").filter(|(_, named)| *named == transport)
        })?;
        let (host, port) = place.rsplit_once(':')?;
        let credentials =
            Credentials { username: server.username.clone(), password: server.credential.clone() };
        Some((host.to_owned(), port.parse().ok()?, credentials))
    })
}

/// Allocates at the first of a host's addresses, one of each family, that lets it.
async fn allocate_somewhere(
    server: &Server,
    path: TestPath,
    host: &str,
    addresses: &[SocketAddr],
    credentials: &Credentials,
) -> Result<Gathered, Failure> {
    let mut failure = None;
    for is_v6 in [false, true] {
        let Some(address) = addresses.iter().find(|address| address.is_ipv6() == is_v6) else { continue };
        match allocate(server, path, host, *address, credentials.clone()).await {
            Ok(gathered) => return Ok(gathered),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or(Failure::NotNamed))
}

async fn allocate(
    server: &Server,
    path: TestPath,
    host: &str,
    address: SocketAddr,
    credentials: Credentials,
) -> Result<Gathered, Failure> {
    let in_stream = path != TestPath::TurnUdp;
    let (mut link, local) = match in_stream {
        false => {
            let bound = Link::datagrams(&[any(address.ip())]).await;
            let (link, locals) = bound.map_err(|_| Failure::NoAddress)?;
            (link, locals[0])
        }
        true => open_turn_stream(server, path, host, address).await?,
    };
    let rng = StdRng::try_from_rng(&mut SysRng).expect("the system has randomness");
    let mut client = Client::new(credentials, Family::of(address), in_stream, rng, Instant::now());
    let relayed = loop {
        while let Some(message) = client.poll_transmit() {
            link.send(local, address, &message).await;
        }
        match client.poll_event() {
            Some(Event::Allocated { relayed }) => break relayed,
            Some(Event::Refused { code }) => return Err(Failure::TurnRefused { address, code }),
            Some(Event::Silent) => {
                return Err(Failure::Unreachable { address, how: Unreachable::Silent });
            }
            None => {}
        }
        let wake = client.poll_timeout().unwrap_or_else(Instant::now);
        tokio::select! {
            arrival = link.next() => {
                client.handle_message(&arrival.bytes, Instant::now());
            }
            () = sleep_until(wake.into()) => client.handle_timeout(Instant::now()),
        }
    };
    let candidate = Candidate::relayed(relayed, relayed, Protocol::Udp).map_err(|_| Failure::NoAddress)?;
    let relay = Relay { client, server: address, local, relayed, in_stream };
    Ok(Gathered { link, relay: Some(relay), candidates: vec![candidate] })
}

async fn open_turn_stream(
    server: &Server,
    path: TestPath,
    host: &str,
    address: SocketAddr,
) -> Result<(Link, SocketAddr), Failure> {
    let unreachable = |error: std::io::Error| Failure::Unreachable { address, how: Unreachable::of(&error) };
    let stream = connect_at(address).await.map_err(unreachable)?;
    let local = stream.local_addr().map_err(unreachable)?;
    if path != TestPath::TurnTls {
        return Ok((Link::stream(Box::new(stream), Framing::Turn, local, address), local));
    }
    let shaken = shake(server, host, stream).await;
    let stream = shaken.map_err(|error| Failure::Tls { address, cause: error.to_string() })?;
    Ok((Link::stream(Box::new(stream), Framing::Turn, local, address), local))
}

/// Whether a path's datagrams have IPv6 headers.
pub(super) fn is_v6(path: TestPath, relay: Option<&Relay>) -> bool {
    match relay {
        Some(Relay { server, .. }) => matches!(server.ip().to_canonical(), IpAddr::V6(_)),
        None => path == TestPath::Udp6,
    }
}
