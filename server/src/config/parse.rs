//! From texts to values. A fault is the end of a sentence that begins with the name and the text.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use banter_sfu::turn::credentials::Validity;
use ipnet::IpNet;
use livekit_protocol::RoomConfiguration;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use super::{ApiKeyPair, Choice, LogFormat, TlsMode};
use crate::port_mapping::Protocol;

pub(super) fn parse<T: std::str::FromStr<Err: Display>>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("is not {what}: {error}"))
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "is not a port; ports are 0 (any free one) to 65535".to_owned())
}

/// `off` and nothing are none.
pub(super) fn servers(text: &str) -> Result<Vec<String>, String> {
    let is_one = |server: &str| match server.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => false,
    };
    if text == "off" {
        return Ok(Vec::new());
    }
    let servers = text.split(',').map(str::trim).filter(|server| !server.is_empty());
    let servers: Vec<String> = servers.map(str::to_owned).collect();
    match servers.iter().find(|server| !is_one(server)) {
        Some(wrong) => {
            Err(format!("has {wrong:?}, which is no host with a port, such as stun.example.org:3478"))
        }
        None => Ok(servers),
    }
}

/// Addresses that others may be told of. Nothing is none.
pub(super) fn public_ips(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for item in items(text) {
        let address = parse::<IpAddr>(item, "an IP address")?.to_canonical();
        let of_no_use = match address {
            _ if address.is_loopback() => Some("is this machine's own to itself"),
            _ if address.is_unspecified() => Some("is no address of anybody"),
            _ if address.is_multicast() => Some("is that of a group"),
            IpAddr::V4(v4) if v4.is_broadcast() => Some("is that of everybody"),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        if let Some(why) = of_no_use {
            return Err(format!(
                "has {address}, which {why}; give the address by which people reach this server"
            ));
        }
        if addresses.contains(&address) {
            return Err(format!("has {address} twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// The ways to ask a router, best first.
pub(super) fn port_mapping(text: &str) -> Result<Vec<Protocol>, String> {
    match text {
        "off" => Ok(Vec::new()),
        "auto" => Ok(vec![Protocol::Pcp, Protocol::NatPmp, Protocol::Upnp]),
        "pcp" => Ok(vec![Protocol::Pcp]),
        "nat-pmp" => Ok(vec![Protocol::NatPmp]),
        "upnp" => Ok(vec![Protocol::Upnp]),
        _ => Err("is not a way to ask a router; the ways are auto, pcp, nat-pmp, upnp and off".to_owned()),
    }
}

pub(super) fn turn_validity(text: &str) -> Result<Validity, String> {
    let seconds: u64 = text.parse().map_err(|_| "is not a number of seconds".to_owned())?;
    Validity::new(Duration::from_secs(seconds)).map_err(|error| format!("is no such time: {error}"))
}

/// `None` for an empty text.
pub(super) fn optional_address(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "is not an address with a port, such as 192.0.2.1:3480".to_owned()),
    }
}

/// `None` for none at all.
pub(super) fn optional_port(text: &str) -> Result<Option<u16>, String> {
    match text {
        "off" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| "is neither a port nor off; ports are 0 (any free one) to 65535".to_owned()),
    }
}

pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    if text == "0" {
        return Ok(0..=0);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) else {
        return Err("is not a range of ports such as 50000-60000, or 0 for any free ones".to_owned());
    };
    match first <= last && (first > 0 || last == 0) {
        true => Ok(first..=last),
        false => Err("is not a range: the first port has to be above 0 and not above the last".to_owned()),
    }
}

pub(super) fn workers(text: &str) -> Result<Option<usize>, String> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(n @ 1..=64) => Ok(Some(n)),
        _ => Err("is not a number of threads; it is 1 to 64, or 0 for one per processor core".to_owned()),
    }
}

/// 0 is no bound.
pub(super) fn members_per_worker(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Ok(usize::MAX),
        Ok(n) => Ok(n),
        Err(_) => Err("is not a number of people; 0 is any number".to_owned()),
    }
}

/// Who asks has to compare with each of them for every packet.
pub(super) fn places(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 0..=64) => Ok(n),
        _ => Err("is not a number of speakers; it is 1 to 64, or 0 for everybody".to_owned()),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A bare host name, as LiveKit set-ups keep it, stands for its address with TLS.
pub(super) fn public_url(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url: Url = parse(&full, "an address")?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if url.has_host() && plain && url.username().is_empty() => Ok(Some(url)),
        "http" | "https" => {
            Err("has more than a host and a port; Banter has to be at the top of its address".to_owned())
        }
        _ => Err("begins with neither http:// nor https://".to_owned()),
    }
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    items(text).map(network).collect()
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => parse::<IpNet>(text, "a network such as 10.0.0.0/8"),
    }
}

