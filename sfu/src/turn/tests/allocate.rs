//! Section D.

use std::collections::BTreeSet;

use super::*;
use crate::turn::ConfigError;

fn even(next: bool) -> impl Fn(Writer<'_>) -> Writer<'_> {
    move |writer| udp(writer).attribute(AttributeType::EVEN_PORT, &[u8::from(next) << 7])
}

fn of_family(family: u8) -> impl Fn(Writer<'_>) -> Writer<'_> {
    move |writer| udp(writer).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0])
}

fn both(writer: Writer<'_>) -> Writer<'_> {
    udp(writer).attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])
}

fn claiming(token: &[u8]) -> impl Fn(Writer<'_>) -> Writer<'_> {
    move |writer| udp(writer).attribute(AttributeType::RESERVATION_TOKEN, token)
}

fn token_of(answer: &Answer) -> Vec<u8> {
    answer.message().value(AttributeType::RESERVATION_TOKEN).expect("a token").to_vec()
}

fn all_relayed(answer: &Answer) -> Vec<SocketAddr> {
    let message = answer.message();
    let addresses =
        message.attributes().filter(|attribute| attribute.kind == AttributeType::XOR_RELAYED_ADDRESS);
    addresses.filter_map(|attribute| message.read_xor_address(attribute)).collect()
}

/// What allocating with these attributes is answered.
fn error_for(bench: &mut Bench, attributes: impl Fn(Writer<'_>) -> Writer<'_>) -> Option<u16> {
    let mut client = alice();
    let error = bench.exchange(&mut client, Method::Allocate, attributes).error();
    bench.server.stream_closed(client.at);
    error
}

#[test]
fn d1_a_second_allocation_is_refused_and_a_repeated_request_answered_again() {
    let mut bench = Bench::new();
    let mut client = alice();
    let challenge = client.request(Method::Allocate, udp);
    let challenge = bench.ask(&mut client, &challenge).unwrap();
    client.learn(&challenge);
    let request = client.request(Method::Allocate, even(true));
    let first = bench.ask(&mut client, &request).unwrap();
    bench.pass(SECOND);
    assert_eq!(bench.ask(&mut client, &request), Some(first));
    assert_eq!(bench.server.allocations(), 1);
    assert_eq!(bench.exchange(&mut client, Method::Allocate, udp).error(), Some(437));
}

#[test]
fn d2_only_udp_is_relayed() {
    let mut bench = Bench::new();
    assert_eq!(error_for(&mut bench, nothing), Some(400));
    for value in [&[][..], &[17], &[17, 0, 0, 0, 0]] {
        let attributes = with(|writer| writer.attribute(AttributeType::REQUESTED_TRANSPORT, value));
        assert_eq!(error_for(&mut bench, attributes), Some(400));
    }
    for transport in [0, 1, 6, 132] {
        let attributes =
            with(|writer| writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[transport, 0, 0, 0]));
        assert_eq!(error_for(&mut bench, attributes), Some(442));
    }
}

#[test]
fn d3_not_to_fragment_is_granted_as_nothing_here_does() {
    let mut bench = Bench::new();
    let attributes = with(|writer| udp(writer).attribute(AttributeType::DONT_FRAGMENT, &[]));
    assert_eq!(error_for(&mut bench, attributes), None);
}

#[test]
fn d4_even_ports_and_the_one_kept_for_later() {
    let mut bench = Bench::new();
    let mut client = alice();
    let answer = bench.exchange(&mut client, Method::Allocate, even(true));
    let (first, token) = (relayed(&answer), token_of(&answer));
    assert_eq!((first.port() % 2, token.len()), (0, 8));
    bench.pass(29 * SECOND);
    let mut thief = bob();
    assert_eq!(bench.exchange(&mut thief, Method::Allocate, claiming(&token)).error(), Some(508));
    let mut second = numbered("PA_alice", 1);
    let answer = bench.exchange(&mut second, Method::Allocate, claiming(&token));
    assert_eq!(relayed(&answer).port(), first.port() + 1);
    let mut third = numbered("PA_alice", 2);
    assert_eq!(bench.exchange(&mut third, Method::Allocate, claiming(&token)).error(), Some(508));
    let answer = bench.exchange(&mut third, Method::Allocate, even(false));
    assert_eq!(relayed(&answer).port() % 2, 0);
    assert_eq!(answer.message().value(AttributeType::RESERVATION_TOKEN), None);
}

#[test]
fn d4_a_kept_port_is_nobodys_until_it_is_free_again() {
    let mut bench = Bench::with(|config| config.relayed_ports = 61_000..=61_001);
    let mut client = alice();
    let token = token_of(&bench.exchange(&mut client, Method::Allocate, even(true)));
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, udp).error(), Some(508));
    bench.pass(30 * SECOND);
    let mut late = numbered("PA_alice", 1);
    assert_eq!(bench.exchange(&mut late, Method::Allocate, claiming(&token)).error(), Some(508));
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, even(false)).error(), Some(508));
    assert_eq!(bench.allocate(&mut bob()).port(), 61_001);
}

