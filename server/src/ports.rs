//! `ports.json` in the data folder: the ports in use, for scripts that let the system choose them, and what is known of a
//! router in front.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::data_dir::{self, DataDir};
use crate::external::Outside;
use crate::listener::ended;
use crate::port_holder::Transport;
use crate::port_mapping::{Forwarding, Wanted};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub http: u16,
    /// The port of `/metrics` alone, if it has one.
    #[serde(default)]
    pub metrics: Option<u16>,
    /// Where a certificate authority's questions are answered besides.
    #[serde(default)]
    pub acme_http: Option<u16>,
    /// The UDP ports of the media threads, each once.
    pub rtc_udp: Vec<u16>,
    /// `None` while nothing listens there.
    pub rtc_tcp: Option<u16>,
    /// The port of TURN, UDP and TCP.
    #[serde(default)]
    pub turn: Option<u16>,
    /// The port of TURN over TLS.
    #[serde(default)]
    pub turn_tls: Option<u16>,
    /// What a router does for these ports; `None` where none is asked.
    #[serde(default)]
    pub forwarding: Option<Forwarding>,
    #[serde(default)]
    pub outside: Outside,
    /// Why forwarding cannot work here, in plain words, once that is known.
    #[serde(default)]
    pub verdict: Option<String>,
    pub pid: u32,
}

impl Ports {
    /// Every port at which people have to reach this server.
    pub fn open(&self) -> Vec<Wanted> {
        let tcp = [Some(self.http), self.rtc_tcp, self.turn, self.turn_tls, self.acme_http];
        let tcp = tcp.into_iter().flatten().map(|port| Wanted { transport: Transport::Tcp, port });
        let udp = self.rtc_udp.iter().copied().chain(self.turn);
        let udp = udp.map(|port| Wanted { transport: Transport::Udp, port });
        tcp.chain(udp).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes the file again with whatever is learned of the router, until `ending` is true.
    pub async fn follow(
        mut self,
        folder: DataDir,
        mut forwarding: Option<watch::Receiver<Forwarding>>,
        mut outside: watch::Receiver<Outside>,
        mut ending: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                Some(forwarding) = next(&mut forwarding) => self.forwarding = Some(forwarding),
                Ok(()) = outside.changed() => {
                    self.outside = *outside.borrow_and_update();
                    self.verdict = self.outside.verdict();
                }
                () = ended(&mut ending) => return,
            }
            if let Err(error) = self.write(&folder) {
                tracing::warn!(%error, "ports.json cannot be brought up to date");
            }
        }
    }

    /// Writes the file in one go: who sees it, sees all of it.
    pub fn write(&self, folder: &DataDir) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        data_dir::write_private(&folder.ports_file(), &text)
    }

    /// Whether one port is that of everything.
    pub fn are_one(&self) -> bool {
        self.rtc_udp == [self.http]
    }

    /// What the server on this folder uses, if one runs or has not ended in order.
    pub fn read(folder: &DataDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.ports_file()).ok()?).ok()
    }

    /// Whether the process is there. One that did not end in order leaves the file behind.
    pub fn is_alive(&self) -> bool {
        is_alive(self.pid)
    }

    pub fn remove(folder: &DataDir) {
        // It may never have been written.
        let _ = std::fs::remove_file(folder.ports_file());
    }
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Another user's process may not be signalled, but it is there.
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

#[cfg(not(unix))]
fn is_alive(_: u32) -> bool {
    true
}

/// What is new, once something is; never if nobody tells.
async fn next(forwarding: &mut Option<watch::Receiver<Forwarding>>) -> Option<Forwarding> {
    match forwarding {
        Some(news) => news.changed().await.ok().map(|()| news.borrow_and_update().clone()),
        None => None,
    }
}
