//! Large rooms through a real unit, in virtual time: who is heard, and that nobody's decoder notices who is not.

use std::path::Path;
use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::{LoudestSpeakers, ParticipantKey, RoomKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const ROOM: RoomKey = RoomKey(1);
const PATIENCE: Duration = Duration::from_secs(10);
const RULE: LoudestSpeakers = LoudestSpeakers { places: 3, above: 30 };
/// What a packet is on its way, and the speaker list is behind.
const LAG: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
/// Until backgrounds are known.
const WARM_UP: Duration = Duration::from_secs(8);
/// Decibels below overload of a fan in the background.
const FAN: u8 = 46;
/// A microphone that sends nothing, in the levels of a conversation.
const NOTHING: u8 = 255;

#[test]
fn forty_open_microphones_cost_as_much_as_the_few_who_speak() {
    let mut meeting = Meeting::with_loudest(1, Net::seeded(1), RULE);
    let people = gather(&mut meeting, 42);
    for &fan in &people[12..] {
        meeting.with_peer(fan, |peer, _| peer.set_level(FAN));
    }
    meeting.run_for(WARM_UP);
    play(&mut meeting, &people, "discussion");
    let before = meeting.counters();
    for _ in 0..20 {
        let heard: Vec<u64> = people.iter().map(|&one| packets_of(&meeting, &people, one)).collect();
        let shown: Vec<bool> = people.iter().map(|&one| meeting.is_speaking(one)).collect();
        meeting.run_for(SECOND);
        for (index, &one) in people.iter().enumerate() {
            let goes_on_to_be_shown = shown[index] && meeting.is_speaking(one);
            let is_heard = packets_of(&meeting, &people, one) > heard[index];
            assert!(is_heard || !goes_on_to_be_shown, "{one} is shown and not heard");
        }
    }
    let counters = meeting.counters();
    let received = counters.received - before.received;
    assert!(received > 42 * 900, "{received}");
    let copies = (counters.forwarded - before.forwarded) / 41;
    assert!((900..=3 * 1_000).contains(&copies), "{copies} packets went out of {received}");
    let withheld = counters.withheld - before.withheld;
    assert_eq!(withheld + (counters.due - before.due) / 41, received);
    for &fan in &people[12..] {
        assert!(!meeting.is_speaking(fan));
    }
    assert_continuous(&meeting, &people);
}

#[test]
fn those_on_other_workers_are_measured_against_those_here() {
    let mut meeting = Meeting::with_loudest(2, Net::seeded(4), RULE);
    let people = gather(&mut meeting, 40);
    for &fan in &people[16..] {
        meeting.with_peer(fan, |peer, _| peer.set_level(FAN));
    }
    meeting.run_for(WARM_UP);
    play(&mut meeting, &people, "laughter");
    // Ten people laugh from about six seconds on; by then three of them, from both workers, have all the places.
    meeting.run_for(7 * SECOND);
    let before: Vec<u64> = people.iter().map(|&one| packets_of(&meeting, &people, one)).collect();
    meeting.run_for(Duration::from_millis(500));
    let copies: u64 =
        people.iter().zip(before).map(|(&one, before)| packets_of(&meeting, &people, one) - before).sum();
    // Where places change hands on the way, a few packets more than three times twenty-five.
    assert!((39 * 60..39 * 85).contains(&copies), "{} packets for each listener", copies / 39);
    meeting.run_for(20 * SECOND);
    for next_one in [people[1], people[3]] {
        assert!(packets_of(&meeting, &people, next_one) > 39 * 200, "who speaks after the laughter is heard");
    }
    assert_continuous(&meeting, &people);
}

#[test]
fn who_speaks_is_heard_from_the_first_syllable_and_marked_there() {
    let mut meeting = Meeting::with_loudest(1, Net::seeded(2), RULE);
    let people = gather(&mut meeting, 35);
    for &one in &people {
        meeting.with_peer(one, |peer, _| peer.set_level(70));
    }
    meeting.run_for(WARM_UP);
    let (speaker, listener) = (people[3], people[20]);
    let before = meeting.heard(listener, speaker);
    meeting.run_for(SECOND);
    assert_eq!(meeting.heard(listener, speaker).packets, before.packets, "silence");

    let spoken = meeting.peer(speaker).spoken();
    meeting.with_peer(speaker, |peer, _| peer.play([Some(30); 50]));
    meeting.run_for(2 * SECOND);
    let after = meeting.heard(listener, speaker);
    // All but the first of the loud ones, and the silence of the hold.
    assert_eq!(after.packets - before.packets, 49 + 40);
    assert_eq!(after.marked - before.marked, 1);
    assert!(meeting.peer(speaker).spoken() >= spoken + 99, "the microphone was open all the time");
    assert_continuous(&meeting, &people);
}

#[test]
fn what_is_lost_on_the_way_to_a_listener_is_repaired_in_a_large_room_too() {
    let mut meeting = Meeting::with_loudest(1, Net::seeded(3), RULE);
    let people = gather(&mut meeting, 34);
    for &one in &people[12..] {
        meeting.with_peer(one, |peer, _| peer.set_level(FAN));
    }
    let unlucky = people[33];
    let address = meeting.address(unlucky);
    meeting.net().set_link(address, Link::wifi().loss(0.1));
    meeting.run_for(WARM_UP);
    play(&mut meeting, &people, "laughter");
    meeting.run_for(Duration::from_secs(30));
    assert!(meeting.counters().repaired > 100, "{}", meeting.counters().repaired);
    let (mut heard, mut lost) = (0, 0);
    for &speaker in people.iter().filter(|&&speaker| speaker != unlucky) {
        heard += meeting.heard(unlucky, speaker).packets;
        lost += meeting.peer(unlucky).lost(meeting.track(speaker));
        assert_eq!(meeting.heard(unlucky, speaker).out_of_time, 0);
    }
    assert!(heard > 1_000 && lost <= 5, "{lost} of {heard} packets are lost for good");
    let others: Vec<ParticipantKey> = people[..33].to_vec();
    assert_continuous(&meeting, &others);
}

#[test]
fn people_come_go_and_mute_while_a_room_grows_over_the_limit_and_shrinks_below() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let rule = LoudestSpeakers { places: 2, above: 5 };
        let mut meeting = Meeting::with_loudest(1, Net::seeded(seed), rule);
        for _ in 0..60 {
            let people = meeting.participants();
            let somebody = people.get(rng.random_range(0..people.len().max(1))).copied();
            match (rng.random_range(0..6), somebody) {
                (0, Some(somebody)) => meeting.leave(somebody),
                (1, Some(somebody)) if meeting.speaks(somebody) => {
                    let muted = rng.random_bool(0.5);
                    meeting.set_muted(somebody, muted);
                }
                (2 | 3, Some(somebody)) => {
                    let level = rng.random_range(15..90);
                    meeting.with_peer(somebody, |peer, _| peer.play([Some(level); 40]));
                }
                _ if people.len() < 12 => {
                    meeting.set_red(rng.random_bool(0.5));
                    meeting.join_speaking(ROOM, if rng.random_bool(0.5) { Single } else { Dual });
                }
                _ => {}
            }
            meeting.run_for(Duration::from_millis(rng.random_range(0..400)));
        }
        assert!(meeting.run_until(PATIENCE, Meeting::is_connected), "seed {seed}");
        let people = meeting.participants();
        assert_continuous(&meeting, &people);
        assert!(meeting.counters().withheld > 0, "seed {seed}");

        // Those few who are left all hear each other, whatever they say.
        for &one in people.iter().skip(4) {
            meeting.leave(one);
        }
        let few = meeting.participants();
        for &one in &few {
            meeting.set_muted(one, false);
            meeting.with_peer(one, |peer, _| peer.set_level(100));
        }
        meeting.run_for(LAG);
        let before: Vec<u64> = few.iter().map(|&one| packets_of(&meeting, &few, one)).collect();
        meeting.run_for(SECOND);
        for (&one, before) in few.iter().zip(before) {
            let more = packets_of(&meeting, &few, one) - before;
            assert!(more as usize >= 48 * (few.len() - 1), "seed {seed}: {more} of {one}");
        }
    }
}