#[test]
fn d5_a_token_goes_with_nothing_else() {
    let mut bench = Bench::new();
    for (kind, value) in [
        (AttributeType::EVEN_PORT, &[0][..]),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]),
        (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
    ] {
        assert_eq!(
            error_for(&mut bench, |writer| claiming(&[1; 8])(writer).attribute(kind, value)),
            Some(400)
        );
    }
    assert_eq!(error_for(&mut bench, claiming(&[1; 7])), Some(400));
    assert_eq!(error_for(&mut bench, claiming(&[1; 8])), Some(508));
}

#[test]
fn d6_the_family_is_ipv4_unless_asked_for() {
    let mut bench = Bench::new();
    assert!(bench.allocate(&mut alice()).is_ipv4());
    let answer = bench.exchange(&mut numbered("PA_alice", 1), Method::Allocate, of_family(2));
    assert!(relayed(&answer).is_ipv6());
    for family in [0, 3, 255] {
        assert_eq!(bench.exchange(&mut bob(), Method::Allocate, of_family(family)).error(), Some(440));
    }
    let mut only_v6 = Bench::with(|config| config.relayed_ipv4 = None);
    assert_eq!(error_for(&mut only_v6, udp), Some(440));
    assert_eq!(error_for(&mut only_v6, of_family(2)), None);
    let mut only_v4 = Bench::with(|config| config.relayed_ipv6 = None);
    assert_eq!(error_for(&mut only_v4, of_family(2)), Some(440));
}

#[test]
fn d7_both_families_at_once() {
    let mut bench = Bench::new();
    let mut client = alice();
    let answer = bench.exchange(&mut client, Method::Allocate, both);
    let addresses = all_relayed(&answer);
    assert_eq!(addresses.iter().map(SocketAddr::is_ipv4).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.permit(&mut client, PEER), None);
    assert_eq!(bench.permit(&mut client, PEER_V6), None);
    for (peer, from) in [PEER, PEER_V6].into_iter().zip(addresses) {
        let sent = Sent::Relayed { from, to: addr(peer), payload: b"data".to_vec() };
        assert_eq!(bench.send(&client, peer, b"data"), sent);
    }
    let mut other = bob();
    let with_next = with(|writer| both(writer).attribute(AttributeType::EVEN_PORT, &[0x80]));
    assert_eq!(bench.exchange(&mut other, Method::Allocate, with_next).error(), Some(400));
    let with_family =
        with(|writer| both(writer).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut other, Method::Allocate, with_family).error(), Some(400));
    let ipv4 = with(|writer| udp(writer).attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut other, Method::Allocate, ipv4).error(), Some(400));
}

