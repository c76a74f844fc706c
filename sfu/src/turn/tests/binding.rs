//! Section B, and what is told apart in section A.

use super::*;
use crate::turn::is_for_turn;

fn binding(build: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    build(Writer::new(&mut out, Class::Request, Method::Binding, TransactionId([5; 12])));
    out
}

fn finished(writer: Writer<'_>) -> Writer<'_> {
    writer.fingerprint()
}

#[test]
fn b1_binding_tells_the_address_that_we_see() {
    let mut bench = Bench::new();
    for (seen, told) in [
        ("198.51.100.7:40000", "198.51.100.7:40000"),
        ("[2001:db8::7]:40000", "[2001:db8::7]:40000"),
        ("[::ffff:198.51.100.7]:40000", "198.51.100.7:40000"),
    ] {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            let mut client = TurnClient::new(at(transport, seen), credentials("PA_alice"));
            let answer = bench.ask(&mut client, &binding(nothing)).unwrap();
            assert_eq!(
                answer.message().xor_address(AttributeType::XOR_MAPPED_ADDRESS),
                Some(Some(addr(told)))
            );
            assert_eq!(answer.error(), None);
        }
    }
}

#[test]
fn b2_the_answer_repeats_the_transaction_id() {
    let answer = Bench::new().ask(&mut alice(), &binding(nothing)).unwrap();
    assert_eq!(answer.message().transaction_id(), TransactionId([5; 12]));
}

#[test]
fn b3_wrong_fingerprint_is_dropped_and_every_answer_has_one() {
    let mut bench = Bench::new();
    let mut wrong = binding(finished);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(bench.hand_in(&alice(), &wrong), Sent::Nothing);
    let mut client = alice();
    let unsigned = client.request(Method::Allocate, udp);
    let answers = [
        bench.ask(&mut client, &binding(nothing)).unwrap(),
        bench.ask(&mut client, &unsigned).unwrap(),
        bench.exchange(&mut client, Method::Allocate, udp),
        bench.exchange(&mut client, Method::Allocate, udp),
    ];
    for answer in answers {
        let len = answer.0.len();
        assert_eq!(answer.0[len - 8..len - 4], [0x80, 0x28, 0, 4]);
    }
}

#[test]
fn b4_binding_indication_is_taken_in_silence() {
    let mut bench = Bench::new();
    let mut bytes = Vec::new();
    Writer::new(&mut bytes, Class::Indication, Method::Binding, TransactionId([5; 12])).fingerprint();
    assert_eq!(bench.hand_in(&alice(), &bytes), Sent::Nothing);
    assert_eq!(bench.server.counters().malformed, 0);
}

#[test]
fn b5_unknown_methods_and_answers_are_dropped_without_a_trace() {
    let mut bench = Bench::new();
    for method in [Method::Other(0x002), Method::Other(0x00A), Method::Other(0xFFF), Method::Data] {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes, class, method, TransactionId([5; 12])).fingerprint();
            assert_eq!(bench.hand_in(&alice(), &bytes), Sent::Nothing);
        }
    }
    bench.server.check_empty();
}

#[test]
fn b6_unknown_attributes_are_named_in_requests_and_end_indications() {
    let mut bench = Bench::new();
    let strange = with(|writer| {
        writer
            .attribute(AttributeType(0x7F01), b"a")
            .attribute(AttributeType(0xFF01), b"optional")
            .attribute(AttributeType(0x0003), &[0; 4])
            .attribute(AttributeType(0x7F01), b"again")
    });
    let answer = bench.ask(&mut alice(), &binding(strange)).unwrap();
    assert_eq!(answer.error(), Some(420));
    let named = answer.message().value(AttributeType::UNKNOWN_ATTRIBUTES).unwrap().to_vec();
    assert_eq!(named, [0x7F, 0x01, 0x00, 0x03]);
    let optional = with(|writer| writer.attribute(AttributeType(0xFF01), b"optional"));
    assert_eq!(bench.ask(&mut alice(), &binding(optional)).unwrap().error(), None);

    let mut client = alice();
    bench.allocate(&mut client);
    bench.permit(&mut client, PEER);
    for method in [Method::Refresh, Method::CreatePermission, Method::ChannelBind] {
        let answer = bench.exchange(&mut client, method, strange);
        assert_eq!(answer.error(), Some(420));
        assert_eq!(answer.message().value(AttributeType::UNKNOWN_ATTRIBUTES), Some(&named[..]));
    }
    let mut bytes = Vec::new();
    let writer = Writer::new(&mut bytes, Class::Indication, Method::Send, TransactionId([5; 12]));
    strange(toward(PEER)(writer).attribute(AttributeType::DATA, b"data"));
    assert_eq!(bench.hand_in(&client, &bytes), Sent::Nothing);
}

