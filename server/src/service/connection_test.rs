//! Tests of the paths between a client and the media server: who may have one, and the tokens for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use banter_protocol::rest::{PathTest, TestPath, UserId};
use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use livekit_protocol::RoomConfiguration;
use rand::CryptoRng;

use super::throttle::{Throttle, Throttled};
use super::{Now, secrets};

/// Tokens are used at once. The leeway for clocks that differ comes on top.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// So many tests in a row, and another one after each [`REFILL`]: what a person does who tries other settings.
const BURST: u32 = 4;
const REFILL: Duration = Duration::from_secs(20);

/// Who asks for a test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tester {
    Member(UserId),
    /// Whoever has the API key, by its name.
    Operator(String),
}

/// Which ways lead to the media server, as far as it was opened and clients are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    pub udp4: Reachable,
    pub udp6: Reachable,
    pub tcp: bool,
    pub turn_udp: bool,
    pub turn_tcp: bool,
    pub turn_tls: bool,
}

/// By whom this server is found at an address of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reachable {
    #[default]
    ByNobody,
    /// It has a loopback address only.
    FromThisMachine,
    ByOthers,
}

impl Reachable {
    fn of(addresses: &[IpAddr], is_family: impl Fn(&IpAddr) -> bool) -> Self {
        let rank = |address: &IpAddr| match address.is_loopback() {
            true => Self::FromThisMachine,
            false => Self::ByOthers,
        };
        addresses.iter().filter(|address| is_family(address)).map(rank).max().unwrap_or_default()
    }

    fn is_for(self, client: IpAddr) -> bool {
        match self {
            Self::ByNobody => false,
            Self::FromThisMachine => client.is_loopback(),
            Self::ByOthers => true,
        }
    }
}

impl Ways {
    /// Of the addresses that clients are told of; without TCP and TURN.
    pub fn of(addresses: &[IpAddr]) -> Self {
        Self {
            udp4: Reachable::of(addresses, IpAddr::is_ipv4),
            udp6: Reachable::of(addresses, IpAddr::is_ipv6),
            ..Self::default()
        }
    }

