//! Every key of LiveKit's configuration, and what it means here.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It has a counterpart, see `translate`.
    Honoured,
    /// What it asks for, or may be asked to leave out, happens in any case.
    Moot,
    /// It asks for something that is not there, for this reason.
    NoEffect(&'static str),
}

/// A key with its path, as in `rtc.tcp_port`. A path that ends in `.*` stands for everything under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub path: &'static str,
    pub meaning: Meaning,
}

const VIDEO: Meaning = Meaning::NoEffect("it is about video, and Banter carries voice");
const ONE_PROCESS: Meaning = Meaning::NoEffect("it is about several nodes, and Banter is one process");
const OTHER_SERVICES: Meaning = Meaning::NoEffect("it is about a service that Banter does not have");
const NO_RELAY_SOCKETS: Meaning = Meaning::NoEffect("TURN relays inside the process, without ports");
const TURN: Meaning = Meaning::NoEffect("the TURN server is part of the media plane, with bounds of its own");
const TCP: Meaning = Meaning::NoEffect("media over TCP comes with a later version");
const ICE: Meaning = Meaning::NoEffect("Banter is a full ICE agent and finds its paths by itself");
const BUFFERS: Meaning = Meaning::NoEffect("the media path sizes its buffers by itself");
const DATA: Meaning = Meaning::NoEffect("the limits of data channels are fixed");
const RECONNECT: Meaning = Meaning::NoEffect("a failed connection is always followed by a resume");
const FIXED_LIMITS: Meaning = Meaning::NoEffect("the limit is fixed, at what LiveKit has by default");
const SPEAKERS: Meaning =
    Meaning::NoEffect("speakers are found by fixed levels, close to LiveKit's defaults");
const DATA_TRACKS: Meaning = Meaning::NoEffect("there are no data tracks and no data blobs");

const fn key(path: &'static str, meaning: Meaning) -> Known {
    Known { path, meaning }
}