#[test]
fn b10_answers_to_strangers_are_short() {
    for realm in ["banter".to_owned(), "r".repeat(64)] {
        let mut bench = Bench::with(|config| config.realm = realm);
        for remote in ["198.51.100.7:40000", "[2001:db8::7]:40000"] {
            let mut client = TurnClient::new(at(Transport::Udp, remote), credentials("PA_alice"));
            let request = binding(nothing);
            assert!(bench.ask(&mut client, &request).unwrap().0.len() <= 3 * request.len());
            let request = client.request(Method::Allocate, udp);
            let answer = bench.ask(&mut client, &request).unwrap();
            assert!(answer.0.len() <= 160, "{}", answer.0.len());
            client.learn(&answer);
            let request = client.request(Method::Allocate, udp);
            bench.pass(3601 * SECOND);
            let answer = bench.ask(&mut client, &request).unwrap();
            assert_eq!(answer.error(), Some(438));
            assert!(answer.0.len() <= 160, "{}", answer.0.len());
        }
    }
}

#[test]
fn b12_there_is_no_answer_without_the_magic_cookie() {
    let mut request = binding(nothing);
    request[4] ^= 1;
    assert_eq!(Bench::new().hand_in(&alice(), &request), Sent::Nothing);
}

#[test]
fn b13_the_only_address_in_an_answer_is_hidden() {
    let answer = Bench::new().ask(&mut alice(), &binding(nothing)).unwrap();
    let kinds: Vec<_> = answer.message().attributes().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [AttributeType::XOR_MAPPED_ADDRESS, AttributeType::FINGERPRINT]);
}

#[test]
fn a2_other_first_bits_are_dropped_and_close_a_stream() {
    let mut bench = Bench::new();
    for first in [0x50, 0x7F, 0x80, 0xBF, 0xC0, 0xFF] {
        assert_eq!(bench.hand_in(&alice(), &[first; 40]), Sent::Nothing);
        for transport in [Transport::Tcp, Transport::Tls] {
            let client = TurnClient::new(at(transport, "198.51.100.7:40000"), credentials("PA_alice"));
            assert_eq!(bench.hand_in(&client, &[first; 40]), Sent::Close);
        }
    }
    assert_eq!(bench.hand_in(&alice(), &[]), Sent::Nothing);
}

#[test]
fn a3_a_message_that_is_not_just_as_long_as_it_says_is_dropped() {
    let mut bench = Bench::new();
    let request = binding(|writer| writer.attribute(AttributeType(0x8022), b"software"));
    for cut in [0, 1, 19, 20, request.len() - 1] {
        assert_eq!(bench.hand_in(&alice(), &request[..cut]), Sent::Nothing);
    }
    assert_eq!(bench.hand_in(&alice(), &[&request[..], &[0; 4]].concat()), Sent::Nothing);
    assert!(bench.ask(&mut alice(), &request).is_some());
}

#[test]
fn datagrams_on_a_media_port_are_told_from_those_of_ice() {
    assert!(is_for_turn(&channel_data(0x4000, b"")));
    assert!(is_for_turn(&channel_data(0x4FFF, &[0; 100])));
    assert!(is_for_turn(&indication(PEER, b"data")));
    assert!(is_for_turn(&alice().request(Method::Allocate, udp)));
    assert!(is_for_turn(&alice().request(Method::Refresh, nothing)));
    assert!(is_for_turn(&alice().request(Method::CreatePermission, nothing)));
    assert!(is_for_turn(&alice().request(Method::ChannelBind, nothing)));
    assert!(is_for_turn(&binding(finished)));
    assert!(!is_for_turn(&binding(|writer| writer
        .attribute(AttributeType::USERNAME, b"ours:theirs")
        .fingerprint())));
    let mut answer = Vec::new();
    Writer::new(&mut answer, Class::Success, Method::Binding, TransactionId([1; 12])).fingerprint();
    assert!(!is_for_turn(&answer));
    for other in [&[0x80; 40][..], &[0x50; 40], &[22; 40], &[0, 1, 0, 0], &[]] {
        assert!(!is_for_turn(other));
    }
}
