//! Rules G6 to G12 and G15: bounds.

use super::*;

#[test]
fn g6_one_source_has_its_allocations_and_no_more() {
    let mut bench = Bench::with(|config| config.limits.allocations_per_source = 3);
    let from = |port: u16, name: &str| {
        let remote = SocketAddr::new(alice().at.remote.ip(), port);
        TurnClient::new(Client { remote, ..alice().at }, credentials(name))
    };
    for n in 0..3 {
        bench.allocate(&mut from(40_000 + n, &format!("PA_{n}")));
    }
    assert_eq!(bench.exchange(&mut from(40_003, "PA_3"), Method::Allocate, udp).error(), Some(486));
    bench.allocate(&mut bob());
    bench.server.stream_closed(from(40_001, "PA_1").at);
    bench.allocate(&mut from(40_003, "PA_3"));
}

#[test]
fn g6_an_allocation_has_its_channels_and_no_more() {
    let peers: Vec<String> = (0..20).map(|n| format!("192.0.2.10:{}", 50_000 + n)).collect();
    let mut bench = Bench::with(|config| config.peers = PeerFilter::new(peers.iter().map(|peer| addr(peer))));
    let mut client = alice();
    bench.allocate(&mut client);
    let errors: Vec<Option<u16>> =
        peers.iter().zip(0x4000..).map(|(peer, number)| bench.bind(&mut client, number, peer)).collect();
    assert_eq!(errors[..16], [None; 16]);
    assert_eq!(errors[16..], [Some(508); 4]);
    assert_eq!(bench.bind(&mut client, 0x4000, &peers[0]), None, "renewing needs no room");
}

#[test]
fn g6_a_kept_port_counts_as_an_allocation() {
    let mut bench = Bench::with(|config| config.limits.allocations_per_participant = 2);
    let pair = with(|writer| udp(writer).attribute(AttributeType::EVEN_PORT, &[0x80]));
    let mut first = numbered("PA_alice", 0);
    assert_eq!(bench.exchange(&mut first, Method::Allocate, pair).error(), None);
    assert_eq!(bench.exchange(&mut numbered("PA_alice", 1), Method::Allocate, udp).error(), Some(486));
    bench.pass(30 * SECOND);
    assert_eq!(bench.exchange(&mut numbered("PA_alice", 1), Method::Allocate, pair).error(), Some(486));
    bench.allocate(&mut numbered("PA_alice", 1));
}

#[test]
fn g7_an_allocation_has_its_rate_each_way() {
    let mut bench = Bench::new();
    let (mut client, mut other) = (alice(), bob());
    let relayed = bench.allocate(&mut client);
    bench.allocate(&mut other);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    assert_eq!(bench.bind(&mut other, 0x4000, PEER), None);
    // Ten seconds of a megabit a second.
    let (mut up, mut down) = (0, 0);
    for _ in 0..1250 {
        bench.pass(Duration::from_millis(8));
        up += usize::from(bench.send_channel(&client, 0x4000, &[7; 1000]) != Sent::Nothing);
        down += usize::from(bench.receive(relayed, PEER, &[7; 1000]).is_some());
    }
    // 256 kbit/s for ten seconds and one more at once, in datagrams of 1028 bytes.
    for passed in [up, down] {
        assert!((340..=343).contains(&passed), "{passed}");
    }
    assert_eq!(bench.server.counters().throttled as usize, 2 * 1250 - up - down);
    assert_ne!(bench.send_channel(&other, 0x4000, &[7; 1000]), Sent::Nothing);
}

