//! Everything that the media plane listens at: its workers' ports, the TCP doors, and TURN with what clients are told of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::Context;
use banter_sfu::framing::Framing;
use banter_sfu::net::{Media, MediaConfig, MediaHandle, RelayConfig, StartError};
use banter_sfu::turn::credentials::{Secret, Secrets};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::RngExt;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::addresses;
use crate::ambient;
use crate::app::cores;
use crate::bind::{self, BindError, PortForbidden, PortInUse};
use crate::config::Config;
use crate::config::keys::{self, Key};
use crate::data_dir::{self, DataDir};
use crate::door::Door;
use crate::listener::Gate;
use crate::port_holder::Transport;
use crate::service::connection_test::Ways;
use crate::signal::RelayOffer;
use crate::tls::{Tls, Trust};

/// The media plane, running, with its doors open and nobody at them yet.
#[derive(Debug)]
pub struct VoicePorts {
    pub handle: MediaHandle,
    pub media: Media,
    pub rtc_tcp: Option<u16>,
    pub turn: Option<u16>,
    pub turn_tls: Option<u16>,
    /// Addresses of this machine that clients are told of.
    pub own_addresses: Vec<IpAddr>,
    /// What clients are told of TURN.
    pub offer: Option<RelayOffer>,
    doors: Vec<(TcpListener, Framing, Option<Arc<ServerConfig>>)>,
}

impl VoicePorts {
    /// `http_port` is where everything is, if there is but one port.
    pub fn open(
        config: &Config,
        folder: &DataDir,
        tls: Option<&Tls>,
        http_port: u16,
    ) -> Result<Self, BindError> {
        let turn = config.turn;
        // Without a certificate there is nothing to show there.
        let tls_port = turn.tls_port.filter(|_| tls.is_some());
        let shared = config.single_port.then_some(http_port);
        let listen = |port: Option<u16>, key| match (shared, port) {
            (Some(shared), Some(_)) => Ok((Vec::new(), Some(shared))),
            (_, port) => bind::listen_if(&config.bind, port, key),
        };
        let (ice, rtc_tcp) = listen(config.rtc_tcp_port, &keys::RTC_TCP_PORT)?;
        let (turn_tcp, turn_port) = listen(turn.port, &keys::TURN_PORT)?;
        let (turn_over_tls, turn_tls) = listen(tls_port, &keys::TURN_TLS_PORT)?;

        let is_wanted = turn.port.is_some() || tls_port.is_some();
        let secrets = is_wanted.then(|| secrets(folder)).transpose()?;
        let own_addresses = own_addresses(config);
        let udp = match shared {
            Some(port) => Udp { media: port..=port, turn: None },
            None => Udp { media: config.rtc_port_range.clone(), turn: turn_port },
        };
        let (handle, media) = start(config, udp, rtc_tcp, secrets.as_ref(), &own_addresses)?;
        let offer = secrets.map(|secrets| RelayOffer {
            secret: secrets.current,
            validity: turn.validity,
            // Who reaches the single port by UDP needs no relay. And browsers that know it as a TURN server's take all that comes
            // from there for TURN's, media included.
            udp: turn_port.filter(|_| shared.is_none()),
            tcp: turn_port,
            // Nobody is asked whether to believe this server's own certificate.
            tls: turn_tls.filter(|_| tls.is_some_and(|tls| tls.trust() == Trust::Authority)),
        });

        let plain = |framing| move |listener| (listener, framing, None);
        let shown = tls.map(|tls| tls.server_config(&[]));
        let doors = ice.into_iter().map(plain(Framing::Rfc4571));
        let doors = doors.chain(turn_tcp.into_iter().map(plain(Framing::Turn)));
        let over_tls = turn_over_tls.into_iter().map(|listener| (listener, Framing::Turn, shown.clone()));
        let doors = doors.chain(over_tls).collect();
        Ok(Self { handle, media, rtc_tcp, turn: turn_port, turn_tls, own_addresses, offer, doors })
    }

    /// The ways that lead here, as far as clients are told of them.
    pub fn ways(&self) -> Ways {
        let offered = |port: fn(&RelayOffer) -> Option<u16>| {
            self.offer.as_ref().is_some_and(|offer| port(offer).is_some())
        };
        Ways {
            tcp: self.rtc_tcp.is_some(),
            turn_udp: offered(|offer| offer.udp),
            turn_tcp: offered(|offer| offer.tcp),
            turn_tls: offered(|offer| offer.tls),
            ..Ways::of(&self.own_addresses)
        }
    }

    /// The UDP ports of the media threads, each once.
    pub fn udp_ports(&self) -> Vec<u16> {
        let mut ports = self.media.ports().to_vec();
        ports.dedup();
        ports
    }

