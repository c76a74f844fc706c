//! Rooms across several units, in virtual time: nobody can tell that they are.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::net::Permissions;
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::{ParticipantKey, RoomKey};

const ROOM: RoomKey = RoomKey(1);
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn thirty_people_on_three_units_hear_everybody_once() {
    let mut meeting = Meeting::across(3, Net::seeded(1));
    let people: Vec<ParticipantKey> =
        (0..30).map(|n| meeting.join_speaking(ROOM, if n % 4 == 0 { Dual } else { Single })).collect();
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(2));
    for &listener in &people {
        for &speaker in people.iter().filter(|&&speaker| speaker != listener) {
            let heard = meeting.heard(listener, speaker);
            assert!(heard.packets >= 95, "{listener} of {speaker}: {}", heard.packets);
            assert_eq!((heard.missing(), heard.repeated, heard.out_of_time), (0, 0, 0));
            assert!(meeting.is_subscribed(meeting.track(speaker), listener));
        }
        assert!(meeting.is_speaking(listener));
    }
    // Opened once and passed on to two units.
    let counters = meeting.counters();
    assert_eq!(counters.mirrored, 2 * counters.received);
    assert_sound(&meeting);
}

#[test]
fn what_a_listener_on_another_unit_has_missed_is_repaired_there() {
    let mut meeting = Meeting::across(2, Net::seeded(2));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    let address = meeting.address(alice);
    meeting.net().set_link(address, Link::wifi().loss(0.1));
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(60));
    let heard = meeting.heard(alice, bob);
    assert!(heard.packets >= 2_990, "{}", heard.packets);
    assert!(heard.missing() <= 3, "{} missing", heard.missing());
    assert_eq!((heard.repeated, heard.out_of_time), (0, 0));
    assert!(meeting.counters().repaired >= 200, "{}", meeting.counters().repaired);
    assert_sound(&meeting);
}

#[test]
fn a_mute_and_a_permission_close_up_the_numbers_on_every_unit() {
    let mut meeting = Meeting::across(2, Net::seeded(3));
    let [alice, bob, carol] = [Single, Single, Dual].map(|mode| meeting.join_speaking(ROOM, mode));
    settle(&mut meeting);
    let may = |publish| Permissions { publish, subscribe: true };
    for _ in 0..3 {
        meeting.run_for(Duration::from_secs(1));
        meeting.set_muted(alice, true);
        meeting.run_for(Duration::from_millis(700));
        meeting.set_muted(alice, false);
        meeting.with_sfu_of(bob, |sfu, now| sfu.set_permissions(bob, may(false), now));
        meeting.run_for(Duration::from_millis(300));
        meeting.with_sfu_of(bob, |sfu, now| sfu.set_permissions(bob, may(true), now));
    }
    meeting.run_for(Duration::from_secs(1));
    for (listener, speaker) in [(bob, alice), (carol, alice), (alice, bob), (carol, bob)] {
        let heard = meeting.heard(listener, speaker);
        assert!(heard.packets >= 150, "{listener} of {speaker}: {}", heard.packets);
        // A client goes on sending without the permission: 300 ms, three times.
        let withheld = if speaker == bob { 45 } else { 0 };
        assert_eq!((heard.missing(), heard.repeated), (withheld, 0), "{listener} of {speaker}");
    }
    // Nobody has found a gap in the numbers.
    assert_eq!(meeting.counters().repaired, 0);
    assert_sound(&meeting);
}

#[test]
fn red_and_plain_opus_cross_units_alike() {
    let mut meeting = Meeting::across(2, Net::seeded(4));
    let plain = meeting.join_speaking(ROOM, Single);
    meeting.set_red(true);
    let redundant = [meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Dual)];
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(3));
    for (listener, speaker) in meeting.pairs() {
        let heard = meeting.heard(listener, speaker);
        assert!(heard.packets >= 145, "{listener} of {speaker}: {}", heard.packets);
        assert_eq!((heard.missing(), heard.repeated, heard.out_of_time), (0, 0, 0));
    }
    assert!(meeting.pairs().contains(&(plain, redundant[0])));
    assert_sound(&meeting);
}

#[test]
fn people_come_and_go_and_nothing_is_sent_to_a_unit_where_nobody_is() {
    let mut meeting = Meeting::across(2, Net::seeded(5));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    meeting.leave(bob);
    meeting.run_for(Duration::from_secs(1));
    let alone = meeting.counters().mirrored;
    meeting.run_for(Duration::from_secs(2));
    assert_eq!(meeting.counters().mirrored, alone, "Alice is alone");
    let carol = meeting.join_speaking(ROOM, Dual);
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(2));
    for (listener, speaker) in [(alice, carol), (carol, alice)] {
        let heard = meeting.heard(listener, speaker);
        assert!(heard.packets >= 95, "{}", heard.packets);
        assert_eq!((heard.missing(), heard.repeated), (0, 0));
    }
    meeting.leave(carol);
    meeting.run_for(Duration::from_millis(200));
    assert_sound(&meeting);
}

fn settle(meeting: &mut Meeting) {
    let everybody_is_heard = |meeting: &Meeting| {
        meeting.is_connected()
            && meeting.pairs().iter().all(|&(listener, speaker)| meeting.heard(listener, speaker).packets > 0)
    };
    if !meeting.run_until(PATIENCE, everybody_is_heard) {
        let missing: Vec<_> = meeting
            .pairs()
            .into_iter()
            .filter(|&(listener, speaker)| meeting.heard(listener, speaker).packets == 0)
            .collect();
        panic!("after {PATIENCE:?}, (listener, speaker) without sound: {missing:?}");
    }
}

fn assert_sound(meeting: &Meeting) {
    let counters = meeting.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable);
    assert_eq!((counters.unauthentic, meeting.failures()), (0, &[][..]));
}
