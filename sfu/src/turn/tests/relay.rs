//! Section E.

use super::*;
use crate::turn::{MAX_PAYLOAD_LEN, MAX_PREFIX_LEN, MAX_SUFFIX_LEN};

/// A client with an allocation.
fn ready(bench: &mut Bench) -> (TurnClient, SocketAddr) {
    let mut client = alice();
    let relayed = bench.allocate(&mut client);
    (client, relayed)
}

fn fast(config: &mut Config) {
    config.limits.sent_bytes_per_second = 10_000_000;
    config.limits.received_bytes_per_second = 10_000_000;
}

/// A client in a stream with an allocation.
fn ready_tcp(bench: &mut Bench) -> (TurnClient, SocketAddr) {
    let mut client = TurnClient::new(at(Transport::Tcp, "198.51.100.7:40000"), credentials("PA_alice"));
    let relayed = bench.allocate(&mut client);
    (client, relayed)
}

#[test]
fn e1_permissions_are_given_all_or_none() {
    let mut bench = Bench::with(|config| {
        config.limits.permissions_per_allocation = 2;
        config.peers =
            PeerFilter::new(["192.0.2.10:50000", "192.0.2.11:50000", "192.0.2.12:50000"].map(addr));
    });
    let (mut client, _) = ready(&mut bench);
    let permit = |bench: &mut Bench, client: &mut TurnClient, peers: &[&str]| {
        let attributes = with(|writer| peers.iter().fold(writer, |writer, peer| toward(peer)(writer)));
        bench.exchange(client, Method::CreatePermission, attributes).error()
    };
    assert_eq!(permit(&mut bench, &mut client, &[]), Some(400));
    assert_eq!(permit(&mut bench, &mut client, &[PEER, "203.0.113.99:1"]), Some(403));
    assert_eq!(permit(&mut bench, &mut client, &[PEER, PEER_V6]), Some(443));
    assert_eq!(permit(&mut bench, &mut client, &[PEER, "192.0.2.11:1", "192.0.2.12:1"]), Some(508));
    assert_eq!(bench.send(&client, PEER, b"data"), Sent::Nothing);
    assert_eq!(permit(&mut bench, &mut client, &[PEER, PEER, "192.0.2.11:1"]), None);
    assert_eq!(permit(&mut bench, &mut client, &["192.0.2.12:1"]), Some(508));
    assert_eq!(permit(&mut bench, &mut client, &["192.0.2.11:1"]), None);
    assert_ne!(bench.send(&client, PEER, b"data"), Sent::Nothing);
    let broken = with(|writer| writer.attribute(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 2]));
    assert_eq!(bench.exchange(&mut client, Method::CreatePermission, broken).error(), Some(400));
    bench.pass(300 * SECOND);
    assert_eq!(permit(&mut bench, &mut client, &["192.0.2.12:1"]), None);
}

#[test]
fn e2_a_permission_is_for_an_address_and_lasts_five_minutes_whatever_passes() {
    let mut bench = Bench::with(|config| {
        config.peers = PeerFilter::new(["192.0.2.10:50000", "192.0.2.10:50001"].map(addr));
    });
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, "192.0.2.10:9"), None);
    bench.pass(299 * SECOND);
    for port in [50_000, 50_001] {
        let peer = format!("192.0.2.10:{port}");
        assert_ne!(bench.send(&client, &peer, b"data"), Sent::Nothing);
        assert!(bench.receive(relayed, &peer, b"data").is_some());
    }
    bench.pass(SECOND);
    assert_eq!(bench.send(&client, PEER, b"data"), Sent::Nothing);
    assert_eq!(bench.receive(relayed, PEER, b"data"), None);
    assert_eq!(bench.permit(&mut client, PEER), None);
    bench.pass(200 * SECOND);
    assert_eq!(bench.permit(&mut client, PEER), None);
    bench.pass(200 * SECOND);
    assert!(bench.receive(relayed, PEER, b"data").is_none(), "the allocation itself is over");
}

#[test]
fn e2_binding_a_channel_renews_the_permission() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, PEER), None);
    bench.pass(250 * SECOND);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    bench.pass(299 * SECOND);
    assert!(bench.receive(relayed, PEER, b"data").is_some());
    bench.pass(SECOND);
    assert_eq!(bench.receive(relayed, PEER, b"data"), None, "the channel lives and the permission does not");
    assert_eq!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing);
}

