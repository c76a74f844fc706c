//! What has to be true of a unit's tables between any two calls.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::Sfu;
use crate::connection::Connection;
use crate::room::Subscription;
use crate::room::publication::Owner;

/// Longer than any transport waits for anything.
const LONGEST_SLEEP: Duration = Duration::from_secs(48 * 60 * 60);

/// Panics if an index or a key leads nowhere or to the wrong thing, or if something is kept that nobody can reach.
pub(super) fn check(sfu: &Sfu) {
    check_participants(sfu);
    check_publications(sfu);
    check_places(sfu);
    for (index, connection) in &sfu.connections {
        check_connection(sfu, index, connection);
    }
    check_ways_to_connections(sfu);
    let counters = sfu.counters();
    assert_eq!(counters.due, counters.forwarded + counters.late + counters.unsendable);
}

/// Panics if something is left of those who were here.
pub(super) fn check_empty(sfu: &mut Sfu, now: Instant) {
    // Timers of those who have left do nothing when they fire.
    sfu.handle_timeout(now + LONGEST_SLEEP);
    assert_eq!(sfu.next_timeout(), None, "an empty unit sleeps");
    assert_eq!((sfu.participants.len(), sfu.publications.len(), sfu.connections.len()), (0, 0, 0));
    assert_eq!((sfu.participant_by_key.len(), sfu.publication_by_track.len()), (0, 0));
    let addresses = sfu.connection_by_remote.len();
    assert_eq!((addresses, sfu.connection_by_ufrag.len(), sfu.connection_by_probe.len()), (0, 0, 0));
    assert!(sfu.rooms.is_empty());
}

fn check_participants(sfu: &Sfu) {
    assert_eq!(sfu.participants.len(), sfu.participant_by_key.len());
    let mut connections = 0;
    for (index, participant) in &sfu.participants {
        assert_eq!(sfu.participant_by_key.get(&participant.key), Some(&index));
        assert!(sfu.rooms[&participant.room].participants.contains(&index));
        for connection in participant.connections() {
            assert_eq!(sfu.connections[connection].participant, index);
            connections += 1;
        }
        for &publication in &participant.publications {
            assert!(sfu.publications[publication].is_of(index));
        }
        let tracks: HashSet<_> = participant.wants.iter().collect();
        assert_eq!(tracks.len(), participant.wants.len(), "a track is wanted once");
        for track in &participant.wants {
            let publication = &sfu.publications[sfu.publication_by_track[track]];
            assert!(publication.subscriptions.iter().any(|subscription| subscription.subscriber == index));
        }
    }
    assert_eq!(sfu.connections.len(), connections);
    #[expect(clippy::disallowed_methods, reason = "a sum does not depend on the order")]
    let inside: usize = sfu.rooms.values().map(|room| room.participants.len()).sum();
    assert_eq!(inside, sfu.participants.len());
}

fn check_publications(sfu: &Sfu) {
    assert_eq!(sfu.publications.len(), sfu.publication_by_track.len());
    for (index, publication) in &sfu.publications {
        let track = publication.spec.track;
        assert_eq!(sfu.publication_by_track.get(&track), Some(&index));
        let room = match &publication.owner {
            Owner::Here(owner) => {
                assert!(sfu.participants[*owner].publications.contains(&index));
                sfu.participants[*owner].room
            }
            Owner::Elsewhere(elsewhere) => {
                assert!(sfu.rooms[&elsewhere.room].mirrors.contains(&index));
                elsewhere.room
            }
        };
        let subscribers: Vec<usize> = publication.subscriptions.iter().map(|it| it.subscriber).collect();
        assert!(subscribers.is_sorted_by(|one, next| one < next), "somebody hears a track once");
        for subscription in publication.subscriptions.iter() {
            let subscriber = &sfu.participants[subscription.subscriber];
            assert!(subscriber.wants.contains(&track));
            assert_eq!(subscriber.room, room);
            assert_eq!(subscription.connection, subscriber.hears_on());
            assert!(sfu.connections[subscription.connection].sending.get(&subscription.ssrc) == Some(&track));
        }
    }
}

/// Who has a place among the loudest speakers is inside, has it once, and has only one of those that there are.
fn check_places(sfu: &Sfu) {
    for (key, room) in &sfu.rooms {
        let tracks: HashSet<_> = room.loudest.tracks().collect();
        assert_eq!(tracks.len(), room.loudest.tracks().count());
        assert!(tracks.len() <= sfu.config.loudest.places);
        for track in tracks {
            let publication = &sfu.publications[sfu.publication_by_track[&track]];
            assert!(publication.owner.room(&sfu.participants) == *key && publication.spec.microphone);
        }
    }
}

fn check_connection(sfu: &Sfu, index: usize, connection: &Connection) {
    for &(_, publication) in &connection.streams {
        assert!(sfu.publications[publication].is_of(connection.participant));
    }
    for (ssrc, track) in &connection.sending {
        let publication = &sfu.publications[sfu.publication_by_track[track]];
        let is_this = |it: &Subscription| it.connection == index && it.ssrc == *ssrc;
        assert!(publication.subscriptions.iter().any(is_this));
    }
    for ufrag in &connection.ufrags {
        assert_eq!(sfu.connection_by_ufrag.get(ufrag), Some(&index));
    }
    let channels: HashSet<_> = connection.channels.iter().map(|(channel, _)| channel).collect();
    assert_eq!(channels.len(), connection.channels.len(), "a channel is listed once");
}

/// Every way leads to a connection that knows of it, and none to one that has failed.
fn check_ways_to_connections(sfu: &Sfu) {
    for (address, &index) in &sfu.connection_by_remote {
        let connection = &sfu.connections[index];
        assert!(connection.validated.contains(address) && !connection.failed);
    }
    for (ufrag, &index) in &sfu.connection_by_ufrag {
        let connection = &sfu.connections[index];
        assert!(connection.ufrags.contains(ufrag) && !connection.failed);
    }
    for (id, &index) in &sfu.connection_by_probe {
        let connection = &sfu.connections[index];
        assert!(connection.probes.contains(id) && !connection.failed);
    }
}
