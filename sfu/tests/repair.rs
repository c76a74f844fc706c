//! What is done about loss, in virtual time: repeats, and RED for those who miss packets.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::{ParticipantKey, RoomKey};

const ROOM: RoomKey = RoomKey(1);
/// Time in which everybody who joins is heard by everybody.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn red_reaches_who_misses_packets_and_knows_it_whether_or_not_the_publisher_sends_it() {
    for (mode, speakers_red) in [(Single, true), (Single, false), (Dual, true), (Dual, false)] {
        let mut meeting = Meeting::new(Net::seeded(13));
        meeting.set_red(speakers_red);
        let alice = meeting.join_speaking(ROOM, mode);
        meeting.set_red(true);
        let [lossy, clean] = [(); 2].map(|()| meeting.join(ROOM, mode));
        meeting.set_red(false);
        let old = meeting.join(ROOM, mode);
        settle(&mut meeting);
        for listener in [lossy, old] {
            set_loss(&mut meeting, listener, 0.05);
        }
        meeting.run_for(Duration::from_secs(20));
        let redundant = |listener| meeting.heard(listener, alice).redundant;
        assert!(redundant(lossy) >= 800, "{mode:?} {speakers_red}: {}", redundant(lossy));
        assert_eq!((redundant(clean), redundant(old)), (0, 0), "{mode:?} {speakers_red}");
        assert_eq!(meeting.heard(clean, alice).missing(), 0);
        assert_sound(&meeting);
    }
}

#[test]
fn red_ends_when_nothing_has_been_missed_for_half_a_minute_and_comes_back() {
    let (mut meeting, [alice, bob]) = pair(14, true);
    set_loss(&mut meeting, bob, 0.05);
    meeting.run_for(Duration::from_secs(10));
    let during = meeting.heard(bob, alice).redundant;
    assert!(during > 200, "{during}");
    set_loss(&mut meeting, bob, 0.0);
    meeting.run_for(Duration::from_secs(40));
    let after = meeting.heard(bob, alice);
    meeting.run_for(Duration::from_secs(20));
    let quiet = meeting.heard(bob, alice);
    assert_eq!(quiet.redundant, after.redundant, "half the bytes again");
    assert!(quiet.packets >= after.packets + 999);
    set_loss(&mut meeting, bob, 0.05);
    meeting.run_for(Duration::from_secs(10));
    assert!(meeting.heard(bob, alice).redundant > quiet.redundant + 200);
    assert_eq!((quiet.missing(), quiet.repeated, quiet.out_of_time), (after.missing(), 0, 0));
    assert_sound(&meeting);
}

#[test]
fn what_decoders_have_to_make_up_is_a_fraction_with_red_of_what_it_is_without() {
    let made_up = |red: bool, repairs: bool, loss: f64| {
        let (mut meeting, [alice, bob]) = pair(15, red);
        meeting.with_peer(bob, |peer, _| peer.set_repairs(repairs));
        set_loss(&mut meeting, bob, loss);
        meeting.run_for(Duration::from_secs(5));
        let before = meeting.heard(bob, alice);
        meeting.run_for(Duration::from_secs(120));
        let heard = meeting.heard(bob, alice);
        assert_eq!((heard.repeated, heard.out_of_time), (0, 0));
        assert_sound(&meeting);
        heard.made_up() - before.made_up()
    };
    for loss in [0.05, 0.1] {
        let said = 120.0 * 50.0;
        let (neither, red) = (made_up(false, false, loss), made_up(true, false, loss));
        let (repairs, both) = (made_up(false, true, loss), made_up(true, true, loss));
        let account =
            format!("{loss}: {neither} without, {red} by RED, {repairs} by repeats, {both} by both");
        assert!((0.7..1.3).contains(&(neither as f64 / (said * loss))), "{account}");
        // Two copies fail only where three packets in a row are lost.
        assert!(red as f64 <= said * loss.powi(3) * 3.0 + 2.0, "{account}");
        assert!(repairs <= 2 && both <= 2, "{account}");
    }
}