#[test]
fn e3_a_peer_without_permission_reaches_nobody() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.receive(relayed, PEER, b"data"), None);
    assert_eq!(bench.permit(&mut client, PEER), None);
    assert_eq!(bench.receive(relayed, "192.0.2.11:50000", b"data"), None);
    assert_eq!(bench.receive(addr("192.0.2.10:60999"), PEER, b"data"), None);
    assert_eq!(bench.server.counters().unpermitted, 3);
}

#[test]
fn e4_send_needs_peer_data_allocation_and_permission_and_gives_nothing() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.send(&client, PEER, b"data"), Sent::Nothing);
    assert_eq!(bench.receive(relayed, PEER, b"data"), None);
    assert_eq!(bench.permit(&mut client, PEER), None);
    let sent = |payload: &[u8]| Sent::Relayed { from: relayed, to: addr(PEER), payload: payload.to_vec() };
    assert_eq!(bench.send(&client, PEER, b"data"), sent(b"data"));
    assert_eq!(bench.send(&client, PEER, b""), sent(b""));
    assert_eq!(bench.send(&bob(), PEER, b"data"), Sent::Nothing);
    for has_peer in [true, false] {
        let mut bytes = Vec::new();
        let writer = Writer::new(&mut bytes, Class::Indication, Method::Send, TransactionId([1; 12]));
        if has_peer {
            toward(PEER)(writer)
        } else {
            writer.attribute(AttributeType::DATA, b"data")
        };
        assert_eq!(bench.hand_in(&client, &bytes), Sent::Nothing);
    }
    bench.pass(299 * SECOND);
    assert_eq!(bench.send(&client, PEER, b"data"), sent(b"data"));
    bench.pass(SECOND);
    assert_eq!(bench.send(&client, PEER, b"data"), Sent::Nothing);
}

#[test]
fn e5_without_a_channel_the_client_gets_a_data_indication() {
    let mut bench = Bench::with(fast);
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, PEER), None);
    for len in [0, 1, 2, 3, 4, 5, 172, 1200, 1472] {
        let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let (to, frame) = bench.receive(relayed, PEER, &payload).unwrap();
        assert_eq!((to, data_of(&frame)), (client.at, (addr(PEER), payload)));
    }
    let ids: std::collections::BTreeSet<Vec<u8>> =
        (0..10).map(|_| bench.receive(relayed, PEER, b"data").unwrap().1[8..20].to_vec()).collect();
    assert_eq!(ids.len(), 10);
}

#[test]
fn e5_data_from_an_ipv6_peer_is_unchanged() {
    let mut bench = Bench::new();
    let mut client = alice();
    let v6 = with(|writer| udp(writer).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    let relayed = relayed(&bench.exchange(&mut client, Method::Allocate, v6));
    assert_eq!(bench.permit(&mut client, PEER_V6), None);
    let (_, frame) = bench.receive(relayed, PEER_V6, b"12345").unwrap();
    assert_eq!(data_of(&frame), (addr(PEER_V6), b"12345".to_vec()));
    assert_eq!(frame.len(), MAX_PREFIX_LEN + 5 + MAX_SUFFIX_LEN);
}

#[test]
fn e6_number_and_peer_belong_together() {
    let mut bench = Bench::with(|config| {
        config.peers = PeerFilter::new(["192.0.2.10:50000", "192.0.2.10:50001"].map(addr));
    });
    let (mut client, _) = ready(&mut bench);
    for number in [0, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
        assert_eq!(bench.bind(&mut client, number, PEER), Some(400));
    }
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    assert_eq!(bench.bind(&mut client, 0x4000, "192.0.2.10:50001"), Some(400));
    assert_eq!(bench.bind(&mut client, 0x4001, PEER), Some(400));
    assert_eq!(bench.bind(&mut client, 0x4FFF, "192.0.2.10:50001"), None);
    assert_eq!(bench.refresh(&mut client, 3600).error(), None);
    for _ in 0..4 {
        bench.pass(299 * SECOND);
        assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    }
    assert_ne!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing);
    assert_eq!(bench.send_channel(&client, 0x4FFF, b"data"), Sent::Nothing, "600 seconds are over");
}

