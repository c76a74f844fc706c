//! What is said of the paths that media takes, in virtual time.

use std::time::Duration;

use banter_sfu::RoomKey;
use banter_sfu::net::ConnectionMode::Dual;
use banter_sfu::net::PathKind;
use banter_sfu::net::PeerConnection::{Publisher, Subscriber};
use banter_sfu::sim::{Link, Meeting, Net};
use banter_sfu::turn::stun::Family;

const ROOM: RoomKey = RoomKey(1);

#[test]
fn a_path_is_told_of_once_with_its_round_trip_and_again_when_that_has_changed() {
    let mut meeting = Meeting::new(Net::seeded(1));
    let alice = meeting.join(ROOM, Dual);
    meeting.run_for(Duration::from_secs(60));
    for connection in [Publisher, Subscriber] {
        let told = meeting.paths(alice, connection);
        let [path] = told[..] else { panic!("{connection:?}: {told:?}") };
        assert_eq!((path.kind, path.family), (PathKind::Udp, Family::V4));
        let round_trip = path.round_trip.expect("it is known by then");
        assert!(round_trip < Duration::from_millis(10), "{round_trip:?}");
    }

    for address in meeting.addresses(alice) {
        meeting.net().set_link(address, Link::cable().delay(Duration::from_millis(80)));
    }
    meeting.run_for(Duration::from_secs(60));
    for connection in [Publisher, Subscriber] {
        let told = meeting.paths(alice, connection);
        let round_trip = told[told.len() - 1].round_trip.expect("it is known");
        assert!(round_trip.abs_diff(Duration::from_millis(160)) < Duration::from_millis(20), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
