//! Messages on data channels through a real unit, in virtual time.

use std::time::Duration;

use banter_sfu::net::ConnectionMode::{Dual, Single};
use banter_sfu::net::{ConnectionMode, DataKind};
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::{ParticipantKey, RoomKey};

const ROOM: RoomKey = RoomKey(1);
/// Time in which everybody who joins has its channels.
const PATIENCE: Duration = Duration::from_secs(10);
const RELIABLE: &str = "_reliable";
const LOSSY: &str = "_lossy";

#[test]
fn messages_reach_everybody_else_in_every_mix_of_modes() {
    for (one, two) in [(Single, Single), (Dual, Dual), (Single, Dual), (Dual, Single)] {
        let (mut meeting, [alice, bob]) = meeting(Net::seeded(1), [one, two]);
        for label in [RELIABLE, LOSSY] {
            assert!(meeting.with_peer(alice, |peer, _| peer.send_data(label, b"hello")));
            let heard = |meeting: &Meeting| meeting.peer(bob).data(label) == [b"hello"];
            assert!(meeting.run_until(PATIENCE, heard), "{one:?} {two:?} {label}");
            assert!(meeting.peer(alice).data(label).is_empty(), "nothing is echoed");
        }
        assert_eq!(meeting.counters().data_received, 2);
        assert_eq!((meeting.counters().data_sent, meeting.counters().data_dropped), (2, 0));
    }
}

#[test]
fn reliable_messages_arrive_once_and_in_order_over_a_bad_link() {
    for (one, two) in [(Single, Dual), (Dual, Single)] {
        let link = Link::wifi().loss(0.1).duplicate(0.05);
        let (mut meeting, [alice, bob]) = meeting(Net::seeded(2), [one, two]);
        let sfu = meeting.sfu_address();
        meeting.net().set_link(sfu, link);
        let messages: Vec<Vec<u8>> = (0..500u32).map(|number| number.to_be_bytes().repeat(40)).collect();
        send_all(&mut meeting, alice, &messages);
        let all = |meeting: &Meeting| meeting.peer(bob).data(RELIABLE).len() >= messages.len();
        assert!(
            meeting.run_until(Duration::from_secs(120), all),
            "{}",
            meeting.peer(bob).data(RELIABLE).len()
        );
        assert!(
            meeting.peer(bob).data(RELIABLE) == messages,
            "{one:?} {two:?}: other messages, or another order"
        );
        assert_eq!(meeting.counters().data_dropped, 0);
    }
}

#[test]
fn lossy_messages_are_lost_and_never_repeated() {
    let link = Link::wifi().loss(0.1).duplicate(0.05);
    let (mut meeting, [alice, bob]) = meeting(Net::seeded(3), [Single, Dual]);
    let sfu = meeting.sfu_address();
    meeting.net().set_link(sfu, link);
    for number in 0..500u32 {
        meeting.with_peer(alice, |peer, _| peer.send_data(LOSSY, &number.to_be_bytes()));
        meeting.run_for(Duration::from_millis(10));
    }
    meeting.run_for(Duration::from_secs(5));
    let mut heard = meeting.peer(bob).data(LOSSY);
    let count = heard.len();
    assert!((300..500).contains(&count), "{count}");
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), count);
}

#[test]
fn the_largest_message_passes_with_the_names_added_to_it() {
    let (mut meeting, [alice, bob]) = meeting(Net::seeded(4), [Single, Single]);
    let message = vec![7; 65_536];
    assert!(meeting.with_peer(alice, |peer, _| peer.send_data(RELIABLE, &message)));
    assert!(meeting.run_until(PATIENCE, |meeting| meeting.peer(bob).data(RELIABLE) == [&message]));
    let longer = vec![7; 65_536 + 1_500].into();
    meeting.with_sfu(|sfu, now| sfu.send_data(&[bob], DataKind::Reliable, &longer, now));
    assert!(meeting.run_until(PATIENCE, |meeting| meeting.peer(bob).data(RELIABLE).len() == 2));
}

#[test]
fn messages_wait_for_a_client_that_is_joining() {
    for mode in [Single, Dual] {
        let mut meeting =
            Meeting::new(Net::seeded(5).with_link(Link::cable().delay(Duration::from_millis(50))));
        let bob = meeting.join(ROOM, mode);
        meeting.with_sfu(|sfu, now| {
            sfu.send_data(&[bob], DataKind::Reliable, &"early".into(), now);
            sfu.send_data(&[bob], DataKind::Lossy, &"early".into(), now);
        });
        let arrived = meeting.run_until(PATIENCE, |meeting| {
            [RELIABLE, LOSSY].iter().all(|&on| meeting.peer(bob).data(on) == [b"early"])
        });
        assert!(arrived, "{mode:?}");
        assert_eq!(meeting.counters().data_dropped, 0);
    }
}

#[test]
fn what_is_too_old_when_the_channel_opens_is_not_sent() {
    let mut meeting = Meeting::new(Net::seeded(6));
    let bob = meeting.join(ROOM, Single);
    let address = meeting.address(bob);
    meeting.net().set_link(address, Link::cable().loss(1.0));
    let send = |meeting: &mut Meeting, message: &'static str| {
        for kind in [DataKind::Reliable, DataKind::Lossy] {
            meeting.with_sfu(|sfu, now| sfu.send_data(&[bob], kind, &message.into(), now));
        }
    };
    send(&mut meeting, "stale");
    meeting.run_for(Duration::from_secs(3));
    meeting.net().set_link(address, Link::cable());
    send(&mut meeting, "fresh");
    for channel in [RELIABLE, LOSSY] {
        assert!(
            meeting.run_until(PATIENCE, |meeting| meeting.peer(bob).data(channel) == [b"fresh"]),
            "{channel}"
        );
    }
    assert_eq!(meeting.counters().data_dropped, 2);
}

