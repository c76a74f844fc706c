//! Ports forwarded by the router in front, on request: PCP (RFC 6887), NAT-PMP (RFC 6886) or UPnP's Internet Gateway Device.
//!
//! `schedule` decides when the router is asked for what, and `router` asks. Each port is wanted at the same number outside,
//! since that is what clients are told; a router that offers another one is thanked and asked again later.

mod router;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::ambient;
use crate::data_dir;
use crate::listener::ended;
use crate::port_holder::Transport;
use router::{Answer, Router};
use schedule::{Schedule, Step};

/// A way to ask a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Pcp,
    NatPmp,
    Upnp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Pcp => "PCP",
            Protocol::NatPmp => "NAT-PMP",
            Protocol::Upnp => "UPnP",
        })
    }
}

/// A port of ours, as in `7880/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Wanted {
    pub transport: Transport,
    pub port: u16,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, if self.transport == Transport::Tcp { "tcp" } else { "udp" })
    }
}

impl From<Wanted> for String {
    fn from(wanted: Wanted) -> Self {
        wanted.to_string()
    }
}

impl TryFrom<String> for Wanted {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fault = "is no port such as 7880/tcp";
        let (port, transport) = text.split_once('/').ok_or(fault)?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return Err(fault),
        };
        Ok(Self { transport, port: u16::from_str(port).map_err(|_| fault)? })
    }
}

/// What a router does for this server at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// How the router is spoken to; `None` while none answers.
    pub protocol: Option<Protocol>,
    /// Its own address on the other side, as it says; unspecified if it says that it has none.
    pub router: Option<IpAddr>,
    /// What it forwards, as far as it has said.
    pub ports: Vec<Wanted>,
    /// What it does not forward, and why not.
    pub refused: BTreeMap<Wanted, String>,
    /// Why there is no router to ask.
    pub fault: Option<String>,
}

impl Forwarding {
    /// Whether all that was wanted has been asked for, with whatever outcome.
    pub fn is_settled(&self, wanted: usize) -> bool {
        self.fault.is_some() || self.ports.len() + self.refused.len() >= wanted
    }
}

/// A router that is asked for ports until the server ends.
#[derive(Debug)]
pub struct PortMapping {
    /// Ends when everything has been given back.
    pub task: JoinHandle<()>,
    pub news: watch::Receiver<Forwarding>,
    pub wanted: usize,
}

/// Has these ports forwarded, by the first of the protocols that works, until `ending` is true. With the same `nonce` as
/// before, ports can be asked for again that a server which died has left with the router.
pub fn start(
    protocols: Vec<Protocol>,
    ports: Vec<Wanted>,
    nonce: [u32; 3],
    ending: watch::Receiver<bool>,
) -> PortMapping {
    let (tell, news) = watch::channel(Forwarding::default());
    let wanted = ports.len();
    let schedule = Schedule::new(ports.clone(), ambient::now().monotonic);
    let mapper = Mapper { protocols, first: ports.first().copied(), nonce, schedule, router: None, tell };
    PortMapping { task: tokio::spawn(mapper.keep(ending)), news, wanted }
}

/// The nonce of this server's mappings (RFC 6887 §11.2), made on the first run.
pub fn nonce(path: &Path) -> anyhow::Result<[u32; 3]> {
    let read = |text: &str| -> Option<[u32; 3]> {
        let words: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
        words.ok()?.try_into().ok()
    };
    if let Some(nonce) = std::fs::read_to_string(path).ok().as_deref().and_then(read) {
        return Ok(nonce);
    }
    let nonce: [u32; 3] = ambient::rng().random();
    let text = nonce.map(|word| word.to_string()).join(" ") + "\n";
    data_dir::write_private(path, text.as_bytes())
        .with_context(|| format!("writing the nonce of port mappings {}", path.display()))?;
    Ok(nonce)
}

struct Mapper {
    protocols: Vec<Protocol>,
    /// With which a router is tried.
    first: Option<Wanted>,
    nonce: [u32; 3],
    schedule: Schedule,
    router: Option<Router>,
    tell: watch::Sender<Forwarding>,
}

