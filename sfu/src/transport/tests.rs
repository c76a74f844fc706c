//! Transport against transport, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::rtp::ExtSeq;
use crate::rtp::srtp::SrtpProfile;
use crate::sim::{Datagram, Link, Net, Node, World};

const SERVER: usize = 0;
const CLIENT: usize = 1;

#[test]
fn two_transports_connect_and_agree_on_keys() {
    let mut call = Call::new(Net::seeded(1));
    call.connect();
    assert_eq!(call.keys(SERVER).profile(), SrtpProfile::AeadAes256Gcm);
    for (from, to) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        let packet = b"\x80\x6f\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07hello";
        let mut buffer = [0; 64];
        buffer[..packet.len()].copy_from_slice(packet);
        let len = call.keys(from).outbound().seal_rtp(&mut buffer, packet.len(), ExtSeq(1)).expect("room");
        let opened = call.keys(to).inbound().open_rtp(&mut buffer[..len]).expect("the same keys");
        assert_eq!(&buffer[..opened.len], packet);
    }
}

#[test]
fn connecting_takes_a_few_round_trips() {
    let link = Link::cable().delay(Duration::from_millis(25));
    let mut call = Call::new(Net::seeded(2).with_link(link));
    let begun = call.world.now();
    call.connect();
    let round_trip = Duration::from_millis(100);
    assert!(call.world.now() - begun <= 5 * round_trip, "{:?}", call.world.now() - begun);
}

#[test]
fn the_server_may_be_the_dtls_client_and_control_ice() {
    let mut call = Call::with_roles(Net::seeded(3), IceRole::Controlling, DtlsRole::Client);
    call.connect();
    assert!(call.exchange_messages());
}

#[test]
fn a_bad_link_delays_connecting_but_does_not_prevent_it() {
    for seed in 0..20 {
        let link = Link::wifi().loss(0.1).duplicate(0.1).jitter(Duration::from_millis(40));
        let mut call = Call::new(Net::seeded(seed).with_link(link));
        call.describe();
        assert!(call.world.run_until(Duration::from_secs(15), Call::is_connected), "seed {seed}");
    }
}

#[test]
fn the_server_connects_to_a_peer_whose_address_it_was_never_told() {
    let mut call = Call::new(Net::seeded(4));
    call.world.net().translate(CLIENT_ADDRESS, public(1));
    call.connect();
    assert_eq!(call.path(SERVER).remote, public(1));
}

#[test]
fn a_wrong_fingerprint_is_refused_before_any_key_is_handed_out() {
    let mut call = Call::new(Net::seeded(5));
    let stranger = Identity::generate().expect("an identity");
    call.describe_as(&stranger);
    call.world.run_for(Duration::from_secs(5));
    let server = call.world.node(SERVER);
    assert_eq!(server.failure(), Some(FailCause::FingerprintMismatch));
    assert!(server.keys().is_none());
}

#[test]
fn any_one_of_several_fingerprints_will_do_but_not_by_a_broken_hash() {
    let certificate = b"certificate";
    let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let sha512 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, certificate);
    let matches = |hash: &str, digest: &[u8]| {
        dtls::Fingerprint::known(&(hash.to_owned(), digest.to_vec()))
            .is_some_and(|fingerprint| fingerprint.matches(certificate))
    };
    assert!(matches("sha-512", sha512.as_ref()));
    assert!(!matches("sha-256", sha512.as_ref()));
    assert!(!matches("sha-1", sha1.as_ref()));
}

#[test]
fn a_first_flight_that_comes_before_the_description_is_not_lost() {
    let mut call = Call::new(Net::seeded(6));
    call.describe_to(CLIENT);
    call.world.run_for(Duration::from_millis(300));
    assert!(call.world.node(SERVER).keys().is_none());
    call.describe_to(SERVER);
    assert!(call.world.run_until(Duration::from_secs(5), Call::is_connected));
}

