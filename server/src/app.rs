//! Wiring and orderly shutdown: the only place that sees every part.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use banter_protocol::token::ApiKeys;
use banter_sfu::net::Media;
use futures_util::future;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use url::Url;

use crate::addresses;
use crate::ambient;
use crate::bind::{self, BindError};
use crate::config::keys;
use crate::config::{AcmeConfig, Config, TlsConfig};
use crate::data_dir::{DataDir, Lock, LockError};
use crate::events::{self, EventHub, Streams};
use crate::external::{self, Outside};
use crate::first_run::{Routed, Welcome};
use crate::http::{self, AppState, Front, Site, twirp};
use crate::listener::{self, Gate, Port};
use crate::metrics::Metrics;
use crate::port_mapping::{self, PortMapping};
use crate::ports::Ports;
use crate::service::accounts::Accounts;
use crate::service::channels::{Channels, Directory};
use crate::service::connection_test::ConnectionTests;
use crate::service::invites::Invites;
use crate::service::moderation::Moderation;
use crate::service::passwords::Passwords;
use crate::service::secrets;
use crate::service::sessions::Sessions;
use crate::service::setup::SetupCode;
use crate::service::voice::Voice;
use crate::signal::{self, Rooms, SignalConfig};
use crate::store::Database;
use crate::tls::{Reload, Surroundings, Tls, TlsError, Trust};
use crate::voice_ports::VoicePorts;
use crate::webhook::{self, Deliveries};

/// How long answers under way may take once the program is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the box waits for a router.
const ROUTER_PATIENCE: Duration = Duration::from_secs(5);

const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The whole server, listening.
#[derive(Debug)]
pub struct App {
    config: Config,
    folder: DataDir,
    lock: Lock,
    database: Database,
    state: AppState,
    rooms: Rooms,
    media: Media,
    deliveries: Deliveries,
    ending: watch::Sender<bool>,
    serving: JoinHandle<()>,
    ports: Ports,
    mapping: Option<PortMapping>,
    outside: watch::Receiver<Outside>,
    following: JoinHandle<()>,
    setup_code: String,
    tls: Option<Tls>,
    reload: Reload,
}

