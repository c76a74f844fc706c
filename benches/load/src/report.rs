//! What is told of runs: a table for people, JSON for programs, and ratios between two servers.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::args::{Args, Mode};
use crate::crowd::Outcome;
use crate::histogram::Histogram;

/// One run in numbers. Times are in milliseconds, memory in bytes, CPU in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub url: String,
    pub bots: u32,
    pub failed: u32,
    pub first_failure: Option<String>,
    pub seconds: f64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub lost: f64,
    pub duplicated: u64,
    pub reordered: u64,
    pub late: u64,
    pub latency: Spread,
    /// The last listener of a packet after the first.
    pub skew: Spread,
    pub let_in: Spread,
    pub connected: Spread,
    pub first_sound: Spread,
    pub server: Option<ServerCost>,
    pub harness_cpu: f64,
}

/// What the server's process used for it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCost {
    pub cpu: f64,
    pub packets_per_cpu_second: f64,
    pub cpu_per_participant: f64,
    pub resident: u64,
    /// What the process grew by, divided among the bots.
    pub resident_per_participant: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

impl From<&Histogram> for Spread {
    fn from(histogram: &Histogram) -> Self {
        let millis = |value: Duration| value.as_secs_f64() * 1000.0;
        let at = |share| histogram.quantile(share).map(millis);
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

impl Report {
    pub fn of(url: &str, outcome: &Outcome) -> Self {
        let Outcome { bots, failed_joins, first_failure, joins, tally, measured, server, harness } = outcome;
        let server = server.map(|[empty, before, after]| {
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let grown = before.resident_bytes.saturating_sub(empty.resident_bytes);
            ServerCost {
                cpu,
                packets_per_cpu_second: if cpu > 0.0 { tally.received as f64 / cpu } else { 0.0 },
                cpu_per_participant: cpu
                    / measured.as_secs_f64().max(f64::MIN_POSITIVE)
                    / f64::from((*bots).max(1)),
                resident: after.resident_bytes,
                resident_per_participant: grown as f64 / f64::from((*bots).max(1)),
            }
        });
        let [before, after] = harness;
        Self {
            url: url.to_owned(),
            bots: *bots,
            failed: *failed_joins,
            first_failure: first_failure.clone(),
            seconds: measured.as_secs_f64(),
            packets_in: tally.sent,
            packets_out: tally.received,
            lost: tally.lost(),
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            late: tally.late,
            latency: Spread::from(&tally.latency),
            skew: Spread::from(&tally.skew()),
            let_in: Spread::from(joins),
            connected: Spread::from(&tally.connected),
            first_sound: Spread::from(&tally.first_sound),
            server,
            harness_cpu: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
        }
    }

    /// For people.
    pub fn to_table(&self) -> String {
        let mut rows = vec![
            ("bots", format!("{}, {} failed", self.bots, self.failed)),
            ("measured", format!("{:.1} s", self.seconds)),
            ("packets to the server", self.packets_in.to_string()),
            ("packets to the bots", format!("{}, {:.3} % lost", self.packets_out, self.lost * 100.0)),
            (
                "duplicated, reordered, late",
                format!("{}, {}, {}", self.duplicated, self.reordered, self.late),
            ),
            ("delay", self.latency.to_string()),
            ("last listener after the first", self.skew.to_string()),
            ("let in after", self.let_in.to_string()),
            ("connected after", self.connected.to_string()),
            ("first sound after", self.first_sound.to_string()),
        ];
        if let Some(server) = &self.server {
            rows.push((
                "server's CPU",
                format!("{:.2} s, {:.1} % of a core", server.cpu, server.cpu / self.seconds * 100.0),
            ));
            rows.push(("packets per CPU second", format!("{:.0}", server.packets_per_cpu_second)));
            rows.push((
                "CPU per participant",
                format!("{:.3} % of a core", server.cpu_per_participant * 100.0),
            ));
            let (resident, each) =
                (mebibytes(server.resident as f64), server.resident_per_participant / 1024.0);
            rows.push(("server's memory", format!("{resident:.1} MiB, {each:.1} KiB per participant")));
        }
        rows.push(("harness's CPU", format!("{:.2} s", self.harness_cpu)));
        if let Some(failure) = &self.first_failure {
            rows.push(("first failure", failure.clone()));
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = format!("{}\n", self.url);
        for (name, value) in rows {
            writeln!(table, "  {name:width$}  {value}").expect("a string takes everything");
        }
        table
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.p50, self.p95, self.p99, self.max) {
            (Some(p50), Some(p95), Some(p99), Some(max)) => {
                write!(f, "p50 {p50:.2}, p95 {p95:.2}, p99 {p99:.2}, max {max:.2} ms")
            }
            _ => f.write_str("none"),
        }
    }
}

/// Everything that was measured, with how.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    rooms: u32,
    publishers: u32,
    speakers: u32,
    subscribers: u32,
    steady: bool,
    mode: &'static str,
    runs: &'a [Report],
}

impl<'a> Document<'a> {
    pub fn new(args: &Args, runs: &'a [Report]) -> Self {
        Self {
            rooms: args.rooms,
            publishers: args.publishers,
            speakers: args.speakers(),
            subscribers: args.subscribers,
            steady: args.steady,
            mode: if args.mode == Mode::V0 { "v0" } else { "v1" },
            runs,
        }
    }
}

/// How many times the first server's value is the second's: the mean over turns, with the lowest and the highest.
pub fn to_comparison(first: &[&Report], second: &[&Report]) -> String {
    type Value = fn(&Report) -> Option<f64>;
    let values: [(&str, Value); 5] = [
        ("packets per CPU second", |report| Some(report.server?.packets_per_cpu_second)),
        ("CPU per participant", |report| Some(report.server?.cpu_per_participant)),
        ("memory per participant", |report| Some(report.server?.resident_per_participant)),
        ("delay, p50", |report| report.latency.p50),
        ("delay, p99", |report| report.latency.p99),
    ];
    let mut table = "first server : second server\n".to_owned();
    for (name, value) in values {
        let ratios: Vec<f64> = first
            .iter()
            .zip(second)
            .filter_map(|(first, second)| Some(value(first)? / value(second).filter(|value| *value > 0.0)?))
            .collect();
        if ratios.is_empty() {
            continue;
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        writeln!(table, "  {name:24}  {mean:.2} ({lowest:.2} to {highest:.2})")
            .expect("a string takes everything");
    }
    table
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
