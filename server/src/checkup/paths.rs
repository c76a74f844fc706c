//! What it means how a path went.

use std::time::Duration;

use banter_client::driver::{ApiError, SocketError};
use banter_client::report::{Connected, Failure, PathReport, Unreachable};
use banter_protocol::rest::TestPath;
use url::Url;

use super::{Finding, Verdict};
use crate::ports::Ports;

/// A call is fine below this.
const NOTABLE_LOSS: f64 = 1.0;
/// Above this nobody is understood.
const UNBEARABLE_LOSS: f64 = 30.0;
/// Above this people begin to talk at the same time (ITU-T G.114: 150 ms in one direction).
const NOTABLE_ROUND_TRIP: Duration = Duration::from_millis(300);
/// WebRTC's datagrams are as large while keys are agreed (RFC 8831 §5).
const NEEDED_DATAGRAM: usize = 1200;

/// From where a path was tried.
#[derive(Clone, Debug)]
pub enum Side {
    /// From a client's machine.
    Client,
    /// From the server's own, which knows its ports.
    Server(Ports),
}

pub fn name(path: TestPath) -> &'static str {
    match path {
        TestPath::Udp4 => "UDP over IPv4",
        TestPath::Udp6 => "UDP over IPv6",
        TestPath::Tcp => "TCP",
        TestPath::TurnUdp => "TURN over UDP",
        TestPath::TurnTcp => "TURN over TCP",
        TestPath::TurnTls => "TURN over TLS",
    }
}

/// A path that was not tried.
pub fn skipped(path: TestPath, why: &str) -> Finding {
    Finding::new(path.as_str(), name(path), Verdict::Skip, why)
}

/// A path of which the server tells no client.
pub fn absent(path: TestPath, side: &Side) -> Finding {
    let Side::Server(ports) = side else { return skipped(path, "the server does not offer it") };
    let (port, key) = match path {
        TestPath::Udp4 | TestPath::Udp6 => return skipped(path, "the server has no address for it"),
        TestPath::Tcp => (ports.rtc_tcp, "--rtc-tcp-port"),
        TestPath::TurnUdp if ports.are_one() => {
            return skipped(path, "who reaches the single port by UDP needs no TURN");
        }
        TestPath::TurnUdp | TestPath::TurnTcp => (ports.turn, "--turn-port"),
        TestPath::TurnTls => (ports.turn_tls, "--turn-tls-port"),
    };
    match port {
        None => skipped(path, &format!("it is closed ({key})")),
        Some(_) => skipped(
            path,
            "clients are not told of it: it needs a certificate of an authority (--tls auto or files)",
        ),
    }
}

pub fn judge(report: &PathReport, side: &Side) -> Finding {
    match &report.outcome {
        Ok(connected) => judge_connected(report.path, connected),
        Err(failure) => judge_failure(report.path, failure, side),
    }
}

fn judge_connected(path: TestPath, connected: &Connected) -> Finding {
    let media = &connected.media;
    let loss = media.loss_percent();
    let datagrams = media.largest.map(|largest| format!(", datagrams up to {largest} bytes"));
    let detail = format!(
        "{}, {loss:.0} % lost of {}, jitter {}{}",
        time(media.median),
        media.sent,
        time(media.jitter),
        datagrams.unwrap_or_default()
    );
    let in_datagrams = matches!(path, TestPath::Udp4 | TestPath::Udp6 | TestPath::TurnUdp);
    let finding = |verdict| {
        let finding = Finding::new(path.as_str(), name(path), verdict, detail.clone())
            .measured("round_trip", millis(media.median))
            .measured("shortest_round_trip", millis(media.shortest))
            .measured("jitter", millis(media.jitter))
            .measured("sent", media.sent)
            .measured("lost", media.lost)
            .measured("loss_percent", loss)
            .measured("set_up", millis(connected.set_up));
        let finding = match connected.check {
            Some(check) => finding.measured("ice_round_trip", millis(check)),
            None => finding,
        };
        match media.largest {
            Some(largest) => finding.measured("largest_datagram", largest),
            None => finding,
        }
    };
    if loss >= NOTABLE_LOSS {
        let verdict = if loss >= UNBEARABLE_LOSS { Verdict::Fail } else { Verdict::Warn };
        return finding(verdict)
            .because("the network between here and the server loses packets: Wi-Fi, or a line that is full")
            .fix("try a cable, and look at what else uses the line");
    }
    if in_datagrams && media.largest.is_none_or(|largest| largest < NEEDED_DATAGRAM) {
        return finding(Verdict::Warn)
            .because("large datagrams do not pass: the MTU of a tunnel or VPN on the way is small")
            .fix("voice works; where calls do not connect, set the MTU of the tunnel to 1280 or more");
    }
    if media.median >= NOTABLE_ROUND_TRIP {
        return finding(Verdict::Warn)
            .because("the server is far away, or a line on the way is full")
            .fix("people will talk at the same time; a server closer to them helps");
    }
    finding(Verdict::Ok)
}