/// Why the server does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Folder(#[from] LockError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl App {
    /// Binds every port, starts every part, and says so in `ports.json`.
    pub async fn start(config: Config, folder: DataDir, database: Database) -> Result<Self, StartError> {
        let lock = folder.lock()?;
        // Left by one that did not end in order.
        Ports::remove(&folder);
        if config.api_keys.is_empty() {
            return Err(anyhow::anyhow!("there is no API key in the settings").into());
        }
        let (listeners, http_port) = match config.single_port {
            true => bind::listen_with_udp(&config.bind, config.port, &keys::SINGLE_PORT)?,
            false => bind::listen(&config.bind, config.port, &keys::PORT)?,
        };
        let (metrics_listeners, metrics_port) =
            bind::listen_if(&config.bind, config.metrics.port, &keys::METRICS_PORT)?;
        // Before a certificate is asked for: the authority may come at once.
        let (acme_listeners, acme_http) = listen_for_authority(&config);
        let (ending, ending_seen) = watch::channel(false);
        let reload = Reload::default();
        let around = Surroundings {
            folder: folder.clone(),
            names: own_names(&config),
            port: http_port,
            reload: reload.clone(),
            ending: ending_seen.clone(),
        };
        let tls = Tls::start(&config.tls, around, ambient::now().wall)?;
        let voice = VoicePorts::open(&config, &folder, tls.as_ref(), http_port)?;
        let handle = voice.handle.clone();

        let (reports, presence) = mpsc::unbounded_channel();
        let directory = Arc::new(Directory(database.clone()));
        let (webhooks, deliveries) = webhook::start(&config.webhooks, &api_keys(&config))?;
        let rooms = Rooms::new(
            SignalConfig { webhooks: webhooks.clone(), relay: voice.offer.clone(), ..signal_config(&config) },
            handle.clone(),
            directory,
            reports,
        );
        let now = ambient::now().wall;
        // The clock tells one start from the next; two within a millisecond do not happen.
        let events = EventHub::new(now.0.unsigned_abs());
        tokio::spawn(events::forward(presence, database.clone(), events.clone()));

        let setup_code = secrets::code(&mut ambient::rng());
        let sessions = Sessions::new(database.clone());
        let passwords = Passwords::new(hashes_at_once()).context("password hashing does not work")?;
        let state = AppState {
            accounts: Accounts::new(
                database.clone(),
                sessions.clone(),
                passwords,
                SetupCode::new(&setup_code),
            ),
            moderation: Moderation::new(database.clone(), rooms.clone(), sessions.clone()),
            sessions,
            invites: Invites::new(database.clone()),
            channels: Channels::new(database.clone(), rooms.clone(), events.clone()),
            voice: Voice::new(database.clone(), rooms.clone(), api_keys(&config)),
            tests: ConnectionTests::new(api_keys(&config), voice.ways()),
            events,
            streams: Streams::default(),
            database: database.clone(),
            site: Arc::new(Site::new(
                config.public_url.clone(),
                config.trusted_proxies.clone(),
                tls.as_ref().map_or(Trust::Plain, Tls::trust),
            )),
            ending: ending_seen,
            media: handle.clone(),
            metrics: Metrics {
                config: config.metrics.clone(),
                rooms: rooms.clone(),
                media: handle.clone(),
                webhooks,
            },
        };
        let livekit = signal::router(rooms.clone()).merge(twirp::router(rooms.clone()));
        let challenges = tls.as_ref().map(Tls::challenges).cloned().unwrap_or_default();
        let router = http::router(state.clone(), livekit, challenges.clone());
        let gate = Gate::new(&config.trusted_proxies);
        let metrics = http::metrics_router(state.metrics.clone());
        let metrics = Port { router: metrics, gate: gate.clone(), tls: None, media: None };
        tokio::spawn(serve(metrics_listeners, metrics, ending.subscribe()));
        if !acme_listeners.is_empty() {
            let front = Front { public_url: config.public_url.clone(), port: http_port };
            let router = http::acme_router(challenges, front);
            let aside = Port { router, gate: gate.clone(), tls: None, media: None };
            tokio::spawn(serve(acme_listeners, aside, ending.subscribe()));
        }
        let ports = Ports {
            http: http_port,
            metrics: metrics_port,
            acme_http,
            rtc_udp: voice.udp_ports(),
            rtc_tcp: voice.rtc_tcp,
            turn: voice.turn,
            turn_tls: voice.turn_tls,
            forwarding: None,
            outside: Outside::default(),
            verdict: None,
            pid: std::process::id(),
        };
        let mapping = map_ports(&config, &ports, &folder, ending.subscribe())?;
        let news = || mapping.as_ref().map(|mapping| mapping.news.clone());
        let (tell, outside) = watch::channel(Outside::default());
        let asking = external::follow(
            config.stun_servers.clone(),
            voice.own_addresses.clone(),
            news(),
            handle.clone(),
            tell,
            ending.subscribe(),
        );
        tokio::spawn(asking);
        let media = voice.keep(&gate, &ending);
        let media_here = config.single_port.then_some(handle);
        let port = Port { router, gate, tls: tls.clone(), media: media_here };
        let serving = tokio::spawn(serve(listeners, port, ending.subscribe()));
        ports.write(&folder).context("writing ports.json into the data folder")?;
        let following = ports.clone().follow(folder.clone(), news(), outside.clone(), ending.subscribe());
        let following = tokio::spawn(following);
        tracing::info!(http = ports.http, udp = ?ports.rtc_udp, tcp = ?ports.rtc_tcp, data = %folder.path().display(), "listening");
        if config.dev {
            tracing::warn!("development mode: the API secret is known to everybody");
        }
        Ok(Self {
            config,
            folder,
            lock,
            database,
            state,
            rooms,
            media,
            deliveries,
            ending,
            serving,
            ports,
            mapping,
            outside,
            following,
            setup_code,
            tls,
            reload,
        })
    }

    /// Has certificates looked at again, from wherever a wish for that may come.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// The box for the operator, with a set-up link while there is no owner.
    pub async fn welcome(&self) -> anyhow::Result<String> {
        let needed = self.state.accounts.setup_needed().await?;
        let trust = self.tls.as_ref().map_or(Trust::Plain, Tls::trust);
        let scheme = if trust == Trust::Plain { "http" } else { "https" };
        let url = |scheme, host: String| format!("{scheme}://{host}:{}", self.ports.http);
        let (local, network): (Vec<IpAddr>, Vec<IpAddr>) = self
            .config
            .bind
            .iter()
            .flat_map(|bind| addresses::reachable(*bind))
            .partition(IpAddr::is_loopback);
        let welcome = Welcome {
            local: (!local.is_empty()).then(|| url("http", "localhost".to_owned())),
            network: network.into_iter().map(|address| url(scheme, host(address))).collect(),
            public: self.public_address(),
            setup_code: needed.then(|| self.setup_code.clone()),
            trust,
            ports: self.ports.clone(),
            router: self.router().await,
            dev: self.config.dev,
        };
        Ok(welcome.to_box())
    }

    /// What a router does for this server, once that is settled, or after a while.
    async fn router(&self) -> Option<Routed> {
        let mapping = self.mapping.as_ref()?;
        let mut news = mapping.news.clone();
        let settled = news.wait_for(|news| news.is_settled(mapping.wanted));
        let forwarding = match tokio::time::timeout(ROUTER_PATIENCE, settled).await {
            Ok(Ok(forwarding)) => forwarding.clone(),
            Ok(Err(_)) | Err(_) => mapping.news.borrow().clone(),
        };
        Some(Routed { forwarding, outside: *self.outside.borrow() })
    }

    fn public_address(&self) -> Option<String> {
        match (&self.config.public_url, &self.config.tls) {
            (Some(url), _) => Some(url.as_str().trim_end_matches('/').to_owned()),
            (None, TlsConfig::Auto(acme)) => acme.domains.first().map(|domain| match self.ports.http {
                443 => format!("https://{domain}"),
                port => format!("https://{domain}:{port}"),
            }),
            (None, TlsConfig::Off | TlsConfig::SelfSigned | TlsConfig::Files { .. }) => None,
        }
    }

    /// Serves until `stop` is ready, then ends calls with a reason and closes everything in order.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            () = stop => Ok(()),
            ended = &mut self.serving => ended.context("the HTTP server panicked"),
            () = upkeep(&self.state.sessions) => Ok(()),
            () = self.state.moderation.follow_operator() => Ok(()),
        };
        self.shut_down().await;
        outcome
    }

    async fn shut_down(self) {
        tracing::info!("shutting down");
        self.ending.send_replace(true);
        if tokio::time::timeout(DRAIN, self.rooms.shutdown()).await.is_err() {
            tracing::warn!("some calls did not end in time and are cut off");
        }
        if let Some(mapping) = self.mapping
            && tokio::time::timeout(DRAIN, mapping.task).await.is_err()
        {
            tracing::warn!("the router does not take its ports back in time; they end with their lease");
        }
        let _ = self.following.await;
        // The end of the calls is news as well.
        let told = tokio::spawn(self.deliveries.drain(DRAIN));
        let mut serving = self.serving;
        if !serving.is_finished() && tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut off");
            serving.abort();
        }
        let _ = told.await;
        let (media, database, folder, lock) = (self.media, self.database, self.folder, self.lock);
        let closing = tokio::task::spawn_blocking(move || {
            media.shutdown();
            database.close();
            Ports::remove(&folder);
            drop(lock);
        });
        if closing.await.is_err() {
            tracing::error!("closing the database panicked");
        }
        tracing::info!("ended");
    }
}

