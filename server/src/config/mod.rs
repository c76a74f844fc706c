//! Configuration in two stages: [`RawConfig`] is what was given where, [`Config`] is what it means, checked.

pub mod keys;
pub mod livekit;
mod parse;
mod raw;
mod tls;
mod yaml;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use banter_sfu::LoudestSpeakers;
use banter_sfu::turn::credentials::Validity;
use ipnet::IpNet;
use livekit_protocol::RoomConfiguration;
use url::Url;

use crate::port_mapping::Protocol;
use crate::webhook::{Filter, WebhookConfig};
use keys::{Exposure, Key};
pub use raw::{Complaint, Given, Origin, RawConfig};
pub use tls::{AcmeConfig, TlsConfig, TlsMode};

/// Every value is usable as it is.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Never empty. The unspecified IPv6 address takes IPv4 as well.
    pub bind: Vec<IpAddr>,
    /// 0 is any free port.
    pub port: u16,
    /// All the ports below are this one, TCP and UDP.
    pub single_port: bool,
    /// 0 is any free port; `None` is no media over TCP.
    pub rtc_tcp_port: Option<u16>,
    pub turn: TurnConfig,
    /// `0..=0` is any free ports.
    pub rtc_port_range: RangeInclusive<u16>,
    /// Where media is bound, if not at `bind`.
    pub rtc_bind: Option<IpAddr>,
    /// Media threads; `None` is one for each processor core.
    pub rtc_workers: Option<usize>,
    /// Members of one room on one media thread.
    pub rtc_members_per_worker: usize,
    /// Who is heard in a large room.
    pub loudest: LoudestSpeakers,
    /// Which of this machine's addresses are offered to clients.
    pub rtc_filter: AddressFilter,
    /// Addresses of the media ports that this machine does not know of by itself.
    pub public_ip: Vec<IpAddr>,
    /// How a router is asked to forward ports, in this order; empty is not at all.
    pub port_mapping: Vec<Protocol>,
    /// `host:port` of servers that are asked for a router's address.
    pub stun_servers: Vec<String>,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
    pub tls: TlsConfig,
    pub log: Log,
    pub dev: bool,
    /// The first pair signs. Empty until the first run has made one.
    pub api_keys: Vec<ApiKeyPair>,
    pub rooms: RoomDefaults,
    pub webhooks: WebhookConfig,
    pub metrics: MetricsConfig,
}

/// The TURN server.
#[derive(Clone, Copy, Debug)]
pub struct TurnConfig {
    /// For UDP and TCP; 0 is any free one, `None` is none.
    pub port: Option<u16>,
    /// The same for TLS.
    pub tls_port: Option<u16>,
    pub validity: Validity,
    /// A peer for tests, which is always there.
    pub echo: Option<SocketAddr>,
}

/// Who may read the counters, and where.
#[derive(Clone, Default)]
pub struct MetricsConfig {
    /// A port of their own; 0 is any free one.
    pub port: Option<u16>,
    /// A name and a password.
    pub credentials: Option<(String, String)>,
}

impl std::fmt::Debug for MetricsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsConfig").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Which addresses count, by network and by the name of the interface. A filter that includes nothing takes all but what it
/// excludes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressFilter {
    pub networks: Choice<IpNet>,
    pub interfaces: Choice<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    pub included: Vec<T>,
    pub excluded: Vec<T>,
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self { included: Vec::new(), excluded: Vec::new() }
    }
}

impl<T> Choice<T> {
    /// Whether something counts that `is` recognizes.
    pub fn takes(&self, is: impl Fn(&T) -> bool) -> bool {
        (self.included.is_empty() || self.included.iter().any(&is)) && !self.excluded.iter().any(&is)
    }
}

/// What holds for a room unless it, or the token that opens it, says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomDefaults {
    /// There may be rooms that are not channels.
    pub other_rooms: bool,
    /// Whether a join opens a room that is not a channel.
    pub auto_create: bool,
    pub empty_timeout: Duration,
    pub departure_timeout: Duration,
    /// 0 means any number.
    pub max_participants: u32,
    /// Whether the server API may unmute a track.
    pub remote_unmute: bool,
    /// What a token or a call may ask for by name.
    pub presets: BTreeMap<String, RoomConfiguration>,
}

