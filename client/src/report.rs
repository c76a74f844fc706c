//! What came of trying a path.

use std::net::SocketAddr;
use std::time::Duration;

use banter_protocol::rest::TestPath;

use crate::measure::Measured;

/// One path, tried.
#[derive(Clone, Debug)]
pub struct PathReport {
    pub path: TestPath,
    pub outcome: Result<Connected, Failure>,
}

/// A path that carries sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Connected {
    /// From the offer until the keys were agreed, of the slower of both sessions.
    pub set_up: Duration,
    /// Shortest time until one of ICE's checks was answered.
    pub check: Option<Duration>,
    /// What came of the packets, from the sender through the server to the receiver.
    pub media: Measured,
}

/// Why a path carries no sound, by how far it was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the signalling connection failed: {0}")]
    Signalling(String),
    #[error("this machine has no address for it")]
    NoAddress,
    #[error("the server named no address for it")]
    NotNamed,
    #[error("this network knows no way to the addresses of the server")]
    NoRoute,
    #[error("{address} {how}")]
    Unreachable { address: SocketAddr, how: Unreachable },
    #[error("TLS with {address} failed: {cause}")]
    Tls { address: SocketAddr, cause: String },
    #[error("the TURN server {address} refused: error {code}")]
    TurnRefused { address: SocketAddr, code: u16 },
    #[error("no answer to any ICE check")]
    NoAnswer,
    #[error("ICE found the path, but DTLS did not finish")]
    NoKeys,
    #[error("connected, but no sound came back")]
    Silent,
    #[error("the connection ended in the middle of the test: {0}")]
    Ended(String),
}

/// Why nothing is reached at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// As after a packet that is dropped.
    #[error("does not answer")]
    Silent,
    /// By the machine itself: nothing listens there.
    #[error("refuses connections")]
    Refused,
    /// The system knows no way.
    #[error("cannot be reached from this network")]
    NoRoute,
}

impl Unreachable {
    pub fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable => {
                Self::NoRoute
            }
            _ => Self::Silent,
        }
    }
}