/// Asks a router for the ports, if that is wished for and of use.
fn map_ports(
    config: &Config,
    ports: &Ports,
    folder: &DataDir,
    ending: watch::Receiver<bool>,
) -> anyhow::Result<Option<PortMapping>> {
    if config.port_mapping.is_empty() {
        return Ok(None);
    }
    if config.bind.iter().all(IpAddr::is_loopback) {
        tracing::warn!(
            "this server listens to its own machine only, so no port is asked for at the router; give --bind"
        );
        return Ok(None);
    }
    let nonce = port_mapping::nonce(&folder.mapping_nonce())?;
    Ok(Some(port_mapping::start(config.port_mapping.clone(), ports.open(), nonce, ending)))
}

/// Sweeps out expired sessions and bans, for ever.
async fn upkeep(sessions: &Sessions) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = sessions.sweep(ambient::now().wall).await {
            tracing::warn!(%error, "expired sessions could not be swept out");
        }
    }
}

/// Serves on every listener until `ending` is true and the answers under way have ended.
async fn serve(listeners: Vec<TcpListener>, port: Port, ending: watch::Receiver<bool>) {
    let serve = |listener| listener::serve(listener, port.clone(), ending.clone());
    future::join_all(listeners.into_iter().map(serve)).await;
}

/// The port of HTTP-01 beside that of everything. Without it the other port or the other proof may do.
fn listen_for_authority(config: &Config) -> (Vec<TcpListener>, Option<u16>) {
    let TlsConfig::Auto(AcmeConfig { http_port, .. }) = config.tls else { return (Vec::new(), None) };
    // It answers there already.
    if http_port == config.port && http_port != 0 {
        return (Vec::new(), None);
    }
    match bind::listen(&config.bind, http_port, &keys::ACME_HTTP_PORT) {
        Ok((listeners, port)) => (listeners, Some(port)),
        Err(error) => {
            tracing::warn!(
                %error,
                "certificate authorities can ask over plain HTTP only if port 80 is forwarded to the port of the web app"
            );
            (Vec::new(), None)
        }
    }
}