pub(super) static ALL: &[Known] = &[
    key("port", Meaning::Honoured),
    key("bind_addresses", Meaning::Honoured),
    key("keys", Meaning::Honoured),
    key("key_file", Meaning::Honoured),
    key("development", Meaning::Honoured),
    key("log_level", Meaning::Honoured),
    key("logging.level", Meaning::Honoured),
    key("logging.json", Meaning::Honoured),
    key("logging.component_levels.*", Meaning::NoEffect("use BANTER_LOG for levels by module")),
    key("logging.*", Meaning::NoEffect("the log is not sampled")),
    key("environment", Meaning::Moot),
    key("region", ONE_PROCESS),
    key("redis.*", ONE_PROCESS),
    key("node_selector.*", ONE_PROCESS),
    key("node_stats.*", ONE_PROCESS),
    key("signal_relay.*", ONE_PROCESS),
    key("psrpc.*", ONE_PROCESS),
    key("api.*", ONE_PROCESS),
    key("ingress.*", OTHER_SERVICES),
    key("egress.*", OTHER_SERVICES),
    key("sip.*", OTHER_SERVICES),
    key("agents.*", OTHER_SERVICES),
    key("metric.*", OTHER_SERVICES),
    key("trace.*", OTHER_SERVICES),
    key("debug_handler.*", OTHER_SERVICES),
    key("analytics.*", OTHER_SERVICES),
    key("video.*", VIDEO),
    key("rtc.tcp_port", Meaning::Honoured),
    key("rtc.udp_port", Meaning::Honoured),
    key("rtc.port_range_start", Meaning::Honoured),
    key("rtc.port_range_end", Meaning::Honoured),
    key("rtc.node_ip", Meaning::Honoured),
    key("rtc.advertise_internal_ip", Meaning::Honoured),
    key("rtc.interfaces.includes", Meaning::Honoured),
    key("rtc.interfaces.excludes", Meaning::Honoured),
    key("rtc.ips.includes", Meaning::Honoured),
    key("rtc.ips.excludes", Meaning::Honoured),
    key("rtc.enable_loopback_candidate", Meaning::Moot),
    key("rtc.use_external_ip", Meaning::Honoured),
    key("rtc.skip_external_ip_validation", Meaning::Moot),
    key("rtc.external_ip_only", Meaning::NoEffect("rtc.node_ip does this")),
    key("rtc.stun_servers", Meaning::Honoured),
    key("rtc.turn_servers", Meaning::NoEffect("clients are offered the TURN server inside Banter")),
    key("rtc.use_ice_lite", ICE),
    key("rtc.use_mdns", ICE),
    key("rtc.use_stun_port_as_ice", ICE),
    key("rtc.allow_tcp_fallback", TCP),
    key("rtc.force_tcp", TCP),
    key("rtc.tcp_fallback_rtt_threshold", TCP),
    key("rtc.allow_udp_unstable_fallback", TCP),
    key("rtc.host_acceptance_min_wait", ICE),
    key("rtc.srflx_acceptance_min_wait", ICE),
    key("rtc.prflx_acceptance_min_wait", ICE),
    key("rtc.relay_acceptance_min_wait", ICE),
    key("rtc.batch_io.*", BUFFERS),
    key("rtc.packet_buffer_size", BUFFERS),
    key("rtc.packet_buffer_size_audio", BUFFERS),
    key("rtc.packet_buffer_size_video", VIDEO),
    key("rtc.forward_stats.*", BUFFERS),
    key("rtc.enable_rtp_stream_restart_detection", Meaning::Moot),
    key("rtc.strict_acks", Meaning::Moot),
    key("rtc.pli_throttle.*", VIDEO),
    key("rtc.congestion_control.*", VIDEO),
    key("rtc.reconnect_on_publication_error", RECONNECT),
    key("rtc.reconnect_on_subscription_error", RECONNECT),
    key("rtc.reconnect_on_data_channel_error", RECONNECT),
    key("rtc.data_channel_max_buffered_amount", DATA),
    key("rtc.datachannel_slow_threshold", DATA),
    key("rtc.datachannel_lossy_target_latency", DATA),
    key("rtc.datachannel_data_track_target_latency", DATA_TRACKS),
    key("rtc.sctp_cwnd_ca_step", DATA),
    key("rtc.sctp_fast_rtx_wnd", DATA),
    key("rtc.sctp_min_cwnd", DATA),
    key("rtc.enable_warp", ICE),
    key("audio.active_level", SPEAKERS),
    key("audio.min_percentile", SPEAKERS),
    key("audio.update_interval", SPEAKERS),
    key("audio.smooth_intervals", SPEAKERS),
    key("audio.active_red_encoding", Meaning::NoEffect("RED is forwarded from those who send it")),
    key("audio.enable_loss_proxying", VIDEO),
    key("room.auto_create", Meaning::Honoured),
    key("room.empty_timeout", Meaning::Honoured),
    key("room.departure_timeout", Meaning::Honoured),
    key("room.max_participants", Meaning::Honoured),
    key("room.enable_remote_unmute", Meaning::Honoured),
    key("room.enabled_codecs", Meaning::NoEffect("the codecs are Opus and RED")),
    key("room.enable_full_room_in_webhooks", Meaning::Honoured),
    key("room.room_configurations", Meaning::Honoured),
    key("room.playout_delay.*", VIDEO),
    key("room.sync_streams", VIDEO),
    key("room.create_room_timeout", Meaning::Moot),
    key("room.create_room_attempts", Meaning::Moot),
    key("room.update_batch_target_size", Meaning::Moot),
    key("room.max_metadata_size", FIXED_LIMITS),
    key("room.max_room_name_length", FIXED_LIMITS),
    key("room.max_participant_identity_length", FIXED_LIMITS),
    key("limit.num_tracks", Meaning::NoEffect("Banter counts people, not tracks")),
    key("limit.bytes_per_sec", Meaning::NoEffect("the traffic of voice is bounded by the people in a room")),
    key("limit.subscription_limit_video", VIDEO),
    key("limit.subscription_limit_audio", FIXED_LIMITS),
    key("limit.max_metadata_size", FIXED_LIMITS),
    key("limit.max_attributes_size", FIXED_LIMITS),
    key("limit.max_room_name_length", FIXED_LIMITS),
    key("limit.max_participant_identity_length", FIXED_LIMITS),
    key("limit.max_participant_name_length", FIXED_LIMITS),
    key("limit.signal_message_size_limit", FIXED_LIMITS),
    key("limit.max_api_request_body_size", FIXED_LIMITS),
    key("limit.max_data_blob_key_length", DATA_TRACKS),
    key("limit.max_data_blobs_size", DATA_TRACKS),
    key("limit.max_data_track_custom_encoding_length", DATA_TRACKS),
    key("enable_data_tracks", Meaning::Moot),
    key("enable_participant_data_blob", DATA_TRACKS),
    key("turn.enabled", Meaning::Honoured),
    key("turn.udp_port", Meaning::Honoured),
    key("turn.tls_port", Meaning::Honoured),
    key("turn.cert_file", Meaning::Honoured),
    key("turn.key_file", Meaning::Honoured),
    key("turn.ttl_seconds", Meaning::Honoured),
    key("turn.domain", Meaning::NoEffect("clients look for TURN under the name by which they came")),
    key("turn.relay_range_start", NO_RELAY_SOCKETS),
    key("turn.relay_range_end", NO_RELAY_SOCKETS),
    key("turn.*", TURN),
    key("webhook.urls", Meaning::Honoured),
    key("webhook.api_key", Meaning::Honoured),
    key("webhook.filter_params.include_events", Meaning::Honoured),
    key("webhook.filter_params.exclude_events", Meaning::Honoured),
    key("webhook.url_notifier.*", Meaning::NoEffect("the queues of webhooks have fixed bounds")),
    key("webhook.resource_url_notifier.*", Meaning::NoEffect("the queues of webhooks have fixed bounds")),
    key("prometheus.port", Meaning::Honoured),
    key("prometheus.username", Meaning::Honoured),
    key("prometheus.password", Meaning::Honoured),
    key("prometheus_port", Meaning::Honoured),
];

