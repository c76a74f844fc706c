//! A router, asked by one of three protocols. The protocols themselves are the crates `crab_nat` and `igd-next`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::pin::Pin;
use std::time::Duration;

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig};
use crab_nat::{natpmp, pcp};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use igd_next::aio::tokio::Tokio;
use igd_next::{AddPortError, GetExternalIpError, PortMappingProtocol, RequestError, SearchOptions};

use super::schedule::{Grant, LEASE};
use super::{Protocol, Wanted};
use crate::port_holder::Transport;

/// For a router's answer over UDP: three seconds in all.
const PATIENCE: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(250),
    max_retries: 3,
    max_retry_timeout: Some(Duration::from_secs(1)),
};
/// For the answer to a search by UPnP.
const SEARCH: Duration = Duration::from_secs(3);
const LEASE_SECONDS: u32 = LEASE.as_secs() as u32;

/// A router that answers.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) protocol: Protocol,
    /// This machine's address on the network of the router.
    pub(super) own: Ipv4Addr,
    gateway: Gateway,
    nonce: pcp::Nonce,
}

#[derive(Debug)]
enum Gateway {
    /// Of PCP and NAT-PMP.
    Address(Ipv4Addr),
    Upnp(Box<igd_next::aio::Gateway<Tokio>>),
}

/// What a router has said to a question for a port.
#[derive(Debug)]
pub(super) enum Answer {
    Granted(Grant, Option<IpAddr>),
    /// For this reason.
    Refused(String),
    /// It has no address on the internet itself, so there is nothing that it could forward.
    NoAddress,
    /// It does not answer.
    Silent,
}

/// Asks by all of these protocols at once. The first of them that works is the one.
pub(super) async fn search(
    protocols: &[Protocol],
    port: Wanted,
    nonce: pcp::Nonce,
) -> Result<Router, String> {
    let own = own_address().ok_or("this machine has no route to the internet over IPv4")?;
    let ask = |protocol: &Protocol| -> Pin<Box<dyn Future<Output = _> + Send>> {
        match protocol {
            Protocol::Pcp | Protocol::NatPmp => Box::pin(ask_gateway(*protocol, own, port, nonce)),
            Protocol::Upnp => Box::pin(search_upnp(own, nonce)),
        }
    };
    let mut answers: FuturesOrdered<_> = protocols.iter().map(ask).collect();
    let mut faults = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(router) => return Ok(router),
            Err(fault) => faults.push(fault),
        }
    }
    Err(faults.join("; "))
}

async fn ask_gateway(
    protocol: Protocol,
    own: Ipv4Addr,
    port: Wanted,
    nonce: pcp::Nonce,
) -> Result<Router, String> {
    let gateway = default_gateway().ok_or_else(|| format!("{protocol}: no default route is known"))?;
    let router = Router { protocol, own, gateway: Gateway::Address(gateway), nonce };
    match router.map(port).await {
        Answer::Granted(..) | Answer::NoAddress => Ok(router),
        Answer::Refused(reason) => Err(format!("{protocol}: {gateway} refuses: {reason}")),
        Answer::Silent => Err(format!("{protocol}: {gateway} does not answer")),
    }
}

async fn search_upnp(own: Ipv4Addr, nonce: pcp::Nonce) -> Result<Router, String> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddr::new(own.into(), 0);
    options.timeout = Some(SEARCH);
    let gateway = igd_next::aio::tokio::search_gateway(options)
        .await
        .map_err(|_| "UPnP: no router answers".to_owned())?;
    Ok(Router { protocol: Protocol::Upnp, own, gateway: Gateway::Upnp(Box::new(gateway)), nonce })
}

