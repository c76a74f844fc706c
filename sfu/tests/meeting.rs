//! Conversations through a real unit, in virtual time.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::net::{FailReason, Permissions};
use banter_sfu::sim::{Datagram, Link, Meeting, Net};
use banter_sfu::{ParticipantKey, RoomKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const ROOM: RoomKey = RoomKey(1);
const OTHER_ROOM: RoomKey = RoomKey(2);
/// Time in which everybody who joins is heard by everybody.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn two_people_hear_each_other_in_both_modes() {
    for (one, two) in [(Single, Single), (Dual, Dual), (Single, Dual)] {
        let mut meeting = Meeting::new(Net::seeded(1));
        let (alice, bob) = (meeting.join_speaking(ROOM, one), meeting.join_speaking(ROOM, two));
        settle(&mut meeting);
        meeting.run_for(Duration::from_secs(10));
        for (listener, speaker) in [(alice, bob), (bob, alice)] {
            let heard = meeting.heard(listener, speaker);
            assert!(heard.packets >= 500, "{one:?} {two:?}: {}", heard.packets);
            assert_eq!((heard.missing(), heard.repeated, heard.out_of_time), (0, 0, 0));
            assert!(meeting.is_subscribed(meeting.track(speaker), listener));
            assert!(meeting.is_speaking(speaker));
        }
        assert_sound(&meeting);
    }
}

#[test]
fn a_stream_names_its_section_until_the_listener_reports_on_it() {
    let mut meeting = Meeting::new(Net::seeded(21));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    assert!(meeting.run_until(PATIENCE, |meeting| meeting.heard(alice, bob).packets > 0));
    let first = meeting.heard(alice, bob);
    assert_eq!(first.introduced, first.packets);
    meeting.run_for(Duration::from_secs(10));
    let heard = meeting.heard(alice, bob);
    assert!(heard.introduced < heard.packets / 2, "{} of {}", heard.introduced, heard.packets);
    assert_eq!((heard.missing(), heard.repeated, heard.out_of_time), (0, 0, 0));
    assert_sound(&meeting);
}

#[test]
fn a_client_negotiates_once_for_all_who_come_at_about_the_same_time() {
    for mode in [Single, Dual] {
        let mut meeting = Meeting::new(Net::seeded(23));
        let listener = meeting.join(ROOM, mode);
        settle(&mut meeting);
        let before = meeting.negotiations(listener);
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push(meeting.join_speaking(ROOM, Single));
            meeting.run_for(Duration::from_millis(25));
        }
        let all_heard = |meeting: &Meeting| crowd.iter().all(|one| meeting.heard(listener, *one).packets > 0);
        assert!(meeting.run_until(PATIENCE, all_heard), "{mode:?}");
        // Half a second of arrivals: one negotiation for the first, and one for each fifth of a second after it.
        let negotiations = meeting.negotiations(listener) - before;
        assert!((2..=5).contains(&negotiations), "{mode:?}: {negotiations}");
        assert_sound(&meeting);
    }
}

#[test]
fn an_hour_of_conversation_loses_nothing_and_drifts_nowhere() {
    let mut meeting = Meeting::new(Net::seeded(2));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Dual));
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(3600));
    for (listener, speaker) in [(alice, bob), (bob, alice)] {
        let heard = meeting.heard(listener, speaker);
        assert!(heard.packets >= 180_000, "{}", heard.packets);
        assert_eq!((heard.missing(), heard.repeated, heard.out_of_time), (0, 0, 0));
    }
    assert_sound(&meeting);
}

#[test]
fn fifty_people_hear_everybody_and_nobody_else() {
    let mut meeting = Meeting::new(Net::seeded(3));
    let people: Vec<ParticipantKey> =
        (0..50).map(|n| meeting.join_speaking(ROOM, if n % 5 == 0 { Dual } else { Single })).collect();
    let stranger = meeting.join_speaking(OTHER_ROOM, Single);
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(2));
    for &listener in &people {
        for &speaker in people.iter().filter(|&&speaker| speaker != listener) {
            let heard = meeting.heard(listener, speaker);
            assert!(heard.packets >= 95, "{listener} of {speaker}: {}", heard.packets);
            assert_eq!((heard.missing(), heard.repeated), (0, 0));
        }
        assert_eq!(meeting.heard(listener, stranger).packets, 0);
    }
    assert_eq!(meeting.peer(stranger).all_heard().count(), 0);
    assert_sound(&meeting);
}

#[test]
fn what_ten_percent_loss_takes_is_repaired() {
    let link = Link::wifi().loss(0.1).duplicate(0.02);
    let mut meeting = Meeting::new(Net::seeded(4));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    // Alice's own link is bad: what she sends is gone for good, what is sent to her can be asked for again.
    let address = meeting.address(alice);
    meeting.net().set_link(address, link);
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(60));
    let heard = meeting.heard(alice, bob);
    assert!(heard.packets >= 2_990, "{}", heard.packets);
    assert!(heard.missing() <= 3, "{} missing", heard.missing());
    assert_eq!((heard.repeated, heard.out_of_time), (0, 0));
    assert!(meeting.heard(bob, alice).packets >= 2_500);
    assert!(meeting.counters().repaired >= 200, "{}", meeting.counters().repaired);
    assert_sound(&meeting);
}

