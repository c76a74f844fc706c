//! Networks that fail and change in a conversation, in virtual time.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::net::{PeerConnection, Reach};
use banter_sfu::sim::{Link, Meeting, Net, Peer};
use banter_sfu::{ParticipantKey, RoomKey};

const ROOM: RoomKey = RoomKey(1);
/// Time in which everybody who joins is heard by everybody.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_client_moves_to_another_network_by_an_ice_restart() {
    for mode in [Single, Dual] {
        let mut meeting = Meeting::new(Net::seeded(10));
        let (alice, bob) = (meeting.join_speaking(ROOM, mode), meeting.join_speaking(ROOM, Single));
        settle(&mut meeting);
        let inside = meeting.address(alice);
        meeting.net().translate(inside, "203.0.113.5:5000".parse().expect("an address"));
        meeting.with_peer(alice, Peer::restart_ice);
        meeting.negotiate(alice);
        meeting.run_for(Duration::from_secs(2));
        let before = meeting.heard(bob, alice).packets;
        meeting.run_for(Duration::from_secs(2));
        assert!(meeting.heard(bob, alice).packets >= before + 98, "{mode:?}");
        assert_eq!(meeting.failures(), []);
        assert_sound(&meeting);
    }
}

#[test]
fn a_nat_rebinding_interrupts_for_seconds_only() {
    let mut meeting = Meeting::new(Net::seeded(11));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    let inside = meeting.address(alice);
    meeting.net().translate(inside, "203.0.113.5:5000".parse().expect("an address"));
    settle(&mut meeting);
    meeting.run_for(Duration::from_secs(20));
    meeting.net().translate(inside, "203.0.113.5:5001".parse().expect("an address"));
    meeting.run_for(Duration::from_secs(6));
    let before = (meeting.heard(bob, alice).packets, meeting.heard(alice, bob).packets);
    meeting.run_for(Duration::from_secs(2));
    assert!(meeting.heard(bob, alice).packets >= before.0 + 98);
    assert!(meeting.heard(alice, bob).packets >= before.1 + 98);
    assert_eq!(meeting.failures(), []);
}

