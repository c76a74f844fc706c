//! What LiveKit's keys mean in Banter's.

use std::net::IpAddr;

use super::super::keys::{self, Key};
use super::super::raw::Complaint;
use super::super::yaml::Node;
use super::known::{Known, Meaning};
use super::{Entry, LiveKit, Source, read_key_file};

/// A value for one of Banter's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    pub key: &'static Key,
    pub text: String,
    pub source: Source,
    /// What the person who gave it called it.
    pub named: String,
}

/// All of it in Banter's words.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    pub values: Vec<Translated>,
    pub complaints: Vec<Complaint>,
    /// What is said at the start, one sentence each: keys without effect, and unknown ones.
    pub warnings: Vec<String>,
}

/// Keys that mean the same in both, as a number, a text or a switch.
static PLAIN: [(&str, &Key); 12] = [
    ("port", &keys::PORT),
    ("development", &keys::DEV),
    ("room.auto_create", &keys::ROOM_AUTO_CREATE),
    ("room.empty_timeout", &keys::ROOM_EMPTY_TIMEOUT),
    ("room.departure_timeout", &keys::ROOM_DEPARTURE_TIMEOUT),
    ("room.max_participants", &keys::ROOM_MAX_PARTICIPANTS),
    ("room.enable_remote_unmute", &keys::ROOM_REMOTE_UNMUTE),
    ("room.enable_full_room_in_webhooks", &keys::WEBHOOK_FULL_ROOM),
    ("webhook.api_key", &keys::WEBHOOK_API_KEY),
    ("prometheus.username", &keys::METRICS_USERNAME),
    ("prometheus.password", &keys::METRICS_PASSWORD),
    ("log_level", &keys::LOG),
];

/// The same, with several values.
static LISTS: [(&str, &Key); 3] = [
    ("webhook.urls", &keys::WEBHOOK_URLS),
    ("webhook.filter_params.include_events", &keys::WEBHOOK_INCLUDE_EVENTS),
    ("webhook.filter_params.exclude_events", &keys::WEBHOOK_EXCLUDE_EVENTS),
];

impl LiveKit {
    pub fn translate(&self) -> Translation {
        let mut work = Work { livekit: self, out: Translation::default() };
        work.out.complaints.clone_from(&self.complaints);
        // It goes before `log_level`, which is its older name.
        work.plain("logging.level", &keys::LOG);
        for (path, key) in PLAIN {
            work.plain(path, key);
        }
        // The second is the first one's older name. 0 is none.
        for path in ["prometheus.port", "prometheus_port"] {
            if work.text(path).is_some_and(|(_, port)| port != "0") {
                work.plain(path, &keys::METRICS_PORT);
            }
        }
        work.tcp_port();
        work.turn();
        work.external_ip();
        work.json_log();
        work.bind();
        work.keys();
        work.presets();
        work.udp_ports();
        work.node_ip();
        for (path, key) in LISTS {
            work.plain_list(path, key);
        }
        work.filter("rtc.ips", &keys::RTC_NETWORKS);
        work.filter("rtc.interfaces", &keys::RTC_INTERFACES);
        work.warn();
        work.out
    }
}

struct Work<'a> {
    livekit: &'a LiveKit,
    out: Translation,
}

impl<'a> Work<'a> {
    fn plain(&mut self, path: &str, key: &'static Key) {
        if let Some((entry, text)) = self.text(path) {
            self.give(key, text, entry);
        }
    }

    fn plain_list(&mut self, path: &str, key: &'static Key) {
        if let Some((entry, items)) = self.list(path) {
            self.give(key, items.join(","), entry);
        }
    }

    fn json_log(&mut self) {
        if let Some((entry, _)) = self.text("logging.json").filter(|(_, text)| text == "true") {
            self.give(&keys::LOG_FORMAT, "json".to_owned(), entry);
        }
    }

    /// LiveKit binds its HTTP port only; media is at every address, also of a server behind a proxy.
    fn bind(&mut self) {
        let Some((entry, addresses)) = self.list("bind_addresses") else { return };
        // An empty one means all.
        let addresses = addresses.into_iter().map(|address| match address.as_str() {
            "" => "::".to_owned(),
            _ => address,
        });
        self.give(&keys::BIND, addresses.collect::<Vec<_>>().join(","), entry);
        self.give(&keys::RTC_BIND, "::".to_owned(), entry);
    }