/// Keys whose flags need no value.
pub const SWITCHES: [&str; 8] = [
    "development",
    "logging.json",
    "room.auto_create",
    "room.enable_remote_unmute",
    "rtc.advertise_internal_ip",
    "rtc.enable_loopback_candidate",
    "rtc.use_external_ip",
    "rtc.use_ice_lite",
];

/// Every key.
pub fn known() -> impl Iterator<Item = &'static Known> {
    ALL.iter()
}

impl Known {
    pub fn is_group(&self) -> bool {
        self.path.ends_with(".*")
    }

    pub fn at(path: &str) -> Option<&'static Known> {
        ALL.iter().find(|known| match known.path.strip_suffix(".*") {
            Some(group) => {
                path == group || path.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
            }
            None => known.path == path,
        })
    }

    /// The path that `wrong` was probably meant to be.
    pub fn nearest(wrong: &str) -> Option<&'static str> {
        let plain = ALL.iter().map(|known| known.path.trim_end_matches(".*"));
        plain
            .map(|path| (strsim::damerau_levenshtein(wrong, path), path))
            .filter(|(distance, path)| *distance <= (path.len() / 4).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, path)| path)
    }

    /// `LIVEKIT_RTC_TCP_PORT` for `rtc.tcp_port`.
    pub fn variable(path: &str) -> String {
        format!("LIVEKIT_{}", path.replace('.', "_").to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_what_is_under_them_and_nothing_beside() {
        assert_eq!(Known::at("redis.address").map(|known| known.path), Some("redis.*"));
        assert_eq!(Known::at("redis").map(|known| known.path), Some("redis.*"));
        assert_eq!(Known::at("rediss"), None);
        assert_eq!(Known::at("rtc.tcp_port").map(|known| known.meaning), Some(Meaning::Honoured));
        assert_eq!(Known::at("logging.level").map(|known| known.path), Some("logging.level"));
    }

    #[test]
    fn slips_find_the_key_that_was_meant() {
        assert_eq!(Known::nearest("rtc.tcp_prot"), Some("rtc.tcp_port"));
        assert_eq!(Known::nearest("rooms.auto_create"), Some("room.auto_create"));
        assert_eq!(Known::nearest("colour"), None);
        assert!(SWITCHES.iter().all(|path| Known::at(path).is_some()));
    }
}