#[test]
fn d7_the_family_that_cannot_be_had_is_named() {
    let failed = |bench: &mut Bench| {
        let answer = bench.exchange(&mut alice(), Method::Allocate, both);
        (
            all_relayed(&answer).len(),
            answer.message().value(AttributeType::ADDRESS_ERROR_CODE).map(<[u8]>::to_vec),
        )
    };
    let mut bench = Bench::with(|config| config.relayed_ipv6 = None);
    assert_eq!(failed(&mut bench), (1, Some(vec![2, 0, 4, 40])));
    let mut bench = Bench::with(|config| config.relayed_ipv4 = None);
    assert_eq!(failed(&mut bench), (1, Some(vec![1, 0, 4, 40])));
    let mut bench = Bench::with(|config| config.relayed_ports = 61_000..=61_000);
    bench.exchange(&mut bob(), Method::Allocate, of_family(2));
    assert_eq!(failed(&mut bench), (1, Some(vec![2, 0, 5, 8])));
    let mut bench = Bench::with(|config| (config.relayed_ipv4, config.relayed_ipv6) = (None, None));
    assert_eq!(error_for(&mut bench, both), Some(440));
}

#[test]
fn d7_one_of_two_families_may_end_before_the_other() {
    let mut bench = Bench::new();
    let mut client = alice();
    let addresses = all_relayed(&bench.exchange(&mut client, Method::Allocate, both));
    let end_v6 =
        with(|writer| lasting(0)(writer).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut client, Method::Refresh, end_v6).error(), None);
    assert_eq!(bench.server.client_of(addresses[0]), Some(client.at));
    assert_eq!(bench.server.client_of(addresses[1]), None);
    assert_eq!(bench.exchange(&mut client, Method::Refresh, end_v6).error(), Some(443));
}

#[test]
fn d8_lifetimes_lie_between_ten_minutes_and_an_hour() {
    let mut bench = Bench::new();
    for (asked, given) in [
        (None, 600),
        (Some(0), 600),
        (Some(1), 600),
        (Some(599), 600),
        (Some(601), 601),
        (Some(3600), 3600),
        (Some(3601), 3600),
        (Some(u32::MAX), 3600),
    ] {
        let mut client = alice();
        let answer = bench.exchange(&mut client, Method::Allocate, |writer| match asked {
            Some(seconds) => lasting(seconds)(udp(writer)),
            None => udp(writer),
        });
        assert_eq!(lifetime(&answer), given, "{asked:?}");
        bench.server.stream_closed(client.at);
    }
    let short = with(|writer| udp(writer).attribute(AttributeType::LIFETIME, &[0, 1]));
    assert_eq!(error_for(&mut bench, short), Some(400));
}

#[test]
fn d9_success_says_everything_and_is_signed() {
    let mut bench = Bench::new();
    let mut client = alice();
    let answer = bench.exchange(&mut client, Method::Allocate, udp);
    let message = answer.message();
    assert_eq!(message.class(), Class::Success);
    assert_eq!(message.xor_address(AttributeType::XOR_MAPPED_ADDRESS), Some(Some(client.at.remote)));
    assert_eq!((relayed(&answer).ip(), lifetime(&answer)), (addr(PEER).ip(), 600));
    assert!(message.is_signed_with(&client.answer_key()));
}

#[test]
fn d10_ports_are_drawn_at_random_from_the_range() {
    let mut bench = Bench::new();
    let ports: Vec<u16> =
        (0..40).map(|n| bench.allocate(&mut numbered(&format!("PA_{n}"), n)).port()).collect();
    assert!(ports.iter().all(|port| (FIRST_PORT..=LAST_PORT).contains(port)));
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 40);
    let steps: BTreeSet<i32> = ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    assert!(steps.len() > 20, "{ports:?}");
}

