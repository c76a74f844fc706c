//! The statements of the requirements, each by its number, in virtual time and through the public surface.
//!
//! Those about listeners and logs (A1, A6, A7, A8, G5, G11) are proved on the program, in `tests/sdk/test_turn.py` and
//! `test_turn_listeners.py`; E13 in `net::backlog`; F4 in the server's `signal::relay`. Where no relay socket exists, these say
//! nothing:
//!
//! | statement | why |
//! |---|---|
//! | D3, setting DF | nothing is sent that could be fragmented: DONT-FRAGMENT is granted |
//! | E11, ICMP errors from the relay socket | no datagram leaves the process, so none comes back |
//! | E12, larger than the path's MTU | there is no path; the bound is that of a frame |
//! | F2, limits of Connect and ConnectionBind | TCP allocations are not offered (F1) |
//! | G13, the address a relay socket is bound to | nothing is bound |

mod allocate;
mod authentication;
mod binding;
mod limits;
mod peers;
mod relay;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::credentials::{Credentials, Secret, Secrets, Validity, mint};
use super::stun::{AttributeType, Class, Message, Method, TransactionId, Writer};
use super::{Client, Config, Outcome, PeerFilter, Server, Transport};
use crate::sim::{Answer, TurnClient, beginning};

const PEER: &str = "192.0.2.10:50000";
const PEER_V6: &str = "[2001:db8::10]:50000";
const FIRST_PORT: u16 = 61_000;
const LAST_PORT: u16 = 61_099;
const SECOND: Duration = Duration::from_secs(1);

/// A server, the time, and how to ask.
struct Bench {
    server: Server,
    now: Instant,
    wall: SystemTime,
}

