//! Section C.

use super::*;
use crate::turn::stun::IntegrityKind;

/// A request put together by hand.
fn allocate(build: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    build(udp(Writer::new(&mut out, Class::Request, Method::Allocate, TransactionId([3; 12]))));
    out
}

fn nonce_of(answer: &Answer) -> Vec<u8> {
    answer.message().value(AttributeType::NONCE).expect("a nonce").to_vec()
}

#[test]
fn c1_every_request_but_binding_needs_to_be_signed() {
    let mut bench = Bench::new();
    for method in [Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind] {
        let mut client = alice();
        let request = client.request(method, udp);
        assert_eq!(bench.ask(&mut client, &request).unwrap().error(), Some(401));
    }
    bench.server.check_empty();
}

#[test]
fn c2_a_challenge_has_realm_and_nonce_and_no_signature() {
    let mut bench = Bench::new();
    let mut client = alice();
    let request = client.request(Method::Allocate, udp);
    let answer = bench.ask(&mut client, &request).unwrap();
    let message = answer.message();
    assert_eq!(message.text(AttributeType::REALM), Some("banter"));
    assert!(nonce_of(&answer).starts_with(b"obMatJos2"));
    assert_eq!((message.integrity(), message.value(AttributeType::USERNAME)), (None, None));
}

#[test]
fn c3_a_signature_without_name_realm_or_nonce_is_a_bad_request() {
    let mut bench = Bench::new();
    let parts = [
        (AttributeType::USERNAME, &b"1700003600:PA_alice"[..]),
        (AttributeType::REALM, b"banter"),
        (AttributeType::NONCE, b"nonce"),
    ];
    for missing in 0..3 {
        let mut client = alice();
        let others = parts.iter().enumerate().filter(|(at, _)| *at != missing);
        let request = allocate(|writer| {
            others
                .fold(writer, |writer, (_, (kind, value))| writer.attribute(*kind, value))
                .attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20])
        });
        let answer = bench.ask(&mut client, &request).unwrap();
        assert_eq!((answer.error(), answer.message().integrity()), (Some(400), None));
    }
}

