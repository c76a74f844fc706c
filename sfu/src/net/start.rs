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

use super::batch::{MediaSocket, ReceiveBatch};
use super::gauges::Gauges;
use super::handle::{Command, MediaHandle, WorkerLink};
use super::streams::Streams;
use super::worker::{FIRST_STREAM, WAKER, Worker};
use crate::transport::{Identity, IdentityError};
use crate::{Config, Sfu};

/// ICE credentials name their worker by one of 64 characters.
const MAX_WORKERS: usize = 64;

/// Where the media plane listens.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// The address to bind every worker's socket to; the unspecified IPv6 address takes IPv4 as well.
    pub bind: IpAddr,
    /// Each worker takes the first free port of it. `0..=0` leaves the choice to the system.
    pub ports: RangeInclusive<u16>,
    /// Media threads, 1 to 64: as many as there are cores to spare.
    pub workers: usize,
    /// TCP ports at which somebody accepts streams and hands them to [`MediaHandle::adopt`]; the first is named to clients.
    pub tcp_ports: Vec<u16>,
    /// Addresses of this machine under which clients can reach it, most wanted first, loopback included.
    pub addresses: Vec<IpAddr>,
}

/// Why the media plane does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no UDP port of {}-{} on {bind} is free for media: {source}", ports.start(), ports.end())]
    Bind { bind: IpAddr, ports: RangeInclusive<u16>, source: io::Error },
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
}

/// Binds the sockets and starts the workers.
pub fn start(config: &MediaConfig) -> Result<(MediaHandle, Media), StartError> {
    let identity = Identity::generate()?;
    let mut media = Media { links: Vec::new(), threads: Vec::new(), ports: Vec::new() };
    for number in 0..config.workers.clamp(1, MAX_WORKERS) {
        media.start_worker(number, config, &identity)?;
    }
    Ok((MediaHandle::new(media.links.clone()), media))
}

impl Media {
    /// The UDP port of each worker.
    pub fn ports(&self) -> &[u16] {
        &self.ports
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
        config: &MediaConfig,
        identity: &Identity,
    ) -> Result<(), StartError> {
        let MediaConfig { bind, ports, addresses, tcp_ports, .. } = config;
        let socket = MediaSocket::bind(*bind, ports.clone()).map_err(|source| StartError::Bind {
            bind: *bind,
            ports: ports.clone(),
            source,
        })?;
        let port = socket.local_addr().port();
        let poll = Poll::new().map_err(StartError::Thread)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(StartError::Thread)?);
        let (commands, receiver) = mpsc::channel();
        let gauges = Arc::new(Gauges::default());
        gauges.set_alive(true);
        let bound = socket.local_addr().ip();
        let reachable: Vec<IpAddr> =
            addresses.iter().copied().filter(|address| serves(bound, *address)).collect();
        let local = SocketAddr::new(reachable.first().copied().unwrap_or(bound), port);
        let core = Config { worker: number as u8, addresses: reachable, port, tcp_ports: tcp_ports.clone() };
        let rng = StdRng::from_rng(&mut rand::rng());
        let worker = Worker {
            sfu: Sfu::new(core, identity.clone(), rng, Instant::now(), SystemTime::now()),
            socket,
            poll,
            commands: receiver,
            gauges: gauges.clone(),
            listeners: HashMap::new(),
            batch: ReceiveBatch::new(),
            streams: Streams::new(FIRST_STREAM),
            local,
        };
        let thread = thread::Builder::new()
            .name(format!("media-{number}"))
            .spawn(move || worker.run())
            .map_err(StartError::Thread)?;
        self.links.push(WorkerLink { commands, waker, gauges });
        self.threads.push(thread);
        self.ports.push(port);
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