#[test]
fn g8_strangers_are_answered_at_a_bounded_rate() {
    let mut bench = Bench::new();
    let mut answered = 0;
    for n in 0..1000 {
        bench.pass(Duration::from_millis(1));
        let remote = SocketAddr::from(([203, 0, 113, (n % 200) as u8], 1024 + n));
        let mut stranger = TurnClient::new(Client { remote, ..alice().at }, credentials("PA_alice"));
        let method = if n % 2 == 0 { Method::Binding } else { Method::Allocate };
        let request = stranger.request(method, |writer| writer);
        answered += usize::from(bench.ask(&mut stranger, &request).is_some());
    }
    assert!((148..=151).contains(&answered), "{answered}");
    assert_eq!(bench.server.counters().limited as usize, 1000 - answered);
    bench.server.check_empty();
}

#[test]
fn g8_who_has_an_allocation_is_answered_whatever_his_neighbours_do() {
    let mut bench = Bench::new();
    let mut client = alice();
    bench.allocate(&mut client);
    let mut neighbour =
        TurnClient::new(Client { remote: addr("198.51.100.9:1"), ..client.at }, credentials("PA_alice"));
    while bench.server.handle(
        neighbour.at,
        &neighbour.request(Method::Binding, nothing),
        bench.now,
        bench.wall,
    ) != Outcome::Nothing
    {}
    for _ in 0..200 {
        assert_eq!(bench.refresh(&mut client, 600).error(), None);
    }
}

#[test]
fn g9_strangers_leave_nothing_behind() {
    let mut bench = Bench::new();
    for n in 0..2000 {
        let mut stranger = numbered("PA_alice", n);
        stranger.credentials.password = "guessed".to_owned();
        stranger.exchange(&mut bench.server, Method::Allocate, udp, bench.now, bench.wall);
        bench.hand_in(&stranger, &indication(PEER, b"data"));
        bench.hand_in(&stranger, &channel_data(0x4000, b"data"));
    }
    bench.server.check_empty();
}

#[test]
fn g10_whoever_asks_too_often_is_not_read_any_further() {
    let mut bench = Bench::new();
    let mut client = alice();
    let good = client.request(Method::Binding, nothing);
    while bench.ask(&mut client, &good).is_some() {}
    let mut broken = good;
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(bench.hand_in(&client, &broken), Sent::Nothing);
    assert_eq!(bench.hand_in(&client, &indication(PEER, b"data")), Sent::Nothing);
    let counters = bench.server.counters();
    assert_eq!((counters.limited, counters.malformed, counters.unpermitted), (2, 0, 1));
}

#[test]
fn g12_nobody_is_told_what_software_this_is() {
    let mut bench = Bench::new();
    let mut client = alice();
    let unsigned = client.request(Method::Allocate, udp);
    for answer in
        [bench.ask(&mut client, &unsigned).unwrap(), bench.exchange(&mut client, Method::Allocate, udp)]
    {
        assert_eq!(answer.message().value(AttributeType(0x8022)), None);
    }
}

#[test]
fn g15_after_the_last_client_nothing_is_left() {
    let mut bench = Bench::new();
    let mut clients: Vec<TurnClient> = (0..50).map(|n| numbered(&format!("PA_{}", n / 5), n)).collect();
    for client in &mut clients {
        bench.allocate(client);
        assert_eq!(bench.bind(client, 0x4000, PEER), None);
    }
    assert_eq!(bench.server.allocations(), 50);
    for client in &mut clients[..25] {
        assert_eq!(bench.refresh(client, 0).error(), None);
    }
    for client in &clients[25..] {
        bench.server.stream_closed(client.at);
    }
    bench.server.check_empty();
    let counters = bench.server.counters();
    assert_eq!((counters.allocated, counters.ended), (50, 50));
}

#[test]
fn g15_a_client_that_comes_and_goes_makes_no_list_grow() {
    let mut bench = Bench::new();
    let mut client = alice();
    for _ in 0..500 {
        bench.pass(SECOND);
        assert_eq!(bench.exchange(&mut client, Method::Allocate, |w| lasting(3600)(udp(w))).error(), None);
        assert_eq!(bench.refresh(&mut client, 0).error(), None);
    }
    bench.server.check_empty();
}