#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// A filter that [`EnvFilter`] has accepted.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

#[derive(Clone)]
pub struct ApiKeyPair {
    pub key: String,
    pub secret: String,
}

impl std::fmt::Debug for ApiKeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyPair").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Everything that is wrong, so that one look at it is enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is not usable:{}", .0.iter().map(|complaint| format!("\n  - {complaint}")).collect::<String>())]
pub struct InvalidConfig(pub Vec<Complaint>);

impl RawConfig {
    /// Whether development was asked for: it decides about a layer, so it is asked before the rest is known.
    pub fn is_development(&self) -> bool {
        parse::boolean(&self.value(&keys::DEV).text).unwrap_or(false)
    }

    /// Where the data is: this is needed before the settings, which are in it, can be read. `None` if the folder is
    /// neither given nor known from the user's environment.
    pub fn data_dir(&self) -> Option<PathBuf> {
        match self.given(&keys::DATA_DIR) {
            Some(given) => Some(PathBuf::from(&given.text)),
            None => default_data_dir(),
        }
    }
}

impl TryFrom<&RawConfig> for Config {
    type Error = InvalidConfig;

    fn try_from(raw: &RawConfig) -> Result<Self, Self::Error> {
        let mut check = Check { raw, complaints: raw.complaints().to_vec() };
        let public_url = check.value(&keys::PUBLIC_URL, parse::public_url);
        let config = Self {
            data_dir: check.data_dir(),
            bind: check.value(&keys::BIND, parse::addresses),
            single_port: check.single_port(),
            port: check.port(&keys::PORT, parse::port),
            turn: TurnConfig {
                port: check.port(&keys::TURN_PORT, parse::optional_port),
                tls_port: check.port(&keys::TURN_TLS_PORT, parse::optional_port),
                validity: check.value(&keys::TURN_CREDENTIALS_LIFETIME, parse::turn_validity),
                echo: check.value(&keys::TURN_ECHO_PEER, parse::optional_address),
            },
            stun_servers: check.value(&keys::STUN_SERVERS, parse::servers),
            rtc_tcp_port: check.port(&keys::RTC_TCP_PORT, parse::optional_port),
            rtc_port_range: check.port(&keys::RTC_PORT_RANGE, parse::port_range),
            rtc_bind: check.value(&keys::RTC_BIND, |text| parse::optional(text, "an IP address")),
            rtc_workers: check.value(&keys::RTC_WORKERS, parse::workers),
            rtc_members_per_worker: check.value(&keys::RTC_MEMBERS_PER_WORKER, parse::members_per_worker),
            loudest: LoudestSpeakers {
                places: check.value(&keys::RTC_LOUDEST_SPEAKERS, parse::places),
                above: check
                    .value(&keys::RTC_LOUDEST_ABOVE, |text| parse::parse(text, "a number of members")),
            },
            rtc_filter: AddressFilter {
                networks: check.value(&keys::RTC_NETWORKS, |text| parse::choice(text, parse::network)),
                interfaces: check
                    .value(&keys::RTC_INTERFACES, |text| parse::choice(text, |name| Ok(name.to_owned()))),
            },
            public_ip: check.value(&keys::PUBLIC_IP, parse::public_ips),
            port_mapping: check.value(&keys::PORT_MAPPING, parse::port_mapping),
            trusted_proxies: check.value(&keys::TRUSTED_PROXIES, parse::networks),
            tls: check.tls(public_url.as_ref()),
            public_url,
            log: Log {
                format: check.value(&keys::LOG_FORMAT, parse::log_format),
                filter: check.value(&keys::LOG, parse::log_filter),
            },
            dev: check.value(&keys::DEV, parse::boolean),
            api_keys: check.api_keys(),
            rooms: check.rooms(),
            webhooks: check.webhooks(),
            metrics: check.metrics(),
        };
        if let Some(key) = &config.webhooks.api_key
            && check.complaints.is_empty()
            && !config.api_keys.is_empty()
            && !config.api_keys.iter().any(|pair| pair.key == *key)
        {
            let named = raw.value(&keys::WEBHOOK_API_KEY).named;
            check.complaints.push(Complaint(format!("{named} {key:?} is none of the API keys")));
        }
        if check.complaints.is_empty() { Ok(config) } else { Err(InvalidConfig(check.complaints)) }
    }
}