    /// Admits whoever comes to the doors, until `ending` is true.
    pub fn keep(self, gate: &Gate, ending: &watch::Sender<bool>) -> Media {
        for (listener, framing, tls) in self.doors {
            let door = Door { media: self.handle.clone(), gate: gate.clone(), framing, tls };
            tokio::spawn(door.keep(listener, ending.subscribe()));
        }
        self.media
    }
}

/// What is opened for UDP.
struct Udp {
    media: RangeInclusive<u16>,
    /// Beside the media ports, all of which are TURN's as well.
    turn: Option<u16>,
}

/// Where media is bound.
fn media_bind(config: &Config) -> IpAddr {
    bind::bound(config.rtc_bind.unwrap_or_else(|| match config.bind.as_slice() {
        [bind] => *bind,
        several if several.iter().any(IpAddr::is_ipv6) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }))
}

/// What the operator names, then what this machine has.
fn own_addresses(config: &Config) -> Vec<IpAddr> {
    let mut addresses = config.public_ip.clone();
    let own = addresses::offered(media_bind(config), &config.rtc_filter);
    addresses.extend(own.iter().filter(|address| !config.public_ip.contains(address)));
    addresses
}

fn start(
    config: &Config,
    udp: Udp,
    tcp_port: Option<u16>,
    secrets: Option<&Secrets>,
    addresses: &[IpAddr],
) -> Result<(MediaHandle, Media), BindError> {
    if let Some(echo) = config.turn.echo {
        tracing::warn!(%echo, "TURN relays to a peer that sends everything back: this is for tests only");
    }
    let media = MediaConfig {
        bind: media_bind(config),
        ports: udp.media.clone(),
        tcp_ports: tcp_port.into_iter().collect(),
        share_port: config.single_port,
        workers: config.rtc_workers.unwrap_or_else(|| match config.single_port {
            true => cores(),
            false => cores().min(ports(&udp.media)),
        }),
        members_per_worker: config.rtc_members_per_worker,
        addresses: addresses.to_vec(),
        loudest: config.loudest,
        relay: secrets.map(|secrets| RelayConfig {
            secrets: secrets.clone(),
            port: udp.turn,
            echo: config.turn.echo,
        }),
    };
    banter_sfu::net::start(&media).map_err(|error| refused(error, config.single_port))
}

/// Names the port that cannot be had, and the key to choose another.
fn refused(error: StartError, is_single: bool) -> BindError {
    let (port, key, source): (_, &Key, _) = match &error {
        StartError::Bind { ports, source, .. } if is_single => (*ports.start(), &keys::SINGLE_PORT, source),
        StartError::Bind { ports, source, .. } => (*ports.start(), &keys::RTC_PORT_RANGE, source),
        StartError::BindTurn { port, source, .. } => (*port, &keys::TURN_PORT, source),
        StartError::Relay(_) | StartError::Identity(_) | StartError::Thread(_) => return other(error),
    };
    match source.kind() {
        std::io::ErrorKind::AddrInUse => PortInUse::new(Transport::Udp, port, key).into(),
        std::io::ErrorKind::PermissionDenied => PortForbidden { transport: Transport::Udp, port }.into(),
        _ => other(error),
    }
}

fn other(error: StartError) -> BindError {
    anyhow::Error::new(error).context("starting the media workers").into()
}

/// The secret of TURN, made on the first run. A second line in its file is a secret that is still good, for the time of
/// a change.
fn secrets(folder: &DataDir) -> anyhow::Result<Secrets> {
    let path = folder.turn_secret();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = BASE64_STANDARD.encode(ambient::rng().random::<[u8; 32]>()) + "\n";
            data_dir::write_private(&path, text.as_bytes())
                .with_context(|| format!("writing the TURN secret {}", path.display()))?;
            text
        }
        Err(error) => {
            return Err(error).with_context(|| format!("reading the TURN secret {}", path.display()));
        }
    };
    let read = |line: &str| {
        let bytes = BASE64_STANDARD.decode(line.trim()).context("it is not Base64")?;
        anyhow::Ok(Secret::new(&bytes)?)
    };
    let mut lines = text.lines().map(read);
    let whose =
        || format!("the TURN secret {} is of no use; delete the file to get a new one", path.display());
    let current = lines.next().context("it is empty").flatten().with_context(whose)?;
    let previous = lines.next().transpose().with_context(whose)?;
    Ok(Secrets { current, previous })
}

/// How many ports a range has. Any free ones are as many as are needed.
fn ports(range: &RangeInclusive<u16>) -> usize {
    if *range.end() == 0 { usize::MAX } else { range.len() }
}
