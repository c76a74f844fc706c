//! What connections are said to be like, in virtual time.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::net::ConnectionQuality::{Excellent, Good, Lost, Poor};
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::{ParticipantKey, RoomKey};

const ROOM: RoomKey = RoomKey(1);

#[test]
fn good_connections_are_excellent_and_that_is_said_once() {
    let (mut meeting, people) = meeting(1);
    meeting.run_for(Duration::from_secs(60));
    for person in people {
        assert_eq!(meeting.qualities(person), [Excellent]);
    }
}

#[test]
fn planted_loss_is_seen_at_the_one_who_has_it() {
    for (loss, expected) in [(0.08, Good), (0.3, Poor)] {
        let (mut meeting, [alice, bob, carol]) = meeting(2);
        meeting.run_for(Duration::from_secs(10));
        for person in [alice, bob, carol] {
            meeting.with_peer(person, |peer, _| peer.set_repairs(false));
        }
        let address = meeting.address(bob);
        meeting.net().set_link(address, Link::cable().loss(loss));
        meeting.run_for(Duration::from_secs(30));
        assert_eq!(meeting.qualities(bob).last(), Some(&expected), "{loss}: {:?}", meeting.qualities(bob));
        for person in [alice, carol] {
            assert_eq!(meeting.qualities(person), [Excellent], "{loss}: it is not their line that is bad");
        }
        meeting.net().set_link(address, Link::cable());
        meeting.run_for(Duration::from_secs(60));
        assert_eq!(meeting.qualities(bob).last(), Some(&Excellent), "{:?}", meeting.qualities(bob));
    }
}

#[test]
fn who_is_muted_or_says_nothing_is_never_lost() {
    let (mut meeting, [alice, bob, _]) = meeting(3);
    let silent = meeting.join(ROOM, Single);
    meeting.set_muted(alice, true);
    meeting.run_for(Duration::from_secs(300));
    for person in [alice, bob, silent] {
        assert_eq!(meeting.qualities(person), [Excellent]);
    }
}

#[test]
fn who_is_not_heard_at_all_is_lost_and_comes_back() {
    let (mut meeting, [alice, bob, _]) = meeting(4);
    meeting.run_for(Duration::from_secs(10));
    let address = meeting.address(bob);
    meeting.net().set_link(address, Link::cable().loss(1.0));
    let is_lost = |meeting: &Meeting| meeting.qualities(bob).last() == Some(&Lost);
    assert!(meeting.run_until(Duration::from_secs(20), is_lost), "{:?}", meeting.qualities(bob));
    meeting.net().set_link(address, Link::cable());
    let is_back = |meeting: &Meeting| meeting.qualities(bob).last() != Some(&Lost);
    assert!(meeting.run_until(Duration::from_secs(30), is_back), "{:?}", meeting.qualities(bob));
    assert_eq!(meeting.qualities(alice), [Excellent]);
}

/// Three who speak, in both modes, on good lines.
fn meeting(seed: u64) -> (Meeting, [ParticipantKey; 3]) {
    let mut meeting = Meeting::new(Net::seeded(seed));
    let people = [Single, Dual, Single].map(|mode| meeting.join_speaking(ROOM, mode));
    assert!(meeting.run_until(Duration::from_secs(10), Meeting::is_connected));
    (meeting, people)
}