#[test]
fn a_client_that_vanishes_is_given_up() {
    let mut meeting = Meeting::new(Net::seeded(12));
    let (alice, bob) = (meeting.join_speaking(ROOM, Single), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    let address = meeting.address(alice);
    meeting.net().set_link(address, Link::cable().loss(1.0));
    meeting.run_for(Duration::from_secs(20));
    let told = [Reach::Silent, Reach::Lost].map(|reach| (alice, PeerConnection::Publisher, reach));
    assert_eq!(meeting.reaches(), told);
    assert_eq!(meeting.failures(), []);
    assert!(meeting.peer(bob).is_connected());
    assert_sound(&meeting);
}

#[test]
fn a_short_silence_ends_by_itself() {
    for mode in [Single, Dual] {
        let (mut meeting, alice, bob) = conversation(20, mode);
        cut(&mut meeting, alice);
        meeting.run_for(Duration::from_secs(3));
        mend(&mut meeting, alice);
        assert_talk_within(&mut meeting, Duration::from_millis(100), alice, bob);
        assert_eq!(meeting.reaches(), []);
    }
}

#[test]
fn a_long_silence_ends_with_an_ice_restart_and_without_a_new_session() {
    for mode in [Single, Dual] {
        let (mut meeting, alice, bob) = conversation(21, mode);
        cut(&mut meeting, alice);
        meeting.run_for(Duration::from_secs(30));
        let lost = |connection| (alice, connection, Reach::Lost);
        assert!(meeting.reaches().contains(&lost(PeerConnection::Publisher)), "{mode:?}");
        assert_eq!(meeting.reaches().contains(&lost(PeerConnection::Subscriber)), mode == Dual);
        mend(&mut meeting, alice);
        meeting.resume(alice);
        assert_talk_within(&mut meeting, Duration::from_secs(1), alice, bob);
        let heard = meeting.reaches().iter().filter(|(.., reach)| *reach == Reach::Heard);
        assert_eq!(heard.count(), if mode == Dual { 2 } else { 1 });
        assert_eq!(meeting.failures(), []);
    }
}

#[test]
fn a_client_comes_back_from_another_address_after_its_path_is_given_up() {
    for mode in [Single, Dual] {
        let (mut meeting, alice, bob) = conversation(22, mode);
        cut(&mut meeting, alice);
        meeting.run_for(Duration::from_secs(20));
        mend(&mut meeting, alice);
        for (number, inside) in meeting.addresses(alice).into_iter().enumerate() {
            let outside = format!("203.0.113.5:{}", 6000 + number);
            meeting.net().translate(inside, outside.parse().expect("an address"));
        }
        meeting.resume(alice);
        assert_talk_within(&mut meeting, Duration::from_secs(1), alice, bob);
    }
}

#[test]
fn a_resume_does_not_interrupt_what_flows() {
    for mode in [Single, Dual] {
        let (mut meeting, alice, bob) = conversation(23, mode);
        meeting.cut_signalling(alice);
        meeting.run_for(Duration::from_secs(3));
        meeting.resume(alice);
        meeting.run_for(Duration::from_secs(3));
        for (listener, speaker) in [(alice, bob), (bob, alice)] {
            let heard = meeting.heard(listener, speaker);
            assert_eq!((heard.missing(), heard.repeated), (0, 0), "{mode:?}: {listener} of {speaker}");
        }
        assert_eq!(meeting.reaches(), []);
    }
}

#[test]
fn what_was_offered_or_asked_while_signalling_was_lost_is_said_again() {
    for mode in [Single, Dual] {
        let (mut meeting, alice, _) = conversation(24, mode);
        meeting.cut_signalling(alice);
        // More than the sections that a client brings along.
        let newcomers: Vec<_> = (0..4).map(|_| meeting.join_speaking(ROOM, Single)).collect();
        meeting.run_for(Duration::from_secs(3));
        assert!(newcomers.iter().all(|&speaker| meeting.heard(alice, speaker).packets == 0));
        meeting.resume(alice);
        let all_heard =
            |meeting: &Meeting| newcomers.iter().all(|&speaker| meeting.heard(alice, speaker).packets > 0);
        assert!(meeting.run_until(Duration::from_secs(2), all_heard), "{mode:?}");
    }
}

/// Two who hear each other, the first with connections of `mode`.
fn conversation(
    seed: u64,
    mode: banter_sfu::net::ConnectionMode,
) -> (Meeting, ParticipantKey, ParticipantKey) {
    let mut meeting = Meeting::new(Net::seeded(seed));
    let (alice, bob) = (meeting.join_speaking(ROOM, mode), meeting.join_speaking(ROOM, Single));
    settle(&mut meeting);
    (meeting, alice, bob)
}

fn settle(meeting: &mut Meeting) {
    let all_heard = |meeting: &Meeting| {
        let mut pairs = meeting.pairs().into_iter();
        pairs.all(|(listener, speaker)| meeting.heard(listener, speaker).packets > 0)
    };
    assert!(meeting.run_until(PATIENCE, all_heard), "not everybody is heard after {PATIENCE:?}");
}

/// Nothing went to the wrong place, and the unit's books balance.
fn assert_sound(meeting: &Meeting) {
    for participant in meeting.participants() {
        assert_eq!(meeting.peer(participant).misdelivered(), 0, "{participant}");
    }
    let counters = meeting.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable, "{counters:?}");
}

fn cut(meeting: &mut Meeting, participant: ParticipantKey) {
    relink(meeting, participant, Link::cable().loss(1.0));
}

fn mend(meeting: &mut Meeting, participant: ParticipantKey) {
    relink(meeting, participant, Link::cable());
}

fn relink(meeting: &mut Meeting, participant: ParticipantKey, link: Link) {
    for address in meeting.addresses(participant) {
        meeting.net().set_link(address, link);
    }
}

fn assert_talk_within(meeting: &mut Meeting, limit: Duration, one: ParticipantKey, other: ParticipantKey) {
    let count = |meeting: &Meeting| [(one, other), (other, one)].map(|(a, b)| meeting.heard(a, b).packets);
    let before = count(meeting);
    let flows = |meeting: &Meeting| {
        let now = count(meeting);
        now[0] > before[0] && now[1] > before[1]
    };
    assert!(meeting.run_until(limit, flows), "not both are heard after {limit:?}");
    let before = count(meeting);
    meeting.run_for(Duration::from_secs(1));
    let now = count(meeting);
    assert!(now[0] >= before[0] + 48 && now[1] >= before[1] + 48, "{before:?} {now:?}");
}