#[test]
fn dtls_from_an_address_without_stun_is_dropped() {
    let mut call = Call::new(Net::seeded(7));
    call.connect();
    let stranger = public(9);
    let close = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
    let garbage = Datagram { from: stranger, to: SERVER_ADDRESS, bytes: close.to_vec() };
    call.world.act(SERVER, |server, now| server.handle_datagram(garbage, now));
    let path = Path::udp(SERVER_ADDRESS, stranger);
    assert!(!call.world.node(SERVER).transport.ice.is_validated(path));
    assert!(call.exchange_messages());
}

#[test]
fn the_path_follows_a_nat_rebinding_within_seconds() {
    for roles in [(IceRole::Controlled, DtlsRole::Server), (IceRole::Controlling, DtlsRole::Client)] {
        let mut call = Call::with_roles(Net::seeded(8), roles.0, roles.1);
        call.world.net().translate(CLIENT_ADDRESS, public(1));
        call.connect();
        call.world.run_for(Duration::from_secs(30));
        call.world.net().translate(CLIENT_ADDRESS, public(2));
        let moved = |world: &World<End>| world.node(SERVER).nominated().remote == public(2);
        assert!(call.world.run_until(Duration::from_secs(6), moved), "{roles:?}");
        assert!(!call.world.node(SERVER).has(|event| matches!(event, TransportEvent::IceDisconnected)));
        assert!(call.exchange_messages());
    }
}

#[test]
fn silence_is_disconnection_after_ten_seconds_and_the_end_after_fifteen() {
    let mut call = Call::new(Net::seeded(9));
    call.connect();
    call.world.run_for(Duration::from_secs(60));
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable().loss(1.0));
    call.world.run_for(Duration::from_secs(13));
    assert!(call.world.node(SERVER).has(|event| matches!(event, TransportEvent::IceDisconnected)));
    assert!(!call.world.node(SERVER).has_lost_its_path());
    call.world.run_for(Duration::from_secs(5));
    assert!(call.world.node(SERVER).has_lost_its_path());
    assert_eq!(call.world.node(SERVER).transport.path(), None);
}

#[test]
fn a_restart_brings_back_a_connection_that_has_lost_its_path() {
    let mut call = Call::new(Net::seeded(9));
    call.connect();
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable().loss(1.0));
    call.world.run_for(Duration::from_secs(60));
    assert!(call.world.node(SERVER).has_lost_its_path());
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable());
    call.world.run_for(Duration::from_secs(10));
    assert_eq!(call.world.node(SERVER).transport.path(), None, "nothing else does");
    call.restart();
    let recovered =
        |world: &World<End>| world.node(SERVER).has(|event| matches!(event, TransportEvent::IceRecovered));
    assert!(call.world.run_until(Duration::from_secs(2), recovered));
    assert_eq!(call.world.node(SERVER).times_connected(), 1, "the keys are the same");
    assert!(call.exchange_messages());
}

#[test]
fn a_peer_that_comes_back_in_time_is_recovered() {
    let mut call = Call::new(Net::seeded(10));
    call.connect();
    call.world.run_for(Duration::from_secs(20));
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable().loss(1.0));
    call.world.run_for(Duration::from_secs(12));
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable());
    let recovered =
        |world: &World<End>| world.node(SERVER).has(|event| matches!(event, TransportEvent::IceRecovered));
    assert!(call.world.run_until(Duration::from_secs(5), recovered));
    assert_eq!(call.world.node(SERVER).failure(), None);
    assert!(call.exchange_messages());
}

#[test]
fn a_transport_that_never_finds_a_path_fails() {
    let mut call = Call::new(Net::seeded(11).with_link(Link::cable().loss(1.0)));
    call.describe();
    call.world.run_for(Duration::from_secs(31));
    assert!(call.world.node(SERVER).has_lost_its_path());
}

