//! Configuration in two stages: [`RawConfig`] is what was given where, [`Config`] is what it means, checked.

pub mod keys;
mod raw;

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use url::Url;

use keys::Key;
pub use raw::{Complaint, Given, Origin, RawConfig};

/// Every value is usable as it is.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// The unspecified IPv6 address takes IPv4 as well.
    pub bind: IpAddr,
    /// 0 is any free port.
    pub port: u16,
    /// 0 is any free port.
    pub rtc_tcp_port: u16,
    /// `0..=0` is any free ports.
    pub rtc_port_range: RangeInclusive<u16>,
    /// Media threads; `None` is one for each processor core.
    pub rtc_workers: Option<usize>,
    /// Addresses of the media ports that this machine does not know of by itself.
    pub advertise: Vec<IpAddr>,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
    pub log: Log,
    pub dev: bool,
    /// `None` until the first run has made them.
    pub api_keys: Option<ApiKeyPair>,
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
        parse_bool(&self.value(&keys::DEV).text).unwrap_or(false)
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
        let config = Self {
            data_dir: check.data_dir(),
            bind: check.value(&keys::BIND, |text| parse::<IpAddr>(text, "an IP address")),
            port: check.value(&keys::PORT, parse_port),
            rtc_tcp_port: check.value(&keys::RTC_TCP_PORT, parse_port),
            rtc_port_range: check.value(&keys::RTC_PORT_RANGE, parse_port_range),
            rtc_workers: check.value(&keys::RTC_WORKERS, parse_workers),
            advertise: check.value(&keys::ADVERTISE, |text| list(text, "an IP address")),
            public_url: check.value(&keys::PUBLIC_URL, parse_public_url),
            trusted_proxies: check.value(&keys::TRUSTED_PROXIES, parse_networks),
            log: Log {
                format: check.value(&keys::LOG_FORMAT, parse_log_format),
                filter: check.value(&keys::LOG, parse_log_filter),
            },
            dev: check.value(&keys::DEV, parse_bool),
            api_keys: check.api_keys(),
        };
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
            let place = match given.origin {
                Origin::Flag => format!("--{}", key.flag()),
                Origin::Environment => key.variable(),
                Origin::File | Origin::Development | Origin::Default => key.name.to_owned(),
                Origin::Settings => format!("{} (in the settings)", key.name),
            };
            self.complaints.push(Complaint(format!("{place} {:?} {fault}", given.text)));
            parse(key.default).expect("defaults are valid")
        })
    }

    fn data_dir(&mut self) -> PathBuf {
        self.raw.data_dir().unwrap_or_else(|| {
            let text = "the folder for the data is not known, since neither HOME nor XDG_DATA_HOME is set; give --data-dir";
            self.complaints.push(Complaint(text.to_owned()));
            PathBuf::new()
        })
    }

    fn api_keys(&mut self) -> Option<ApiKeyPair> {
        match (self.raw.given(&keys::API_KEY), self.raw.given(&keys::API_SECRET)) {
            (Some(key), Some(secret)) if key.origin == secret.origin => {
                Some(ApiKeyPair { key: key.text.clone(), secret: secret.text.clone() })
            }
            (None, None) => None,
            _ => {
                let text = "api_key and api_secret belong together; give both in the same place";
                self.complaints.push(Complaint(text.to_owned()));
                None
            }
        }
    }
}

fn default_data_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))?;
    Some(home.join("banter"))
}

fn parse<T: std::str::FromStr<Err: Display>>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("is not {what}: {error}"))
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "is not a port; ports are 0 (any free one) to 65535".to_owned())
}

fn parse_port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
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

fn parse_workers(text: &str) -> Result<Option<usize>, String> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(n @ 1..=64) => Ok(Some(n)),
        _ => Err("is not a number of threads; it is 1 to 64, or 0 for one per processor core".to_owned()),
    }
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A bare host name, as LiveKit set-ups keep it, stands for its address with TLS.
fn parse_public_url(text: &str) -> Result<Option<Url>, String> {
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

fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |item: &str| match item.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => parse::<IpNet>(item, "a network such as 10.0.0.0/8"),
    };
    items(text).map(network).collect()
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is not a log format; the formats are auto, text and json".to_owned()),
    }
}

fn parse_log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| format!("is not a log filter: {error}"))?;
    Ok(text.to_owned())
}

fn list<T: std::str::FromStr<Err: Display>>(text: &str, what: &str) -> Result<Vec<T>, String> {
    items(text).map(|item| parse(item, what)).collect()
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let config = Config::try_from(&folder()).expect("valid");
        assert_eq!((config.port, config.rtc_port_range), (7880, 50000..=60000));
        assert!(config.api_keys.is_none());
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
    fn public_urls_are_hosts() {
        let shown = |text| parse_public_url(text).map(|url| url.map(|url| url.to_string()));
        assert_eq!(shown("talk.example"), Ok(Some("https://talk.example/".into())));
        assert_eq!(shown("http://10.0.0.1:7880/"), Ok(Some("http://10.0.0.1:7880/".into())));
        assert_eq!(shown(""), Ok(None));
        assert!(shown("https://talk.example/voice").is_err());
        assert!(shown("ftp://talk.example").is_err());
    }

    #[test]
    fn ranges_have_an_order() {
        assert_eq!(parse_port_range("0"), Ok(0..=0));
        assert_eq!(parse_port_range("50000"), Ok(50000..=50000));
        assert_eq!(parse_port_range("50000 - 50010"), Ok(50000..=50010));
        assert!(parse_port_range("2-1").is_err());
        assert!(parse_port_range("0-10").is_err());
        assert!(parse_port_range("a-b").is_err());
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
