//! The ports of the configuration: free, in use by the server, or by somebody else.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::{Finding, Verdict};
use crate::bind::{self, BindError, PortInUse};
use crate::config::Config;
use crate::config::keys::{self, Key};
use crate::port_holder::Transport;
use crate::ports::Ports;

/// A server that runs holds its ports.
pub fn judge_running(ports: &Ports) -> Finding {
    // One port may be that of several things.
    let each_once = |ports: &mut dyn Iterator<Item = u16>| ports.collect::<BTreeSet<u16>>();
    let tcp = each_once(&mut tcp_of(ports));
    let udp = each_once(&mut ports.rtc_udp.iter().copied().chain(ports.turn));
    let tcp = tcp.iter().map(|port| format!("{port}/tcp"));
    let numbers: Vec<String> = tcp.chain(udp.iter().map(|port| format!("{port}/udp"))).collect();
    let detail = format!("{} in use by this server (process {})", numbers.join(", "), ports.pid);
    Finding::new("ports", "Ports", Verdict::Ok, detail)
}

fn tcp_of(ports: &Ports) -> impl Iterator<Item = u16> {
    [Some(ports.http), ports.metrics, ports.rtc_tcp, ports.turn, ports.turn_tls].into_iter().flatten()
}

/// Tries to bind each of them, and gives them back.
pub fn check_free(config: &Config) -> Finding {
    let faults: Vec<String> = tcp(config)
        .into_iter()
        .filter_map(|(port, key)| match bind::listen(&config.bind, port, key) {
            Ok(_) => None,
            Err(BindError::PortInUse(error)) => Some(error.to_string()),
            Err(BindError::PortForbidden(error)) => Some(error.to_string()),
            Err(BindError::Other(error)) => Some(format!("{error:#}")),
        })
        .chain(udp(config).into_iter().filter_map(|(port, key)| udp_fault(&config.bind, port, key)))
        .collect();
    judge_free(&faults)
}

fn judge_free(faults: &[String]) -> Finding {
    match faults {
        [] => Finding::new("ports", "Ports", Verdict::Ok, "all are free"),
        faults => Finding::new("ports", "Ports", Verdict::Fail, faults.join("; "))
            .because("another program, or another Banter, listens there; ports below 1024 need a privilege besides")
            .fix("stop that program, or choose another port with the flag that is named"),
    }
}

/// Any free port will do where it is 0.
fn tcp(config: &Config) -> Vec<(u16, &'static Key)> {
    if config.single_port {
        let all = [(Some(config.port), &keys::SINGLE_PORT), (config.metrics.port, &keys::METRICS_PORT)];
        return fixed(all);
    }
    fixed([
        (Some(config.port), &keys::PORT),
        (config.metrics.port, &keys::METRICS_PORT),
        (config.rtc_tcp_port, &keys::RTC_TCP_PORT),
        (config.turn.port, &keys::TURN_PORT),
        (config.turn.tls_port, &keys::TURN_TLS_PORT),
    ])
}

fn fixed(ports: impl IntoIterator<Item = (Option<u16>, &'static Key)>) -> Vec<(u16, &'static Key)> {
    ports.into_iter().filter_map(|(port, key)| Some((port.filter(|port| *port != 0)?, key))).collect()
}

/// Of the range each media thread takes the first that is free, so that one which is not does no harm.
fn udp(config: &Config) -> Vec<(u16, &'static Key)> {
    if config.single_port {
        return fixed([(Some(config.port), &keys::SINGLE_PORT)]);
    }
    let range = &config.rtc_port_range;
    let single = (range.start() == range.end() && *range.start() != 0)
        .then(|| (*range.start(), &keys::RTC_PORT_RANGE));
    let turn = config.turn.port.filter(|port| *port != 0).map(|port| (port, &keys::TURN_PORT));
    single.into_iter().chain(turn).collect()
}

fn udp_fault(binds: &[IpAddr], port: u16, key: &'static Key) -> Option<String> {
    binds.iter().find_map(|bind| {
        let error = UdpSocket::bind(SocketAddr::new(bind::bound(*bind), port)).err()?;
        Some(match error.kind() {
            std::io::ErrorKind::AddrInUse => PortInUse::new(Transport::Udp, port, key).to_string(),
            _ => format!("UDP port {port} cannot be bound: {error}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_its_holder() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        let fault = udp_fault(&[Ipv4Addr::LOCALHOST.into()], port, &keys::TURN_PORT).expect("it is taken");
        assert!(
            fault.contains(&format!("UDP port {port} is in use")) && fault.contains("--turn-port"),
            "{fault}"
        );
        assert_eq!(judge_free(&[fault]).result, Verdict::Fail);
        assert_eq!(judge_free(&[]).result, Verdict::Ok);
    }
}
