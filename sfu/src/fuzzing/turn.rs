//! Histories of a TURN server with clients that know their passwords: what they ask for in any order, what they send,
//! and time going by.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use arbitrary::{Arbitrary, Unstructured};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::sim::{TurnClient, beginning};
use crate::turn::credentials::{Secret, Secrets, Validity, mint};
use crate::turn::stun::{AttributeType, Class, IntegrityKind, Message, Method, TransactionId, Writer};
use crate::turn::{Client, Config, Limits, Outcome, PeerFilter, Server, Transport};

const MAX_STEPS: usize = 200;
const CLIENTS: u8 = 6;
const PARTICIPANTS: u8 = 3;
/// Those that are allowed, then those that are not.
const PEERS: [&str; 6] = [
    "192.0.2.10:50000",
    "[2001:db8::10]:50000",
    "192.0.2.10:50001",
    "127.0.0.1:50000",
    "[::ffff:192.0.2.10]:50000",
    "192.0.2.10:61000",
];
const ALLOWED_PEERS: usize = 2;

/// Plays the steps that the input stands for. The books are looked at after each of them; when all time is over, nothing
/// is in them any more.
pub fn turn_ops(input: &[u8]) {
    let mut steps = Unstructured::new(input);
    let mut history = History::new();
    for _ in 0..MAX_STEPS {
        if steps.is_empty() {
            break;
        }
        let Ok(step) = steps.arbitrary() else { break };
        history.act(step);
        history.server.check();
    }
    history.now += Duration::from_secs(2 * 24 * 3600);
    history.server.handle_timeout(history.now);
    history.server.check_empty();
}

/// One thing that happens. Numbers choose among clients and peers.
#[derive(Debug, Arbitrary)]
enum Step {
    Allocate {
        who: u8,
        even: Option<bool>,
        family: Option<u8>,
        additional: bool,
        lifetime: Option<u16>,
    },
    /// With the last token that anybody was given.
    Claim(u8),
    Refresh {
        who: u8,
        lifetime: Option<u16>,
        family: Option<u8>,
    },
    Permit(u8, Vec<u8>),
    Bind {
        who: u8,
        number: u8,
        peer: u8,
    },
    Send {
        who: u8,
        peer: u8,
        len: u16,
    },
    Channel {
        who: u8,
        number: u8,
        len: u16,
        cut: u8,
    },
    FromPeer {
        who: u8,
        peer: u8,
        len: u16,
    },
    /// Any signed request.
    Request {
        who: u8,
        method: u16,
        attributes: Vec<(u16, Vec<u8>)>,
    },
    Bytes(u8, Vec<u8>),
    Binding(u8),
    Close(u8),
    Revoke(u8),
    Peers(bool),
    Wait(u16),
}

struct History {
    server: Server,
    clients: Vec<TurnClient>,
    token: Vec<u8>,
    now: Instant,
    wall: SystemTime,
}