#[test]
fn d11_without_a_port_or_over_the_quota_nobody_else_suffers() {
    let mut bench = Bench::with(|config| {
        config.relayed_ports = 61_000..=61_013;
        config.limits.allocations_per_participant = 12;
    });
    let mut own: Vec<TurnClient> = (0..12).map(|n| numbered("PA_alice", n)).collect();
    let addresses: Vec<SocketAddr> = own.iter_mut().map(|client| bench.allocate(client)).collect();
    assert_eq!(bench.exchange(&mut numbered("PA_alice", 12), Method::Allocate, udp).error(), Some(486));
    bench.allocate(&mut numbered("PA_bob", 20));
    bench.allocate(&mut numbered("PA_bob", 21));
    assert_eq!(bench.exchange(&mut numbered("PA_carol", 30), Method::Allocate, udp).error(), Some(508));
    for (client, address) in own.iter().zip(addresses) {
        assert_eq!(bench.server.client_of(address), Some(client.at));
    }
    assert_eq!(bench.refresh(&mut own[0], 0).error(), None);
    bench.allocate(&mut numbered("PA_carol", 30));
}

#[test]
fn d12_refreshing_with_nothing_deletes_and_again_finds_nothing() {
    let mut bench = Bench::new();
    let mut client = alice();
    let address = bench.allocate(&mut client);
    let answer = bench.refresh(&mut client, 0);
    assert_eq!((answer.error(), lifetime(&answer)), (None, 0));
    assert_eq!(bench.server.client_of(address), None);
    assert_eq!(bench.refresh(&mut client, 0).error(), Some(437));
    assert_eq!(bench.refresh(&mut client, 600).error(), Some(437));
    bench.server.check_empty();
}

#[test]
fn d13_refresh_with_another_family_is_refused() {
    let mut bench = Bench::new();
    let mut client = alice();
    bench.allocate(&mut client);
    for (family, error) in [(1, None), (2, Some(443)), (9, Some(443))] {
        let attributes =
            with(|writer| writer.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]));
        assert_eq!(bench.exchange(&mut client, Method::Refresh, attributes).error(), error);
    }
}

#[test]
fn d14_an_allocation_ends_at_its_expiry_with_everything_in_it() {
    let mut bench = Bench::new();
    let mut client = alice();
    let address = bench.allocate(&mut client);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    assert_eq!(bench.server.next_timeout(), Some(bench.now + 600 * SECOND));
    bench.pass(299 * SECOND);
    assert!(bench.receive(address, PEER, b"data").is_some());
    bench.pass(300 * SECOND);
    bench.server.handle_timeout(bench.now);
    assert_eq!(bench.server.allocations(), 1);
    bench.pass(SECOND);
    bench.server.handle_timeout(bench.now);
    bench.server.check_empty();
    assert_eq!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing);
    assert_eq!(bench.receive(address, PEER, b"data"), None);
}

#[test]
fn d14_an_allocation_is_gone_on_time_also_for_who_comes_before_the_timeout() {
    let mut bench = Bench::new();
    let mut client = alice();
    bench.allocate(&mut client);
    assert_eq!(lifetime(&bench.refresh(&mut client, 1200)), 1200);
    bench.pass(1200 * SECOND);
    assert_eq!(bench.refresh(&mut client, 600).error(), Some(437));
}

#[test]
fn d15_closing_a_stream_deletes_at_once() {
    let mut bench = Bench::new();
    for transport in [Transport::Tcp, Transport::Tls] {
        let mut client = TurnClient::new(at(transport, "198.51.100.7:40000"), credentials("PA_alice"));
        let address = bench.allocate(&mut client);
        assert_eq!(bench.server.client_of(address).unwrap().transport, transport);
        bench.server.stream_closed(client.at);
        bench.server.check_empty();
        bench.server.stream_closed(client.at);
    }
}

#[test]
fn d16_a_step_of_the_wall_clock_changes_no_lifetime() {
    for forward in [true, false] {
        let mut bench = Bench::new();
        let mut client = alice();
        bench.allocate(&mut client);
        bench.pass(500 * SECOND);
        bench.wall = if forward { bench.wall + 3600 * SECOND } else { bench.wall - 3600 * SECOND };
        assert_eq!(bench.refresh(&mut client, 600).error(), None);
        bench.pass(599 * SECOND);
        assert_eq!(bench.permit(&mut client, PEER), None);
        bench.pass(SECOND);
        assert_eq!(bench.permit(&mut client, PEER), Some(437));
    }
}

