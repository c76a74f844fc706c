//! `ports.json` in the data folder: the ports in use, for scripts that let the system choose them.

use serde::{Deserialize, Serialize};

use crate::data_dir::{self, DataDir};

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
    pub pid: u32,
}

impl Ports {
    /// Writes the file in one go: who sees it, sees all of it.
    pub fn write(&self, folder: &DataDir) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        data_dir::write_private(&folder.ports_file(), &text)
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