    fn keys(&mut self) {
        let file = self.text("key_file");
        let (entry, node) = match (file, self.livekit.entry("keys")) {
            (Some((entry, path)), _) => match read_key_file(&path) {
                Ok(node) => (entry, node),
                Err(fault) => return self.complain(fault),
            },
            (None, Some(entry)) => (entry, entry.node.clone()),
            (None, None) => return,
        };
        let pairs = match node {
            Node::Null => return,
            Node::Map(pairs) => pairs,
            Node::Text(_) | Node::List(_) => Vec::new(),
        };
        let mut lines = String::new();
        for (key, secret) in &pairs {
            match secret {
                Node::Text(secret) if is_plain(key) && is_plain(secret) => {
                    lines += &format!("{key}:{secret}\n")
                }
                _ => return self.complain(format!("{}: the key {key:?} has no usable secret", entry.named)),
            }
        }
        if lines.is_empty() {
            return self
                .complain(format!("{}: there have to be keys with secrets, as KEY: SECRET", entry.named));
        }
        self.give(&keys::API_KEYS, lines, entry);
    }

    fn presets(&mut self) {
        let Some(entry) = self.livekit.entry("room.room_configurations") else { return };
        if let Some(presets) = json(&entry.node) {
            self.give(&keys::ROOM_PRESETS, presets.to_string(), entry);
        }
    }

    /// A port or a range that all share, or else a range for media of which Banter needs but a few.
    fn udp_ports(&mut self) {
        let shared = self.livekit.entry("rtc.udp_port").and_then(|entry| {
            let text = match &entry.node {
                Node::Text(text) => text.clone(),
                Node::Map(_) => format!("{}-{}", field(&entry.node, "start")?, field(&entry.node, "end")?),
                Node::Null | Node::List(_) => return None,
            };
            (text != "0" && text != "0-0").then_some((entry, text))
        });
        let range = || {
            let (entry, first) = self.text("rtc.port_range_start").filter(|(_, first)| first != "0")?;
            let (_, last) = self.text("rtc.port_range_end").filter(|(_, last)| last != "0")?;
            Some((entry, format!("{first}-{last}")))
        };
        if let Some((entry, text)) = shared.or_else(range) {
            self.give(&keys::RTC_PORT_RANGE, text, entry);
        }
    }

    /// LiveKit's 0 is no media over TCP.
    fn tcp_port(&mut self) {
        if let Some((entry, port)) = self.text("rtc.tcp_port") {
            let port = if port == "0" { "off".to_owned() } else { port };
            self.give(&keys::RTC_TCP_PORT, port, entry);
        }
    }

    /// What is off there may be on here: it costs nothing and helps those who need it.
    fn turn(&mut self) {
        if self.text("turn.enabled").is_none_or(|(_, text)| text != "true") {
            return;
        }
        for (path, key) in [("turn.udp_port", &keys::TURN_PORT), ("turn.tls_port", &keys::TURN_TLS_PORT)] {
            if self.text(path).is_some_and(|(_, port)| port != "0") {
                self.plain(path, key);
            }
        }
        self.plain("turn.ttl_seconds", &keys::TURN_CREDENTIALS_LIFETIME);
        // LiveKit has TLS for TURN only, Banter one certificate for everything.
        if let (Some((entry, certificate)), Some((_, key))) =
            (self.text("turn.cert_file"), self.text("turn.key_file"))
        {
            self.give(&keys::TLS, "files".to_owned(), entry);
            self.give(&keys::TLS_CERT, certificate, entry);
            self.give(&keys::TLS_KEY, key, entry);
        }
    }

    /// Where LiveKit is told to ask nobody, nobody is asked here. Otherwise it is done without being told.
    fn external_ip(&mut self) {
        if let Some((entry, _)) = self.text("rtc.use_external_ip").filter(|(_, text)| text == "false") {
            self.give(&keys::STUN_SERVERS, "off".to_owned(), entry);
        } else {
            self.plain_list("rtc.stun_servers", &keys::STUN_SERVERS);
        }
    }

    /// In LiveKit the address takes the place of this machine's own.
    fn node_ip(&mut self) {
        let Some(entry) = self.livekit.entry("rtc.node_ip") else { return };
        let addresses = match &entry.node {
            Node::Map(_) => {
                [field(&entry.node, "ipv4"), field(&entry.node, "ipv6")].into_iter().flatten().collect()
            }
            Node::Text(text) => vec![text.clone()],
            Node::Null | Node::List(_) => return,
        };
        let addresses = addresses.join(",");
        let internal = self.text("rtc.advertise_internal_ip").is_some_and(|(_, text)| text == "true");
        let filtered = self.list("rtc.ips.includes").is_some();
        // A name or a slip is complained about once, as the address that it is not.
        let parsed: Result<Vec<IpAddr>, _> = addresses.split(',').map(str::parse).collect();
        let valid = parsed.is_ok();
        // For those on this machine only, which has the address anyway.
        if !parsed.is_ok_and(|addresses| addresses.iter().all(IpAddr::is_loopback)) {
            self.give(&keys::PUBLIC_IP, addresses.clone(), entry);
        }
        if !internal && !filtered && valid {
            self.give(&keys::RTC_NETWORKS, addresses, entry);
        }
    }