#[test]
fn an_ice_restart_keeps_the_keys_and_moves_the_path() {
    let mut call = Call::new(Net::seeded(12));
    call.world.net().translate(CLIENT_ADDRESS, public(1));
    call.connect();
    call.world.run_for(Duration::from_secs(5));
    call.world.net().translate(CLIENT_ADDRESS, public(2));
    call.restart();
    let moved = |world: &World<End>| world.node(SERVER).nominated().remote == public(2);
    assert!(call.world.run_until(Duration::from_secs(2), moved));
    assert_eq!(call.world.node(SERVER).times_connected(), 1);
    assert!(call.exchange_messages());
}

#[test]
fn a_later_description_with_another_fingerprint_ends_the_connection() {
    let mut call = Call::new(Net::seeded(13));
    call.connect();
    call.describe();
    assert_eq!(call.world.node(SERVER).failure(), None);
    let stranger = Identity::generate().expect("an identity");
    call.describe_as(&stranger);
    assert_eq!(call.world.node(SERVER).failure(), Some(FailCause::FingerprintMismatch));
}

#[test]
fn closing_is_told_to_the_peer() {
    let mut call = Call::new(Net::seeded(14));
    call.connect();
    call.world.act(CLIENT, |client, _| client.transport.close());
    let closed = |world: &World<End>| world.node(SERVER).has(|event| matches!(event, TransportEvent::Closed));
    assert!(call.world.run_until(Duration::from_secs(1), closed));
}

#[test]
fn channels_opened_by_either_side_carry_messages_both_ways() {
    for seed in 0..10 {
        let link = Link::wifi().loss(0.1).duplicate(0.1);
        let mut call = Call::new(Net::seeded(seed).with_link(link));
        call.connect();
        assert!(call.exchange_messages(), "seed {seed}");
    }
}

#[test]
fn a_message_of_full_size_crosses_a_lossy_link() {
    let mut call = Call::new(Net::seeded(20).with_link(Link::wifi().loss(0.02)));
    call.connect();
    call.open_channels();
    let message: Vec<u8> = (0..MAX_MESSAGE_SIZE).map(|n| (n * 7) as u8).collect();
    call.world
        .act(CLIENT, |client, _| client.transport.send(ChannelId(0), true, &message))
        .expect("room for it");
    let arrived = |world: &World<End>| world.node(SERVER).messages().any(|(_, bytes)| *bytes == message);
    assert!(call.world.run_until(Duration::from_secs(30), arrived));
}

#[test]
fn what_a_slow_peer_may_make_us_keep_is_bounded() {
    let mut call = Call::new(Net::seeded(21));
    call.connect();
    call.open_channels();
    call.world.net().set_link(CLIENT_ADDRESS, Link::cable().loss(1.0));
    let sent = (0..100).take_while(|_| call.send(SERVER, ChannelId(0), &[0; 60_000]).is_ok()).count();
    assert!((4..=5).contains(&sent), "{sent}");
    assert_eq!(call.send(SERVER, ChannelId(0), &[0; 60_000]), Err(SendError::Full));
    assert_eq!(call.send(SERVER, ChannelId(0), &[0; 70_000]), Err(SendError::TooLong));
    assert_eq!(call.send(SERVER, ChannelId(40), b"x"), Err(SendError::NotOpen));
}

#[test]
fn empty_messages_and_text_keep_what_they_are() {
    let mut call = Call::new(Net::seeded(22));
    call.connect();
    call.open_channels();
    call.world.act(CLIENT, |client, _| client.transport.send(ChannelId(0), false, b"")).expect("room");
    call.world
        .act(CLIENT, |client, _| client.transport.send(ChannelId(0), false, "grüezi".as_bytes()))
        .expect("room");
    call.world.act(CLIENT, |client, _| client.transport.send(ChannelId(0), true, b"")).expect("room");
    assert!(call.world.run_until(Duration::from_secs(5), |world| world.node(SERVER).messages().count() == 3));
    let received: Vec<_> =
        call.world.node(SERVER).messages().map(|(binary, bytes)| (binary, bytes.to_vec())).collect();
    assert_eq!(received, [(false, vec![]), (false, "grüezi".as_bytes().to_vec()), (true, vec![])]);
}