/// Items that count, and after an exclamation mark those that do not.
pub(super) fn choice<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Choice<T>, String> {
    let mut choice = Choice::default();
    for text in items(text) {
        match text.strip_prefix('!') {
            Some(excluded) => choice.excluded.push(item(excluded.trim())?),
            None => choice.included.push(item(text)?),
        }
    }
    Ok(choice)
}

pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let addresses = list(text, "an IP address")?;
    if addresses.is_empty() { Err("has no address in it".to_owned()) } else { Ok(addresses) }
}

/// Nothing, or a value.
pub(super) fn optional<T: std::str::FromStr<Err: Display>>(
    text: &str,
    what: &str,
) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text, what).map(Some) }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>().map_err(|_| "is not a number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds.into()))
}

/// Addresses that something is posted to.
pub(super) fn urls(text: &str) -> Result<Vec<Url>, String> {
    let url = |item: &str| {
        let url: Url = parse(item, "an address")?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            _ => Err("begins with neither http:// nor https://".to_owned()),
        }
    };
    items(text).map(url).collect()
}

/// Keys with their secrets, one pair a line or, on one line, separated by commas.
pub(super) fn key_pairs(text: &str) -> Result<Vec<ApiKeyPair>, String> {
    let fault = "has to be pairs of a key and its secret, as KEY:SECRET, each key once";
    let mut pairs: Vec<ApiKeyPair> = Vec::new();
    for item in text.split(if text.contains('\n') { '\n' } else { ',' }).map(str::trim) {
        if item.is_empty() {
            continue;
        }
        let (key, secret) = item.split_once(':').ok_or(fault)?;
        let (key, secret) = (key.trim().to_owned(), secret.trim().to_owned());
        if key.is_empty() || secret.is_empty() || pairs.iter().any(|pair| pair.key == key) {
            return Err(fault.to_owned());
        }
        pairs.push(ApiKeyPair { key, secret });
    }
    Ok(pairs)
}

/// Settings of rooms by name, as JSON. What an agent, an egress or video would be told is read and has no effect.
pub(super) fn presets(text: &str) -> Result<BTreeMap<String, RoomConfiguration>, String> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let fault = |error| format!("has to be JSON with the settings of rooms by their names: {error}");
    let named: BTreeMap<String, serde_json::Map<_, _>> = serde_json::from_str(text).map_err(fault)?;
    // The reader of protobuf's JSON passes over what it does not know.
    let is_known =
        |name: &String| PRESET.iter().any(|known| known.eq_ignore_ascii_case(&name.replace('_', "")));
    for (preset, settings) in &named {
        if let Some(unknown) = settings.keys().find(|name| !is_known(name)) {
            return Err(format!("has the unknown setting {unknown:?} in {preset:?}"));
        }
    }
    serde_json::from_str(text).map_err(fault)
}

/// The fields of LiveKit's `RoomConfiguration`, without underscores.
const PRESET: [&str; 11] = [
    "name",
    "emptyTimeout",
    "departureTimeout",
    "maxParticipants",
    "egress",
    "minPlayoutDelay",
    "maxPlayoutDelay",
    "syncStreams",
    "agents",
    "metadata",
    "tags",
];

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is not a log format; the formats are auto, text and json".to_owned()),
    }
}

pub(super) fn tls_mode(text: &str) -> Result<TlsMode, String> {
    match text {
        "off" => Ok(TlsMode::Off),
        "self-signed" => Ok(TlsMode::SelfSigned),
        "files" => Ok(TlsMode::Files),
        "auto" => Ok(TlsMode::Auto),
        _ => {
            Err("is not a way to get a certificate; the ways are auto, self-signed, files and off".to_owned())
        }
    }
}

/// Names that an authority can give a certificate for.
pub(super) fn domains(text: &str) -> Result<Vec<String>, String> {
    let domain = |item: &str| match Host::parse(item) {
        Ok(Host::Domain(domain)) if domain.contains('.') && !domain.contains('*') => Ok(domain),
        Ok(Host::Domain(domain)) if domain.contains('*') => {
            Err("has a wildcard, which has to be proved by DNS; give each name".to_owned())
        }
        _ => {
            Err("has something in it that is no domain of the internet, such as talk.example.org".to_owned())
        }
    };
    items(text).map(domain).collect()
}

