//! What it takes to try each path to the media server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::UnixMillis;

/// One way by which media can travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestPath {
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
    /// ICE over TCP.
    Tcp,
    TurnUdp,
    TurnTcp,
    /// TURN over TLS.
    TurnTls,
}

impl TestPath {
    pub const ALL: [Self; 6] =
        [Self::Udp4, Self::Udp6, Self::Tcp, Self::TurnUdp, Self::TurnTcp, Self::TurnTls];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp4 => "udp4",
            Self::Udp6 => "udp6",
            Self::Tcp => "tcp",
            Self::TurnUdp => "turn-udp",
            Self::TurnTcp => "turn-tcp",
            Self::TurnTls => "turn-tls",
        }
    }
}

impl fmt::Display for TestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a path; the paths are udp4, udp6, tcp, turn-udp, turn-tcp and turn-tls")]
pub struct UnknownPath(String);

impl FromStr for TestPath {
    type Err = UnknownPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|path| path.as_str() == text).ok_or_else(|| UnknownPath(text.to_owned()))
    }
}

/// A connection test that has been prepared: a private room for each path that the server offers.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionTest {
    /// Base address for the LiveKit clients, `ws://` or `wss://`.
    pub ws_url: String,
    /// The server's clock, which tokens are held against.
    pub server_time: UnixMillis,
    /// In the order in which clients prefer them. A path that is missing is not offered.
    pub paths: Vec<PathTest>,
}

/// Two access tokens for one room, whose sessions are connected by this path or not at all. Any LiveKit client joins with
/// them: one publishes a microphone, the other hears it. The room closes after a minute.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathTest {
    pub path: TestPath,
    /// Token of the one who may publish.
    pub sender: String,
    /// Token of the one who hears.
    pub receiver: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_it_is_read() {
        for path in TestPath::ALL {
            assert_eq!(path.as_str().parse::<TestPath>().expect("a path"), path);
            assert_eq!(serde_json::to_value(path).expect("JSON"), path.as_str());
        }
        assert!("udp".parse::<TestPath>().is_err());
    }
}