#[test]
fn a_slow_reader_loses_messages_and_nobody_else_does() {
    let (mut meeting, [alice, bob, carol]) = meeting(Net::seeded(7), [Single, Single, Dual]);
    meeting.run_for(Duration::from_secs(1));
    let address = meeting.address(bob);
    meeting.net().set_link(address, Link::cable().loss(1.0));
    let messages: Vec<Vec<u8>> = (0..200u32).map(|number| number.to_be_bytes().repeat(4_000)).collect();
    send_all(&mut meeting, alice, &messages);
    let all = |meeting: &Meeting| meeting.peer(carol).data(RELIABLE).len() == messages.len();
    assert!(meeting.run_until(PATIENCE, all), "{}", meeting.peer(carol).data(RELIABLE).len());
    let dropped = meeting.counters().data_dropped;
    assert!((100..200).contains(&dropped), "{dropped}");

    meeting.net().set_link(address, Link::cable());
    let kept = messages.len() - dropped as usize;
    let caught_up = |meeting: &Meeting| meeting.peer(bob).data(RELIABLE).len() == kept;
    assert!(
        meeting.run_until(Duration::from_secs(60), caught_up),
        "{}",
        meeting.peer(bob).data(RELIABLE).len()
    );
    assert!(meeting.peer(bob).data(RELIABLE) == messages[..kept]);
    send_all(&mut meeting, alice, &messages[..1]);
    assert!(meeting.run_until(PATIENCE, |meeting| meeting.peer(bob).data(RELIABLE).len() == kept + 1));
}

#[test]
fn data_for_tracks_is_counted_and_goes_nowhere() {
    let (mut meeting, [alice, bob]) = meeting(Net::seeded(8), [Single, Single]);
    assert!(meeting.with_peer(alice, |peer, _| peer.send_data("_data_track", b"frame")));
    assert!(meeting.run_until(PATIENCE, |meeting| meeting.counters().data_unsupported == 1));
    meeting.run_for(Duration::from_secs(1));
    assert!(meeting.peer(bob).data("_data_track").is_empty());
    assert_eq!(meeting.counters().data_received, 0);
}

#[test]
fn a_flood_of_data_does_not_disturb_the_conversation() {
    let mut meeting = Meeting::new(Net::seeded(9));
    let [alice, bob] = [Single, Dual].map(|mode| meeting.join_speaking(ROOM, mode));
    assert!(meeting.run_until(PATIENCE, Meeting::is_connected));
    meeting.run_for(Duration::from_secs(2));
    let before = meeting.heard(bob, alice).packets;
    for _ in 0..500 {
        while meeting.with_peer(alice, |peer, _| peer.send_data(RELIABLE, &[7; 15_000])) {}
        meeting.run_for(Duration::from_millis(10));
    }
    let heard = meeting.heard(bob, alice);
    assert!(heard.packets >= before + 245, "{}", heard.packets - before);
    assert_eq!(heard.missing(), 0);
}

#[test]
fn who_sends_too_much_is_slowed_down_and_loses_nothing() {
    let (mut meeting, [alice, bob]) = meeting(Net::seeded(10), [Single, Dual]);
    let messages: Vec<Vec<u8>> = (0..600u32).map(|number| number.to_be_bytes().repeat(3_750)).collect();
    let begun = meeting.now();
    send_all(&mut meeting, alice, &messages);
    let all = |meeting: &Meeting| meeting.peer(bob).data(RELIABLE).len() == messages.len();
    assert!(meeting.run_until(Duration::from_secs(60), all), "{}", meeting.peer(bob).data(RELIABLE).len());
    // Nine million bytes, of which two are free, and two more in every second.
    let taken = meeting.now() - begun;
    assert!((3..30).contains(&taken.as_secs()), "{taken:?}");
    assert!(meeting.peer(bob).data(RELIABLE) == messages);
    assert_eq!(meeting.counters().data_dropped, 0);
}

#[test]
fn small_messages_are_counted_too() {
    let (mut meeting, [alice, bob]) = meeting(Net::seeded(11), [Single, Single]);
    let begun = meeting.now();
    let messages = vec![b"x".to_vec(); 5_000];
    send_all(&mut meeting, alice, &messages);
    let all = |meeting: &Meeting| meeting.peer(bob).data(RELIABLE).len() == messages.len();
    assert!(meeting.run_until(Duration::from_secs(60), all), "{}", meeting.peer(bob).data(RELIABLE).len());
    let taken = meeting.now() - begun;
    assert!(taken >= Duration::from_millis(3_500), "{taken:?}");
}

/// People in one room, connected, with their channels open.
fn meeting<const N: usize>(net: Net, modes: [ConnectionMode; N]) -> (Meeting, [ParticipantKey; N]) {
    let mut meeting = Meeting::new(net);
    let people = modes.map(|mode| meeting.join(ROOM, mode));
    assert!(meeting.run_until(Duration::from_secs(30), Meeting::is_connected));
    meeting.run_for(Duration::from_secs(3));
    (meeting, people)
}

/// Sends as fast as the client's own channel takes it.
fn send_all(meeting: &mut Meeting, from: ParticipantKey, messages: &[Vec<u8>]) {
    for message in messages {
        while !meeting.with_peer(from, |peer, _| peer.send_data(RELIABLE, message)) {
            meeting.run_for(Duration::from_millis(5));
        }
    }
}
