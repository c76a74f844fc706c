//! The client against the server of `banter-sfu`, both as values.
#![expect(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]

use std::time::SystemTime;

use banter_sfu::turn::credentials::{Secret, Secrets, Validity, mint};
use banter_sfu::turn::{self, Outcome, PeerFilter, Server, Transport};
use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

const PEER: &str = "192.0.2.10:50000";

#[test]
fn an_allocation_is_made_and_carries_datagrams_both_ways() {
    for in_stream in [false, true] {
        let mut bench = Bench::new(in_stream);
        bench.exchange();
        let Some(Event::Allocated { relayed }) = bench.client.poll_event() else { panic!("no allocation") };
        assert_eq!(relayed.ip().to_string(), "192.0.0.8");

        // The first one waits for its channel.
        bench.client.send(peer(), b"hello", bench.now);
        bench.exchange();
        bench.client.send(peer(), b"again", bench.now);
        bench.exchange();
        assert_eq!(bench.relayed, [(peer(), b"hello".to_vec()), (peer(), b"again".to_vec())]);
        assert_eq!(bench.back(relayed, b"answer"), Some((peer(), b"answer".to_vec())));
    }
}

#[test]
fn a_peer_that_the_server_refuses_gets_nothing() {
    let mut bench = Bench::new(false);
    bench.client.send("198.51.100.1:9".parse().expect("an address"), b"hello", bench.now);
    bench.exchange();
    assert!(bench.relayed.is_empty());
}

#[test]
fn wrong_credentials_are_refused_with_a_code() {
    let mut bench = Bench::new(false);
    bench.client.credentials.password.push('x');
    bench.exchange();
    assert!(matches!(bench.client.poll_event(), Some(Event::Refused { code: 401 | 441 })));
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_server_that_is_silent_is_asked_again_and_given_up() {
    let mut bench = Bench::new(false);
    let mut sent = 0;
    while let Some(at) = bench.client.poll_timeout() {
        sent += std::iter::from_fn(|| bench.client.poll_transmit()).count();
        bench.client.handle_timeout(at);
    }
    assert_eq!(bench.client.poll_event(), Some(Event::Silent));
    assert!((5..=7).contains(&sent), "{sent} questions");
}

proptest! {
    #[test]
    fn any_message_is_taken_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut bench = Bench::new(false);
        bench.exchange();
        bench.client.send(peer(), b"hello", bench.now);
        bench.exchange();
        for first in [bytes.first().copied().unwrap_or(0), 0x40, 0x01, 0x00] {
            let mut bytes = bytes.clone();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            bench.client.handle_message(&bytes, bench.now);
        }
    }
}

struct Bench {
    client: Client,
    server: Server,
    at: turn::Client,
    relayed: Vec<(SocketAddr, Vec<u8>)>,
    now: Instant,
}

impl Bench {
    fn new(in_stream: bool) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let secret = Secret::new(&[7; 32]).expect("it is long enough");
        let credentials = mint(&secret, "PA_probe", Validity::default(), wall);
        let config = turn::Config {
            relayed_ipv4: Some([192, 0, 0, 8].into()),
            relayed_ports: 61_000..=61_099,
            peers: PeerFilter::new([peer()]),
            ..turn::Config::new(Secrets { current: secret, previous: None })
        };
        let at = turn::Client {
            transport: if in_stream { Transport::Tcp } else { Transport::Udp },
            local: "192.0.2.10:3478".parse().expect("an address"),
            remote: "203.0.113.7:4000".parse().expect("an address"),
        };
        Self {
            client: Client::new(credentials, Family::V4, in_stream, StdRng::seed_from_u64(1), now),
            server: Server::new(config, StdRng::seed_from_u64(2), now).expect("a server"),
            at,
            relayed: Vec::new(),
            now,
        }
    }

    /// Carries messages until nobody has anything to say.
    fn exchange(&mut self) {
        while let Some(message) = self.client.poll_transmit() {
            match self.server.handle(self.at, &message, self.now, SystemTime::UNIX_EPOCH) {
                Outcome::Reply(reply) => {
                    assert_eq!(self.client.handle_message(reply, self.now), None);
                }
                Outcome::Relay { to, payload, .. } => self.relayed.push((to, message[payload].to_vec())),
                Outcome::Nothing => {}
                Outcome::Close => panic!("the server wants no more"),
            }
        }
    }

    /// What the client is handed when a peer answers.
    fn back(&mut self, relayed: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let wrapping = self.server.wrap(relayed, peer(), datagram.len(), self.now)?;
        let mut message = vec![0; wrapping.frame_len()];
        message[wrapping.prefix_len()..][..datagram.len()].copy_from_slice(datagram);
        wrapping.write(&mut message);
        let (from, datagram) = self.client.handle_message(&message, self.now)?;
        Some((from, datagram.to_vec()))
    }
}

fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}
