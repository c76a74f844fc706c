//! Bringing the media workers up and down.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock and the system's randomness")]

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use mio::{Poll, Waker};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tracing::warn;

use super::batch::{MediaSocket, ReceiveBatch, SHARES_PORTS};
use super::gauges::Gauges;
use super::handle::{Command, MediaHandle, WorkerLink};
use super::handover::{Handover, Neighbours};
use super::relay::Relay;
use super::steer::{self, Change};
use super::streams::{Arrivals, Streams};
use super::worker::{FIRST_STREAM, WAKER, Worker};
use crate::transport::{Identity, IdentityError};
use crate::turn::{self, credentials::Secrets};
use crate::{Config, LoudestSpeakers, Sfu, relayed};

/// ICE credentials name their worker by one of 64 characters.
const MAX_WORKERS: usize = 64;
/// What one client may have relayed, each way: a room of twenty open microphones comes to one half of it.
const RELAYED_BYTES_PER_SECOND: u32 = 250_000;

/// Where the media plane listens.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The address to bind every worker's socket to; the unspecified IPv6 address takes IPv4 as well.
    pub bind: IpAddr,
    /// Each worker takes the first free port of it. `0..=0` leaves the choice to the system.
    pub ports: RangeInclusive<u16>,
    /// All workers listen at the first of `ports`, and so does TURN. There is one worker where the system cannot spread
    /// datagrams over several sockets.
    pub share_port: bool,
    /// Media threads, 1 to 64: as many as there are cores to spare.
    pub workers: usize,
    /// Members of one room on one worker, before further ones go to another. 200 is a fan-out of about 0.2 ms.
    pub members_per_worker: usize,
    /// TCP ports at which somebody accepts streams and hands them to [`MediaHandle::adopt`]; the first is named to clients.
    pub tcp_ports: Vec<u16>,
    /// Addresses of this machine under which clients can reach it, most wanted first, loopback included.
    pub addresses: Vec<IpAddr>,
    /// TURN, on every media port and on one of its own.
    pub relay: Option<RelayConfig>,
    /// Who is heard in a large room.
    pub loudest: LoudestSpeakers,
}

/// The TURN server.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    pub secrets: Secrets,
    /// A UDP port beside the media ports; 0 is any free one.
    pub port: Option<u16>,
    /// For tests with public TURN clients: a peer that sends back whatever reaches it.
    pub echo: Option<SocketAddr>,
}