impl Router {
    /// Asks for a port, at the same number, or for more time.
    pub(super) async fn map(&self, wanted: Wanted) -> Answer {
        let Some(port) = NonZeroU16::new(wanted.port) else { return Answer::Refused("no port".to_owned()) };
        let options = PortMappingOptions {
            external_port: Some(port),
            lifetime_seconds: Some(LEASE_SECONDS),
            timeout_config: Some(PATIENCE),
        };
        let protocol = internet_protocol(wanted.transport);
        match (&self.gateway, self.protocol) {
            (Gateway::Upnp(gateway), _) => self.map_by_upnp(gateway, wanted).await,
            (Gateway::Address(gateway), Protocol::Pcp) => {
                let base = pcp::BaseMapRequest::new((*gateway).into(), self.own.into(), protocol, port);
                match pcp::port_mapping(base, Some(self.nonce), None, options).await {
                    Ok(mapping) => granted(&mapping),
                    Err(pcp::Failure::NetworkFailure(_)) => Answer::NoAddress,
                    Err(pcp::Failure::Timeout | pcp::Failure::Socket(_)) => Answer::Silent,
                    // Not all say so by PCP; who speaks it speaks NAT-PMP as a rule (RFC 6887 appendix A).
                    Err(_) if has_no_address(*gateway).await => Answer::NoAddress,
                    Err(failure) => Answer::Refused(failure.to_string()),
                }
            }
            (Gateway::Address(gateway), Protocol::NatPmp | Protocol::Upnp) => {
                match natpmp::port_mapping((*gateway).into(), protocol, port, options).await {
                    Ok(mapping) => granted(&mapping),
                    Err(natpmp::Failure::NetworkFailure) => Answer::NoAddress,
                    Err(natpmp::Failure::Timeout | natpmp::Failure::Socket(_)) => Answer::Silent,
                    Err(failure) => Answer::Refused(failure.to_string()),
                }
            }
        }
    }

