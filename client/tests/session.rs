//! Two sessions and a media server in virtual time: one speaks, the other hears, by one way only.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use banter_client::measure::{PACKETS, PTIME, Packet, Reception};
use banter_client::session::{Event, Output, Part, Session, Transmit};
use banter_sfu::net::{self, ConnectionMode, JoinSpec, Permissions, TrackSpec};
use banter_sfu::sim::{Datagram, Link, Net, Node, World};
use banter_sfu::transport::{Identity, Way};
use banter_sfu::{Config, LoudestSpeakers, ParticipantKey, RoomKey, Sfu, TrackKey};
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{MediaSectionsRequirement, SessionDescription};
use rand::SeedableRng;
use rand::rngs::StdRng;
use str0m::Candidate;
use str0m::net::Protocol;

const ROOM: RoomKey = RoomKey(1);
const TRACK: TrackKey = TrackKey(9);
const SERVER: usize = 0;
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn what_one_says_the_other_hears() {
    let mut call = Call::begin(Net::seeded(1), Some(Way::Udp4));
    assert!(call.connect());
    let measured = call.speak();
    assert_eq!((measured.sent, measured.lost), (PACKETS, 0));
    // A millisecond at each end of both ways.
    assert_eq!(measured.shortest, Duration::from_millis(4));
    assert!(call.client(SPEAKER).events.iter().any(|event| matches!(event, Event::CheckAnswered(_))));
}

#[test]
fn what_is_lost_on_the_way_is_counted() {
    let net = Net::seeded(2).with_link(Link::cable().loss(0.05));
    let mut call = Call::begin(net, None);
    assert!(call.connect());
    let measured = call.speak();
    assert!((1..40).contains(&measured.lost), "{measured:?}");
}

#[test]
fn a_session_that_may_only_come_another_way_finds_nobody() {
    let mut call = Call::begin(Net::seeded(3), Some(Way::Udp6));
    assert!(!call.connect());
    let found = |event: &Event| matches!(event, Event::PathFound | Event::Connected);
    assert!(!call.client(SPEAKER).events.iter().any(found));
    assert!(call.client(SPEAKER).events.iter().any(|event| matches!(event, Event::NotNamed)));
}

/// Numbers in the world.
const SPEAKER: usize = 1;
const LISTENER: usize = 2;

struct Call {
    world: World<Member>,
    start: Instant,
}

enum Member {
    Server(Box<Server>),
    Client(Box<Client>),
}

struct Server {
    sfu: Sfu,
    address: SocketAddr,
    /// Whom to ask for another offer.
    asked: Vec<ParticipantKey>,
}

struct Client {
    session: Session,
    address: SocketAddr,
    signals: Vec<Request>,
    events: Vec<Event>,
}

impl Call {
    fn begin(net: Net, only: Option<Way>) -> Self {
        let mut world = World::new(net);
        let start = world.now();
        let server = address("10.0.0.1:50000");
        let config = Config {
            worker: 0,
            addresses: vec![server.ip()],
            external: Vec::new(),
            port: server.port(),
            shares_port: false,
            tcp_ports: Vec::new(),
            loudest: LoudestSpeakers::OFF,
        };
        let identity = Identity::generate().expect("an identity");
        let rng = StdRng::seed_from_u64(7);
        let mut sfu = Sfu::new(config, identity, rng, start, SystemTime::UNIX_EPOCH);
        sfu.open_room(ROOM);
        for (number, may) in [(SPEAKER, (true, false)), (LISTENER, (false, true))] {
            sfu.join(joining(number, may, only), start).expect("a fresh key");
        }
        sfu.publish(key(SPEAKER), track());
        sfu.subscribe(key(LISTENER), TRACK, start);
        world.add(Member::Server(Box::new(Server { sfu, address: server, asked: Vec::new() })));
        for (part, at) in [(Part::Speaks, "10.0.0.2:4000"), (Part::Listens, "10.0.0.3:4000")] {
            let address = address(at);
            let candidate = Candidate::host(address, Protocol::Udp).expect("a candidate");
            let session = Session::new(part, vec![candidate], start);
            let client = Client { session, address, signals: Vec::new(), events: Vec::new() };
            world.add(Member::Client(Box::new(client)));
        }
        Self { world, start }
    }

    /// Carries descriptions and datagrams until both are connected.
    fn connect(&mut self) -> bool {
        let end = self.world.now() + PATIENCE;
        while self.world.now() < end {
            self.negotiate();
            self.world.run_for(Duration::from_millis(20));
            let is_up =
                |number| self.client(number).events.iter().any(|event| matches!(event, Event::Connected));
            if is_up(SPEAKER) && is_up(LISTENER) {
                return true;
            }
        }
        false
    }