/// So many people with their microphones open, each of whom has been heard once by each other.
fn gather(meeting: &mut Meeting, count: usize) -> Vec<ParticipantKey> {
    let people: Vec<ParticipantKey> =
        (0..count).map(|n| meeting.join_speaking(ROOM, if n % 5 == 0 { Dual } else { Single })).collect();
    assert!(meeting.run_until(PATIENCE, Meeting::is_connected), "not everybody is connected");
    people
}

/// Has the first of the people say what is in a conversation (see `conversations/make.py`).
fn play(meeting: &mut Meeting, people: &[ParticipantKey], name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let bytes = std::fs::read(folder.join(name).with_extension("levels")).expect("its levels");
    let (&microphones, rows) = bytes.split_first().expect("the number of microphones");
    for (index, &one) in people.iter().enumerate().take(microphones.into()) {
        let levels = rows.iter().skip(index).step_by(microphones.into());
        let levels = levels.map(|&level| (level != NOTHING).then_some(level));
        meeting.with_peer(one, |peer, _| peer.play(levels));
    }
}

/// What all the others have heard of somebody.
fn packets_of(meeting: &Meeting, people: &[ParticipantKey], speaker: ParticipantKey) -> u64 {
    let others = people.iter().filter(|&&listener| listener != speaker);
    others.map(|&listener| meeting.heard(listener, speaker).packets).sum()
}

/// Nobody's decoder sees a gap in the numbers, a jump of the clock, a talk spurt without a mark, or what is not for it.
fn assert_continuous(meeting: &Meeting, people: &[ParticipantKey]) {
    for &listener in people {
        for &speaker in people.iter().filter(|&&one| one != listener && meeting.speaks(one)) {
            let heard = meeting.heard(listener, speaker);
            assert_eq!(meeting.peer(listener).lost(meeting.track(speaker)), 0, "{listener} of {speaker}");
            assert_eq!(
                (heard.repeated, heard.out_of_time, heard.unmarked),
                (0, 0, 0),
                "{listener} of {speaker}"
            );
        }
        assert_eq!(meeting.peer(listener).misdelivered(), 0, "{listener}");
    }
    let counters = meeting.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable, "{counters:?}");
}