pub(super) fn email(text: &str) -> Result<Option<String>, String> {
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == ',');
    match text.split_once('@') {
        None if text.is_empty() => Ok(None),
        Some((name, host)) if plain(name) && plain(host) => Ok(Some(text.to_owned())),
        _ => Err("is not one e-mail address".to_owned()),
    }
}

pub(super) fn https_url(text: &str) -> Result<Url, String> {
    let url: Url = parse(text, "an address")?;
    if url.scheme() == "https" { Ok(url) } else { Err("does not begin with https://".to_owned()) }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| format!("is not a log filter: {error}"))?;
    Ok(text.to_owned())
}

pub(super) fn list<T: std::str::FromStr<Err: Display>>(text: &str, what: &str) -> Result<Vec<T>, String> {
    items(text).map(|item| parse(item, what)).collect()
}

pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_hosts() {
        let shown = |text| public_url(text).map(|url| url.map(|url| url.to_string()));
        assert_eq!(shown("talk.example"), Ok(Some("https://talk.example/".into())));
        assert_eq!(shown("http://10.0.0.1:7880/"), Ok(Some("http://10.0.0.1:7880/".into())));
        assert_eq!(shown(""), Ok(None));
        assert!(shown("https://talk.example/voice").is_err());
        assert!(shown("ftp://talk.example").is_err());
    }

    #[test]
    fn public_addresses_are_of_use_to_others() {
        let shown =
            |text| public_ips(text).map(|ips| ips.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown(""), Ok(vec![]));
        assert_eq!(shown("203.0.113.7, 2001:db8::7"), Ok(vec!["203.0.113.7".into(), "2001:db8::7".into()]));
        assert_eq!(shown("::ffff:203.0.113.7"), Ok(vec!["203.0.113.7".into()]));
        for (wrong, why) in [
            ("talk.example", "is not an IP address"),
            ("127.0.0.1", "has 127.0.0.1, which is this machine's own to itself"),
            ("::1", "has ::1, which is this machine's own"),
            ("0.0.0.0", "has 0.0.0.0, which is no address"),
            ("224.0.0.1", "has 224.0.0.1, which is that of a group"),
            ("255.255.255.255", "has 255.255.255.255, which is that of everybody"),
            ("192.0.2.1,::ffff:192.0.2.1", "has 192.0.2.1 twice"),
        ] {
            let fault = public_ips(wrong).expect_err(wrong);
            assert!(fault.starts_with(why), "{wrong}: {fault}");
        }
    }

    #[test]
    fn ranges_have_an_order() {
        assert_eq!(port_range("0"), Ok(0..=0));
        assert_eq!(port_range("50000"), Ok(50000..=50000));
        assert_eq!(port_range("50000 - 50010"), Ok(50000..=50010));
        assert!(port_range("2-1").is_err());
        assert!(port_range("0-10").is_err());
        assert!(port_range("a-b").is_err());
    }

    #[test]
    fn key_pairs_are_lines_or_a_list() {
        let keys = |text| {
            key_pairs(text).map(|pairs| pairs.into_iter().map(|pair| (pair.key, pair.secret)).collect())
        };
        let expected: Vec<(String, String)> = vec![("a".into(), "b".into()), ("c".into(), "d:e".into())];
        assert_eq!(keys("a:b,c: d:e"), Ok(expected.clone()));
        assert_eq!(keys("a: b\nc:d:e\n"), Ok(expected));
        assert_eq!(keys(""), Ok(Vec::new()));
        assert!(keys("a").is_err() && keys("a:").is_err() && keys("a:b,a:c").is_err());
    }

    #[test]
    fn presets_are_settings_by_name() {
        let presets = presets(r#"{"stage": {"maxParticipants": 9, "empty_timeout": "60"}, "hall": {}}"#)
            .expect("valid");
        assert_eq!((presets["stage"].max_participants, presets["stage"].empty_timeout), (9, 60));
        assert_eq!(presets["hall"], RoomConfiguration::default());
        assert!(super::presets("").is_ok_and(|none| none.is_empty()));
        assert!(
            super::presets(r#"{"stage": {"colour": "blue"}}"#).is_err_and(|fault| fault.contains("colour"))
        );
        assert!(super::presets("[]").is_err());
    }

    #[test]
    fn what_is_excluded_does_not_count() {
        let choice = choice("10.0.0.0/8, !10.0.9.1", network).expect("valid");
        let takes = |text: &str| {
            choice.takes(|network| network.contains(&text.parse::<IpAddr>().expect("an address")))
        };
        assert!(takes("10.1.2.3") && !takes("10.0.9.1") && !takes("192.0.2.1"));
        assert!(super::choice::<IpNet>("x", network).is_err());
    }
}
