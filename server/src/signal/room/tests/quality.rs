//! What clients are told of connections.

use banter_sfu::net::{ConnectionQuality, Quality};
use livekit_protocol::ConnectionQuality as Told;

use super::*;

#[test]
fn everyone_learns_of_the_own_connection_and_of_those_who_are_heard() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.publish_microphone(alice);
    let bob = scene.join("bob");
    let deaf = scene.join_as(JoinIntent { auto_subscribe: false, ..intent("deaf") });
    for key in [alice, bob, deaf] {
        scene.connected(key, PeerConnection::Publisher);
    }
    let joining = scene.join("joining");
    for key in [alice, bob, deaf, joining] {
        scene.take(key);
    }

    scene.judged(&[(alice, ConnectionQuality::Excellent), (bob, ConnectionQuality::Excellent)]);
    assert_eq!(scene.qualities(alice), [("alice".to_owned(), Told::Excellent)]);
    let both = [("alice".to_owned(), Told::Excellent), ("bob".to_owned(), Told::Excellent)];
    assert_eq!(scene.qualities(bob), both);
    assert_eq!(scene.qualities(deaf), []);
    assert_eq!(scene.qualities(joining), [], "it is not active yet");

    scene.judged(&[(alice, ConnectionQuality::Poor)]);
    assert_eq!(scene.qualities(alice), [("alice".to_owned(), Told::Poor)]);
    let both = [("alice".to_owned(), Told::Poor), ("bob".to_owned(), Told::Excellent)];
    assert_eq!(scene.qualities(bob), both);
    scene.judged(&[(bob, ConnectionQuality::Lost)]);
    assert_eq!(scene.qualities(alice), [], "she does not hear him");
}

impl Scene {
    fn judged(&mut self, changes: &[(ParticipantKey, ConnectionQuality)]) {
        let changes =
            changes.iter().map(|&(participant, quality)| Quality { participant, quality, score: 3.0 });
        self.event(Event::Quality { room: RoomKey(1), changes: changes.collect() });
    }

    fn qualities(&mut self, key: ParticipantKey) -> Vec<(String, Told)> {
        let updates = |message| match message {
            Response::ConnectionQuality(update) => update.updates,
            _ => Vec::new(),
        };
        let told: Vec<_> = self.take(key).into_iter().flat_map(updates).collect();
        let identity = |sid: &str| {
            let of = self.room.participants.values().find(|participant| participant.sid.as_str() == sid);
            of.expect("somebody in the room").identity().to_owned()
        };
        told.iter().map(|info| (identity(&info.participant_sid), info.quality())).collect()
    }
}