/// What this server may be called in an address, as far as it knows.
fn own_names(config: &Config) -> Vec<String> {
    let reachable = config.bind.iter().flat_map(|bind| addresses::reachable(*bind));
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let addresses: BTreeSet<IpAddr> = reachable.chain(loopback).collect();
    let public = config.public_url.as_ref().and_then(Url::host_str);
    // A URL has IPv6 addresses in brackets.
    let public = public.map(|host| host.trim_matches(['[', ']']).to_owned());
    let names: BTreeSet<String> = public.into_iter().chain(addresses.iter().map(IpAddr::to_string)).collect();
    ["localhost".to_owned()].into_iter().chain(names).collect()
}

fn signal_config(config: &Config) -> SignalConfig {
    let pairs = config.api_keys.iter().map(|pair| (pair.key.clone(), pair.secret.clone())).collect();
    SignalConfig {
        empty_timeout: config.rooms.empty_timeout,
        departure_timeout: config.rooms.departure_timeout,
        max_participants: config.rooms.max_participants,
        other_rooms: config.rooms.other_rooms,
        auto_create: config.rooms.auto_create,
        development: config.dev,
        remote_unmute: config.rooms.remote_unmute,
        presets: config.rooms.presets.clone(),
        ..SignalConfig::new(pairs)
    }
}

fn api_keys(config: &Config) -> ApiKeys {
    let pairs = config.api_keys.iter().map(|pair| (pair.key.clone(), pair.secret.clone())).collect();
    ApiKeys::new(pairs).expect("there is a pair")
}

/// Half of the cores at most: the other half is for audio.
fn hashes_at_once() -> usize {
    (cores() / 2).max(1)
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// As in a URL.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