impl Mapper {
    async fn keep(mut self, mut ending: watch::Receiver<bool>) {
        loop {
            match self.schedule.next(ambient::now().monotonic) {
                Step::Search => tokio::select! {
                    () = self.search() => {}
                    () = ended(&mut ending) => self.schedule.leave(),
                },
                Step::Wait(until) => tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = ended(&mut ending) => self.schedule.leave(),
                },
                Step::Check => self.check().await,
                Step::Map(port) => self.map(port).await,
                Step::Unmap(port) => self.unmap(port).await,
                Step::Done => return,
            }
        }
    }

    async fn search(&mut self) {
        let Some(first) = self.first else { return self.schedule.lost(ambient::now().monotonic) };
        match router::search(&self.protocols, first, self.nonce).await {
            Ok(router) => {
                let protocol = router.protocol;
                info!(%protocol, "the router is asked to forward ports");
                self.router = Some(router);
                self.schedule.found(ambient::now().monotonic);
                self.tell.send_modify(|news| {
                    news.protocol = Some(protocol);
                    news.fault = None;
                });
                self.ask_address().await;
            }
            Err(fault) => {
                self.schedule.lost(ambient::now().monotonic);
                let ports = self.schedule.held().collect();
                let is_new = self.tell.send_if_modified(|news| {
                    let new = Forwarding { fault: Some(fault.clone()), ports, ..Forwarding::default() };
                    let is_new = *news != new;
                    *news = new;
                    is_new
                });
                if is_new {
                    warn!(
                        fault,
                        "no router can be asked to forward ports: forward them by hand, or switch UPnP, NAT-PMP or PCP on there"
                    );
                }
            }
        }
    }

    async fn check(&mut self) {
        let is_here = self.router.as_ref().is_some_and(|router| router::own_address() == Some(router.own));
        if is_here && self.ask_address().await {
            self.schedule.checked(ambient::now().monotonic);
        } else {
            self.lose();
        }
    }

    /// Whether the router answers.
    async fn ask_address(&mut self) -> bool {
        let Some(router) = &self.router else { return false };
        match router.address().await {
            Ok(Some(address)) => self.learn_address(address),
            Ok(None) => {}
            Err(()) => return false,
        }
        true
    }

    fn learn_address(&self, address: IpAddr) {
        self.tell.send_if_modified(|news| news.router.replace(address) != Some(address));
    }

    async fn map(&mut self, port: Wanted) {
        let Some(router) = &self.router else { return self.lose() };
        let answer = router.map(port).await;
        let now = ambient::now().monotonic;
        match answer {
            Answer::Granted(grant, address) => {
                self.schedule.granted(port, grant, now);
                if let Some(address) = address {
                    self.learn_address(address);
                }
                if grant.external_port == port.port {
                    self.tell_forwarded(port);
                } else {
                    let other = grant.external_port;
                    self.tell_refused(port, format!("another device has it ({other} is free there)"));
                }
            }
            Answer::Refused(reason) => {
                self.schedule.refused(port, now);
                self.tell_refused(port, reason);
            }
            Answer::NoAddress => {
                self.schedule.refused(port, now);
                self.learn_address(IpAddr::from([0, 0, 0, 0]));
                self.tell_refused(port, "it has no address on the internet".to_owned());
            }
            Answer::Silent => self.lose(),
        }
    }

    async fn unmap(&mut self, port: Wanted) {
        if let Some(router) = &self.router {
            router.unmap(port).await;
        }
        self.schedule.removed(port, ambient::now().monotonic);
        self.tell.send_if_modified(|news| {
            let before = news.ports.len();
            news.ports.retain(|held| *held != port);
            news.ports.len() != before
        });
    }

    fn lose(&mut self) {
        self.router = None;
        self.schedule.lost(ambient::now().monotonic);
        info!("the router no longer answers, or this machine has another address: it is looked for again");
    }

    fn tell_forwarded(&self, port: Wanted) {
        let is_new = self.tell.send_if_modified(|news| {
            let was_refused = news.refused.remove(&port).is_some();
            let is_new = !news.ports.contains(&port);
            if is_new {
                news.ports.push(port);
            }
            is_new || was_refused
        });
        if is_new {
            info!(%port, "the router forwards a port to this server");
        }
    }

    fn tell_refused(&self, port: Wanted, reason: String) {
        let is_new = self.tell.send_if_modified(|news| {
            news.ports.retain(|held| *held != port);
            news.refused.insert(port, reason.clone()).as_ref() != Some(&reason)
        });
        if is_new {
            warn!(%port, reason, "the router does not forward a port");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_people_do() {
        let port = Wanted { transport: Transport::Udp, port: 3478 };
        let text = serde_json::to_string(&port).expect("JSON");
        assert_eq!(text, "\"3478/udp\"");
        assert_eq!(serde_json::from_str::<Wanted>(&text).expect("a port"), port);
        for wrong in ["\"3478\"", "\"3478/sctp\"", "\"70000/udp\""] {
            assert!(serde_json::from_str::<Wanted>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nonce_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nonce");
        let made = nonce(&path).expect("a nonce");
        assert_eq!(nonce(&path).expect("the same"), made);
        std::fs::write(&path, "junk").expect("written");
        assert_ne!(nonce(&path).expect("another"), made);
    }
}
