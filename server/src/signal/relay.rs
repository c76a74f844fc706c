//! TURN, as clients are told of it: where it is reached, and credentials for one session.

use std::borrow::Cow;
use std::time::SystemTime;

use banter_protocol::rest::TestPath;
use banter_sfu::turn::credentials::{Credentials, Secret, Validity, mint};
use livekit_protocol::IceServer;

/// What clients are offered.
#[derive(Clone, Debug)]
pub struct RelayOffer {
    pub secret: Secret,
    pub validity: Validity,
    /// Ports by transport; `None` is not offered.
    pub udp: Option<u16>,
    pub tcp: Option<u16>,
    /// With a certificate that clients believe: they are not asked, as a browser asks its user.
    pub tls: Option<u16>,
}

impl RelayOffer {
    /// As much of it as the test of a path needs; without a test all.
    pub(super) fn on(&self, test: Option<TestPath>) -> Cow<'_, Self> {
        let Some(path) = test else { return Cow::Borrowed(self) };
        let only = |wanted, port: Option<u16>| port.filter(|_| path == wanted);
        Cow::Owned(Self {
            udp: only(TestPath::TurnUdp, self.udp),
            tcp: only(TestPath::TurnTcp, self.tcp),
            tls: only(TestPath::TurnTls, self.tls),
            ..self.clone()
        })
    }

    /// The servers for a session: at `host` (a name or an address as in a URL), where its client has reached us (RFC 7065 §3.1).
    pub(super) fn servers(&self, host: &str, participant: &str, wall: SystemTime) -> Vec<IceServer> {
        let url = |scheme, port: Option<u16>, transport| {
            port.map(|port| format!("{scheme}:{host}:{port}?transport={transport}"))
        };
        let urls =
            [url("turn", self.udp, "udp"), url("turn", self.tcp, "tcp"), url("turns", self.tls, "tcp")];
        let urls: Vec<String> = urls.into_iter().flatten().collect();
        if urls.is_empty() {
            return Vec::new();
        }
        let Credentials { username, password } = mint(&self.secret, participant, self.validity, wall);
        vec![IceServer { urls, username, credential: password }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(udp: Option<u16>, tcp: Option<u16>, tls: Option<u16>) -> RelayOffer {
        let secret = Secret::new(&[7; 32]).expect("it is long enough");
        RelayOffer { secret, validity: Validity::default(), udp, tcp, tls }
    }

    #[test]
    fn f4_every_way_in_is_offered_under_the_name_that_the_client_used() {
        let servers = offer(Some(3478), Some(3479), Some(5349)).servers(
            "[2001:db8::1]",
            "PA_alice",
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(servers.len(), 1);
        assert_eq!(
            servers[0].urls,
            [
                "turn:[2001:db8::1]:3478?transport=udp",
                "turn:[2001:db8::1]:3479?transport=tcp",
                "turns:[2001:db8::1]:5349?transport=tcp"
            ]
        );
        assert_eq!(servers[0].username, "3600:PA_alice");
    }

    #[test]
    fn what_is_closed_is_not_offered() {
        let now = SystemTime::UNIX_EPOCH;
        assert!(offer(None, None, None).servers("host", "PA_alice", now).is_empty());
        assert_eq!(
            offer(None, Some(3478), None).servers("host", "PA_alice", now)[0].urls,
            ["turn:host:3478?transport=tcp"]
        );
    }

    #[test]
    fn a_test_is_offered_the_one_way_that_it_is_about() {
        let offer = offer(Some(3478), Some(3479), Some(5349));
        let urls = |path| {
            let servers = offer.on(path).servers("host", "PA_alice", SystemTime::UNIX_EPOCH);
            servers.into_iter().flat_map(|server| server.urls).collect::<Vec<_>>()
        };
        assert_eq!(urls(None).len(), 3);
        assert_eq!(urls(Some(TestPath::TurnUdp)), ["turn:host:3478?transport=udp"]);
        assert_eq!(urls(Some(TestPath::TurnTcp)), ["turn:host:3479?transport=tcp"]);
        assert_eq!(urls(Some(TestPath::TurnTls)), ["turns:host:5349?transport=tcp"]);
        assert!(urls(Some(TestPath::Udp4)).is_empty());
    }

    #[test]
    fn c25_everybody_has_credentials_of_their_own() {
        let of = |participant| {
            offer(Some(1), None, None).servers("host", participant, SystemTime::UNIX_EPOCH)[0].clone()
        };
        assert_ne!(of("PA_alice").credential, of("PA_bob").credential);
    }
}
