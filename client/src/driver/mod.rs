//! The clock, the sockets and the loops under the cores.

mod api;
mod endpoint;
mod gather;
mod link;
mod path;
mod socket;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use banter_protocol::rest::{ConnectionTest, PathTest};
use rustls::ClientConfig;
use url::Url;

pub use api::{ApiError, Credential};
pub use socket::SocketError;
pub use trust::{Fingerprint, NotAFingerprint, Trust, TrustError};

use crate::report::PathReport;

/// A server, as its people reach it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    base: Url,
    tls: Arc<ClientConfig>,
}

impl Server {
    /// The server at `base` (`http://…` or `https://…`), whose certificate is believed as `trust` says.
    pub fn new(base: Url, trust: Trust) -> Result<Self, TrustError> {
        Ok(Self { base, tls: Arc::new(trust.into_tls()?) })
    }

    /// Asks for a test of each path, and answers with how long the server's answer took.
    pub async fn prepare(&self, credential: &Credential) -> Result<(ConnectionTest, Duration), ApiError> {
        api::prepare(self, credential).await
    }

    /// Opens the WebSocket of signalling, and tells the time from a ping to its pong, the shortest of a few.
    pub async fn ping(&self, token: &str) -> Result<Duration, SocketError> {
        socket::ping(self, token).await
    }

    /// Tries one path: two sessions, one of which hears the other.
    pub async fn test(&self, test: &PathTest) -> PathReport {
        PathReport { path: test.path, outcome: path::try_path(self, test).await }
    }

    fn is_tls(&self) -> bool {
        matches!(self.base.scheme(), "https" | "wss")
    }
}