#[test]
fn c4_an_unknown_user_and_a_wrong_password_look_the_same() {
    let mut bench = Bench::new();
    let mut wrong = alice();
    wrong.credentials.password = "wrong".to_owned();
    let mut unknown = alice();
    unknown.credentials.username = "nobody".to_owned();
    let mut not_utf8 = alice();
    not_utf8.credentials.username.push('\u{FFFD}');
    let answers: Vec<Answer> = [wrong, unknown, not_utf8]
        .iter_mut()
        .map(|client| bench.exchange(client, Method::Allocate, udp))
        .collect();
    for answer in &answers {
        assert_eq!(answer.error(), Some(401));
        nonce_of(answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn c5_a_stale_nonce_is_replaced_and_the_allocation_stays() {
    let mut bench = Bench::new();
    let mut client = alice();
    let relayed = relayed(&bench.exchange(&mut client, Method::Allocate, |w| lasting(3600)(udp(w))));
    bench.pass(3599 * SECOND);
    let request = client.request(Method::Refresh, lasting(3600));
    let answer = bench.ask(&mut client, &request).unwrap();
    assert_eq!(answer.error(), Some(438));
    client.learn(&answer);
    assert_eq!(bench.server.client_of(relayed), Some(client.at));
    assert_eq!(bench.refresh(&mut client, 3600).error(), None);
    assert_eq!(bench.server.client_of(relayed), Some(client.at));
}

#[test]
fn c6_a_nonce_is_good_for_ten_minutes_to_an_hour_at_one_address_and_short() {
    let error_after = |time: Duration, remote: &str| {
        let mut bench = Bench::new();
        let mut client = alice();
        let request = client.request(Method::Allocate, udp);
        let answer = bench.ask(&mut client, &request).unwrap();
        assert!(nonce_of(&answer).len() <= 127);
        client.learn(&answer);
        bench.pass(time);
        client.at.remote = addr(remote);
        client.credentials = mint(&secret(), "PA_alice", Validity::default(), bench.wall);
        let request = client.request(Method::Allocate, udp);
        bench.ask(&mut client, &request).unwrap().error()
    };
    let home = "198.51.100.7:40000";
    assert_eq!(error_after(Duration::ZERO, home), None);
    assert_eq!(error_after(600 * SECOND, home), None);
    assert_eq!(error_after(3601 * SECOND, home), Some(438));
    assert_eq!(error_after(Duration::ZERO, "198.51.100.7:40001"), Some(438));
    assert_eq!(error_after(Duration::ZERO, "198.51.100.8:40000"), Some(438));
}

#[test]
fn c6_a_nonce_cannot_be_made_up() {
    let mut bench = Bench::new();
    let mut client = alice();
    let request = client.request(Method::Allocate, udp);
    let good = nonce_of(&bench.ask(&mut client, &request).unwrap());
    let mut other_server = Bench::with(|_| {});
    other_server.server = {
        use rand::SeedableRng;
        let config = Config::new(Secrets { current: secret(), previous: None });
        Server::new(config, StdRng::seed_from_u64(2), bench.now).unwrap()
    };
    let foreign = nonce_of(&other_server.ask(&mut client, &request).unwrap());
    let mut tries: Vec<Vec<u8>> = vec![vec![], b"f//499k954d6OL34oL9FSTvy64sA".to_vec(), foreign];
    tries.extend((0..good.len()).map(|at| {
        let mut nonce = good.clone();
        nonce[at] = if nonce[at] == b'A' { b'B' } else { b'A' };
        nonce
    }));
    tries.push(good[..good.len() - 1].to_vec());
    tries.push([&good[..], b"A"].concat());
    for nonce in tries {
        let request = allocate(|writer| {
            writer
                .attribute(AttributeType::USERNAME, b"1700003600:PA_alice")
                .attribute(AttributeType::REALM, b"banter")
                .attribute(AttributeType::NONCE, &nonce)
                .attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20])
        });
        bench.pass(SECOND);
        assert_eq!(bench.ask(&mut client, &request).unwrap().error(), Some(438), "{nonce:?}");
    }
}

#[test]
fn c7_c9_md5_and_sha1_are_enough() {
    let mut bench = Bench::new();
    let mut client = alice();
    let answer = bench.exchange(&mut client, Method::Allocate, udp);
    assert_eq!((answer.error(), answer.message().integrity()), (None, Some(IntegrityKind::Sha1)));
    assert!(answer.message().is_signed_with(&client.answer_key()));
}

#[test]
fn c8_sha256_is_offered_and_taken() {
    let mut bench = Bench::new();
    let mut client = alice();
    client.integrity = IntegrityKind::Sha256;
    let request = client.request(Method::Allocate, udp);
    let challenge = bench.ask(&mut client, &request).unwrap();
    assert_eq!(nonce_of(&challenge)[..13], *b"obMatJos2AAAB");
    let offer = challenge.message().value(AttributeType::PASSWORD_ALGORITHMS);
    assert_eq!(offer, Some(&[0, 1, 0, 0, 0, 2, 0, 0][..]));
    let answer = bench.exchange(&mut client, Method::Allocate, udp);
    assert_eq!(answer.error(), None);
    assert_eq!(answer.message().integrity(), Some(IntegrityKind::Sha256));
    assert!(answer.message().is_signed_with(&client.answer_key()));
}

#[test]
fn c8_a_changed_offer_or_a_choice_outside_of_it_is_a_bad_request() {
    let mut bench = Bench::new();
    let mut client = alice();
    let request = client.request(Method::Allocate, udp);
    let nonce = nonce_of(&bench.ask(&mut client, &request).unwrap());
    let both = Some(&[0, 1, 0, 0, 0, 2, 0, 0][..]);
    for (offer, choice) in [
        (both, None),
        (None, Some(&[0, 2, 0, 0][..])),
        (both, Some(&[0, 3, 0, 0])),
        (both, Some(&[0, 2])),
        (Some(&[0, 1, 0, 0]), Some(&[0, 1, 0, 0])),
        (Some(&[0, 2, 0, 0, 0, 1, 0, 0]), Some(&[0, 2, 0, 0])),
    ] {
        let request = allocate(|writer| {
            let mut writer = writer
                .attribute(AttributeType::USERNAME, b"1700003600:PA_alice")
                .attribute(AttributeType::REALM, b"banter")
                .attribute(AttributeType::NONCE, &nonce);
            if let Some(offer) = offer {
                writer = writer.attribute(AttributeType::PASSWORD_ALGORITHMS, offer);
            }
            if let Some(choice) = choice {
                writer = writer.attribute(AttributeType::PASSWORD_ALGORITHM, choice);
            }
            writer.attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20])
        });
        assert_eq!(bench.ask(&mut client, &request).unwrap().error(), Some(400));
    }
}