fn judge_failure(path: TestPath, failure: &Failure, side: &Side) -> Finding {
    let finding = Finding::new(path.as_str(), name(path), Verdict::Fail, failure.to_string());
    match failure {
        Failure::NoAddress => Finding {
            result: Verdict::Skip,
            detail: format!("this machine has no address for {}", name(path)),
            ..finding
        },
        Failure::Signalling(_) => finding
            .because("the way to the web address broke off; nothing is said about the path itself")
            .fix("try again, and look into the server's log"),
        Failure::NotNamed => finding
            .because("the server has no address that it can tell clients")
            .fix("give the server's address with --public-ip"),
        Failure::Unreachable { how: Unreachable::Refused, .. } => finding
            .because("nothing listens there, or a firewall answers for it; the port may be closed in the server's settings, or forwarded elsewhere")
            .fix(open(path, side, "start the server with it, and forward it if there is a router")),
        // Many networks have addresses of IPv6 and no way out by it, and miss nothing.
        Failure::NoRoute if path == TestPath::Udp6 => Finding { result: Verdict::Skip, ..finding },
        Failure::NoRoute | Failure::Unreachable { how: Unreachable::NoRoute, .. } => finding
            .because("this network knows no way to the address that the server names")
            .fix("look at the server's public address (--public-ip)"),
        Failure::NoAnswer if matches!(path, TestPath::TurnUdp | TestPath::TurnTcp | TestPath::TurnTls) => finding
            .because("the TURN server answers and relays nothing: it is another one, or not told of the media's addresses")
            .fix("look at what the port is forwarded to; the server's addresses are in banter doctor"),
        Failure::Unreachable { how: Unreachable::Silent, .. } | Failure::NoAnswer => {
            finding.because(blocked(path, side)).fix(open(path, side, "open it"))
        }
        Failure::Tls { .. } => finding
            .because("the certificate that is shown there is not believed, or something on the way breaks TLS")
            .fix("look at the line about the certificate (banter doctor, on the server)"),
        Failure::TurnRefused { code: 401 | 441, .. } => finding
            .because("the credentials have expired on arrival: the server's clock, or another server answers there")
            .fix("check the server's clock, and what the port is forwarded to"),
        Failure::TurnRefused { code: 486 | 508, .. } => finding
            .because("the TURN server has as many clients as it takes, in all or from one address")
            .fix("try again later"),
        Failure::TurnRefused { .. } => finding
            .because("another TURN server than Banter's answers there")
            .fix("look at what holds or forwards the port"),
        Failure::NoKeys => finding
            .because("small datagrams pass and larger ones do not: the MTU of a tunnel or VPN on the way is small")
            .fix("set the MTU of the tunnel to 1280 or more"),
        Failure::Silent => finding
            .because("something on the way lets the connection be made and drops what follows, as some firewalls do")
            .fix("let the ports of the server pass without inspection"),
        Failure::Ended(_) => finding
            .because("the server ended, or the way to it broke off")
            .fix("try again, and look into the server's log"),
    }
}

fn blocked(path: TestPath, side: &Side) -> String {
    let what = match path {
        TestPath::Udp4 | TestPath::Udp6 => "UDP to the media ports",
        TestPath::Tcp => "TCP to the media port",
        TestPath::TurnUdp => "UDP to the TURN port",
        TestPath::TurnTcp => "TCP to the TURN port",
        TestPath::TurnTls => "TCP to the port of TURN over TLS",
    };
    match side {
        Side::Client => format!("{what} is dropped, by a firewall of this network or in front of the server"),
        Side::Server(_) => {
            format!("{what} is dropped, by the firewall of this machine or one in front of it")
        }
    }
}