#[test]
fn repeats_work_in_red_across_mutes_and_with_packets_that_overtake_each_other() {
    for red in [false, true] {
        let (mut meeting, [alice, bob]) = pair(16, red);
        let link = Link::wifi().jitter(Duration::from_millis(50)).duplicate(0.02);
        for (round, loss) in [0.1, 0.0, 0.1, 0.1].into_iter().enumerate() {
            for address in meeting.addresses(bob) {
                meeting.net().set_link(address, link.loss(loss));
            }
            meeting.run_for(Duration::from_secs(35));
            if round == 2 {
                meeting.set_muted(alice, true);
                meeting.run_for(Duration::from_millis(700));
                meeting.set_muted(alice, false);
            }
        }
        set_loss(&mut meeting, bob, 0.0);
        meeting.run_for(Duration::from_secs(1));
        let heard = meeting.heard(bob, alice);
        assert_eq!(heard.redundant > 0, red);
        assert!(heard.packets > 6_500, "{}", heard.packets);
        assert!(heard.missing() <= 6, "{red}: {} missing", heard.missing());
        assert_eq!((heard.repeated, heard.out_of_time), (0, 0));
        assert!(meeting.counters().repaired >= 200, "{}", meeting.counters().repaired);
        assert_sound(&meeting);
    }
}

#[test]
fn who_loses_much_on_the_way_to_us_is_asked_for_less_until_the_line_has_been_good_for_a_minute() {
    for mode in [Single, Dual] {
        let mut meeting = Meeting::new(Net::seeded(17));
        let [alice, bob] = [(); 2].map(|()| meeting.join_speaking(ROOM, mode));
        settle(&mut meeting);
        set_loss(&mut meeting, alice, 0.2);
        let asked = |meeting: &Meeting| meeting.peer(alice).max_bitrate();
        let is_limited = |meeting: &Meeting| asked(meeting) == Some(16_000);
        assert!(meeting.run_until(Duration::from_secs(25), is_limited), "{mode:?}");
        set_loss(&mut meeting, alice, 0.0);
        meeting.run_for(Duration::from_secs(50));
        assert_eq!(asked(&meeting), Some(16_000), "{mode:?}");
        assert!(meeting.run_until(Duration::from_secs(20), |meeting| asked(meeting).is_none()), "{mode:?}");
        assert_eq!(meeting.peer(bob).max_bitrate(), None, "{mode:?}: the line of others is not theirs");
        assert_sound(&meeting);
    }
}

/// A speaker and a listener on good lines, who know RED or do not; the speaker sends plain Opus.
fn pair(seed: u64, red: bool) -> (Meeting, [ParticipantKey; 2]) {
    let mut meeting = Meeting::new(Net::seeded(seed));
    let alice = meeting.join_speaking(ROOM, Single);
    meeting.set_red(red);
    let bob = meeting.join(ROOM, Single);
    settle(&mut meeting);
    (meeting, [alice, bob])
}

fn set_loss(meeting: &mut Meeting, participant: ParticipantKey, loss: f64) {
    for address in meeting.addresses(participant) {
        meeting.net().set_link(address, Link::cable().loss(loss));
    }
}

fn settle(meeting: &mut Meeting) {
    let all_hear = |meeting: &Meeting| {
        meeting.pairs().iter().all(|&(listener, speaker)| meeting.heard(listener, speaker).packets > 0)
    };
    assert!(meeting.run_until(PATIENCE, all_hear), "not everybody is heard after {PATIENCE:?}");
}

fn assert_sound(meeting: &Meeting) {
    for participant in meeting.participants() {
        assert_eq!(meeting.peer(participant).misdelivered(), 0, "{participant}");
    }
    let counters = meeting.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable, "{counters:?}");
}
