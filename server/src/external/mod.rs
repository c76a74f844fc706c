//! The address at which a router in front shows this machine to the internet, learned from STUN servers and from the router.
//!
//! Without it only those who come in by that address find the media ports: whoever comes by a name, or through a proxy, is
//! told addresses of the network at home. This is the one place that knows it: `outside` judges, `stun` asks.

mod outside;
mod stun;

use std::net::IpAddr;
use std::time::Duration;

use banter_sfu::net::MediaHandle;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::listener::ended;
use crate::port_mapping::Forwarding;
pub use outside::{Outside, is_public};
pub use stun::ask_all;

/// Between two questions: providers change addresses at night, and it costs one datagram.
const INTERVAL: Duration = Duration::from_secs(600);
/// The same where nobody has answered yet.
const RETRY: Duration = Duration::from_secs(60);

/// Keeps the media plane and `tell` informed until `ending` is true. Not being able to is no fault: a server may have no internet.
pub async fn follow(
    servers: Vec<String>,
    own: Vec<IpAddr>,
    router: Option<watch::Receiver<Forwarding>>,
    media: MediaHandle,
    tell: watch::Sender<Outside>,
    mut ending: watch::Receiver<bool>,
) {
    // Where no router is asked and no address is looked for, there is nothing to follow.
    let servers = if own.iter().any(is_public) { Vec::new() } else { servers };
    let mut follower = Follower { servers, router, media, tell };
    tokio::select! {
        () = follower.follow() => {}
        () = ended(&mut ending) => {}
    }
}

struct Follower {
    servers: Vec<String>,
    router: Option<watch::Receiver<Forwarding>>,
    media: MediaHandle,
    tell: watch::Sender<Outside>,
}

impl Follower {
    async fn follow(&mut self) {
        let mut asked_at = tokio::time::Instant::now();
        loop {
            let is_asking = !self.servers.is_empty();
            tokio::select! {
                () = tokio::time::sleep_until(asked_at), if is_asking => {
                    let seen = ask_all(&self.servers).await;
                    if seen.is_some() {
                        self.learn(|outside| outside.seen = seen);
                    }
                    let pause = if self.tell.borrow().seen.is_some() { INTERVAL } else { RETRY };
                    asked_at = tokio::time::Instant::now() + pause;
                }
                router = changed(&mut self.router) => self.learn(|outside| outside.router = router),
                else => return,
            }
        }
    }

    /// Tells what is new: to clients by the media plane, and to people by the log.
    fn learn(&self, learn: impl FnOnce(&mut Outside)) {
        let before = *self.tell.borrow();
        let mut after = before;
        learn(&mut after);
        if let Some(address) = after.address().filter(|address| before.address() != Some(*address)) {
            info!(%address, "a router in front of this machine has this address: the voice ports have to be forwarded there");
            self.media.set_external(&[IpAddr::V4(address)]);
        }
        if let Some(verdict) = after.verdict().filter(|_| !before.is_behind_another_nat()) {
            warn!("{verdict}");
        }
        self.tell.send_replace(after);
    }
}

/// The router's own address, when there is news of it. Waits for ever where no router is asked.
async fn changed(router: &mut Option<watch::Receiver<Forwarding>>) -> Option<std::net::Ipv4Addr> {
    let Some(news) = router else { return std::future::pending().await };
    if news.changed().await.is_err() {
        // It will say nothing more.
        *router = None;
        return std::future::pending().await;
    }
    match news.borrow_and_update().router.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => Some(address),
        Some(IpAddr::V6(_)) | None => None,
    }
}