    fn negotiate(&mut self) {
        for number in [SPEAKER, LISTENER] {
            let signals = std::mem::take(&mut self.client_mut(number).signals);
            for request in signals {
                if let Request::Offer(offer) = request {
                    let outcome = self
                        .world
                        .act(SERVER, |member, now| member.server().sfu.offer(key(number), &offer.sdp, now));
                    let sdp = outcome.expect("a good offer").answer;
                    let answer = SessionDescription {
                        r#type: "answer".into(),
                        sdp,
                        id: offer.id,
                        ..Default::default()
                    };
                    self.tell(number, Response::Answer(answer));
                }
            }
        }
        for participant in std::mem::take(&mut self.server_mut().asked) {
            let number = usize::try_from(participant.0).expect("a small key");
            self.tell(number, Response::MediaSectionsRequirement(MediaSectionsRequirement::default()));
        }
    }

    fn tell(&mut self, number: usize, message: Response) {
        self.world.act(number, |member, now| {
            member.client().session.handle_signal(message, now).expect("the session lives");
        });
    }

    /// All packets of speech, once something has been heard.
    fn speak(&mut self) -> banter_client::measure::Measured {
        let mut reception = Reception::new(self.start);
        let warm_up = (0..100).map(Packet::WarmUp);
        for packet in warm_up.chain((0..PACKETS).map(Packet::Speech)) {
            if matches!(packet, Packet::WarmUp(_)) && reception.has_begun() {
                continue;
            }
            let start = self.start;
            self.world.act(SPEAKER, |member, now| {
                member.client().session.speak(packet.encode(start, now, 80), now).expect("the session lives");
            });
            self.hear(&mut reception, PTIME);
        }
        self.hear(&mut reception, Duration::from_secs(1));
        reception.measured(false).expect("something was heard")
    }

    /// Lets time pass in steps that are short enough to see when something arrives.
    fn hear(&mut self, reception: &mut Reception, time: Duration) {
        let end = self.world.now() + time;
        while self.world.step_before(end) {
            let now = self.world.now();
            for event in std::mem::take(&mut self.client_mut(LISTENER).events) {
                if let Event::Heard(payload) = event {
                    reception.handle_payload(&payload, now);
                }
            }
            self.negotiate();
        }
    }

    fn client(&self, number: usize) -> &Client {
        match self.world.node(number) {
            Member::Client(client) => client,
            Member::Server(_) => panic!("no client"),
        }
    }

    fn client_mut(&mut self, number: usize) -> &mut Client {
        self.world.node_mut(number).client()
    }

    fn server_mut(&mut self) -> &mut Server {
        self.world.node_mut(SERVER).server()
    }
}

impl Member {
    fn server(&mut self) -> &mut Server {
        match self {
            Self::Server(server) => server,
            Self::Client(_) => panic!("no server"),
        }
    }

    fn client(&mut self) -> &mut Client {
        match self {
            Self::Client(client) => client,
            Self::Server(_) => panic!("no client"),
        }
    }
}

impl Node for Member {
    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Server(server) => vec![server.address],
            Self::Client(client) => vec![client.address],
        }
    }

    fn handle_datagram(&mut self, mut datagram: Datagram, now: Instant) {
        let Datagram { from, to, bytes } = &mut datagram;
        match self {
            Self::Server(server) => server.sfu.handle_datagram(*to, *from, bytes, now),
            Self::Client(client) => {
                let taken = client.session.handle_datagram(Protocol::Udp, *from, *to, bytes, now);
                taken.expect("the session lives");
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Server(server) => server.sfu.handle_timeout(now),
            Self::Client(client) => client.session.handle_timeout(now).expect("the session lives"),
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        match self {
            Self::Server(server) => server.poll(now, out),
            Self::Client(client) => client.poll(now, out),
        }
    }
}

impl Server {
    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        let from = self.address;
        let outbox = self.sfu.outbox();
        out.extend(outbox.iter().map(|sent| Datagram { from, to: sent.to, bytes: sent.payload.to_vec() }));
        outbox.clear();
        while let Some((_, event)) = self.sfu.poll_event() {
            if let net::Event::SectionsRequired { participant, .. } = event {
                self.asked.push(participant);
            }
        }
        self.sfu.next_timeout().unwrap_or(now + Duration::from_secs(3600))
    }
}

impl Client {
    fn poll(&mut self, now: Instant, out: &mut Vec<Datagram>) -> Instant {
        loop {
            match self.session.poll_output(now).expect("the session lives") {
                Output::Signal(request) => self.signals.push(*request),
                Output::Transmit(Transmit { from, to, bytes }) => out.push(Datagram { from, to, bytes }),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(at) => return at,
            }
        }
    }
}

fn joining(number: usize, (publish, subscribe): (bool, bool), only: Option<Way>) -> JoinSpec {
    JoinSpec {
        room: ROOM,
        participant: key(number),
        mode: ConnectionMode::Single,
        may: Permissions { publish, subscribe },
        label: format!("PA_{number}"),
        extra_addresses: Vec::new(),
        only,
    }
}

fn track() -> TrackSpec {
    TrackSpec {
        track: TRACK,
        cid: "microphone".into(),
        label: "TR_microphone".into(),
        muted: false,
        microphone: true,
        red: false,
        stereo: false,
        dtx: false,
    }
}

fn key(number: usize) -> ParticipantKey {
    ParticipantKey(number as u64)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