    async fn map_by_upnp(&self, gateway: &igd_next::aio::Gateway<Tokio>, wanted: Wanted) -> Answer {
        let own = SocketAddr::new(self.own.into(), wanted.port);
        let protocol = upnp_protocol(wanted.transport);
        let ask = |seconds| gateway.add_port(protocol, wanted.port, own, seconds, "Banter");
        let mut answer = ask(LEASE_SECONDS).await.map(|()| LEASE);
        if matches!(answer, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            answer = ask(0).await.map(|()| Duration::ZERO);
        }
        match answer {
            Ok(lifetime) => {
                Answer::Granted(Grant { external_port: wanted.port, lifetime, epoch: None }, None)
            }
            Err(AddPortError::RequestError(error)) if is_silence(&error) => Answer::Silent,
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    /// Gives a port back. What cannot be given back ends with its lease.
    pub(super) async fn unmap(&self, wanted: Wanted) {
        let Some(port) = NonZeroU16::new(wanted.port) else { return };
        let protocol = internet_protocol(wanted.transport);
        let failure = match (&self.gateway, self.protocol) {
            (Gateway::Upnp(gateway), _) => {
                let removed = gateway.remove_port(upnp_protocol(wanted.transport), wanted.port).await;
                removed.err().map(|error| error.to_string())
            }
            (Gateway::Address(gateway), Protocol::Pcp) => {
                let range = pcp::DropMappingRange::Single { internal_port: port, protocol };
                let (gateway, own) = ((*gateway).into(), self.own.into());
                let dropped = pcp::try_drop_mapping(gateway, own, self.nonce, range, Some(PATIENCE)).await;
                dropped.err().map(|error| error.to_string())
            }
            (Gateway::Address(gateway), Protocol::NatPmp | Protocol::Upnp) => {
                let dropped =
                    natpmp::try_drop_mapping((*gateway).into(), protocol, Some(port), Some(PATIENCE)).await;
                dropped.err().map(|error| error.to_string())
            }
        };
        if let Some(failure) = failure {
            tracing::debug!(port = %wanted, failure, "a port could not be given back to the router");
        }
    }

    /// The router's own address on its other side, as it says; unspecified if it says that it has none. `Ok(None)` where it
    /// does not say. An error is that it does not answer.
    pub(super) async fn address(&self) -> Result<Option<IpAddr>, ()> {
        match (&self.gateway, self.protocol) {
            (Gateway::Upnp(gateway), _) => match gateway.get_external_ip().await {
                Ok(address) => Ok(Some(address)),
                Err(GetExternalIpError::RequestError(error)) if is_silence(&error) => Err(()),
                // An answer without an address in it.
                Err(GetExternalIpError::RequestError(RequestError::InvalidResponse(_))) => {
                    Ok(Some(Ipv4Addr::UNSPECIFIED.into()))
                }
                Err(_) => Ok(None),
            },
            // Its answers to questions for ports say it.
            (Gateway::Address(_), Protocol::Pcp) => Ok(None),
            (Gateway::Address(gateway), Protocol::NatPmp | Protocol::Upnp) => {
                match natpmp::external_address((*gateway).into(), Some(PATIENCE)).await {
                    Ok(address) => Ok(Some(address.into())),
                    Err(natpmp::Failure::NetworkFailure) => Ok(Some(Ipv4Addr::UNSPECIFIED.into())),
                    Err(natpmp::Failure::Timeout | natpmp::Failure::Socket(_)) => Err(()),
                    Err(_) => Ok(None),
                }
            }
        }
    }
}

fn granted(mapping: &PortMapping) -> Answer {
    let address = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => Some(external_ip.to_canonical()),
        PortMappingType::NatPmp => None,
    };
    let grant = Grant {
        external_port: mapping.external_port().get(),
        lifetime: Duration::from_secs(mapping.lifetime().into()),
        epoch: Some(mapping.gateway_epoch()),
    };
    Answer::Granted(grant, address)
}

/// Whether a request by UPnP has had no answer at all.
fn is_silence(error: &RequestError) -> bool {
    matches!(
        error,
        RequestError::HyperClientError(_) | RequestError::HyperError(_) | RequestError::IoError(_)
    )
}

/// Whether a router says by NAT-PMP that it has no address on its other side (RFC 6886 §3.5).
async fn has_no_address(gateway: Ipv4Addr) -> bool {
    let asked = natpmp::external_address(gateway.into(), Some(PATIENCE)).await;
    matches!(asked, Err(natpmp::Failure::NetworkFailure))
}

fn internet_protocol(transport: Transport) -> InternetProtocol {
    match transport {
        Transport::Tcp => InternetProtocol::Tcp,
        Transport::Udp => InternetProtocol::Udp,
    }
}

fn upnp_protocol(transport: Transport) -> PortMappingProtocol {
    match transport {
        Transport::Tcp => PortMappingProtocol::TCP,
        Transport::Udp => PortMappingProtocol::UDP,
    }
}

/// The address from which this machine speaks to the internet. Nothing is sent: connecting a UDP socket only chooses a route.
pub(super) fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?; // RFC 5737
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// The router of the default route. Only Linux says it in a file; elsewhere UPnP, which asks the whole network, remains.
fn default_gateway() -> Option<Ipv4Addr> {
    gateway_in(&std::fs::read_to_string("/proc/net/route").ok()?)
}

/// Out of a table whose columns are: interface, destination, gateway, flags, two counters, metric, mask (proc(5)). Addresses
/// are in hexadecimal, as they lie in memory.
fn gateway_in(table: &str) -> Option<Ipv4Addr> {
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default =
        rows.filter(|columns| columns.len() > 7 && columns[1] == "00000000" && columns[7] == "00000000");
    let best = default.min_by_key(|columns| columns[6].parse().unwrap_or(u32::MAX))?;
    let address = u32::from_str_radix(best[2], 16).ok()?.to_ne_bytes();
    Some(Ipv4Addr::from(address)).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_with_the_lowest_metric_has_the_gateway() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                     eth0\t00000000\t010C4D0A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                     eth0\t000C4D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(gateway_in(table), Some(Ipv4Addr::new(10, 77, 12, 1)));
        assert_eq!(gateway_in("Iface\tDestination\n"), None);
    }
}