    /// Whether a client that came from `client` to `host` can be told of a path.
    fn offers(&self, path: TestPath, client: IpAddr, host: Option<IpAddr>) -> bool {
        match path {
            // Where it came in, it is told of that address too.
            TestPath::Udp4 => self.udp4.is_for(client) || host.is_some_and(|host| host.is_ipv4()),
            TestPath::Udp6 => self.udp6.is_for(client) || host.is_some_and(|host| host.is_ipv6()),
            TestPath::Tcp => self.tcp,
            TestPath::TurnUdp => self.turn_udp,
            TestPath::TurnTcp => self.turn_tcp,
            TestPath::TurnTls => self.turn_tls,
        }
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectionTests {
    keys: ApiKeys,
    ways: Ways,
    limit: Arc<Throttle<Tester>>,
}

impl ConnectionTests {
    pub fn new(keys: ApiKeys, ways: Ways) -> Self {
        Self { keys, ways, limit: Arc::new(Throttle::new(BURST, REFILL)) }
    }

    /// Signs tokens for a room of its own for each path that is offered to a client at `client`, who reached this server
    /// at the address `host`, if it was one.
    pub fn prepare(
        &self,
        tester: Tester,
        client: IpAddr,
        host: Option<IpAddr>,
        now: Now,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<PathTest>, Throttled> {
        self.limit.take(tester, now.monotonic)?;
        let name = secrets::code(rng);
        let signed_at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.wall.0).unwrap_or_default());
        let offered = TestPath::ALL.into_iter().filter(|path| self.ways.offers(*path, client, host));
        let tests = offered.map(|path| {
            let room = format!("connection-test-{name}-{path}");
            let sign = |identity: &str, may_publish| {
                self.keys.sign(&claims(identity, &room, path, may_publish), signed_at, TOKEN_LIFETIME)
            };
            PathTest { path, sender: sign("sender", true), receiver: sign("receiver", false) }
        });
        Ok(tests.collect())
    }
}

fn claims(identity: &str, room: &str, path: TestPath, may_publish: bool) -> Claims {
    Claims {
        banter_test: Some(path),
        room_config: Some(RoomConfiguration {
            max_participants: 2,
            empty_timeout: 30,
            departure_timeout: 5,
            ..RoomConfiguration::default()
        }),
        video: Some(VideoGrant {
            room_join: true,
            room: room.to_owned(),
            can_publish: Some(may_publish),
            can_subscribe: Some(!may_publish),
            ..VideoGrant::default()
        }),
        ..Claims::for_room(identity, identity, room)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use banter_protocol::rest::UnixMillis;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::ambient;

    const CLIENT: &str = "203.0.113.7";

    #[test]
    fn each_path_that_is_offered_has_a_room_of_its_own() {
        let tests = prepare(&tests_of(all()), CLIENT, None).expect("it is the first");
        assert_eq!(tests.iter().map(|test| test.path).collect::<Vec<_>>(), TestPath::ALL);
        let rooms: Vec<String> = tests
            .iter()
            .map(|test| {
                let sender = read(&test.sender);
                let receiver = read(&test.receiver);
                assert_eq!((sender.banter_test, receiver.banter_test), (Some(test.path), Some(test.path)));
                let (may, hears) = (sender.video.expect("a grant"), receiver.video.expect("a grant"));
                assert_eq!(may.room, hears.room);
                assert!(may.may_publish() && !may.may_subscribe());
                assert!(!hears.may_publish() && hears.may_subscribe());
                assert!(!may.room_create && !may.room_admin && !may.room_list);
                may.room
            })
            .collect();
        assert!(rooms.windows(2).all(|pair| pair[0] != pair[1]), "{rooms:?}");
    }

    #[test]
    fn a_path_that_leads_nowhere_is_not_offered() {
        let addresses = ["192.0.2.1", "::1"].map(|text| text.parse().expect("an address"));
        let ways = Ways { tcp: true, ..Ways::of(&addresses) };
        let paths = |client, host: Option<&str>| {
            let host = host.map(|text| text.parse().expect("an address"));
            let tests = prepare(&tests_of(ways), client, host).expect("it is the first");
            tests.iter().map(|test| test.path).collect::<Vec<_>>()
        };
        assert_eq!(paths(CLIENT, None), [TestPath::Udp4, TestPath::Tcp]);
        assert_eq!(paths("::1", None), [TestPath::Udp4, TestPath::Udp6, TestPath::Tcp]);
        assert_eq!(paths(CLIENT, Some("2001:db8::1")), [TestPath::Udp4, TestPath::Udp6, TestPath::Tcp]);
    }

    #[test]
    fn a_person_has_a_few_tests_at_a_time() {
        let tests = tests_of(all());
        let ends: Vec<bool> = (0..6).map(|_| prepare(&tests, CLIENT, None).is_ok()).collect();
        assert_eq!(ends, [true, true, true, true, false, false]);
    }

    fn all() -> Ways {
        let reachable = Reachable::ByOthers;
        Ways { udp4: reachable, udp6: reachable, tcp: true, turn_udp: true, turn_tcp: true, turn_tls: true }
    }

    fn keys() -> ApiKeys {
        ApiKeys::new(vec![("key".into(), "secret".into())]).expect("a key")
    }

    fn tests_of(ways: Ways) -> ConnectionTests {
        ConnectionTests::new(keys(), ways)
    }

    fn prepare(
        tests: &ConnectionTests,
        client: &str,
        host: Option<IpAddr>,
    ) -> Result<Vec<PathTest>, Throttled> {
        let tester = Tester::Member(UserId::new("ann"));
        let now = Now { wall: UnixMillis(1_800_000_000_000), ..ambient::now() };
        tests.prepare(tester, client.parse().expect("an address"), host, now, &mut StdRng::seed_from_u64(1))
    }

    fn read(token: &str) -> Claims {
        let at: SystemTime = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        keys().verify(token, at).expect("it was just signed")
    }
}