fn open(path: TestPath, side: &Side, how: &str) -> String {
    let Side::Server(ports) = side else {
        return format!("the other paths may do; on the server: {how}; banter doctor there names the port");
    };
    let port = |port: Option<u16>| port.map_or_else(|| "the port".to_owned(), |port| port.to_string());
    let (port, key) = match path {
        TestPath::Udp4 | TestPath::Udp6 => {
            let ports: Vec<String> = ports.rtc_udp.iter().map(|port| format!("{port}/udp")).collect();
            (ports.join(", "), "--rtc-port-range")
        }
        TestPath::Tcp => (format!("{}/tcp", port(ports.rtc_tcp)), "--rtc-tcp-port"),
        TestPath::TurnUdp => (format!("{}/udp", port(ports.turn)), "--turn-port"),
        TestPath::TurnTcp => (format!("{}/tcp", port(ports.turn)), "--turn-port"),
        TestPath::TurnTls => (format!("{}/tcp", port(ports.turn_tls)), "--turn-tls-port"),
    };
    let key = if ports.are_one() { "--single-port" } else { key };
    format!("{port} ({key}): {how} in every firewall and router in front of this machine")
}

/// The API call that every test begins with.
pub fn judge_api(outcome: Result<Duration, &ApiError>, url: &str) -> Finding {
    let finding = |verdict, detail: String| Finding::new("api", "Web address", verdict, detail);
    match outcome {
        Ok(took) => finding(Verdict::Ok, format!("{url} answers in {}", time(took))).measured("took", millis(took)),
        Err(error @ ApiError::Tls(_)) => finding(Verdict::Fail, format!("{url}: {error}"))
            .because("nobody vouches for the certificate that is shown there: it is the server's own, has expired, or is for another name")
            .fix("give the fingerprint that the server prints (--fingerprint), or a link of an invite; on the server: banter doctor"),
        Err(error @ ApiError::NoAnswer(_)) => finding(Verdict::Fail, format!("{url}: {error}"))
            .because("the server does not run, its TCP port is closed in a firewall, or the address is wrong")
            .fix("check the address, and run banter doctor on the server"),
        Err(error @ ApiError::NotBanter { .. }) => finding(Verdict::Fail, format!("{url}: {error}"))
            .because("the address leads to another program, or to an older Banter")
            .fix("check the address, and what a proxy passes on"),
        Err(error @ ApiError::Refused { .. }) => finding(Verdict::Fail, format!("{url}: {error}"))
            .because("the server does not take these credentials at the moment")
            .fix("check name and password, or the API key"),
    }
}

/// Whether the server sends clients to where it was reached; nothing is said if it does.
pub fn judge_sent_to(reached: &Url, ws_url: &str) -> Option<Finding> {
    let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let sent_to = Url::parse(ws_url).ok()?;
    (place(reached) != place(&sent_to)).then(|| {
        Finding::new("sent_to", "Clients", Verdict::Warn, format!("are sent to {ws_url}, which is another address"))
            .because("that is the public URL of the server (--public-url); this test goes by the address that was given")
            .fix("try that address as well")
    })
}

pub fn judge_web_socket(outcome: &Result<Duration, SocketError>) -> Finding {
    let finding = |verdict, detail: String| Finding::new("websocket", "WebSocket", verdict, detail);
    match outcome {
        Ok(took) => finding(Verdict::Ok, time(*took)).measured("round_trip", millis(*took)),
        Err(error) => finding(Verdict::Fail, error.to_string())
            .because("a proxy in front of the server, or in this network, does not pass WebSockets on")
            .fix("have the proxy pass on Upgrade and Connection for /rtc"),
    }
}