#[test]
fn closing_a_channel_closes_it_at_the_other_end_and_frees_its_number() {
    let mut call = Call::new(Net::seeded(23));
    call.connect();
    call.open_channels();
    call.world.act(CLIENT, |client, _| client.transport.close_channel(ChannelId(0)));
    let closed = |world: &World<End>| {
        world
            .node(SERVER)
            .has(|event| matches!(event, TransportEvent::ChannelClosed { channel: ChannelId(0) }))
    };
    assert!(call.world.run_until(Duration::from_secs(5), closed));
    call.world.run_for(Duration::from_secs(2));
    call.world.act(CLIENT, |client, _| client.transport.open_channel(ChannelId(0), reliable("again")));
    assert!(
        call.world.run_until(Duration::from_secs(5), |world| world.node(SERVER).channel("again").is_some())
    );
}

#[test]
fn data_is_ignored_where_no_data_section_was_agreed() {
    let mut call = Call::new(Net::seeded(24));
    call.connect();
    call.world.act(CLIENT, |client, _| client.transport.open_channel(ChannelId(0), reliable("early")));
    call.world.run_for(Duration::from_secs(3));
    assert!(!call.world.node(SERVER).has(|event| matches!(event, TransportEvent::ChannelOpen { .. })));
    call.world.act(SERVER, |server, _| server.transport.enable_data());
    assert!(
        call.world.run_until(Duration::from_secs(10), |world| world.node(SERVER).channel("early").is_some())
    );
}

#[test]
fn a_handshake_message_of_absurd_size_is_dropped_before_it_is_collected() {
    let fragment = |claimed: [u8; 3]| {
        let [high, middle, low] = claimed;
        let mut datagram = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16];
        datagram.extend([11, high, middle, low, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
        datagram
    };
    assert!(!dtls::has_oversized_handshake(&fragment([0, 0x20, 0])));
    assert!(dtls::has_oversized_handshake(&fragment([0, 0x20, 1])));
    assert!(dtls::has_oversized_handshake(&[fragment([0, 1, 0]), fragment([1, 0, 0])].concat()));
}

#[test]
fn a_peer_cannot_make_us_remember_addresses_without_end() {
    let mut call = Call::new(Net::seeded(25));
    call.connect();
    for port in 1..500 {
        call.world.net().translate(CLIENT_ADDRESS, address([203, 0, 113, 1], port));
        call.world.run_for(Duration::from_secs(3));
    }
    let validated = call.world.node(SERVER).events.iter();
    let validated = validated.filter(|event| matches!(event, TransportEvent::Validated(_))).count();
    assert!(validated <= 64, "{validated}");
}

#[test]
fn candidates_that_lead_nowhere_are_not_tried() {
    let mut call = Call::new(Net::seeded(26));
    for candidate in [
        "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "candidate:1 1 udp 2130706431 224.0.0.1 9 typ host",
        "candidate:1 1 udp 2130706431 10.0.0.9 0 typ host",
        "candidate:1 2 udp 2130706431 10.0.0.9 9 typ host",
        "candidate:1 1 tcp 2130706431 10.0.0.9 9 typ host tcptype active",
        "candidate:1 1 udp 2130706431 0a4b-11.local 9 typ host",
        "candidate:1 1 udp",
        "",
    ] {
        call.world.act(SERVER, |server, _| server.transport.add_remote_candidate(candidate));
    }
    call.describe_to(SERVER);
    let sent = call.world.node(SERVER).sent.len();
    call.world.run_for(Duration::from_secs(1));
    assert_eq!(call.world.node(SERVER).sent.len(), sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_never_panics(
        datagrams in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)), 1..20),
        stage in 0..3,
    ) {
        let mut call = Call::new(Net::seeded(27));
        match stage {
            0 => {}
            1 => call.describe(),
            _ => call.connect(),
        }
        for (is_stun, mut bytes) in datagrams {
            if let Some(first) = bytes.first_mut() {
                *first = if is_stun { *first & 1 } else { 20 + (*first & 3) };
            }
            call.inject(&bytes);
        }
        call.world.run_for(Duration::from_secs(1));
    }

    #[test]
    fn authentic_stun_with_anything_in_it_never_panics(
        messages in proptest::collection::vec(
            (
                proptest::sample::select(vec![0x0001u16, 0x0011, 0x0101, 0x0111, 0x0003, 0x0016]),
                any::<bool>(),
                proptest::collection::vec((attribute_type(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
            ),
            1..12,
        ),
        connected: bool,
    ) {
        let mut call = Call::new(Net::seeded(29));
        if connected {
            call.connect();
        }
        for (message_type, is_complete, attributes) in messages {
            let message = call.authentic_stun(message_type, is_complete, &attributes);
            call.inject(&message);
            call.world.run_for(Duration::from_millis(30));
        }
        call.world.run_for(Duration::from_secs(1));
    }

    #[test]
    fn damaged_copies_of_real_datagrams_never_panic(
        damage in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>(), 0..60u64), 1..40),
    ) {
        let mut witness = Call::new(Net::seeded(28));
        witness.connect();
        let recorded = &witness.world.node(CLIENT).sent;
        let mut call = Call::new(Net::seeded(28));
        call.describe();
        for (which, at, bits, pause) in damage {
            let mut bytes = recorded[which % recorded.len()].clone();
            let at = at % bytes.len();
            bytes[at] ^= bits;
            if bits == 0 {
                bytes.truncate(at);
            }
            call.inject(&bytes);
            call.world.run_for(Duration::from_millis(pause));
        }
    }
}