    fn filter(&mut self, path: &str, key: &'static Key) {
        let includes = self.list(&format!("{path}.includes"));
        let excludes = self.list(&format!("{path}.excludes"));
        let Some(entry) = includes.as_ref().or(excludes.as_ref()).map(|(entry, _)| *entry) else { return };
        let included = includes.into_iter().flat_map(|(_, items)| items);
        let excluded = excludes.into_iter().flat_map(|(_, items)| items).map(|item| format!("!{item}"));
        self.give(key, included.chain(excluded).collect::<Vec<_>>().join(","), entry);
    }

    /// One sentence for everything without effect, by reason, and one for each name that is unknown.
    fn warn(&mut self) {
        let mut ignored: Vec<(&str, Vec<&str>)> = Vec::new();
        let turn_is_off = self.text("turn.enabled").is_none_or(|(_, text)| text != "true");
        for entry in &self.livekit.entries {
            let Some(Known { meaning: Meaning::NoEffect(why), .. }) = Known::at(&entry.path) else {
                continue;
            };
            let of_turn = entry.path == "turn" || entry.path.starts_with("turn.");
            if is_off(&entry.node) || (of_turn && turn_is_off && !turns_on(&entry.node)) {
                continue;
            }
            match ignored.iter_mut().find(|(known, _)| known == why) {
                Some((_, paths)) if paths.contains(&entry.path.as_str()) => {}
                Some((_, paths)) => paths.push(&entry.path),
                None => ignored.push((why, vec![&entry.path])),
            }
        }
        if !ignored.is_empty() {
            let reasons = ignored.iter().map(|(why, paths)| format!("{} ({why})", paths.join(", ")));
            let reasons = reasons.collect::<Vec<_>>().join("; ");
            self.out.warnings.push(format!("LiveKit settings that have no effect here: {reasons}"));
        }
        for (name, meant) in &self.livekit.unknown {
            let hint = meant.as_ref().map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            self.out
                .warnings
                .push(format!("the LiveKit setting {name} is not known and has no effect{hint}"));
        }
    }

    fn give(&mut self, key: &'static Key, text: String, entry: &Entry) {
        let (source, named) = (entry.source, entry.named.clone());
        self.out.values.push(Translated { key, text, source, named });
    }

    fn complain(&mut self, text: String) {
        self.out.complaints.push(Complaint(text));
    }

    fn text(&self, path: &str) -> Option<(&'a Entry, String)> {
        let entry = self.livekit.entry(path)?;
        match &entry.node {
            Node::Text(text) => Some((entry, text.clone())),
            // Something that no value is; the key's own check says what it ought to be.
            Node::List(_) | Node::Map(_) => Some((entry, "(a list)".to_owned())),
            Node::Null => None,
        }
    }

    fn list(&self, path: &str) -> Option<(&'a Entry, Vec<String>)> {
        let entry = self.livekit.entry(path)?;
        let items = match &entry.node {
            Node::List(items) => items.iter().filter_map(text_of).collect(),
            Node::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>(),
            Node::Null | Node::Map(_) => Vec::new(),
        };
        (!items.is_empty()).then_some((entry, items))
    }
}

/// Numbers stay texts, which a reader of protobuf's JSON takes as well. What is null is left out.
fn json(node: &Node) -> Option<serde_json::Value> {
    match node {
        Node::Null => None,
        Node::Text(text) => Some(text.as_str().into()),
        Node::List(items) => Some(items.iter().filter_map(json).collect()),
        Node::Map(entries) => {
            let entry = |(name, node): &(String, Node)| Some((name.clone(), json(node)?));
            Some(entries.iter().filter_map(entry).collect())
        }
    }
}

fn field(node: &Node, name: &str) -> Option<String> {
    let Node::Map(entries) = node else { return None };
    entries.iter().find(|(known, _)| known == name).and_then(|(_, node)| text_of(node))
}

fn text_of(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.clone()),
        Node::Null | Node::List(_) | Node::Map(_) => None,
    }
}

/// A key and its secret stand on one line, and the key ends at the first colon.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r'])
}

/// Nothing is missed where nothing was asked for.
fn is_off(node: &Node) -> bool {
    match node {
        Node::Null => true,
        Node::Text(text) => matches!(text.as_str(), "" | "0" | "false"),
        Node::List(items) => items.iter().all(is_off),
        Node::Map(entries) => entries.iter().all(|(_, node)| is_off(node)),
    }
}

fn turns_on(node: &Node) -> bool {
    field(node, "enabled").is_some_and(|enabled| enabled == "true")
}