#[test]
fn e7_binding_needs_a_number_a_peer_and_an_allocation() {
    let mut bench = Bench::new();
    let mut client = alice();
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), Some(437));
    bench.allocate(&mut client);
    assert_eq!(bench.exchange(&mut client, Method::ChannelBind, toward(PEER)).error(), Some(400));
    let number = with(|writer| writer.attribute(AttributeType::CHANNEL_NUMBER, &[0x40, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut client, Method::ChannelBind, number).error(), Some(400));
    assert_eq!(bench.bind(&mut client, 0x4000, PEER_V6), Some(443));
    assert_eq!(bench.bind(&mut client, 0x4000, "192.0.2.10:50001"), Some(403));
    assert_eq!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing);
}

#[test]
fn e8_an_expired_channel_can_be_bound_again_at_once() {
    let mut bench = Bench::with(|config| {
        config.peers = PeerFilter::new(["192.0.2.10:50000", "192.0.2.11:50000"].map(addr));
    });
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.refresh(&mut client, 3600).error(), None);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    bench.pass(600 * SECOND);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    bench.pass(600 * SECOND);
    assert_eq!(bench.bind(&mut client, 0x4000, "192.0.2.11:50000"), None);
    assert_eq!(bench.permit(&mut client, PEER), None);
    let (_, frame) = bench.receive(relayed, PEER, b"data").unwrap();
    assert_eq!(data_of(&frame).0, addr(PEER), "the old peer does not speak for the new one");
}

#[test]
fn e9_channel_data_that_is_unbound_or_too_short_is_dropped() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    assert_eq!(bench.send_channel(&client, 0x4001, b"data"), Sent::Nothing);
    let mut message = channel_data(0x4000, b"data");
    let sent = Sent::Relayed { from: relayed, to: addr(PEER), payload: b"data".to_vec() };
    assert_eq!(bench.hand_in(&client, &message), sent);
    for len in 0..message.len() {
        assert_eq!(bench.hand_in(&client, &message[..len]), Sent::Nothing);
    }
    message.extend([1, 2, 3]);
    assert_eq!(bench.hand_in(&client, &message), sent, "padding is no harm");
}

#[test]
fn e10_a_bound_peer_is_heard_in_its_channel() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4ABC, PEER), None);
    assert_eq!(bench.receive(relayed, PEER, b"12345"), Some((client.at, channel_data(0x4ABC, b"12345"))));
}

#[test]
fn a5_channel_data_is_padded_in_streams_only() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready_tcp(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    for len in 0..9 {
        let payload = vec![7; len];
        let mut expected = channel_data(0x4000, &payload);
        expected.resize(expected.len().next_multiple_of(4), 0);
        assert_eq!(bench.receive(relayed, PEER, &payload), Some((client.at, expected)));
    }
}

#[test]
fn e12_datagrams_keep_their_length_up_to_the_bound() {
    let mut bench = Bench::with(fast);
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    for len in [1200, 1472, MAX_PAYLOAD_LEN] {
        let payload = vec![7; len];
        let sent = Sent::Relayed { from: relayed, to: addr(PEER), payload: payload.clone() };
        assert_eq!(bench.send_channel(&client, 0x4000, &payload), sent);
        assert_eq!(bench.receive(relayed, PEER, &payload), Some((client.at, channel_data(0x4000, &payload))));
    }
    assert_eq!(bench.receive(relayed, PEER, &vec![7; MAX_PAYLOAD_LEN + 1]), None);
}

#[test]
fn what_passes_is_counted() {
    let mut bench = Bench::new();
    let (mut client, relayed) = ready(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    bench.send_channel(&client, 0x4000, b"12345");
    bench.send(&client, PEER, b"12");
    bench.receive(relayed, PEER, b"123").unwrap();
    let counters = bench.server.counters();
    assert_eq!((counters.sent, counters.sent_bytes), (2, 7));
    assert_eq!((counters.received, counters.received_bytes), (1, 3));
}

#[test]
fn the_peer_of_tests_sends_back_what_reaches_it() {
    let echo = "127.0.0.1:3480";
    let mut bench = Bench::with(|config| config.echo = Some(addr(echo)));
    let (mut client, _) = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, echo), None);
    let reply = bench.ask(&mut client, &indication(echo, b"hello")).unwrap();
    assert_eq!(data_of(&reply.0), (addr(echo), b"hello".to_vec()));
    assert_eq!(bench.bind(&mut client, 0x4000, echo), None);
    assert_eq!(
        bench.ask(&mut client, &channel_data(0x4000, b"hello")).unwrap().0,
        channel_data(0x4000, b"hello")
    );
    assert_eq!(bench.send(&client, "127.0.0.1:3482", b"hello"), Sent::Nothing);
    assert_eq!(Bench::new().permit(&mut client, echo), Some(437));
}