#[test]
fn people_come_and_go_in_any_order() {
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut meeting = Meeting::new(Net::seeded(seed).with_link(Link::wifi().loss(0.02)));
        for _ in 0..40 {
            let people = meeting.participants();
            let somebody = people.get(rng.random_range(0..people.len().max(1))).copied();
            match (rng.random_range(0..5), somebody) {
                (0, Some(somebody)) => meeting.leave(somebody),
                (1, Some(somebody)) if meeting.speaks(somebody) => {
                    let muted = rng.random_bool(0.5);
                    meeting.set_muted(somebody, muted);
                }
                _ if people.len() < 12 => {
                    let room = if rng.random_bool(0.7) { ROOM } else { OTHER_ROOM };
                    let mode = if rng.random_bool(0.6) { Single } else { Dual };
                    meeting.set_red(rng.random_bool(0.5));
                    let somebody = meeting.join(room, mode);
                    if rng.random_bool(0.8) {
                        meeting.speak(somebody);
                    }
                }
                _ => {}
            }
            meeting.run_for(Duration::from_millis(rng.random_range(0..400)));
        }
        for somebody in meeting.participants() {
            if meeting.speaks(somebody) {
                meeting.set_muted(somebody, false);
            }
        }
        assert!(meeting.run_until(PATIENCE, Meeting::is_connected), "seed {seed}");
        meeting.run_for(Duration::from_secs(3));
        assert_everybody_is_heard(&mut meeting, seed);
        assert_sound(&meeting);
        assert_eq!(meeting.failures(), [], "seed {seed}");
    }
}

#[test]
fn a_mute_silences_and_an_unmute_is_heard_in_time() {
    let mut meeting = Meeting::new(Net::seeded(5));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(1));
    meeting.set_muted(alice, true);
    meeting.run_for(Duration::from_millis(100));
    let before = meeting.heard(bob, alice).packets;
    meeting.run_for(Duration::from_secs(5));
    assert_eq!(meeting.heard(bob, alice).packets, before);
    assert!(!meeting.is_speaking(alice));
    meeting.set_muted(alice, false);
    meeting.run_for(Duration::from_secs(1));
    let heard = meeting.heard(bob, alice);
    assert!(heard.packets >= before + 48, "{} then {}", before, heard.packets);
    assert_eq!((heard.missing(), heard.out_of_time), (0, 0));
}

#[test]
fn a_muted_track_is_not_forwarded_even_if_the_client_goes_on_sending() {
    let mut meeting = Meeting::new(Net::seeded(6));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    let track = meeting.track(alice);
    meeting.with_sfu(|sfu, _| sfu.set_muted(alice, track, true));
    meeting.run_for(Duration::from_millis(100));
    let before = meeting.heard(bob, alice).packets;
    meeting.run_for(Duration::from_secs(1));
    assert_eq!(meeting.heard(bob, alice).packets, before);
    assert!(meeting.counters().silenced >= 50);
    assert_sound(&meeting);
}

#[test]
fn a_right_that_is_taken_stops_audio_with_the_next_packet_and_comes_back_in_time() {
    let everything = Permissions { publish: true, subscribe: true };
    let rights =
        [Permissions { publish: false, ..everything }, Permissions { subscribe: false, ..everything }];
    for (seed, mode, right) in
        [(31, Single, rights[0]), (32, Dual, rights[0]), (33, Single, rights[1]), (34, Dual, rights[1])]
    {
        let mut meeting = Meeting::new(Net::seeded(seed));
        let (alice, bob) = (meeting.join_speaking(ROOM, mode), meeting.join_speaking(ROOM, mode));
        settle(&mut meeting);
        // Whose right it is decides which direction falls silent.
        let (listener, speaker) = if right.publish { (alice, bob) } else { (bob, alice) };
        meeting.with_sfu(|sfu, now| sfu.set_permissions(alice, right, now));
        let due = meeting.counters().due;
        let opposite = meeting.heard(speaker, listener).packets;
        meeting.run_for(Duration::from_secs(2));
        let silent = meeting.heard(listener, speaker).packets;
        let forwarded = meeting.counters().due - due;
        assert!(
            (90..=110).contains(&forwarded),
            "{right:?}: only the other direction is due, not {forwarded}"
        );
        assert!(meeting.heard(speaker, listener).packets >= opposite + 90, "{right:?}");

        meeting.with_sfu(|sfu, now| sfu.set_permissions(alice, everything, now));
        meeting.run_for(Duration::from_secs(3));
        let heard = meeting.heard(listener, speaker);
        assert!(heard.packets >= silent + 90, "{right:?}: {} after {silent}", heard.packets);
        assert_eq!((heard.out_of_time, heard.repeated), (0, 0), "{right:?}");
        assert!((90..=110).contains(&heard.missing()), "{right:?}: {} said while silent", heard.missing());
        assert_sound(&meeting);
    }
}