/// What came of a message that is not answered.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    Close,
    Relayed { from: SocketAddr, to: SocketAddr, payload: Vec<u8> },
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            relayed_ipv4: Some([192, 0, 2, 10].into()),
            relayed_ipv6: Some("2001:db8::10".parse().unwrap()),
            relayed_ports: FIRST_PORT..=LAST_PORT,
            peers: PeerFilter::new([addr(PEER), addr(PEER_V6)]),
            ..Config::new(Secrets { current: secret(), previous: None })
        };
        change(&mut config);
        let now = beginning();
        let server = Server::new(config, StdRng::seed_from_u64(1), now).unwrap();
        Self { server, now, wall: wall() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall += time;
    }

    fn exchange(
        &mut self,
        client: &mut TurnClient,
        method: Method,
        attributes: impl Fn(Writer<'_>) -> Writer<'_>,
    ) -> Answer {
        let answer = client.exchange(&mut self.server, method, attributes, self.now, self.wall);
        self.server.check();
        answer.expect("an answer")
    }

    fn ask(&mut self, client: &mut TurnClient, bytes: &[u8]) -> Option<Answer> {
        let answer = client.ask(&mut self.server, bytes, self.now, self.wall);
        self.server.check();
        answer
    }

    /// Asks for an allocation with nothing special and returns its address.
    fn allocate(&mut self, client: &mut TurnClient) -> SocketAddr {
        relayed(&self.exchange(client, Method::Allocate, udp))
    }

    fn refresh(&mut self, client: &mut TurnClient, lifetime: u32) -> Answer {
        self.exchange(client, Method::Refresh, lasting(lifetime))
    }

    fn permit(&mut self, client: &mut TurnClient, peer: &str) -> Option<u16> {
        self.exchange(client, Method::CreatePermission, toward(peer)).error()
    }

    fn bind(&mut self, client: &mut TurnClient, number: u16, peer: &str) -> Option<u16> {
        let [high, low] = number.to_be_bytes();
        let attributes =
            with(|writer| toward(peer)(writer.attribute(AttributeType::CHANNEL_NUMBER, &[high, low, 0, 0])));
        self.exchange(client, Method::ChannelBind, attributes).error()
    }

    fn hand_in(&mut self, client: &TurnClient, bytes: &[u8]) -> Sent {
        match self.server.handle(client.at, bytes, self.now, self.wall) {
            Outcome::Nothing => Sent::Nothing,
            Outcome::Close => Sent::Close,
            Outcome::Relay { from, to, payload } => {
                Sent::Relayed { from, to, payload: bytes[payload].to_vec() }
            }
            Outcome::Reply(reply) => panic!("an answer nobody asked for: {reply:?}"),
        }
    }

    fn send(&mut self, client: &TurnClient, peer: &str, payload: &[u8]) -> Sent {
        self.hand_in(client, &indication(peer, payload))
    }

    fn send_channel(&mut self, client: &TurnClient, number: u16, payload: &[u8]) -> Sent {
        self.hand_in(client, &channel_data(number, payload))
    }

    /// What reaches a client of a datagram for its relayed address.
    fn receive(&mut self, relayed: SocketAddr, peer: &str, payload: &[u8]) -> Option<(Client, Vec<u8>)> {
        let wrapping = self.server.wrap(relayed, addr(peer), payload.len(), self.now)?;
        let mut frame = vec![0xEE; wrapping.frame_len()];
        frame[wrapping.prefix_len()..][..payload.len()].copy_from_slice(payload);
        wrapping.write(&mut frame);
        Some((wrapping.client, frame))
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn secret() -> Secret {
    Secret::new(&[7; 32]).unwrap()
}

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn credentials(participant: &str) -> Credentials {
    mint(&secret(), participant, Validity::default(), wall())
}

fn at(transport: Transport, remote: &str) -> Client {
    Client { transport, local: addr("203.0.113.1:3478"), remote: addr(remote) }
}

fn alice() -> TurnClient {
    TurnClient::new(at(Transport::Udp, "198.51.100.7:40000"), credentials("PA_alice"))
}

fn bob() -> TurnClient {
    TurnClient::new(at(Transport::Udp, "198.51.100.8:40000"), credentials("PA_bob"))
}

/// The participant's client number so-and-so behind an address of its own.
fn numbered(participant: &str, n: u16) -> TurnClient {
    let [high, low] = n.to_be_bytes();
    let remote = SocketAddr::from(([10, 7, high, low], 40_000));
    TurnClient::new(Client { remote, ..alice().at }, credentials(participant))
}

fn udp(writer: Writer<'_>) -> Writer<'_> {
    writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
}

/// Lets a closure serve writers of any lifetime.
fn with<F: Fn(Writer<'_>) -> Writer<'_>>(attributes: F) -> F {
    attributes
}

fn nothing(writer: Writer<'_>) -> Writer<'_> {
    writer
}

fn lasting(seconds: u32) -> impl Fn(Writer<'_>) -> Writer<'_> {
    move |writer| writer.attribute(AttributeType::LIFETIME, &seconds.to_be_bytes())
}

fn toward(peer: &str) -> impl Fn(Writer<'_>) -> Writer<'_> {
    let peer = addr(peer);
    move |writer| writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
}

fn indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out, Class::Indication, Method::Send, TransactionId([9; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, addr(peer))
        .attribute(AttributeType::DATA, payload);
    out
}

fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &(payload.len() as u16).to_be_bytes(), payload].concat()
}

fn relayed(answer: &Answer) -> SocketAddr {
    let address = answer.message().xor_address(AttributeType::XOR_RELAYED_ADDRESS);
    address.flatten().unwrap_or_else(|| panic!("no relayed address but error {:?}", answer.error()))
}

fn lifetime(answer: &Answer) -> u32 {
    let value = answer.message().value(AttributeType::LIFETIME).expect("a lifetime");
    u32::from_be_bytes(value.try_into().unwrap())
}

/// Peer and data of a Data indication.
fn data_of(frame: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::parse(frame).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS).flatten().unwrap();
    (peer, message.value(AttributeType::DATA).unwrap().to_vec())
}