/// Why the media plane does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no UDP port of {}-{} on {bind} is free for media: {source}", ports.start(), ports.end())]
    Bind { bind: IpAddr, ports: RangeInclusive<u16>, source: io::Error },
    #[error("the UDP port {port} on {bind} is not free for TURN: {source}")]
    BindTurn { bind: IpAddr, port: u16, source: io::Error },
    #[error(transparent)]
    Relay(#[from] turn::ConfigError),
    #[error("the DTLS certificate cannot be made: {0}")]
    Identity(#[from] IdentityError),
    #[error("a media thread cannot be started: {0}")]
    Thread(io::Error),
}

/// The running workers. Dropping it leaves them running; [`Self::shutdown`] ends them.
#[derive(Debug)]
pub struct Media {
    links: Vec<WorkerLink>,
    threads: Vec<JoinHandle<()>>,
    ports: Vec<u16>,
    turn_port: Option<u16>,
}

/// Binds the sockets and starts the workers.
pub fn start(config: &MediaConfig) -> Result<(MediaHandle, Media), StartError> {
    let identity = Identity::generate()?;
    let turn_socket =
        config.relay.as_ref().and_then(|relay| relay.port).map(|port| turn_socket(config, port));
    let mut turn_socket = turn_socket.transpose()?;
    let turn_port = turn_socket.as_ref().map(|socket| socket.local_addr().port());
    let places = places(config)?;
    let links: Vec<WorkerLink> = places.iter().map(|place| place.link.clone()).collect();
    let ports: Vec<u16> = places.iter().map(|place| place.socket.local_addr().port()).collect();
    let (steering, steerer) = steering(config, &places).unzip();
    let neighbours = Neighbours {
        links: links.clone().into(),
        ports: ports.clone().into(),
        share_port: config.share_port,
        steering,
    };
    let threads = steerer.into_iter().collect();
    let mut media = Media { links: links.clone(), threads, ports, turn_port };
    for (number, place) in places.into_iter().enumerate() {
        let relay = match &config.relay {
            // The port of TURN is the first worker's; what is for others is passed on.
            Some(relay) => Some(place.relay(relay, number, &neighbours, turn_socket.take(), config)?),
            None => None,
        };
        let handover = Handover::new(number, neighbours.clone());
        media.start_worker(number, place, relay, handover, config, &identity)?;
    }
    Ok((MediaHandle::new(links, config.members_per_worker.max(1)), media))
}

fn places(config: &MediaConfig) -> Result<Vec<Place>, StartError> {
    let workers = match config.share_port && !SHARES_PORTS {
        true => 1,
        false => config.workers.clamp(1, MAX_WORKERS),
    };
    let mut port = *config.ports.start();
    let mut place = || {
        let place = Place::new(config, port)?;
        port = place.socket.local_addr().port();
        Ok(place)
    };
    (0..workers).map(|_| place()).collect()
}

/// Without it, datagrams are handed over.
fn steering(config: &MediaConfig, places: &[Place]) -> Option<(mpsc::Sender<Change>, JoinHandle<()>)> {
    let first = places.first().filter(|_| config.share_port && places.len() > 1)?;
    steer::start(&first.socket)
        .inspect_err(|error| warn!(%error, "datagrams arrive at any media thread and are handed over"))
        .ok()
}

fn turn_socket(config: &MediaConfig, port: u16) -> Result<MediaSocket, StartError> {
    let bind = config.bind;
    MediaSocket::bind(bind, port..=port).map_err(|source| StartError::BindTurn { bind, port, source })
}

/// What a worker needs before all of them are known.
struct Place {
    socket: MediaSocket,
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    link: WorkerLink,
}

impl Place {
    /// `port` is the one to share.
    fn new(config: &MediaConfig, port: u16) -> Result<Self, StartError> {
        let (bind, ports) = (config.bind, config.ports.clone());
        let socket = match config.share_port {
            true => MediaSocket::bind_shared(bind, port),
            false => MediaSocket::bind(bind, ports.clone()),
        };
        let socket = socket.map_err(|source| StartError::Bind { bind, ports, source })?;
        let poll = Poll::new().map_err(StartError::Thread)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(StartError::Thread)?);
        let (commands, receiver) = mpsc::channel();
        let gauges = Arc::new(Gauges::default());
        gauges.set_alive(true);
        let link = WorkerLink { commands, waker, gauges, placed: Arc::default() };
        Ok(Self { socket, poll, commands: receiver, link })
    }

    /// The addresses of `config` under which the socket can be reached.
    fn reachable(&self, config: &MediaConfig) -> Vec<IpAddr> {
        let bound = self.socket.local_addr().ip();
        config.addresses.iter().copied().filter(|address| serves(bound, *address)).collect()
    }

    fn relay(
        &self,
        relay: &RelayConfig,
        number: usize,
        neighbours: &Neighbours,
        socket: Option<MediaSocket>,
        config: &MediaConfig,
    ) -> Result<Relay, StartError> {
        let server = turn::Config {
            relayed_ipv4: Some(relayed::IPV4),
            relayed_ipv6: Some(relayed::IPV6),
            relayed_ports: relayed::ports(number, neighbours.links.len()),
            echo: relay.echo,
            limits: turn::Limits {
                sent_bytes_per_second: RELAYED_BYTES_PER_SECOND,
                received_bytes_per_second: RELAYED_BYTES_PER_SECOND,
                ..Default::default()
            },
            ..turn::Config::new(relay.secrets.clone())
        };
        let server = turn::Server::new(server, StdRng::from_rng(&mut rand::rng()), Instant::now())?;
        Ok(Relay::new(server, socket, number, neighbours.clone(), &self.reachable(config)))
    }
}

impl Media {
    /// The UDP port of each worker, which may be the same.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The UDP port of TURN, if it has one of its own.
    pub fn turn_port(&self) -> Option<u16> {
        self.turn_port
    }

    /// Ends every worker and waits for it. Sessions that still exist are cut off.
    pub fn shutdown(self) {
        for link in &self.links {
            link.send(Command::Stop);
        }
        for thread in self.threads {
            // A worker that panicked has said so in the log.
            let _ = thread.join();
        }
    }

    fn start_worker(
        &mut self,
        number: usize,
        place: Place,
        relay: Option<Relay>,
        handover: Handover,
        config: &MediaConfig,
        identity: &Identity,
    ) -> Result<(), StartError> {
        let bound = place.socket.local_addr();
        let reachable = place.reachable(config);
        let Place { socket, poll, commands, link } = place;
        let local = SocketAddr::new(reachable.first().copied().unwrap_or(bound.ip()), bound.port());
        let core = Config {
            worker: number as u8,
            addresses: reachable,
            external: Vec::new(),
            port: bound.port(),
            shares_port: config.share_port,
            tcp_ports: config.tcp_ports.clone(),
            loudest: config.loudest,
        };
        let rng = StdRng::from_rng(&mut rand::rng());
        let worker = Worker {
            sfu: Sfu::new(core, identity.clone(), rng, Instant::now(), SystemTime::now()),
            socket,
            poll,
            commands,
            gauges: link.gauges,
            listeners: HashMap::new(),
            batch: ReceiveBatch::new(),
            streams: Streams::new(FIRST_STREAM),
            arrivals: Arrivals::default(),
            relay,
            handover,
            local,
        };
        let thread = thread::Builder::new()
            .name(format!("media-{number}"))
            .spawn(move || worker.run())
            .map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

/// Whether a socket bound to `bind` hears what is sent to `address`.
fn serves(bind: IpAddr, address: IpAddr) -> bool {
    match bind {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => true,
        bind if bind.is_unspecified() => address.is_ipv4(),
        bind => bind == address,
    }
}
