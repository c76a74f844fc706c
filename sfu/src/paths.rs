//! What each connection's media travels by, for those who are to know: not where from.

use std::time::Duration;

use crate::connection::Connection;
use crate::net::{Event, MediaPath, PathKind};
use crate::sfu::Sfu;
use crate::transport::{Path, Protocol};
use crate::turn::stun::Family;
use crate::turn::{Carrier, Transport};

/// A round trip that differs by less, or by less than [`NOTEWORTHY_SHARE`] of what was said, is no news.
const NOTEWORTHY: Duration = Duration::from_millis(10);
const NOTEWORTHY_SHARE: u32 = 3;

impl Sfu {
    /// Tells of a connection's path, if it is not as it was said to be.
    pub(crate) fn review_path(&mut self, index: usize) {
        let Connection { participant, which: connection, egress, transport, told_path, .. } =
            &mut self.connections[index];
        let Some(path) = egress.path else { return };
        let path = describe(path, transport.round_trip());
        if !told_path.is_none_or(|told| is_news(told, path)) {
            return;
        }
        *told_path = Some(path);
        let connection = *connection;
        let participant = &self.participants[*participant];
        let (room, participant) = (participant.room, participant.key);
        self.events.push_back((room, Event::Path { participant, connection, path }));
    }
}

fn describe(path: Path, round_trip: Option<Duration>) -> MediaPath {
    let own = Family::of(path.remote);
    let (kind, family) = match path.protocol {
        Protocol::Udp => (PathKind::Udp, own),
        Protocol::Tcp => (PathKind::Tcp, own),
        Protocol::Relayed(Carrier { transport: Transport::Udp, family }) => (PathKind::RelayedUdp, family),
        Protocol::Relayed(Carrier { transport: Transport::Tcp, family }) => (PathKind::RelayedTcp, family),
        Protocol::Relayed(Carrier { transport: Transport::Tls, family }) => (PathKind::RelayedTls, family),
    };
    MediaPath { kind, family, round_trip }
}

fn is_news(told: MediaPath, path: MediaPath) -> bool {
    if (told.kind, told.family) != (path.kind, path.family) {
        return true;
    }
    match (told.round_trip, path.round_trip) {
        (Some(told), Some(round_trip)) => {
            let change = told.abs_diff(round_trip);
            change >= NOTEWORTHY && change >= told / NOTEWORTHY_SHARE
        }
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: PathKind, round_trip: Option<u64>) -> MediaPath {
        MediaPath { kind, family: Family::V4, round_trip: round_trip.map(Duration::from_millis) }
    }

    #[test]
    fn small_changes_of_the_round_trip_are_no_news() {
        let udp = |round_trip| path(PathKind::Udp, round_trip);
        for (told, now, expected) in [
            (None, None, false),
            (None, Some(20), true),
            (Some(20), None, false),
            (Some(1), Some(9), false),
            (Some(1), Some(11), true),
            (Some(90), Some(119), false),
            (Some(90), Some(60), true),
        ] {
            assert_eq!(is_news(udp(told), udp(now)), expected, "{told:?} ms, then {now:?} ms");
        }
        assert!(is_news(udp(Some(20)), path(PathKind::Tcp, Some(20))));
    }

    #[test]
    fn a_relayed_path_is_of_the_family_by_which_the_client_comes() {
        let remote = "192.0.0.8:50000".parse().expect("an address");
        let by = Carrier { transport: Transport::Tls, family: Family::V6 };
        let path = Path::relayed("192.0.2.1:7882".parse().expect("an address"), remote, by);
        let expected = MediaPath { kind: PathKind::RelayedTls, family: Family::V6, round_trip: None };
        assert_eq!(describe(path, None), expected);
    }
}
