//! What is told of runs: a table for people, JSON for programs, a page to look at, and ratios between two servers.

mod comparison;
mod page;
mod plot;
mod table;

use std::time::Duration;

use serde::Serialize;

use crate::args::Args;
use crate::histogram::Histogram;
use crate::process::Usage;
use crate::run::Outcome;
use crate::tally::Piece;
use crate::watch::Sight;

pub use comparison::Comparison;
pub use page::page;

/// Shares of packets, in per cent, for which it is told how soon they came.
const CURVE: [f64; 16] =
    [1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.9, 100.0];

/// One run in numbers. Times are in milliseconds unless they are called seconds, memory in bytes, CPU in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub url: String,
    pub bots: u32,
    pub failed: u32,
    pub first_failure: Option<String>,
    pub seconds: f64,
    /// Bots that read each packet's stamp.
    pub sampled: u32,
    pub threads: usize,
    pub packets_in: u64,
    /// Copies that would go to all who stay.
    pub packets_expected: u64,
    pub packets_out: u64,
    /// Share of the expected copies that did not come. Where a server forwards the loudest only, that is no loss.
    pub lost: f64,
    /// Share that is missing by the streams' sequence numbers.
    pub missing: f64,
    /// Came as part of later packets.
    pub recovered: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub late: u64,
    pub latency: Spread,
    /// Per cent of the packets, and the time within which they came.
    pub latency_curve: Vec<(f64, f64)>,
    /// The last listener of a packet after the first.
    pub skew: Spread,
    pub joins: Joins,
    /// Visitors that came back, and how long the server took to let them in.
    pub returns: u64,
    pub returned: Spread,
    pub server: Option<ServerCost>,
    pub bare: Option<Bare>,
    pub harness_cpu: f64,
    pub series: Vec<Moment>,
}

/// What joining took: signalling until the server's first word, media until connected, both until the first sound.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Joins {
    pub let_in: Spread,
    pub connected: Spread,
    pub first_sound: Spread,
    /// From the first join to the last connection.
    pub seconds: f64,
    pub per_second: f64,
    /// Of the server's process, signalling and media set-up together.
    pub per_cpu_second: Option<f64>,
}

/// What the server's process used for it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerCost {
    pub cpu: f64,
    pub packets_per_cpu_second: f64,
    pub cpu_per_participant: f64,
    pub resident: u64,
    pub resident_empty: u64,
    pub resident_left: u64,
    /// What the process grew by until all were in, divided among the bots.
    pub resident_per_participant: f64,
}

/// The server beside nothing but `sendmmsg`, in microseconds of CPU a copy.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bare {
    pub server: f64,
    pub sendmmsg: f64,
    pub ratio: f64,
}

/// One second of the measurement, or more of them if it was long.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moment {
    /// Its beginning.
    pub second: f64,
    pub packets_per_second: f64,
    pub lost: f64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub server_cores: Option<f64>,
    pub server_resident: Option<u64>,
    pub harness_cores: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