/// Collects complaints and goes on; the values that stand in for bad ones are never seen.
struct Check<'a> {
    raw: &'a RawConfig,
    complaints: Vec<Complaint>,
}

impl Check<'_> {
    fn value<T>(&mut self, key: &Key, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let given = self.raw.value(key);
        parse(given.text.trim()).unwrap_or_else(|fault| {
            let shown = match key.exposure {
                Exposure::Secret => String::new(),
                Exposure::Everywhere | Exposure::NoFlag => format!(" {:?}", given.text),
            };
            self.complaints.push(Complaint(format!("{}{shown} {fault}", given.named)));
            parse(key.default).expect("defaults are valid")
        })
    }

    /// A port that a single one may stand for, of which a fault is said once.
    fn port<T>(&mut self, key: &Key, parse: impl Fn(&str) -> Result<T, String>) -> T {
        if self.raw.single_port().is_some_and(|single| parse::port(single.text.trim()).is_err()) {
            return parse(key.default).expect("defaults are valid");
        }
        self.value(key, parse)
    }

    /// Whether there is one. Ports of their own that were said at the same place or before contradict it.
    fn single_port(&mut self) -> bool {
        let Some(single) = self.raw.single_port() else { return false };
        self.value(&keys::SINGLE_PORT, |text| parse::optional::<u16>(text, "a port"));
        for key in keys::OF_SINGLE_PORT {
            if let Some(other) = self.raw.given(key).filter(|other| other.origin <= single.origin) {
                let (single, other) = (&single.named, &other.named);
                let text = format!(
                    "{single} is the port of everything, so {other} has no place; leave one of them out"
                );
                self.complaints.push(Complaint(text));
            }
        }
        true
    }

    fn data_dir(&mut self) -> PathBuf {
        self.raw.data_dir().unwrap_or_else(|| {
            let text = "the folder for the data is not known, since neither HOME nor XDG_DATA_HOME is set; give --data-dir";
            self.complaints.push(Complaint(text.to_owned()));
            PathBuf::new()
        })
    }

    /// The pair by itself first, then the list. Where there is a list, a pair that nobody gave is left out.
    fn api_keys(&mut self) -> Vec<ApiKeyPair> {
        let listed = self.value(&keys::API_KEYS, parse::key_pairs);
        let by_hand = |pair: &Given| !matches!(pair.origin, Origin::Settings | Origin::Development);
        let single = match (self.raw.given(&keys::API_KEY), self.raw.given(&keys::API_SECRET)) {
            (Some(key), Some(secret)) if key.origin == secret.origin => (listed.is_empty() || by_hand(key))
                .then(|| ApiKeyPair { key: key.text.clone(), secret: secret.text.clone() }),
            (None, None) => None,
            _ => {
                let text = "api_key and api_secret belong together; give both in the same place";
                self.complaints.push(Complaint(text.to_owned()));
                None
            }
        };
        single.into_iter().chain(listed).collect()
    }

    fn rooms(&mut self) -> RoomDefaults {
        RoomDefaults {
            other_rooms: self.value(&keys::OTHER_ROOMS, parse::boolean),
            auto_create: self.value(&keys::ROOM_AUTO_CREATE, parse::boolean),
            empty_timeout: self.value(&keys::ROOM_EMPTY_TIMEOUT, parse::seconds),
            departure_timeout: self.value(&keys::ROOM_DEPARTURE_TIMEOUT, parse::seconds),
            max_participants: self
                .value(&keys::ROOM_MAX_PARTICIPANTS, |text| parse::parse(text, "a number of participants")),
            remote_unmute: self.value(&keys::ROOM_REMOTE_UNMUTE, parse::boolean),
            presets: self.value(&keys::ROOM_PRESETS, parse::presets),
        }
    }

    fn metrics(&mut self) -> MetricsConfig {
        let text = |text: &str| Ok((!text.is_empty()).then(|| text.to_owned()));
        let name = self.value(&keys::METRICS_USERNAME, text);
        let password = self.value(&keys::METRICS_PASSWORD, text);
        if name.is_some() != password.is_some() {
            let fault = "metrics_username and metrics_password belong together; give both or none";
            self.complaints.push(Complaint(fault.to_owned()));
        }
        MetricsConfig {
            port: self.value(&keys::METRICS_PORT, |text| parse::optional(text, "a port")),
            credentials: name.zip(password),
        }
    }

    fn webhooks(&mut self) -> WebhookConfig {
        let names = |text: &str| Ok(parse::items(text).map(str::to_owned).collect());
        WebhookConfig {
            urls: self.value(&keys::WEBHOOK_URLS, parse::urls),
            api_key: self.value(&keys::WEBHOOK_API_KEY, |text| parse::optional(text, "an API key")),
            filter: Filter {
                included: self.value(&keys::WEBHOOK_INCLUDE_EVENTS, names),
                excluded: self.value(&keys::WEBHOOK_EXCLUDE_EVENTS, names),
            },
            full_room: self.value(&keys::WEBHOOK_FULL_ROOM, parse::boolean),
        }
    }
}

