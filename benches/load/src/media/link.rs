//! What carries a connection's datagrams: a UDP socket, the same through the server's TURN, or a stream.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context, bail};
use banter_client::turn::{self, Event};
use banter_sfu::turn::credentials::Credentials;
use banter_sfu::turn::stun::Family;
use rand::rngs::StdRng;

use super::ports::{Place, Ports};
use super::stream::Stream;
use crate::connection::Ends;

/// Whose datagrams are carried by other means is here, as far as ICE is concerned: on loopback, as the server may be.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// How bots reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Udp,
    Tcp,
    /// Through a TURN server that speaks UDP.
    Turn(TurnServer),
}

/// One that a join response names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnServer {
    pub address: SocketAddr,
    pub username: String,
    pub password: String,
}

#[derive(Debug)]
pub enum Link {
    Udp(Place),
    Turn {
        place: Place,
        server: SocketAddr,
        client: Box<turn::Client>,
        relayed: Option<SocketAddr>,
    },
    /// Opened when the server has said where it listens.
    Tcp(Option<Stream>),
}

impl Link {
    pub fn turn(place: Place, server: TurnServer, rng: StdRng, now: Instant) -> Self {
        let TurnServer { address, username, password } = server;
        let credentials = Credentials { username, password };
        let client = turn::Client::new(credentials, Family::of(address), false, rng, now);
        Self::Turn { place, server: address, client: Box::new(client), relayed: None }
    }

    pub fn ends(&self) -> Ends {
        match self {
            Self::Udp(place) => Ends { announced: Some(place.address), local: place.address },
            Self::Turn { relayed, .. } => Ends { announced: *relayed, local: SOMEWHERE },
            Self::Tcp(_) => Ends { announced: None, local: SOMEWHERE },
        }
    }

    /// Whether ICE can begin.
    pub fn is_ready(&self) -> bool {
        !matches!(self, Self::Turn { relayed: None, .. })
    }

    /// What ICE is to know of a candidate of the server, and a stream to be registered if there is a new one.
    ///
    /// To the ICE agent everything is UDP: what goes by a stream differs in nothing that it looks at.
    pub fn take_candidate(&mut self, candidate: &str) -> Option<String> {
        let Self::Tcp(stream) = self else { return Some(candidate.to_owned()) };
        let remote = passive(candidate)?;
        match stream {
            Some(stream) if stream.remote != remote => return None,
            Some(_) => {}
            None => *stream = Some(Stream::open(remote).ok()?),
        }
        Some(format!("candidate:1 1 udp 2130706431 {} {} typ host", remote.ip(), remote.port()))
    }

    pub fn send(&mut self, ports: &mut Ports, to: SocketAddr, bytes: &[u8], now: Instant) {
        match self {
            Self::Udp(place) => ports.send(*place, to, bytes),
            Self::Turn { client, .. } => {
                client.send(to, bytes, now);
                self.pump(ports);
            }
            Self::Tcp(Some(stream)) => stream.send(bytes),
            Self::Tcp(None) => {}
        }
    }

    /// Takes a datagram as it came in, and hands out the one that is for ICE: from where, and which part of the bytes.
    pub fn open<'a>(
        &mut self,
        from: SocketAddr,
        bytes: &'a mut [u8],
        now: Instant,
    ) -> Option<(SocketAddr, &'a mut [u8])> {
        let Self::Turn { client, server, .. } = self else { return Some((from, bytes)) };
        if from != *server {
            return None;
        }
        let start = bytes.as_ptr();
        let (peer, inner) = client.handle_message(bytes, now)?;
        let offset = inner.as_ptr().addr() - start.addr();
        let len = inner.len();
        Some((peer, &mut bytes[offset..offset + len]))
    }

    /// Lets time pass for the TURN client, and sends what it has to say. True once it has got its address.
    pub fn advance(&mut self, ports: &mut Ports, now: Instant) -> anyhow::Result<bool> {
        let Self::Turn { client, relayed, .. } = self else { return Ok(false) };
        client.handle_timeout(now);
        let mut has_address = false;
        match client.poll_event() {
            Some(Event::Allocated { relayed: address }) => {
                *relayed = Some(address);
                has_address = true;
            }
            Some(Event::Refused { code }) => bail!("the TURN server refuses to relay: error {code}"),
            Some(Event::Silent) => bail!("the TURN server does not answer"),
            None => {}
        }
        self.pump(ports);
        Ok(has_address)
    }

    /// When [`Self::advance`] is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Turn { client, .. } => client.poll_timeout(),
            Self::Udp(_) | Self::Tcp(_) => None,
        }
    }

    fn pump(&mut self, ports: &mut Ports) {
        if let Self::Turn { place, server, client, .. } = self {
            while let Some(message) = client.poll_transmit() {
                ports.send(*place, *server, &message);
            }
        }
    }
}

/// The address of a candidate at which streams are accepted (RFC 6544 §4.5).
fn passive(candidate: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = candidate.split_whitespace().collect();
    let &[_, _, protocol, _, ip, port, ..] = &fields[..] else { return None };
    let is_passive = fields.windows(2).any(|pair| pair == ["tcptype", "passive"]);
    let is_stream = protocol.eq_ignore_ascii_case("tcp") && is_passive;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?)).filter(|_| is_stream)
}

impl TurnServer {
    /// Reads `turn:host:port?transport=udp` (RFC 7065 §3.1), of which only addresses are looked up.
    pub fn read(url: &str, username: &str, password: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url.split_once(':').context("no URL")?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, "transport=udp"));
        if scheme != "turn" || query != "transport=udp" {
            bail!("{url} is not TURN over UDP");
        }
        let place = if place.contains(':') { place.to_owned() } else { format!("{place}:3478") };
        let mut found = std::net::ToSocketAddrs::to_socket_addrs(&place)
            .with_context(|| format!("{place} is not found"))?;
        let address = found.next().with_context(|| format!("{place} has no address"))?;
        Ok(Self { address, username: username.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_candidates_that_accept_streams_are_gone_to() {
        let line = "candidate:2 1 tcp 1015021823 192.0.2.1 7881 typ host tcptype passive";
        assert_eq!(passive(line), Some("192.0.2.1:7881".parse().expect("an address")));
        assert_eq!(passive("candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host"), None);
        assert_eq!(passive("candidate:2 1 tcp 1015021823 192.0.2.1 9 typ host tcptype active"), None);
    }

    #[test]
    fn servers_of_turn_over_udp_are_read() {
        let read = |url| TurnServer::read(url, "name", "word").map(|server| server.address.to_string());
        assert_eq!(read("turn:192.0.2.1:3478?transport=udp").expect("it is one"), "192.0.2.1:3478");
        assert_eq!(read("turn:[2001:db8::1]:5000").expect("it is one"), "[2001:db8::1]:5000");
        assert!(read("turn:192.0.2.1:3478?transport=tcp").is_err());
        assert!(read("turns:192.0.2.1:5349?transport=tcp").is_err());
    }
}
