//! Opening ports, and what is said when one is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::config::keys::Key;
use crate::port_holder::{self, Holder, Transport};

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    PortInUse(#[from] PortInUse),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{} port {port} is in use{}; stop that program, or choose another port with --{flag}",
    match .transport { Transport::Tcp => "TCP", Transport::Udp => "UDP" },
    .holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
)]
pub struct PortInUse {
    transport: Transport,
    port: u16,
    flag: String,
    holder: Option<Holder>,
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
    std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
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