#[test]
fn the_stun_that_tests_make_up_is_authentic() {
    let mut call = Call::new(Net::seeded(30));
    call.describe_to(SERVER);
    let message = call.authentic_stun(0x0001, true, &[]);
    call.inject(&message);
    assert!(call.world.node(SERVER).has(|event| matches!(event, TransportEvent::Validated(_))));
}

/// Every attribute that ICE knows, and others.
fn attribute_type() -> impl Strategy<Value = u16> {
    let known = [0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0012, 0x0014, 0x0020, 0x0022, 0x0024, 0x0025];
    let ice = [0x8022, 0x8028, 0x8029, 0x802A, 0xC057];
    prop_oneof![proptest::sample::select([&known[..], &ice[..]].concat()), any::<u16>()]
}

const SERVER_ADDRESS: SocketAddr = address([10, 0, 0, 1], 50_000);
const CLIENT_ADDRESS: SocketAddr = address([10, 0, 0, 2], 40_000);

const fn address(octets: [u8; 4], port: u16) -> SocketAddr {
    let [a, b, c, d] = octets;
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), port)
}

/// A public address that a translator may hand out.
const fn public(host: u8) -> SocketAddr {
    address([203, 0, 113, host], 1_000 + host as u16)
}

fn reliable(label: &str) -> ChannelSpec {
    ChannelSpec { label: label.to_owned(), ordered: true, reliability: Reliability::Full }
}

/// One end: a transport and all that it reported.
#[derive(Debug)]
struct End {
    transport: Transport,
    identity: Identity,
    address: SocketAddr,
    role: DtlsRole,
    events: Vec<TransportEvent>,
    sent: Vec<Vec<u8>>,
}

impl End {
    fn has(&self, wanted: impl Fn(&TransportEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    fn times_connected(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, TransportEvent::Connected(_))).count()
    }

    fn keys(&self) -> Option<&SrtpKeys> {
        self.events.iter().find_map(|event| match event {
            TransportEvent::Connected(keys) => Some(keys),
            _ => None,
        })
    }

    fn failure(&self) -> Option<FailCause> {
        self.events.iter().find_map(|event| match event {
            TransportEvent::Failed(cause) => Some(*cause),
            _ => None,
        })
    }

    fn has_lost_its_path(&self) -> bool {
        self.has(|event| matches!(event, TransportEvent::IceFailed))
    }

    fn nominated(&self) -> Path {
        self.transport.path().expect("a path")
    }

