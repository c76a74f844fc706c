//! The table of configuration keys. Flags, environment variables, the file, the help texts and `banter config show` all
//! come from it.

/// One thing that can be configured.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As in the file, where dashes will do as well. The flag has dashes in place of underscores, the variable is in upper case after `BANTER_`.
    pub name: &'static str,
    pub value_name: &'static str,
    pub help: &'static str,
    pub default: &'static str,
    /// Where the settings table keeps it.
    pub setting: Setting,
    pub exposure: Exposure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    None,
    Key(&'static str),
    /// First and last number of a range, in two rows.
    Range(&'static str, &'static str),
}

/// Where a key may be given and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    Everywhere,
    /// Not as a flag: every user of a machine can read the arguments of its processes.
    NoFlag,
    /// Not as a flag, and printed only on request.
    Secret,
}

impl Key {
    const fn new(
        name: &'static str,
        value_name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, value_name, help, default, setting: Setting::None, exposure: Exposure::Everywhere }
    }

    const fn kept_as(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }

    const fn exposed(self, exposure: Exposure) -> Self {
        Self { exposure, ..self }
    }

    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase())
    }

    pub fn named(name: &str) -> Option<&'static Key> {
        ALL.iter().copied().find(|key| key.name == name)
    }
}

pub const VARIABLE_PREFIX: &str = "BANTER_";

pub static CONFIG: Key = Key::new("config", "FILE", "", "Configuration file in TOML, with these same keys");
pub static LIVEKIT_CONFIG: Key = Key::new(
    "livekit_config",
    "FILE",
    "",
    "Configuration file of a LiveKit server, in YAML; what is given elsewhere goes before it",
);
pub static DATA_DIR: Key = Key::new(
    "data_dir",
    "DIR",
    "",
    "Folder for everything this server keeps; made if it is missing [default: banter in the user's data folder]",
);
pub static BIND: Key = Key::new(
    "bind",
    "ADDRESS,…",
    "::",
    "Addresses to listen on, for HTTP and for media; :: is every address, IPv4 included",
);
pub static PORT: Key =
    Key::new("port", "PORT", "7880", "TCP port of the web app, the API and signalling; 0 is any free one")
        .kept_as(Setting::Key("livekit_port"));
pub static SINGLE_PORT: Key = Key::new(
    "single_port",
    "PORT",
    "",
    "One TCP and UDP port for everything: the web app, media and TURN, such as 443, instead of those of the other flags; 0 is \
     any free one",
);
pub static RTC_TCP_PORT: Key = Key::new(
    "rtc_tcp_port",
    "PORT",
    "7881",
    "TCP port for media where UDP is closed; 0 is any free one, off is none",
)
.kept_as(Setting::Key("livekit_rtc_tcp_port"));
pub static STUN_SERVERS: Key = Key::new(
    "stun_servers",
    "HOST:PORT,…",
    "stun.cloudflare.com:3478,stun.l.google.com:19302",
    "Asked for the public address of a router in front, where this machine has none of its own; off asks nobody",
);
pub static TURN_PORT: Key = Key::new(
    "turn_port",
    "PORT",
    "3478",
    "UDP and TCP port of the TURN server, for clients that reach no media port; 0 is any free one, off is none",
);
pub static TURN_TLS_PORT: Key = Key::new(
    "turn_tls_port",
    "PORT",
    "5349",
    "TCP port of TURN over TLS, with the certificate of --tls; 0 is any free one, off is none",
);
pub static TURN_CREDENTIALS_LIFETIME: Key = Key::new(
    "turn_credentials_lifetime",
    "SECONDS",
    "3600",
    "How long a client may begin to use TURN with the credentials that it was given, up to a day",
);
pub static TURN_ECHO_PEER: Key = Key::new(
    "turn_echo_peer",
    "ADDRESS:PORT",
    "",
    "For tests of TURN with other clients: an address that sends back whatever is relayed to it",
);
pub static RTC_PORT_RANGE: Key = Key::new(
    "rtc_port_range",
    "FIRST-LAST",
    "50000-60000",
    "UDP ports for media; each media thread takes the first free one; 0 is any free ones",
)
.kept_as(Setting::Range("livekit_rtc_port_range_start", "livekit_rtc_port_range_end"));
pub static RTC_BIND: Key = Key::new(
    "rtc_bind",
    "ADDRESS",
    "",
    "Address for media only, if it is not that of --bind; :: is every address, IPv4 included",
);
pub static RTC_WORKERS: Key = Key::new(
    "rtc_workers",
    "N",
    "0",
    "Media threads, 1 to 64; 0 is one for each processor core, as far as the UDP ports go",
);
pub static RTC_MEMBERS_PER_WORKER: Key = Key::new(
    "rtc_members_per_worker",
    "N",
    "200",
    "Members of one room on one media thread, before further ones go to another; 0 keeps every room on one",
);
pub static RTC_LOUDEST_SPEAKERS: Key = Key::new(
    "rtc_loudest_speakers",
    "N",
    "5",
    "Microphones that are heard at once in a large room, the loudest, up to 64; 0 is all of them",
);
pub static RTC_LOUDEST_ABOVE: Key = Key::new(
    "rtc_loudest_above",
    "N",
    "30",
    "Members up to which everybody is heard in a room, whatever --rtc-loudest-speakers says",
);
pub static RTC_NETWORKS: Key = Key::new(
    "rtc_networks",
    "NETWORK,…",
    "",
    "Offer clients only those addresses of this machine that are in these networks; ! before one excludes it",
);
pub static RTC_INTERFACES: Key =
    Key::new("rtc_interfaces", "NAME,…", "", "The same by network interface, such as eth0 or !docker0");
