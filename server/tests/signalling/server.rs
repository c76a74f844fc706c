//! A server of its own for each test: the signalling router over one media worker.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use banter_server::signal::{
    ChannelDirectory, ChannelLimits, MemberDirectory, MemberRefusal, PresenceEvent, Rooms, SignalConfig,
    Voice, router,
};
use banter_sfu::LoudestSpeakers;
use banter_sfu::net::{Media, MediaConfig, MediaHandle, start};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub const KEY: &str = "devkey";
pub const SECRET: &str = "secret";

pub struct Server {
    pub rooms: Rooms,
    pub media: MediaHandle,
    pub presence: mpsc::UnboundedReceiver<PresenceEvent>,
    pub address: SocketAddr,
    channels: Channels,
    workers: Option<Media>,
}

/// Channels with their limits.
#[derive(Clone, Default)]
struct Channels(Arc<Mutex<BTreeMap<String, u32>>>);

impl Server {
    pub async fn start() -> Self {
        Self::start_with(SignalConfig::new(vec![(KEY.into(), SECRET.into())])).await
    }

    pub async fn start_with(signal: SignalConfig) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let config = MediaConfig {
            bind: loopback,
            ports: 0..=0,
            tcp_ports: Vec::new(),
            share_port: false,
            members_per_worker: 200,
            workers: 1,
            addresses: vec![loopback],
            relay: None,
            loudest: LoudestSpeakers::OFF,
        };
        let (media, workers) = start(&config).expect("loopback has a free port");
        let (events, presence) = mpsc::unbounded_channel();
        let channels = Channels::default();
        let rooms = Rooms::new(signal, media.clone(), Arc::new(channels.clone()), events);
        let listener = TcpListener::bind((loopback, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let service = router(rooms.clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, service).await });
        Self { rooms, media, presence, address, channels, workers: Some(workers) }
    }

    pub fn add_channel(&self, id: &str, max_participants: u32) {
        self.channels.0.lock().expect("no test panics with it").insert(id.into(), max_participants);
    }

    pub fn remove_channel(&self, id: &str) {
        self.channels.0.lock().expect("no test panics with it").remove(id);
    }

    /// The next event of presence that `wanted` picks.
    pub async fn presence_of<T>(&mut self, wanted: impl Fn(&PresenceEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.presence.recv().await.expect("the rooms live");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("it happens in time")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take() {
            workers.shutdown();
        }
    }
}

impl ChannelDirectory for Channels {
    fn channel(&self, id: &str) -> BoxFuture<'_, Option<ChannelLimits>> {
        let channels = self.0.lock().expect("no test panics with it");
        let limits = channels.get(id).map(|&max_participants| ChannelLimits { max_participants });
        ready(limits).boxed()
    }
}

impl MemberDirectory for Channels {
    fn admit(
        &self,
        _: &str,
        _: u64,
        _: Option<IpAddr>,
        _: SystemTime,
    ) -> BoxFuture<'_, Result<Voice, MemberRefusal>> {
        ready(Ok(Voice { may_speak: true, may_listen: true })).boxed()
    }
}

pub fn claims(identity: &str, room: &str) -> Claims {
    Claims::for_room(identity, identity, room)
}

pub fn granting(identity: &str, grant: VideoGrant) -> Claims {
    Claims {
        video: Some(VideoGrant { room_join: true, room: "lobby".into(), ..grant }),
        ..claims(identity, "")
    }
}

pub fn sign(claims: &Claims) -> String {
    sign_at(claims, SystemTime::now())
}

pub fn sign_at(claims: &Claims, time: SystemTime) -> String {
    let keys = ApiKeys::new(vec![(KEY.into(), SECRET.into())]).expect("one key");
    keys.sign(claims, time, Duration::from_secs(600))
}

pub fn token(identity: &str) -> String {
    sign(&claims(identity, "lobby"))
}