    fn channel(&self, label: &str) -> Option<ChannelId> {
        self.events.iter().find_map(|event| match event {
            TransportEvent::ChannelOpen { channel, spec } if spec.label == label => Some(*channel),
            _ => None,
        })
    }

    fn messages(&self) -> impl Iterator<Item = (bool, &[u8])> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::Data { binary, bytes, .. } => Some((*binary, bytes.as_ref())),
            _ => None,
        })
    }
}

impl Node for End {
    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.address]
    }

    fn handle_datagram(&mut self, datagram: Datagram, now: Instant) {
        let kind = match datagram.bytes.first() {
            Some(0..=3) => DatagramKind::Stun,
            _ => DatagramKind::Dtls,
        };
        let path = Path::udp(datagram.to, datagram.from);
        self.transport.handle_datagram(kind, path, &datagram.bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        loop {
            match self.transport.poll_output(now) {
                Output::Transmit(Transmit { path: Path { local, remote, .. }, bytes }) => {
                    self.sent.push(bytes.clone());
                    out.push(Datagram { from: local, to: remote, bytes });
                }
                Output::Event(event) => self.events.push(event),
                Output::Timeout(at) => return at,
            }
        }
    }
}

/// A server's transport and a client's, not yet described to each other.
struct Call {
    world: World<End>,
    rng: StdRng,
}

impl Call {
    fn new(net: Net) -> Self {
        Self::with_roles(net, IceRole::Controlled, DtlsRole::Server)
    }

    fn with_roles(net: Net, server_ice: IceRole, server_dtls: DtlsRole) -> Self {
        let (client_ice, client_dtls) = match (server_ice, server_dtls) {
            (IceRole::Controlled, DtlsRole::Server) => (IceRole::Controlling, DtlsRole::Client),
            _ => (IceRole::Controlled, DtlsRole::Server),
        };
        let mut call = Self { world: World::new(net), rng: StdRng::seed_from_u64(0) };
        call.add(SERVER_ADDRESS, server_ice, server_dtls);
        call.add(CLIENT_ADDRESS, client_ice, client_dtls);
        call
    }

    fn add(&mut self, address: SocketAddr, ice: IceRole, role: DtlsRole) {
        let identity = Identity::generate().expect("an identity");
        let credentials = IceCredentials::random(&mut self.rng);
        let transport =
            Transport::new(&identity, ice, credentials, LocalAddresses::udp([address]), self.world.now());
        self.world.add(End { transport, identity, address, role, events: Vec::new(), sent: Vec::new() });
    }

    /// Both ends begin anew, with new credentials.
    fn restart(&mut self) {
        for number in [SERVER, CLIENT] {
            let credentials = IceCredentials::random(&mut self.rng);
            self.world.act(number, |end, now| end.transport.restart_ice(credentials, now));
        }
        self.describe();
    }

    fn describe(&mut self) {
        self.describe_to(SERVER);
        self.describe_to(CLIENT);
    }

    /// Tells one end what the other is. Only the client learns an address, as with a server that knows no more of its
    /// clients than that they will call.
    fn describe_to(&mut self, number: usize) {
        let identity = self.world.node(1 - number).identity.clone();
        self.describe_with(number, &identity);
    }

    /// Tells the server that the client's certificate is another one than it has.
    fn describe_as(&mut self, identity: &Identity) {
        self.describe_with(SERVER, identity);
        self.describe_to(CLIENT);
    }

    fn describe_with(&mut self, number: usize, identity: &Identity) {
        let peer = self.world.node(1 - number).transport.local_credentials().clone();
        let digest = identity.fingerprint().split(':').map(|hex| u8::from_str_radix(hex, 16).expect("hex"));
        let fingerprints = vec![("sha-256".to_owned(), digest.collect())];
        self.world.act(number, |end, now| {
            let role = end.role;
            end.transport
                .set_remote(RemoteParameters { ufrag: peer.ufrag, pwd: peer.pwd, fingerprints, role }, now);
            if number == CLIENT {
                end.transport.add_remote_candidate("candidate:1 1 udp 2130706431 10.0.0.1 50000 typ host");
            }
        });
    }

