//! Opening ports, and what is said when one is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::Context;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::config::keys::Key;
use crate::port_holder::{self, Holder, Transport};

/// Ports that are looked at where any will do, for one that is free for two protocols.
const MAX_TRIES: usize = 100;

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    PortInUse(#[from] PortInUse),
    #[error(transparent)]
    PortForbidden(#[from] PortForbidden),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{} port {port} is in use{}; stop that program, or choose another port with --{flag}",
    .transport.name(),
    .holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
)]
pub struct PortInUse {
    transport: Transport,
    port: u16,
    flag: String,
    holder: Option<Holder>,
}

/// Ports below 1024 are not for everybody.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} port {port} may not be opened by this user; allow it with `sudo setcap cap_net_bind_service=+ep` on the program's \
     file, with AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or choose a port above 1023",
    .transport.name()
)]
pub struct PortForbidden {
    pub transport: Transport,
    pub port: u16,
}

impl PortInUse {
    pub fn new(transport: Transport, port: u16, key: &Key) -> Self {
        Self { transport, port, flag: key.flag(), holder: port_holder::find(transport, port) }
    }
}

/// Binds a TCP port at every address. If any port will do, all addresses get the one that the first found.
pub fn listen(binds: &[IpAddr], port: u16, key: &Key) -> Result<(Vec<TcpListener>, u16), BindError> {
    let mut listeners = Vec::new();
    let mut port = port;
    for bind in binds {
        let listener = listen_at(SocketAddr::new(bound(*bind), port), key)?;
        port = listener.local_addr().context("reading the port back")?.port();
        listeners.push(listener);
    }
    Ok((listeners, port))
}

/// The same for a port that is to be free for UDP as well, which is bound later.
pub fn listen_with_udp(binds: &[IpAddr], port: u16, key: &Key) -> Result<(Vec<TcpListener>, u16), BindError> {
    for _ in 0..MAX_TRIES {
        let (listeners, found) = listen(binds, port, key)?;
        if port != 0 || binds.iter().all(|bind| UdpSocket::bind((bound(*bind), found)).is_ok()) {
            return Ok((listeners, found));
        }
    }
    Err(anyhow::anyhow!("no port was found that is free for TCP and for UDP").into())
}

/// The same for a port that there may not be.
pub fn listen_if(
    binds: &[IpAddr],
    port: Option<u16>,
    key: &Key,
) -> Result<(Vec<TcpListener>, Option<u16>), BindError> {
    match port {
        Some(port) => listen(binds, port, key).map(|(listeners, port)| (listeners, Some(port))),
        None => Ok((Vec::new(), None)),
    }
}

fn listen_at(address: SocketAddr, key: &Key) -> Result<TcpListener, BindError> {
    match tcp_listener(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(PortInUse::new(Transport::Tcp, address.port(), key).into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(PortForbidden { transport: Transport::Tcp, port: address.port() }.into())
        }
        Err(error) => {
            Err(anyhow::Error::new(error).context(format!("binding the TCP port {address}")).into())
        }
    }
}

/// Where there is no IPv6, every address is every IPv4 address.
pub fn bound(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) if !has_ipv6() => Ipv4Addr::UNSPECIFIED.into(),
        other => other,
    }
}

fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn tcp_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the connections of the last run to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}
