//! A room that tries one path of the network.

use std::time::Duration;

use banter_protocol::rest::TestPath;
use banter_sfu::transport::Way;
use banter_sfu::turn::Transport;

use super::{Now, Room, Timer};

/// How long a test may take: a path that carries nothing is known as such after half of it.
const TEST_TIME: Duration = Duration::from_secs(60);

impl Room {
    /// A room for a test ends by itself, whoever is inside.
    pub(super) fn limit_test(&mut self, now: Now) {
        if self.settings.test.is_some() {
            self.timers.insert((now.instant + TEST_TIME, Timer::TestOver));
        }
    }

    /// The only way by which sessions of this room are connected.
    pub(super) fn way(&self) -> Option<Way> {
        self.settings.test.map(|path| match path {
            TestPath::Udp4 => Way::Udp4,
            TestPath::Udp6 => Way::Udp6,
            TestPath::Tcp => Way::Tcp,
            TestPath::TurnUdp => Way::Relayed(Transport::Udp),
            TestPath::TurnTcp => Way::Relayed(Transport::Tcp),
            TestPath::TurnTls => Way::Relayed(Transport::Tls),
        })
    }
}
