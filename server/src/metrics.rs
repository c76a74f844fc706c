//! What the program counts, in the text format of Prometheus (version 0.0.4).

use std::fmt::{self, Write};

use axum::http::{HeaderMap, header};
use banter_protocol::rest::MediaTransport;
use banter_sfu::net::MediaHandle;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::config::MetricsConfig;
use crate::signal::{PresenceEntry, Rooms};
use crate::webhook::Webhooks;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that counts. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub config: MetricsConfig,
    pub rooms: Rooms,
    pub media: MediaHandle,
    pub webhooks: Webhooks,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Metrics {
    /// Whether the request brings the name and the password of the configuration, in HTTP's basic scheme.
    pub fn has_password(&self, headers: &HeaderMap) -> bool {
        let Some((name, password)) = &self.config.credentials else { return false };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given =
            given.and_then(|value| value.strip_prefix("Basic ")).and_then(|text| STANDARD.decode(text).ok());
        given.is_some_and(|given| given.ct_eq(format!("{name}:{password}").as_bytes()).into())
    }

    pub fn render(&self) -> String {
        let mut text = Text::default();
        let rooms = self.rooms.tally();
        text.one("banter_rooms", Kind::Gauge, "Rooms that are open", rooms.rooms as u64);
        text.one(
            "banter_participants",
            Kind::Gauge,
            "Participants in all rooms, without agents and recorders",
            rooms.participants as u64,
        );
        self.render_paths(&mut text);
        text.family(
            "banter_signal_requests_total",
            Kind::Counter,
            "Requests to join, by the status of the answer",
        );
        for (status, count) in rooms.answers {
            text.line("banter_signal_requests_total", Some(("status", &status.to_string())), count);
        }
        self.render_media(&mut text);
        self.render_webhooks(&mut text);
        text.0
    }

    fn render_paths(&self, text: &mut Text) {
        let inside: Vec<_> = self.rooms.presence().into_values().flatten().collect();
        let name = "banter_channel_participants";
        text.family(name, Kind::Gauge, "People in channels, by what their media travels by");
        for transport in MediaTransport::ALL {
            let is_by = |entry: &&PresenceEntry| entry.path.is_some_and(|path| path.transport == transport);
            let count = inside.iter().filter(is_by).count();
            text.line(name, Some(("transport", transport.as_str())), count as u64);
        }
    }

    fn render_media(&self, text: &mut Text) {
        let counters = self.media.counters();
        let connected = self.media.participants();
        text.one(
            "banter_media_participants",
            Kind::Gauge,
            "Participants on the media workers",
            connected as u64,
        );
        for (name, counts) in [
            ("banter_media_packets_total", counters.core.named().collect::<Vec<_>>()),
            ("banter_media_socket_total", counters.socket.named().collect()),
            ("banter_media_streams_total", counters.streams.named().collect()),
        ] {
            text.family(name, Kind::Counter, "Datagrams and packets on the media workers, by fate");
            for (fate, count) in counts {
                text.line(name, Some(("fate", fate)), count);
            }
        }
    }

    fn render_webhooks(&self, text: &mut Text) {
        let counters = self.webhooks.counters();
        text.family("banter_webhooks_total", Kind::Counter, "Webhooks, by fate");
        for (fate, count) in
            [("delivered", counters.delivered), ("failed", counters.failed), ("dropped", counters.dropped)]
        {
            text.line("banter_webhooks_total", Some(("fate", fate)), count);
        }
        let retried = counters.retried;
        text.one("banter_webhook_retries_total", Kind::Counter, "Attempts after the first one", retried);
        text.one("banter_webhooks_waiting", Kind::Gauge, "Webhooks in queues", counters.waiting);
    }
}

/// Lines in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.family(name, kind, help);
        self.line(name, None, value);
    }

    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    /// Names and values of labels are words of ours, which need no escapes.
    fn line(&mut self, name: &str, label: Option<(&str, &str)>, value: u64) {
        let _ = match label {
            Some((label, word)) => writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}"),
            None => writeln!(self.0, "{name} {value}"),
        };
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