impl From<&Histogram> for Spread {
    fn from(histogram: &Histogram) -> Self {
        let at = |share| histogram.quantile(share).map(millis);
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

/// Everything that was measured, with how.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    pub version: &'static str,
    pub arguments: &'a Args,
    pub runs: &'a [Report],
    pub comparison: Option<&'a Comparison>,
}

impl Report {
    pub fn of(args: &Args, url: &str, outcome: &Outcome) -> Self {
        let Outcome { tale, tally, empty, connected, left, sights, bare } = outcome;
        let [first, last] = [sights.first(), sights.last()].map(|sight| *sight.unwrap_or(connected));
        let seconds = (last.at - first.at).as_secs_f64();
        let bots = args.bots();
        let server = ServerCost::of(args, tally.received, seconds, [empty, &first, &last, left]);
        let share = |part: u64| if tally.expected > 0 { part as f64 / tally.expected as f64 } else { 0.0 };
        let curve = CURVE
            .iter()
            .filter_map(|&per_cent| Some((per_cent, millis(tally.latency.quantile(per_cent / 100.0)?))));
        Self {
            url: url.to_owned(),
            bots,
            failed: tale.failed,
            first_failure: tale.first_failure.clone(),
            seconds,
            sampled: (0..bots).filter(|&bot| args.is_sampled(bot)).count() as u32,
            threads: args.threads(),
            packets_in: tally.sent,
            packets_expected: tally.expected,
            packets_out: tally.received,
            lost: tally.lost(),
            missing: share(tally.gaps.max(0).cast_unsigned()),
            recovered: tally.recovered,
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            late: tally.late,
            latency: Spread::from(&tally.latency),
            latency_curve: curve.collect(),
            skew: Spread::from(&tally.skew()),
            joins: Joins::of(bots - tale.failed.min(bots), outcome),
            returns: tale.returns.len(),
            returned: Spread::from(&tale.returns),
            bare: bare.zip(server).and_then(|(bare, server)| Bare::of(bare, &server, tally.received)),
            server,
            harness_cpu: spent(first.harness, last.harness),
            series: moments(&tally.pieces, sights),
        }
    }
}

impl Joins {
    fn of(joined: u32, outcome: &Outcome) -> Self {
        let Outcome { tale, tally, empty, connected, .. } = outcome;
        let seconds = (connected.at - empty.at).as_secs_f64();
        let server = empty.server.zip(connected.server).map(|(before, after)| spent(before, after));
        Self {
            let_in: Spread::from(&tale.joins),
            connected: Spread::from(&tally.connected),
            first_sound: Spread::from(&tally.first_sound),
            seconds,
            per_second: f64::from(joined) / seconds.max(f64::MIN_POSITIVE),
            per_cpu_second: server.filter(|cpu| *cpu > 0.0).map(|cpu| f64::from(joined) / cpu),
        }
    }
}

impl ServerCost {
    /// Of what was seen of it when it was empty, at the beginning and the end of the measurement, and when all had left.
    fn of(args: &Args, packets: u64, seconds: f64, seen: [&Sight; 4]) -> Option<Self> {
        let [Some(empty), Some(before), Some(after), Some(left)] = seen.map(|sight| sight.server) else {
            return None;
        };
        let (bots, cpu) = (f64::from(args.bots().max(1)), spent(before, after));
        Some(Self {
            cpu,
            packets_per_cpu_second: if cpu > 0.0 { packets as f64 / cpu } else { 0.0 },
            cpu_per_participant: cpu / seconds.max(f64::MIN_POSITIVE) / bots,
            resident: after.resident_bytes,
            resident_empty: empty.resident_bytes,
            resident_left: left.resident_bytes,
            resident_per_participant: before.resident_bytes.saturating_sub(empty.resident_bytes) as f64
                / bots,
        })
    }
}

impl Bare {
    fn of(bare: Duration, server: &ServerCost, packets: u64) -> Option<Self> {
        let (server, sendmmsg) = (server.cpu * 1e6 / packets as f64, bare.as_secs_f64() * 1e6);
        (packets > 0 && sendmmsg > 0.0).then(|| Self { server, sendmmsg, ratio: server / sendmmsg })
    }
}

fn moments(pieces: &[Piece], sights: &[Sight]) -> Vec<Moment> {
    let Some(first) = sights.first() else { return Vec::new() };
    let pairs = sights.windows(2).enumerate();
    let moments = pairs.filter_map(|(at, pair)| {
        let [before, after] = [pair.first()?, pair.last()?];
        let seconds = (after.at - before.at).as_secs_f64();
        // The last look may come right after the one before.
        if seconds < 0.1 {
            return None;
        }
        let piece = pieces.get(at);
        let quantile = |share| piece.and_then(|piece| piece.latency.quantile(share)).map(millis);
        let lost = piece.filter(|piece| piece.expected > 0).map_or(0.0, |piece| {
            piece.expected.saturating_sub(piece.received) as f64 / piece.expected as f64
        });
        Some(Moment {
            second: (before.at - first.at).as_secs_f64(),
            packets_per_second: piece.map_or(0.0, |piece| piece.received as f64 / seconds),
            lost,
            p50: quantile(0.5),
            p99: quantile(0.99),
            server_cores: before.server.zip(after.server).map(|(one, two)| spent(one, two) / seconds),
            server_resident: after.server.map(|usage| usage.resident_bytes),
            harness_cores: spent(before.harness, after.harness) / seconds,
        })
    });
    moments.collect()
}

fn spent(before: Usage, after: Usage) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64()
}

fn millis(value: Duration) -> f64 {
    value.as_secs_f64() * 1000.0
}