#[test]
fn a_track_that_is_taken_away_is_not_forwarded_though_its_client_goes_on_sending() {
    let mut meeting = Meeting::new(Net::seeded(35));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Dual));
    settle(&mut meeting);
    let track = meeting.track(alice);
    meeting.with_sfu(|sfu, now| sfu.unpublish(alice, track, now));
    let (received, unknown) = (meeting.counters().received, meeting.counters().unknown);
    meeting.run_for(Duration::from_secs(2));
    let heard = meeting.heard(bob, alice).packets;
    meeting.run_for(Duration::from_secs(1));
    assert_eq!(meeting.heard(bob, alice).packets, heard);
    assert!(meeting.counters().unknown >= unknown + 140, "alice goes on sending");
    assert!(meeting.counters().received >= received + 140, "bob is still heard");
    assert_sound(&meeting);
}

#[test]
fn datagrams_from_unproven_addresses_are_dropped() {
    let mut meeting = Meeting::new(Net::seeded(7));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    let before = meeting.counters();
    let stranger = "192.0.2.66:6666".parse().expect("an address");
    let to = meeting.sfu_address();
    for first in [0, 22, 0x80, 0x81, 200] {
        let mut bytes = vec![first; 100];
        bytes[1] = 111;
        let now = meeting.now();
        meeting.net().send(Datagram { from: stranger, to, bytes }, now);
    }
    meeting.run_for(Duration::from_secs(1));
    let after = meeting.counters();
    assert_eq!(after.unvalidated - before.unvalidated, 5);
    assert!(meeting.heard(bob, alice).missing() == 0 && meeting.heard(alice, bob).missing() == 0);
    assert_sound(&meeting);
}

#[test]
fn garbage_from_a_participants_own_address_hurts_nobody() {
    let mut meeting = Meeting::new(Net::seeded(8));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    let (from, to) = (meeting.address(alice), meeting.sfu_address());
    let mut rng = StdRng::seed_from_u64(8);
    for _ in 0..500 {
        let mut bytes = vec![0; rng.random_range(1..200)];
        rng.fill(&mut bytes[..]);
        let now = meeting.now();
        meeting.net().send(Datagram { from, to, bytes }, now);
        meeting.run_for(Duration::from_millis(2));
    }
    meeting.run_for(Duration::from_secs(1));
    assert_eq!(meeting.failures(), []);
    assert_eq!((meeting.heard(bob, alice).missing(), meeting.heard(alice, bob).missing()), (0, 0));
    assert_sound(&meeting);
}

#[test]
fn a_client_with_another_certificate_than_signalled_never_connects() {
    let mut meeting = Meeting::new(Net::seeded(9));
    let bob = meeting.join_speaking(ROOM, Single);
    settle(&mut meeting);
    let mallory = meeting.join_with_wrong_fingerprint(ROOM);
    meeting.run_for(Duration::from_secs(3));
    assert_eq!(meeting.failures(), [(mallory, FailReason::Dtls)]);
    assert!(!meeting.peer(mallory).is_connected() || meeting.peer(mallory).all_heard().count() == 0);
    assert!(meeting.peer(bob).is_connected());
}

fn settle(meeting: &mut Meeting) {
    let connected = meeting.run_until(PATIENCE, |meeting| {
        meeting.is_connected()
            && meeting
                .pairs()
                .into_iter()
                .all(|(listener, speaker)| meeting.heard(listener, speaker).packets > 0)
    });
    assert!(connected, "not everybody is heard after {PATIENCE:?}");
}

fn assert_everybody_is_heard(meeting: &mut Meeting, seed: u64) {
    let before: Vec<_> = meeting
        .pairs()
        .into_iter()
        .map(|(listener, speaker)| (listener, speaker, meeting.heard(listener, speaker).packets))
        .collect();
    meeting.run_for(Duration::from_secs(2));
    for (listener, speaker, packets) in before {
        let more = meeting.heard(listener, speaker).packets - packets;
        assert!(more >= 80, "seed {seed}: {listener} of {speaker}: {more} in two seconds");
    }
}

/// What must hold at any time: nothing went to the wrong place, and the unit's books balance.
fn assert_sound(meeting: &Meeting) {
    for participant in meeting.participants() {
        assert_eq!(meeting.peer(participant).misdelivered(), 0, "{participant}");
        let own = meeting.speaks(participant).then(|| meeting.track(participant));
        assert!(
            meeting.peer(participant).all_heard().all(|(track, _)| Some(track) != own),
            "{participant} hears itself"
        );
    }
    let counters = meeting.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable, "{counters:?}");
}
