//! Rules G1 to G4: who is a peer.

use super::*;

/// Places inside of this host, its network or its cloud, and other spellings of the one peer that there is.
const SPELLINGS: [&str; 40] = [
    "0.0.0.0:50000",
    "0.1.2.3:50000",
    "127.0.0.1:50000",
    "127.8.8.8:50000",
    "10.0.0.1:50000",
    "100.64.0.1:50000",
    "169.254.169.254:80",
    "169.254.1.1:50000",
    "172.16.0.1:50000",
    "172.31.255.255:50000",
    "192.168.1.1:50000",
    "192.0.0.1:50000",
    "192.0.2.11:50000",
    "198.18.0.1:50000",
    "203.0.113.1:3478",
    "224.0.0.1:50000",
    "239.255.255.250:1900",
    "240.0.0.1:50000",
    "255.255.255.255:50000",
    "[::]:50000",
    "[::1]:50000",
    "[::127.0.0.1]:50000",
    "[::192.0.2.10]:50000",
    "[::ffff:0.0.0.0]:50000",
    "[::ffff:127.0.0.1]:50000",
    "[::ffff:10.0.0.1]:50000",
    "[::ffff:169.254.169.254]:80",
    "[::ffff:192.0.2.10]:50000",
    "[64:ff9b::7f00:1]:50000",
    "[64:ff9b::c000:20a]:50000",
    "[2002:7f00:1::]:50000",
    "[2002:c000:20a::]:50000",
    "[2001:0:7f00:1::]:50000",
    "[2001:0:c000:20a::3fff:fdf5]:50000",
    "[fe80::1]:50000",
    "[fc00::1]:50000",
    "[fd00:ec2::254]:80",
    "[fec0::1]:50000",
    "[ff02::1]:50000",
    "[2001:db8::11]:50000",
];

fn ready(bench: &mut Bench) -> TurnClient {
    let mut client = alice();
    let both = with(|writer| udp(writer).attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    assert_eq!(bench.exchange(&mut client, Method::Allocate, both).error(), None);
    client
}

#[test]
fn g1_g2_g3_no_other_address_in_any_spelling_is_a_peer() {
    let mut bench = Bench::new();
    let mut client = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, PEER), None);
    assert_eq!(bench.permit(&mut client, PEER_V6), None);
    for spelling in SPELLINGS {
        assert_eq!(bench.permit(&mut client, spelling), Some(403), "{spelling}");
        assert_eq!(bench.bind(&mut client, 0x4000, spelling), Some(403), "{spelling}");
        assert_eq!(bench.send(&client, spelling, b"data"), Sent::Nothing, "{spelling}");
        assert_eq!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing, "{spelling}");
    }
    assert_ne!(bench.send(&client, PEER, b"data"), Sent::Nothing);
}

#[test]
fn g1_the_port_is_looked_at_for_every_datagram() {
    let mut bench = Bench::new();
    let mut client = ready(&mut bench);
    assert_eq!(bench.permit(&mut client, "192.0.2.10:22"), None, "a permission knows no port");
    assert_eq!(bench.bind(&mut client, 0x4000, "192.0.2.10:22"), Some(403));
    for port in [1, 22, 80, 3478, 5349, 7880, 7881, 49_999, 50_001, 65_535] {
        assert_eq!(bench.send(&client, &format!("192.0.2.10:{port}"), b"data"), Sent::Nothing);
    }
    assert_eq!(bench.server.counters().forbidden, 11);
    assert_ne!(bench.send(&client, PEER, b"data"), Sent::Nothing);
}

#[test]
fn g1_peers_that_are_taken_away_are_not_reached_by_channels_that_exist() {
    let mut bench = Bench::new();
    let mut client = ready(&mut bench);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    bench.server.set_peers(PeerFilter::new([addr("192.0.2.10:50007")]));
    assert_eq!(bench.send_channel(&client, 0x4000, b"data"), Sent::Nothing);
    assert_eq!(bench.send(&client, PEER, b"data"), Sent::Nothing);
    assert_ne!(bench.send(&client, "192.0.2.10:50007", b"data"), Sent::Nothing);
}

#[test]
fn g3_a_peer_on_loopback_or_a_lan_is_one_where_it_is_named() {
    let mut bench = Bench::with(|config| {
        config.peers = PeerFilter::new(["127.0.0.1:50000", "192.168.1.5:50000", "[fe80::5]:50000"].map(addr));
    });
    let mut client = ready(&mut bench);
    for peer in ["127.0.0.1:50000", "192.168.1.5:50000", "[fe80::5]:50000"] {
        assert_eq!(bench.permit(&mut client, peer), None);
        assert_ne!(bench.send(&client, peer, b"data"), Sent::Nothing);
    }
    assert_eq!(bench.send(&client, "127.0.0.1:50001", b"data"), Sent::Nothing);
    assert_eq!(bench.permit(&mut client, "127.0.0.2:50000"), Some(403));
    assert_eq!(bench.permit(&mut client, "[::ffff:127.0.0.1]:50000"), Some(403));
}

#[test]
fn g4_a_relayed_address_is_never_a_peer_even_if_somebody_names_it() {
    let mut bench = Bench::new();
    let mut client = ready(&mut bench);
    let other = bench.allocate(&mut bob());
    let named: Vec<SocketAddr> =
        (FIRST_PORT..=LAST_PORT).map(|port| SocketAddr::new(other.ip(), port)).collect();
    bench.server.set_peers(PeerFilter::new(named.into_iter().chain([addr(PEER)])));
    assert_eq!(bench.permit(&mut client, PEER), None);
    assert_eq!(bench.bind(&mut client, 0x4000, &other.to_string()), Some(403));
    for port in FIRST_PORT..=LAST_PORT {
        assert_eq!(bench.send(&client, &format!("192.0.2.10:{port}"), b"data"), Sent::Nothing);
    }
}