#[test]
fn c10_a_hashed_name_alone_is_a_bad_request_as_it_is_not_offered() {
    let mut bench = Bench::new();
    let mut client = alice();
    let request = client.request(Method::Allocate, udp);
    let nonce = nonce_of(&bench.ask(&mut client, &request).unwrap());
    let request = allocate(|writer| {
        writer
            .attribute(AttributeType::USERHASH, &[1; 32])
            .attribute(AttributeType::REALM, b"banter")
            .attribute(AttributeType::NONCE, &nonce)
            .attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20])
    });
    assert_eq!(bench.ask(&mut client, &request).unwrap().error(), Some(400));
}

#[test]
fn c11_of_two_signatures_the_stronger_one_counts_and_signs_the_answer() {
    let mut bench = Bench::new();
    let mut client = alice();
    let request = client.request(Method::Allocate, udp);
    let challenge = bench.ask(&mut client, &request).unwrap();
    client.learn(&challenge);
    let key = client.answer_key();
    let named = with(|writer| {
        udp(writer)
            .attribute(AttributeType::USERNAME, client.credentials.username.as_bytes())
            .attribute(AttributeType::REALM, b"banter")
            .attribute(AttributeType::NONCE, &nonce_of(&challenge))
    });
    let begin = |out| Writer::new(out, Class::Request, Method::Allocate, TransactionId([3; 12]));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    named(begin(&mut good))
        .attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 20])
        .integrity(&key, IntegrityKind::Sha256);
    named(begin(&mut bad))
        .integrity(&key, IntegrityKind::Sha1)
        .attribute(AttributeType::MESSAGE_INTEGRITY_SHA256, &[0; 32]);
    assert_eq!(bench.ask(&mut client.clone(), &bad).unwrap().error(), Some(401));
    let answer = bench.ask(&mut client, &good).unwrap();
    assert_eq!((answer.error(), answer.message().integrity()), (None, Some(IntegrityKind::Sha256)));
}

#[test]
fn c12_refusals_of_known_users_are_signed() {
    let mut bench = Bench::new();
    let mut client = alice();
    for method in [Method::Refresh, Method::CreatePermission, Method::ChannelBind] {
        let answer = bench.exchange(&mut client, method, nothing);
        assert_eq!(answer.error(), Some(437));
        assert!(answer.message().is_signed_with(&client.answer_key()));
    }
}

#[test]
fn c13_another_user_cannot_touch_an_allocation() {
    let mut bench = Bench::new();
    let mut client = alice();
    let relayed = bench.allocate(&mut client);
    let mut thief = TurnClient::new(client.at, credentials("PA_bob"));
    assert_eq!(bench.refresh(&mut thief, 0).error(), Some(441));
    assert_eq!(bench.permit(&mut thief, PEER), Some(441));
    assert_eq!(bench.bind(&mut thief, 0x4000, PEER), Some(441));
    assert_eq!(bench.exchange(&mut thief, Method::Allocate, udp).error(), Some(437));
    assert_eq!(bench.server.client_of(relayed), Some(client.at));
    assert_eq!(bench.receive(relayed, PEER, b"data"), None);
}

#[test]
fn c15_the_realm_is_as_configured_and_must_be_plain() {
    let mut bench = Bench::with(|config| config.realm = "voice.example.org".to_owned());
    let mut client = alice();
    bench.allocate(&mut client);
    for realm in ["", "a\"b", "line\n", "r\u{e9}alm", &"r".repeat(65)] {
        let config =
            Config { realm: realm.to_owned(), ..Config::new(Secrets { current: secret(), previous: None }) };
        assert!(Server::new(config, StdRng::seed_from_u64(1), beginning()).is_err(), "{realm}");
    }
}

