//! What others learn of a participant's path.

use banter_protocol::rest::{self, MediaTransport};
use banter_sfu::net::{MediaPath, PathKind};
use banter_sfu::turn::stun::Family;

use super::*;

#[test]
fn the_path_of_the_primary_connection_is_presence() {
    let mut scene = Scene::channel();
    let alice = scene.join("alice");
    assert_eq!(scene.entry("alice").path, None);

    scene.found(alice, PeerConnection::Publisher, PathKind::Udp, None);
    let direct = rest::MediaPath { transport: MediaTransport::Udp, family: 6, rtt_ms: None };
    assert_eq!(scene.entry("alice").path, Some(direct));

    scene.found(alice, PeerConnection::Publisher, PathKind::RelayedTls, Some(Duration::from_micros(41_900)));
    let relayed = rest::MediaPath { transport: MediaTransport::RelayTls, family: 6, rtt_ms: Some(41) };
    assert_eq!(scene.entry("alice").path, Some(relayed));

    scene.found(alice, PeerConnection::Subscriber, PathKind::Tcp, None);
    assert_eq!(scene.entry("alice").path, Some(relayed), "this is not the one that counts");
}

impl Scene {
    fn found(
        &mut self,
        participant: ParticipantKey,
        connection: PeerConnection,
        kind: PathKind,
        round_trip: Option<Duration>,
    ) {
        let path = MediaPath { kind, family: Family::V6, round_trip };
        self.event(Event::Path { participant, connection, path });
    }
}