pub fn time(duration: Duration) -> String {
    let millis = millis(duration);
    match millis {
        ..0.1 => "< 0.1 ms".to_owned(),
        ..10.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.0} ms"),
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use banter_client::measure::Measured;

    use super::*;
    use crate::external::Outside;

    #[test]
    fn a_good_path_is_ok_and_tells_its_numbers() {
        let finding = judge(&connected(TestPath::Udp4, 0, Some(1472), 12), &Side::Client);
        assert_eq!(finding.result, Verdict::Ok);
        assert_eq!(finding.detail, "12 ms, 0 % lost of 100, jitter 1.0 ms, datagrams up to 1472 bytes");
        assert_eq!(finding.measured["round_trip"], 12.0);
        assert_eq!(finding.measured["largest_datagram"], 1472);
    }

    #[test]
    fn loss_small_datagrams_and_distance_are_told() {
        let verdict = |report: &PathReport| judge(report, &Side::Client).result;
        assert_eq!(verdict(&connected(TestPath::Udp4, 5, Some(1472), 12)), Verdict::Warn);
        assert_eq!(verdict(&connected(TestPath::Udp4, 40, Some(1472), 12)), Verdict::Fail);
        assert_eq!(verdict(&connected(TestPath::Udp4, 0, None, 12)), Verdict::Warn);
        assert_eq!(verdict(&connected(TestPath::Tcp, 0, None, 12)), Verdict::Ok);
        assert_eq!(verdict(&connected(TestPath::Tcp, 0, None, 400)), Verdict::Warn);
    }

    #[test]
    fn a_path_that_is_dropped_names_the_port_to_open_on_the_server() {
        let ports = ports();
        let fix = |path, failure| {
            let finding = judge(&PathReport { path, outcome: Err(failure) }, &Side::Server(ports.clone()));
            assert_eq!(finding.result, Verdict::Fail);
            assert!(finding.cause.is_some_and(|cause| cause.contains("firewall")));
            finding.fix.expect("something to do")
        };
        let silent = Failure::Unreachable {
            address: "192.0.2.1:7881".parse().expect("an address"),
            how: Unreachable::Silent,
        };
        assert!(fix(TestPath::Udp4, Failure::NoAnswer).contains("50000/udp, 50001/udp (--rtc-port-range)"));
        assert!(fix(TestPath::Tcp, silent.clone()).contains("7881/tcp (--rtc-tcp-port)"));
        assert!(fix(TestPath::TurnUdp, silent.clone()).contains("3478/udp"));
        assert!(fix(TestPath::TurnTls, silent).contains("5349/tcp"));
    }

    #[test]
    fn a_path_that_is_not_offered_is_so_for_a_reason() {
        let ports = Ports { rtc_tcp: None, ..ports() };
        let reason = |path| absent(path, &Side::Server(ports.clone())).detail;
        assert!(reason(TestPath::TurnTls).contains("certificate of an authority"));
        assert_eq!(reason(TestPath::Tcp), "it is closed (--rtc-tcp-port)");
        let shared = Ports { rtc_udp: vec![443], http: 443, ..ports };
        let detail = absent(TestPath::TurnUdp, &Side::Server(shared.clone())).detail;
        assert!(detail.contains("single port"), "{detail}");
        let dropped = PathReport { path: TestPath::Udp4, outcome: Err(Failure::NoAnswer) };
        let fix = judge(&dropped, &Side::Server(shared)).fix;
        assert!(fix.is_some_and(|fix| fix.starts_with("443/udp (--single-port)")));
        assert_eq!(absent(TestPath::Tcp, &Side::Client).detail, "the server does not offer it");
    }

    #[test]
    fn clients_that_are_sent_elsewhere_are_told_of() {
        let sent_to =
            |reached: &str, ws_url| judge_sent_to(&Url::parse(reached).expect("a URL"), ws_url).is_some();
        assert!(!sent_to("https://talk.example", "wss://talk.example"));
        assert!(!sent_to("http://192.0.2.1:7880", "ws://192.0.2.1:7880"));
        assert!(sent_to("http://192.0.2.1:7880", "wss://talk.example"));
        assert!(sent_to("https://talk.example:7880", "wss://talk.example"));
    }

    #[test]
    fn a_machine_without_the_family_skips_it() {
        let report = PathReport { path: TestPath::Udp6, outcome: Err(Failure::NoAddress) };
        assert_eq!(judge(&report, &Side::Client).result, Verdict::Skip);
        let no_way = |path| judge(&PathReport { path, outcome: Err(Failure::NoRoute) }, &Side::Client).result;
        assert_eq!((no_way(TestPath::Udp6), no_way(TestPath::Udp4)), (Verdict::Skip, Verdict::Fail));
    }

    fn ports() -> Ports {
        Ports {
            http: 7880,
            metrics: None,
            acme_http: None,
            rtc_udp: vec![50_000, 50_001],
            rtc_tcp: Some(7881),
            turn: Some(3478),
            turn_tls: Some(5349),
            forwarding: None,
            outside: Outside::default(),
            verdict: None,
            pid: 1,
        }
    }

    fn connected(path: TestPath, lost: u32, largest: Option<usize>, round_trip: u64) -> PathReport {
        let round_trip = Duration::from_millis(round_trip);
        let media = Measured {
            sent: 100,
            lost,
            shortest: round_trip,
            median: round_trip,
            jitter: Duration::from_millis(1),
            largest,
        };
        PathReport { path, outcome: Ok(Connected { set_up: round_trip, check: Some(round_trip), media }) }
    }
}
