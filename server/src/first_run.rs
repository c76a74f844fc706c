//! What the program makes and says when it starts: the settings that have to exist, and the box for the operator.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::ambient;
use crate::config::keys;
use crate::external::Outside;
use crate::port_mapping::Forwarding;
use crate::ports::Ports;
use crate::service::secrets;
use crate::store::{self, Database, StoreError};
use crate::tls::Trust;

/// Makes the API key and fills in the `livekit_*` settings that are missing; answers all settings.
pub async fn prepare_settings(database: &Database) -> Result<BTreeMap<String, String>, StoreError> {
    let (key, secret) = {
        let mut rng = ambient::rng();
        (secrets::api_key(&mut rng), secrets::api_secret(&mut rng))
    };
    let (first, last) = keys::RTC_PORT_RANGE.default.split_once('-').expect("the default is a range");
    let rows = [
        ("livekit_api_key", key),
        ("livekit_api_secret", secret),
        ("livekit_port", keys::PORT.default.to_owned()),
        ("livekit_rtc_tcp_port", keys::RTC_TCP_PORT.default.to_owned()),
        ("livekit_rtc_port_range_start", first.to_owned()),
        ("livekit_rtc_port_range_end", last.to_owned()),
        ("livekit_domain", String::new()),
    ];
    database
        .write(move |tx| {
            for (key, value) in &rows {
                store::settings::set_if_absent(tx, key, value)?;
            }
            store::settings::all(tx)
        })
        .await
}

/// What the box says.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// `http://localhost:7880`, if this machine can connect.
    pub local: Option<String>,
    /// The same for others on the network, with https where there is a certificate.
    pub network: Vec<String>,
    pub public: Option<String>,
    /// Only while there is no owner.
    pub setup_code: Option<String>,
    pub trust: Trust,
    pub ports: Ports,
    /// `None` where no router is asked.
    pub router: Option<Routed>,
    pub dev: bool,
}

/// What a router does for this server, and where it is itself.
#[derive(Clone, Debug)]
pub struct Routed {
    pub forwarding: Forwarding,
    pub outside: Outside,
}

impl Welcome {
    /// A framed text, ending in a line break.
    pub fn to_box(&self) -> String {
        frame(&self.lines())
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("Banter {} is running", env!("CARGO_PKG_VERSION")), String::new()];
        let addresses = || self.public.iter().chain(&self.local).chain(&self.network);
        lines.extend(self.public.iter().map(|url| format!("For everybody      {url}")));
        lines.extend(self.local.iter().map(|url| format!("On this machine    {url}")));
        lines.extend(self.network.iter().map(|url| format!("On your network    {url}")));
        if let Some(code) = &self.setup_code {
            lines.push(String::new());
            lines.push(
                "This server has no owner yet. Become it with this link (good until the next start):".into(),
            );
            // Two are enough: the one for this machine and the one for a browser elsewhere.
            lines.extend(addresses().take(2).map(|url| format!("  {url}/setup#code={code}")));
        }
        lines.push(String::new());
        lines.extend(self.ports());
        lines.extend(self.router.iter().flat_map(Routed::lines));
        if let Trust::Fingerprint(fingerprint) = self.trust {
            lines.push(format!("SHA-256            {fingerprint}"));
            lines.push(format!("{:19}is this server's own certificate, of which browsers warn once", ""));
        }
        lines.push(String::new());
        lines.extend(self.help().iter().map(|line| (*line).to_owned()));
        if self.dev {
            lines.push(String::new());
            lines.push(
                "DEVELOPMENT MODE: the API secret is known to everybody. Never run this for real.".into(),
            );
        }
        lines
    }

    fn help(&self) -> [&'static str; 5] {
        let [first, second] = match self.trust {
            Trust::Plain => NO_TLS,
            Trust::Fingerprint(_) | Trust::Authority => TLS,
        };
        [SILENCE[0], SILENCE[1], first, second, MORE]
    }

    fn ports(&self) -> Vec<String> {
        let http = self.ports.http;
        if self.ports.are_one() {
            return vec![format!(
                "Ports              {http}/tcp {http}/udp web app, API, signalling and voice"
            )];
        }
        vec![
            format!("Ports              {http}/tcp web app, API, signalling"),
            format!("                   {} voice", self.media_ports()),
        ]
    }

    fn media_ports(&self) -> String {
        let mut text = String::new();
        for port in &self.ports.rtc_udp {
            let _ = write!(text, "{}{port}/udp", if text.is_empty() { "" } else { " " });
        }
        let Ports { rtc_tcp, turn, turn_tls, .. } = &self.ports;
        for port in [rtc_tcp, turn, turn_tls].into_iter().flatten() {
            let _ = write!(text, " {port}/tcp");
        }
        if let Some(port) = turn {
            let _ = write!(text, " {port}/udp");
        }
        text
    }
}