impl History {
    fn new() -> Self {
        let secret = Secret::new(&[7; 32]).expect("32 bytes");
        let now = beginning();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let config = Config {
            relayed_ipv4: Some([192, 0, 2, 10].into()),
            relayed_ipv6: Some("2001:db8::10".parse().expect("an address")),
            relayed_ports: 61_000..=61_007,
            peers: peers(true),
            limits: Limits {
                allocations_per_participant: 3,
                permissions_per_allocation: 2,
                channels_per_allocation: 2,
                revocations: 2,
                ..Limits::default()
            },
            ..Config::new(Secrets { current: secret.clone(), previous: None })
        };
        let clients = (0..CLIENTS).map(|n| {
            let transport = [Transport::Udp, Transport::Tcp, Transport::Tls][usize::from(n % 3)];
            let [local, remote] =
                [3478, 40_000 + u16::from(n)].map(|port| SocketAddr::from(([198, 51, 100, 7], port)));
            let name = format!("PA_{}", n % PARTICIPANTS);
            let mut client = TurnClient::new(
                Client { transport, local, remote },
                mint(&secret, &name, Validity::default(), wall),
            );
            if n % 2 == 1 {
                client.integrity = IntegrityKind::Sha256;
            }
            client
        });
        let clients = clients.collect();
        let server = Server::new(config, StdRng::seed_from_u64(1), now).expect("a good configuration");
        Self { server, clients, token: Vec::new(), now, wall }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Allocate { who, even, family, additional, lifetime } => {
                self.ask(who, Method::Allocate, |mut writer| {
                    writer = writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
                    if let Some(next) = even {
                        writer = writer.attribute(AttributeType::EVEN_PORT, &[u8::from(next) << 7]);
                    }
                    if additional {
                        writer = writer.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
                    }
                    times(writer, lifetime, family)
                })
            }
            Step::Claim(who) => {
                let token = self.token.clone();
                self.ask(who, Method::Allocate, |writer| {
                    writer
                        .attribute(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
                        .attribute(AttributeType::RESERVATION_TOKEN, &token)
                });
            }
            Step::Refresh { who, lifetime, family } => {
                self.ask(who, Method::Refresh, |writer| times(writer, lifetime, family));
            }
            Step::Permit(who, peers) => self.ask(who, Method::CreatePermission, |writer| {
                peers
                    .iter()
                    .fold(writer, |writer, &at| writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(at)))
            }),
            Step::Bind { who, number, peer: at } => self.ask(who, Method::ChannelBind, |writer| {
                writer
                    .attribute(AttributeType::CHANNEL_NUMBER, &[0x40, number % 4, 0, 0])
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(at))
            }),
            Step::Request { who, method, attributes } => {
                let method =
                    [Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind]
                        .get(usize::from(method % 5))
                        .copied()
                        .unwrap_or(Method::Other(method));
                let short = attributes.iter().filter(|(_, value)| value.len() < 1000).take(32);
                self.ask(who, method, |writer| {
                    short
                        .clone()
                        .fold(writer, |writer, (kind, value)| writer.attribute(AttributeType(*kind), value))
                });
            }
            Step::Revoke(who) => self.server.revoke(&format!("PA_{}", who % PARTICIPANTS), self.now),
            Step::Peers(are_there) => self.server.set_peers(peers(are_there)),
            Step::Wait(seconds) => {
                self.now += Duration::from_secs(seconds.into());
                self.wall += Duration::from_secs(seconds.into());
                self.server.handle_timeout(self.now);
            }
            Step::Close(who) => self.server.stream_closed(self.clients[usize::from(who % CLIENTS)].at),
            Step::FromPeer { who, peer: at, len } => self.come(who, peer(at), len.into()),
            media => self.send(media),
        }
    }

    fn ask(&mut self, who: u8, method: Method, attributes: impl Fn(Writer<'_>) -> Writer<'_>) {
        let client = &mut self.clients[usize::from(who % CLIENTS)];
        let Some(answer) = client.exchange(&mut self.server, method, attributes, self.now, self.wall) else {
            return;
        };
        if let Some(token) = answer.message().value(AttributeType::RESERVATION_TOKEN) {
            self.token = token.to_vec();
        }
    }

    /// What is not signed: it goes to an allowed peer or nowhere.
    fn send(&mut self, step: Step) {
        let (who, bytes) = match step {
            Step::Send { who, peer: at, len } => {
                let mut bytes = Vec::new();
                Writer::new(&mut bytes, Class::Indication, Method::Send, TransactionId([1; 12]))
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(at))
                    .attribute(AttributeType::DATA, &vec![7; usize::from(len) % 2000]);
                (who, bytes)
            }
            Step::Channel { who, number, len, cut } => {
                let len = len % 2000;
                let [high, low] = len.to_be_bytes();
                let mut bytes = vec![0x40, number % 8, high, low];
                bytes.resize(4 + usize::from(len).saturating_sub(usize::from(cut % 4)), 7);
                (who, bytes)
            }
            Step::Binding(who) => {
                let mut bytes = Vec::new();
                Writer::new(&mut bytes, Class::Request, Method::Binding, TransactionId([1; 12]))
                    .fingerprint();
                (who, bytes)
            }
            Step::Bytes(who, bytes) => (who, bytes),
            _ => unreachable!("every other step has its own place"),
        };
        let at = self.clients[usize::from(who % CLIENTS)].at;
        match self.server.handle(at, &bytes, self.now, self.wall) {
            Outcome::Relay { from, to, payload } => {
                assert!(PEERS[..ALLOWED_PEERS].iter().any(|peer| peer.parse() == Ok(to)), "{to} is no peer");
                assert!(payload.end <= bytes.len());
                assert_eq!(self.server.client_of(from), Some(at));
            }
            Outcome::Reply(reply) => {
                Message::parse(reply).expect("an answer is a message");
            }
            Outcome::Nothing => {}
            Outcome::Close => assert!(at.transport.is_stream()),
        }
    }

    /// A datagram for the relayed address of a client.
    fn come(&mut self, who: u8, peer: SocketAddr, len: usize) {
        let port = 61_000 + u16::from(who % 8);
        let relayed = match peer {
            SocketAddr::V4(_) => SocketAddr::from(([192, 0, 2, 10], port)),
            SocketAddr::V6(_) => SocketAddr::new("2001:db8::10".parse().expect("an address"), port),
        };
        let Some(wrapping) = self.server.wrap(relayed, peer, len, self.now) else { return };
        let mut frame = vec![7; wrapping.frame_len()];
        wrapping.write(&mut frame);
        assert_eq!(self.server.client_of(relayed), Some(wrapping.client));
        if frame[0] < 0x40 {
            let message = Message::parse(&frame).expect("an indication is a message");
            assert_eq!(message.value(AttributeType::DATA), Some(&vec![7; len][..]));
        }
    }
}

fn times(writer: Writer<'_>, lifetime: Option<u16>, family: Option<u8>) -> Writer<'_> {
    let mut writer = writer;
    if let Some(seconds) = lifetime {
        writer = writer.attribute(AttributeType::LIFETIME, &u32::from(seconds).to_be_bytes());
    }
    if let Some(family) = family {
        writer = writer.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family % 4, 0, 0, 0]);
    }
    writer
}

fn peers(are_there: bool) -> PeerFilter {
    let allowed = if are_there { ALLOWED_PEERS } else { 0 };
    PeerFilter::new(PEERS[..allowed].iter().map(|peer| peer.parse().expect("an address")))
}

fn peer(at: u8) -> SocketAddr {
    PEERS[usize::from(at) % PEERS.len()].parse().expect("an address")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn g15_any_history_leaves_empty_books(input in proptest::collection::vec(any::<u8>(), 0..600)) {
            super::turn_ops(&input);
        }
    }
}