    /// A datagram as if from the client.
    fn inject(&mut self, bytes: &[u8]) {
        let datagram = Datagram { from: CLIENT_ADDRESS, to: SERVER_ADDRESS, bytes: bytes.to_vec() };
        self.world.act(SERVER, |server, now| server.handle_datagram(datagram, now));
    }

    /// A STUN message (RFC 8489 §5) that carries the client's proof of knowing the server's password.
    fn authentic_stun(&self, message_type: u16, is_complete: bool, extra: &[(u16, Vec<u8>)]) -> Vec<u8> {
        const USERNAME: u16 = 0x0006;
        const MESSAGE_INTEGRITY: u16 = 0x0008;
        const PRIORITY: u16 = 0x0024;
        let [server, client] =
            [SERVER, CLIENT].map(|number| self.world.node(number).transport.local_credentials());
        let mut message = message_type.to_be_bytes().to_vec();
        message.extend([0, 0, 0x21, 0x12, 0xA4, 0x42]);
        message.extend([7; 12]);
        let mut add = |attribute: u16, value: &[u8]| {
            message.extend(attribute.to_be_bytes());
            message.extend((value.len() as u16).to_be_bytes());
            message.extend(value);
            message.resize(message.len().next_multiple_of(4), 0);
        };
        if is_complete {
            add(USERNAME, format!("{}:{}", server.ufrag, client.ufrag).as_bytes());
            add(PRIORITY, &[0x6E, 0, 1, 0xFF]);
        }
        for (attribute, value) in extra {
            add(*attribute, value);
        }
        // The length counts the attribute that is about to follow (RFC 8489 §14.5).
        let len = (message.len() - 20 + 24) as u16;
        message[2..4].copy_from_slice(&len.to_be_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, server.pwd.as_bytes());
        let proof = hmac::sign(&key, &message);
        message.extend(MESSAGE_INTEGRITY.to_be_bytes());
        message.extend([0, 20]);
        message.extend(proof.as_ref());
        message
    }

    fn connect(&mut self) {
        self.describe();
        assert!(self.world.run_until(Duration::from_secs(15), Self::is_connected), "not connected");
    }

    fn is_connected(world: &World<End>) -> bool {
        [SERVER, CLIENT].iter().all(|&number| world.node(number).keys().is_some())
    }

    fn keys(&self, number: usize) -> &SrtpKeys {
        self.world.node(number).keys().expect("connected")
    }

    fn path(&self, number: usize) -> Path {
        self.world.node(number).nominated()
    }

    fn send(&mut self, number: usize, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.world.act(number, |end, _| end.transport.send(channel, true, message))
    }

    /// One channel of each side, as a dual connection and a single one have them.
    fn open_channels(&mut self) {
        if self.world.node(CLIENT).channel("_reliable").is_some() {
            return;
        }
        let lossy = ChannelSpec {
            label: "_lossy".to_owned(),
            ordered: false,
            reliability: Reliability::Retransmits(0),
        };
        self.world.act(SERVER, |server, _| server.transport.open_channel(ChannelId(1), lossy));
        self.world
            .act(CLIENT, |client, _| client.transport.open_channel(ChannelId(0), reliable("_reliable")));
        let open = |world: &World<End>| {
            [SERVER, CLIENT].iter().all(|&end| {
                world.node(end).channel("_lossy").is_some() && world.node(end).channel("_reliable").is_some()
            })
        };
        assert!(self.world.run_until(Duration::from_secs(30), open), "channels not open");
    }

    fn exchange_messages(&mut self) -> bool {
        self.open_channels();
        self.send(SERVER, ChannelId(0), b"from the server").expect("room");
        self.send(CLIENT, ChannelId(0), b"from the client").expect("room");
        self.world.run_until(Duration::from_secs(20), |world| {
            world.node(SERVER).messages().any(|(_, bytes)| bytes == b"from the client")
                && world.node(CLIENT).messages().any(|(_, bytes)| bytes == b"from the server")
        })
    }
}