fn default_data_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))?;
    Some(home.join("banter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let config = Config::try_from(&folder()).expect("valid");
        assert_eq!((config.port, config.rtc_port_range), (7880, 50000..=60000));
        assert!(config.api_keys.is_empty());
    }

    #[test]
    fn all_complaints_come_at_once() {
        let raw = folder()
            .with_flags([(&keys::PORT, "99999".to_owned()), (&keys::BIND, "nowhere".to_owned())])
            .with_environment([
                ("BANTER_RTC_PORT_RANGE".to_owned(), "9-1".to_owned()),
                ("BANTER_PUBLIC_ULR".to_owned(), "x".to_owned()),
            ]);
        let InvalidConfig(complaints) = Config::try_from(&raw).expect_err("invalid");
        let text = InvalidConfig(complaints.clone()).to_string();
        assert_eq!(complaints.len(), 4, "{text}");
        assert!(text.contains("--port \"99999\""), "{text}");
        assert!(text.contains("BANTER_RTC_PORT_RANGE \"9-1\""), "{text}");
        assert!(text.contains("did you mean BANTER_PUBLIC_URL?"), "{text}");
    }

    #[test]
    fn a_single_port_is_that_of_everything_and_goes_before_lower_layers() {
        let raw = RawConfig::default()
            .with_environment([("BANTER_SINGLE_PORT".to_owned(), "443".to_owned())])
            .with_flags([(&keys::DATA_DIR, "/data".to_owned())])
            .with_development()
            .with_settings(&BTreeMap::from([("livekit_port".to_owned(), "7880".to_owned())]));
        let config = Config::try_from(&raw).expect("valid");
        assert_eq!((config.port, config.rtc_tcp_port, config.rtc_port_range), (443, Some(443), 443..=443));
        assert_eq!(
            (config.turn.port, config.turn.tls_port, config.single_port),
            (Some(443), Some(443), true)
        );
        assert_eq!(raw.value(&keys::TURN_PORT).origin, Origin::Environment, "as it is shown");
    }

    #[test]
    fn a_single_port_and_others_of_their_own_contradict_each_other() {
        for key in keys::OF_SINGLE_PORT {
            let raw = folder().with_flags([(&keys::SINGLE_PORT, "443".to_owned()), (key, "9000".to_owned())]);
            let text = Config::try_from(&raw).expect_err("a contradiction").to_string();
            assert!(text.contains("--single-port") && text.contains(&format!("--{}", key.flag())), "{text}");
        }
        let text = Config::try_from(&folder().with_flags([(&keys::SINGLE_PORT, "off".to_owned())]));
        let text = text.expect_err("no port").to_string();
        assert_eq!(text.matches("\n  - ").count(), 1, "{text}");
    }

    #[test]
    fn half_a_key_pair_is_refused() {
        let raw = folder().with_environment([("BANTER_API_KEY".to_owned(), "k".to_owned())]);
        assert!(Config::try_from(&raw).is_err());
    }

    #[test]
    fn secrets_stay_out_of_debug_texts() {
        let config = Config::try_from(&folder().with_development()).expect("valid");
        assert!(!format!("{config:?}").contains("\"secret\""));
    }

    fn folder() -> RawConfig {
        RawConfig::default().with_flags([(&keys::DATA_DIR, "/data".to_owned())])
    }
}