pub static PUBLIC_IP: Key = Key::new(
    "public_ip",
    "ADDRESS,…",
    "",
    "Further addresses at which clients reach the media ports, such as the public one of a router",
);
pub static PORT_MAPPING: Key = Key::new(
    "port_mapping",
    "HOW",
    "off",
    "Have the router forward the ports of this server: pcp, nat-pmp, upnp, auto (the first of them that works) or off",
);
pub static PUBLIC_URL: Key = Key::new(
    "public_url",
    "URL",
    "",
    "Address people use, if it is not this machine's own, such as https://talk.example.org",
)
.kept_as(Setting::Key("livekit_domain"));
pub static TRUSTED_PROXIES: Key = Key::new(
    "trusted_proxies",
    "NETWORK,…",
    "",
    "Reverse proxies, beside those on this machine, whose X-Forwarded headers are believed, such as 10.0.0.0/8",
);
pub static TLS: Key = Key::new(
    "tls",
    "MODE",
    "self-signed",
    "Where the certificate for https comes from: self-signed (made on first run), auto (Let's Encrypt, whose terms you \
     agree to), files, or off (behind a proxy that has one)",
);
pub static TLS_CERT: Key = Key::new(
    "tls_cert",
    "FILE",
    "",
    "Certificate chain in PEM, for --tls files; read again when it changes and on SIGHUP",
);
pub static TLS_KEY: Key = Key::new("tls_key", "FILE", "", "Private key to that certificate, in PEM");
pub static ACME_DOMAINS: Key = Key::new(
    "acme_domains",
    "NAME,…",
    "",
    "Names for which --tls auto gets a certificate [default: the name in the public URL]",
);
pub static ACME_EMAIL: Key =
    Key::new("acme_email", "ADDRESS", "", "Where the certificate authority may write to");
pub static ACME_DIRECTORY: Key = Key::new(
    "acme_directory",
    "URL",
    "https://acme-v02.api.letsencrypt.org/directory",
    "Certificate authority for --tls auto; this machine has to trust its own certificate",
);
pub static ACME_HTTP_PORT: Key = Key::new(
    "acme_http_port",
    "PORT",
    "80",
    "Further TCP port at which --tls auto proves that the names are this server's; 0 is any free one",
);
pub static LOG_FORMAT: Key =
    Key::new("log_format", "FORMAT", "auto", "text, json, or auto: text on a terminal and JSON elsewhere");
pub static LOG: Key =
    Key::new("log", "FILTER", "info", "What to log: error, warn, info, debug or trace, also by module");
pub static DEV: Key = Key::new(
    "dev",
    "BOOL",
    "false",
    "Development: the API key is devkey with the secret `secret`, and only this machine can connect",
);
pub static API_KEY: Key =
    Key::new("api_key", "KEY", "", "API key for LiveKit server SDKs; made on first run")
        .kept_as(Setting::Key("livekit_api_key"))
        .exposed(Exposure::NoFlag);
pub static API_SECRET: Key = Key::new("api_secret", "SECRET", "", "Secret of the API key; made on first run")
    .kept_as(Setting::Key("livekit_api_secret"))
    .exposed(Exposure::Secret);

pub static API_KEYS: Key = Key::new(
    "api_keys",
    "KEY:SECRET,…",
    "",
    "Several API keys with their secrets; the first signs, and the one made on first run is not used",
)
.exposed(Exposure::Secret);
pub static OTHER_ROOMS: Key = Key::new(
    "other_rooms",
    "BOOL",
    "true",
    "Whether tokens and calls signed with an API key may use rooms that are not channels, as on a LiveKit server",
);
pub static ROOM_AUTO_CREATE: Key = Key::new(
    "room_auto_create",
    "BOOL",
    "true",
    "Whether a token of your own backend opens the room that it names; channels always open",
);
pub static ROOM_EMPTY_TIMEOUT: Key =
    Key::new("room_empty_timeout", "SECONDS", "300", "How long a room waits for its first participant");
