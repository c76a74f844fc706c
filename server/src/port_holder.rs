//! Who holds a port? On Linux the answer is in `/proc`; elsewhere, and for other users' processes, it stays open.

use std::fmt;
use std::path::Path;

/// A process that listens where we want to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    pub pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// The holder of a port, if that can be found out.
pub fn find(transport: Transport, port: u16) -> Option<Holder> {
    let tables: [&str; 2] = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, transport, port))
        .collect();
    process_with_socket(&inodes)
}

/// The sockets on a port, out of a table whose columns are: slot, local address, remote address, state, two pairs of
/// queue lengths and timers, retransmits, user, timeout, inode (proc_pid_net(5)).
fn inodes(table: &str, transport: Transport, port: u16) -> Vec<String> {
    // TCP_LISTEN; connections on the same port do not stand in the way. UDP has no such state.
    let listens = |state: &str| transport == Transport::Udp || state == "0A";
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns.len() > 9 && columns[1].ends_with(&suffix) && listens(columns[3]))
        .map(|columns| columns[9].to_owned())
        .collect()
}

fn process_with_socket(inodes: &[String]) -> Option<Holder> {
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes.filter(|entry| !wanted.is_empty() && has_socket(&entry.path(), &wanted)).find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(Holder { name: name.trim().to_owned(), pid })
    })
}

fn has_socket(process: &Path, wanted: &[String]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|target| wanted.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(find(Transport::Tcp, port).map(|holder| holder.pid), Some(std::process::id()));
        let socket = UdpSocket::bind("[::1]:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        assert_eq!(find(Transport::Udp, port).map(|holder| holder.pid), Some(std::process::id()));
    }

    #[test]
    fn a_free_port_has_no_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        assert_eq!(find(Transport::Tcp, port), None);
    }
}