#[test]
fn c21_an_expired_credential_makes_no_allocation_and_keeps_the_one_it_made() {
    let mut bench = Bench::new();
    let mut client = alice();
    bench.allocate(&mut client);
    for _ in 0..8 {
        bench.pass(590 * SECOND);
        assert_eq!(bench.refresh(&mut client, 600).error(), None);
    }
    assert_eq!(bench.permit(&mut client, PEER), None);
    assert_eq!(bench.bind(&mut client, 0x4000, PEER), None);
    let mut late = numbered("PA_alice", 1);
    assert_eq!(bench.exchange(&mut late, Method::Allocate, udp).error(), Some(401));
}

#[test]
fn c23_revoking_ends_everything_of_a_participant_and_of_nobody_else() {
    let mut bench = Bench::new();
    let (mut first, mut second, mut other) = (alice(), numbered("PA_alice", 1), bob());
    let addresses = [&mut first, &mut second].map(|client| bench.allocate(client));
    let kept = bench.allocate(&mut other);
    bench.server.revoke("PA_alice", bench.now);
    bench.server.check();
    for address in addresses {
        assert_eq!(bench.server.client_of(address), None);
    }
    assert_eq!(bench.server.client_of(kept), Some(other.at));
    assert_eq!(bench.refresh(&mut first, 600).error(), Some(437));
    assert_eq!(bench.exchange(&mut second, Method::Allocate, udp).error(), Some(401));
    // As good as any, for a day and five minutes.
    let mut renewed = alice();
    renewed.credentials = mint(&secret(), "PA_alice", Validity::new(24 * 3600 * SECOND).unwrap(), bench.wall);
    bench.pass((24 * 3600 - 1) * SECOND);
    assert_eq!(bench.exchange(&mut renewed, Method::Allocate, udp).error(), Some(401));
    bench.pass(302 * SECOND);
    bench.server.handle_timeout(bench.now);
    bench.server.check_empty();
}

#[test]
fn c23_the_list_of_the_revoked_is_bounded() {
    let mut bench = Bench::with(|config| config.limits.revocations = 2);
    for name in ["PA_alice", "PA_alice", "PA_bob", "PA_carol"] {
        bench.server.revoke(name, bench.now);
    }
    assert_eq!(bench.server.counters().revocations_lost, 1);
    assert_eq!(bench.exchange(&mut alice(), Method::Allocate, udp).error(), None);
    assert_eq!(bench.exchange(&mut bob(), Method::Allocate, udp).error(), Some(401));
}

#[test]
fn c24_during_a_change_both_secrets_are_good() {
    let new = Secret::new(&[8; 32]).unwrap();
    let mut bench =
        Bench::with(|config| config.secrets = Secrets { current: new.clone(), previous: Some(secret()) });
    bench.allocate(&mut alice());
    let mut fresh = bob();
    fresh.credentials = mint(&new, "PA_bob", Validity::default(), bench.wall);
    bench.allocate(&mut fresh);
    let mut bench = Bench::with(|config| config.secrets.current = new);
    assert_eq!(bench.exchange(&mut alice(), Method::Allocate, udp).error(), Some(401));
}

#[test]
fn c26_an_expiry_that_we_would_not_have_given_is_refused() {
    let mut bench = Bench::new();
    let now = 1_700_000_000u64;
    for (expiry, error) in [
        ((now + 1).to_string(), None),
        ((now + 24 * 3600 + 300).to_string(), None),
        ((now + 24 * 3600 + 301).to_string(), Some(401)),
        (now.to_string(), Some(401)),
        (format!("+{}", now + 60), Some(401)),
        (format!("-{now}"), Some(401)),
        (format!("{}.5", now + 60), Some(401)),
        ("99999999999999999999999".to_owned(), Some(401)),
        (String::new(), Some(401)),
        (" 1700000060".to_owned(), Some(401)),
    ] {
        bench.pass(Duration::ZERO);
        let username = format!("{expiry}:PA_alice");
        let mut client = numbered("PA_alice", expiry.len() as u16 + 256 * u16::from(error.is_some()));
        client.credentials = Credentials { password: secret().password(&username), username };
        assert_eq!(bench.exchange(&mut client, Method::Allocate, udp).error(), error, "{expiry}");
        bench.server.stream_closed(client.at);
    }
}