#[test]
fn the_order_of_checks_is_that_of_the_rfc() {
    let mut bench = Bench::with(|config| config.relayed_ipv6 = None);
    let bad = with(|writer| {
        writer
            .attribute(AttributeType(0x7F01), b"")
            .attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
            .attribute(AttributeType::RESERVATION_TOKEN, &[1; 8])
    });
    let mut client = alice();
    bench.allocate(&mut client);
    assert_eq!(bench.exchange(&mut client, Method::Allocate, bad).error(), Some(437));
    let tcp = with(|writer| bad(writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0])));
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, tcp).error(), Some(442));
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, |writer| bad(udp(writer))).error(), Some(420));
    let token = with(|writer| claiming(&[1; 8])(of_family(2)(writer)));
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, token).error(), Some(400));
    let mut poor = Bench::with(|config| {
        config.relayed_ipv6 = None;
        config.limits.allocations_per_participant = 0;
        config.relayed_ports = 61_001..=61_001;
    });
    assert_eq!(error_for(&mut poor, of_family(2)), Some(440));
    assert_eq!(error_for(&mut poor, even(false)), Some(486));
}

#[test]
fn a9_clients_of_either_family_get_addresses_of_either() {
    let mut bench = Bench::new();
    for (remote, family) in
        [("[2001:db8::7]:1", 1), ("[2001:db8::8]:1", 2), ("198.51.100.7:1", 1), ("198.51.100.8:1", 2)]
    {
        let mut client = TurnClient::new(at(Transport::Udp, remote), credentials("PA_alice"));
        let answer = bench.exchange(&mut client, Method::Allocate, of_family(family));
        assert_eq!(relayed(&answer).is_ipv4(), family == 1);
    }
}

#[test]
fn f1_relaying_over_tcp_is_not_offered() {
    let mut bench = Bench::new();
    let mut client = TurnClient::new(at(Transport::Tcp, "198.51.100.7:40000"), credentials("PA_alice"));
    let tcp = with(|writer| writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut client, Method::Allocate, tcp).error(), Some(442));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config::new(Secrets { current: secret(), previous: None });
        change(&mut config);
        Server::new(config, StdRng::seed_from_u64(1), beginning()).unwrap_err()
    };
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let empty = |config: &mut Config| config.relayed_ports = 61_001..=61_000;
    assert_eq!(refused(empty), ConfigError::RelayedPorts);
    assert_eq!(refused(|config| config.relayed_ports = 0..=10), ConfigError::RelayedPorts);
    let both = refused(|config| {
        config.relayed_ipv4 = Some([192, 0, 2, 10].into());
        config.peers = PeerFilter::new([addr("192.0.2.10:60000"), addr("192.0.2.10:60001")]);
    });
    assert_eq!(both, ConfigError::RelayedPeer(addr("192.0.2.10:60001")));
    let any = refused(|config| config.relayed_ipv4 = Some([0, 0, 0, 0].into()));
    assert!(matches!(any, ConfigError::RelayedAddress(_)));
    assert!(any.to_string().contains("0.0.0.0"));
}

#[test]
fn f3_neither_mobility_nor_oauth_nor_dtls_is_offered() {
    let mut bench = Bench::new();
    let mobile = with(|writer| udp(writer).attribute(AttributeType(0x8030), &[])); // MOBILITY-TICKET, RFC 8016
    let mut client = alice();
    let answer = bench.exchange(&mut client, Method::Allocate, mobile);
    assert_eq!(answer.error(), None);
    assert_eq!(answer.message().value(AttributeType(0x8030)), None, "no ticket is given");

    let mut bench = Bench::new();
    let token = with(|writer| udp(writer).attribute(AttributeType(0x001B), &[1; 16])); // ACCESS-TOKEN, RFC 7635
    assert_eq!(error_for(&mut bench, token), Some(420));

    let client_hello = [&[22, 0xFE, 0xFD][..], &[0; 60]].concat();
    assert_eq!(bench.hand_in(&bob(), &client_hello), Sent::Nothing);
}