const SILENCE: [&str; 2] = [
    "Nobody hears anything?  Open these ports in the firewall of this machine. Behind a router, forward them",
    "                        and start with --public-ip and the router's public address.",
];
impl Routed {
    fn lines(&self) -> Vec<String> {
        let Forwarding { protocol, ports, refused, fault, .. } = &self.forwarding;
        let list = |ports: Vec<String>| ports.join(" ");
        let mut said = Vec::new();
        match (protocol, fault) {
            (Some(protocol), _) if !ports.is_empty() => {
                let ports = list(ports.iter().map(ToString::to_string).collect());
                let at = self.outside.address().map(|address| format!(" at {address}")).unwrap_or_default();
                said.push(format!("forwards {ports}{at} ({protocol})"));
            }
            (Some(_), _) if refused.is_empty() => said.push("is asked to forward the ports".to_owned()),
            (Some(_), _) => {}
            (None, Some(_)) => said.push("none can be asked to forward ports; the log says more".to_owned()),
            (None, None) => said.push("is looked for".to_owned()),
        }
        if !refused.is_empty() {
            let ports = list(refused.keys().map(ToString::to_string).collect());
            said.push(format!("does not forward {ports}; the log says why"));
        }
        if self.outside.is_behind_another_nat() {
            said.push(
                "is itself behind another NAT, so forwarding cannot work; the log says what can be done"
                    .to_owned(),
            );
        }
        let names = ["Router"].into_iter().chain(std::iter::repeat(""));
        names.zip(said).map(|(name, text)| format!("{name:19}{text}")).collect()
    }
}

const NO_TLS: [&str; 2] = [
    "No microphone?          Browsers give one only to pages at localhost or https://. For other machines, put",
    "                        a proxy with TLS in front and give --public-url https://its.name, or leave out --tls off.",
];
const TLS: [&str; 2] = [
    "No microphone?          Browsers give one only to pages at localhost or https://. For other machines, use",
    "                        the https:// addresses above.",
];
const MORE: &str = "More: banter --help, banter config show";

fn frame(lines: &[String]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let bar = "─".repeat(width + 2);
    let mut text = format!("┌{bar}┐\n");
    for line in lines {
        let _ = writeln!(text, "│ {line:width$} │");
    }
    let _ = writeln!(text, "└{bar}┘");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port_holder::Transport;
    use crate::port_mapping::{Protocol, Wanted};
    use crate::tls::Fingerprint;

    #[test]
    fn the_box_has_addresses_link_and_ports() {
        let text = welcome(Some("c0de")).to_box();
        for part in [
            "On this machine    http://localhost:7880 ",
            "On your network    http://192.168.1.5:7880 ",
            "http://localhost:7880/setup#code=c0de ",
            "http://192.168.1.5:7880/setup#code=c0de ",
            "7880/tcp web app",
            "50000/udp 50001/udp 7881/tcp 3478/tcp 5349/tcp 3478/udp voice",
            "a proxy with TLS",
            "Nobody hears anything?",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "a straight frame:\n{text}");
    }

    #[test]
    fn a_single_port_is_named_once() {
        let mut welcome = welcome(None);
        let turn = Some(443);
        welcome.ports =
            Ports { http: 443, rtc_udp: vec![443], rtc_tcp: turn, turn, turn_tls: turn, ..welcome.ports };
        let text = welcome.to_box();
        assert!(text.contains("443/tcp 443/udp web app") && text.matches("443").count() == 2, "{text}");
    }

    #[test]
    fn the_link_is_gone_once_there_is_an_owner() {
        assert!(!welcome(None).to_box().contains("/setup"));
    }

    #[test]
    fn a_certificate_of_its_own_is_shown_to_compare() {
        let trust = Trust::Fingerprint(Fingerprint::of(b"abc"));
        let text = Welcome { trust, ..welcome(None) }.to_box();
        assert!(text.contains("BA:78:16:BF") && text.contains("browsers warn once"), "{text}");
        assert!(text.contains("the https:// addresses above"), "{text}");
        assert!(!text.contains("a proxy with TLS"), "{text}");
    }

    #[test]
    fn what_a_router_does_is_told() {
        let port = |transport, port| Wanted { transport, port };
        let forwarding = Forwarding {
            protocol: Some(Protocol::NatPmp),
            ports: vec![port(Transport::Tcp, 7880), port(Transport::Udp, 50000)],
            refused: [(port(Transport::Udp, 3478), "another device has it".to_owned())].into(),
            ..Forwarding::default()
        };
        let outside = Outside { seen: Some([203, 0, 113, 7].into()), router: Some([100, 64, 0, 1].into()) };
        let text = Welcome { router: Some(Routed { forwarding, outside }), ..welcome(None) }.to_box();
        for part in [
            "Router             forwards 7880/tcp 50000/udp at 203.0.113.7 (NAT-PMP)",
            "does not forward 3478/udp; the log says why",
            "is itself behind another NAT",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
    }

    fn welcome(code: Option<&str>) -> Welcome {
        Welcome {
            local: Some("http://localhost:7880".into()),
            network: vec!["http://192.168.1.5:7880".into(), "http://10.0.0.7:7880".into()],
            public: None,
            setup_code: code.map(str::to_owned),
            trust: Trust::Plain,
            ports: Ports {
                http: 7880,
                metrics: None,
                acme_http: None,
                rtc_udp: vec![50000, 50001],
                rtc_tcp: Some(7881),
                turn: Some(3478),
                turn_tls: Some(5349),
                forwarding: None,
                outside: Outside::default(),
                verdict: None,
                pid: 1,
            },
            router: None,
            dev: false,
        }
    }
}