pub static ROOM_DEPARTURE_TIMEOUT: Key = Key::new(
    "room_departure_timeout",
    "SECONDS",
    "20",
    "How long a room stays after its last participant has left",
);
pub static ROOM_MAX_PARTICIPANTS: Key = Key::new(
    "room_max_participants",
    "N",
    "0",
    "Participants in a room that names no limit of its own; 0 is any number; channels have their own",
);
pub static ROOM_REMOTE_UNMUTE: Key = Key::new(
    "room_remote_unmute",
    "BOOL",
    "false",
    "Whether RoomService may unmute a participant's microphone",
);
pub static ROOM_PRESETS: Key = Key::new(
    "room_presets",
    "JSON",
    "",
    "Settings of rooms by name, for tokens and calls that name them, as {\"stage\": {\"max_participants\": 9}}",
)
.exposed(Exposure::NoFlag);
pub static WEBHOOK_URLS: Key = Key::new(
    "webhook_urls",
    "URL,…",
    "",
    "Addresses that are told what happens in rooms, with LiveKit's events and signature",
)
.exposed(Exposure::NoFlag);
pub static WEBHOOK_API_KEY: Key =
    Key::new("webhook_api_key", "KEY", "", "API key that signs webhooks [default: the first one]");
pub static WEBHOOK_INCLUDE_EVENTS: Key = Key::new(
    "webhook_include_events",
    "EVENT,…",
    "",
    "Send only these events, such as participant_joined; goes before what is excluded",
);
pub static WEBHOOK_EXCLUDE_EVENTS: Key =
    Key::new("webhook_exclude_events", "EVENT,…", "", "Send all events but these");
pub static WEBHOOK_FULL_ROOM: Key = Key::new(
    "webhook_full_room",
    "BOOL",
    "false",
    "Whether events about tracks describe the whole room, and not only its name and id",
);
pub static METRICS_PORT: Key = Key::new(
    "metrics_port",
    "PORT",
    "",
    "TCP port for /metrics alone; without one, admins find it beside the API; 0 is any free one",
);
pub static METRICS_USERNAME: Key =
    Key::new("metrics_username", "NAME", "", "Name with which a Prometheus server may read /metrics");
pub static METRICS_PASSWORD: Key =
    Key::new("metrics_password", "PASSWORD", "", "Password to that name").exposed(Exposure::Secret);

/// Those that [`SINGLE_PORT`] decides about.
pub static OF_SINGLE_PORT: [&Key; 5] = [&PORT, &RTC_TCP_PORT, &RTC_PORT_RANGE, &TURN_PORT, &TURN_TLS_PORT];

pub static ALL: [&Key; 52] = [
    &CONFIG,
    &LIVEKIT_CONFIG,
    &DATA_DIR,
    &BIND,
    &PORT,
    &SINGLE_PORT,
    &RTC_TCP_PORT,
    &STUN_SERVERS,
    &TURN_PORT,
    &TURN_TLS_PORT,
    &TURN_CREDENTIALS_LIFETIME,
    &TURN_ECHO_PEER,
    &RTC_PORT_RANGE,
    &RTC_BIND,
    &RTC_WORKERS,
    &RTC_MEMBERS_PER_WORKER,
    &RTC_LOUDEST_SPEAKERS,
    &RTC_LOUDEST_ABOVE,
    &RTC_NETWORKS,
    &RTC_INTERFACES,
    &PUBLIC_IP,
    &PORT_MAPPING,
    &PUBLIC_URL,
    &TRUSTED_PROXIES,
    &TLS,
    &TLS_CERT,
    &TLS_KEY,
    &ACME_DOMAINS,
    &ACME_EMAIL,
    &ACME_DIRECTORY,
    &ACME_HTTP_PORT,
    &LOG_FORMAT,
    &LOG,
    &DEV,
    &API_KEY,
    &API_SECRET,
    &API_KEYS,
    &OTHER_ROOMS,
    &ROOM_AUTO_CREATE,
    &ROOM_EMPTY_TIMEOUT,
    &ROOM_DEPARTURE_TIMEOUT,
    &ROOM_MAX_PARTICIPANTS,
    &ROOM_REMOTE_UNMUTE,
    &ROOM_PRESETS,
    &WEBHOOK_URLS,
    &WEBHOOK_API_KEY,
    &WEBHOOK_INCLUDE_EVENTS,
    &WEBHOOK_EXCLUDE_EVENTS,
    &WEBHOOK_FULL_ROOM,
    &METRICS_PORT,
    &METRICS_USERNAME,
    &METRICS_PASSWORD,
];

/// The key that `wrong` was probably meant to be.
pub fn nearest(wrong: &str) -> Option<&'static Key> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    ALL.iter()
        .map(|key| (strsim::damerau_levenshtein(&wrong, key.name), *key))
        .filter(|(distance, key)| *distance <= (key.name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_key_that_was_meant() {
        let meant = |wrong| nearest(wrong).map(|key| key.name);
        assert_eq!(meant("prot"), Some("port"));
        assert_eq!(meant("public-ulr"), Some("public_url"));
        assert_eq!(meant("datadir"), Some("data_dir"));
        assert_eq!(meant("rtc_portrange"), Some("rtc_port_range"));
        assert_eq!(meant("colour"), None);
    }
}
