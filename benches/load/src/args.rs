//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use serde::{Serialize, Serializer};
use url::Url;

use crate::media::{Direction, Loss};
use crate::sdp::Format;

/// Fills rooms of a LiveKit-compatible server with bots that talk and listen, and says what came of it.
///
/// Each bot joins by real signalling and real ICE, DTLS and SRTP. Payloads carry the time at which they were sent, so that
/// what a server adds to the delay is measured on one clock. With --server-pid also the server's CPU time and memory are, and
/// beside them what bare `sendmmsg` needs for the same packets. Ctrl-C ends a run early; what was counted is told all the same.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "banter-load", version, after_help = EXAMPLES)]
pub struct Args {
    /// Address of the server, such as ws://127.0.0.1:7880
    #[arg(long, value_name = "URL")]
    #[serde(serialize_with = "as_text")]
    pub url: Url,
    /// API key, as in --api-key devkey
    #[arg(long, value_name = "KEY", default_value = "devkey")]
    pub api_key: String,
    /// Its secret, as in --api-secret secret
    #[arg(long, value_name = "SECRET", default_value = "secret")]
    #[serde(skip)]
    pub api_secret: String,
    /// Rooms to fill, as in --rooms 10
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Bots with a microphone in each room, who also listen, as in --publishers 10
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub publishers: u32,
    /// How many of them talk at the same time, taking turns, as in --speakers 2 [default: all]
    #[arg(long, value_name = "N")]
    pub speakers: Option<u32>,
    /// Bots in each room who only listen, as in --subscribers 90. With --publishers 0 all are idle, which tells what an idle
    /// participant costs
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub subscribers: u32,
    /// Seconds for which packets are counted, as in --duration 30
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Seconds between the last connection and the first packet that is counted, as in --settle 10 for very large rooms
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    settle: u64,
    /// Talk without pauses, a frame of 100 bytes in each 20 ms: numbers that can be compared by hand
    #[arg(long)]
    pub steady: bool,
    /// One peer connection for each bot (v1) or two (v0), as in --mode v0
    #[arg(long, value_enum, default_value_t = Mode::V1)]
    pub mode: Mode,
    /// Joins that are begun in a second, as in --join-rate 100
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub join_rate: u32,
    /// Bots that leave, and as many that join, in each second of the run, as in --churn 5. They come and go beside those whose
    /// packets are counted: listeners, and where there are too few of them, publishers
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub churn: u32,
    /// Send redundant audio (RFC 2198: the two frames before with each), as browsers do, and take it: --red
    #[arg(long)]
    pub red: bool,
    /// Lose so many per cent of the media packets, as a bad network does, and repair by NACK and RED, as in --loss 5
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub loss: f64,
    /// Which packets are lost: those to the server, those from it, or both, as in --loss-direction down
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub loss_direction: Direction,
    /// Reach the server through its TURN server by UDP: --turn. For five minutes at most
    #[arg(long, conflicts_with = "tcp")]
    pub turn: bool,
    /// Reach the server by TCP (RFC 6544): --tcp
    #[arg(long)]
    pub tcp: bool,
    /// Share of the bots, 0 to 1, that read the time stamp in each packet, as in --sample 0.1. Others count packets by their
    /// headers, read a stamp now and then, and cost less [default: 100 bots of a run]
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
    /// Threads for the bots' media, as in --threads 2 [default: one for each two processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Address from which bots send, as in --local 192.0.2.7. With 127.0.0.1 each has an address of 127.0.0.0/8, and many share
    /// a socket, which costs far less than a socket each
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub local: IpAddr,
    /// Process of the server on this machine, for its CPU time and memory, as in --server-pid $(pidof banter)
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Another server to measure in turn with the first (A B A B), as in --compare-url ws://127.0.0.1:7980
    #[arg(long, value_name = "URL")]
    #[serde(serialize_with = "as_optional_text")]
    pub compare_url: Option<Url>,
    /// Process of that server, as in --compare-pid 42
    #[arg(long, value_name = "PID", requires = "compare_url")]
    pub compare_pid: Option<u32>,
    /// Turns of each server in a comparison, as in --turns 3
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub turns: u32,
    /// Write everything that was measured to this file, as in --json load.json
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with tables and plots to this file, as in --html load.html
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  One speaker and a hundred listeners, with the server's CPU time:
    banter-load --url ws://127.0.0.1:7880 --subscribers 100 --server-pid $(pidof banter)
  Ten rooms of 25 people, two of whom talk at a time:
    banter-load --url ws://127.0.0.1:7880 --rooms 10 --publishers 25 --speakers 2 --subscribers 0
  What five thousand cost who only sit there:
    banter-load --url ws://127.0.0.1:7880 --rooms 100 --publishers 0 --subscribers 50 --server-pid $(pidof banter)
  Two servers in turn, with a page to look at:
    banter-load --url ws://127.0.0.1:7880 --server-pid 41 --compare-url ws://127.0.0.1:7980 --compare-pid 42 --html load.html";

/// Bots whose stamps are all read, unless said otherwise.
const SAMPLED: f64 = 100.0;
/// For which an allocation lives that is not refreshed, joins included.
const TURN_LIFETIME: u64 = 240;

/// How many peer connections a bot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Two: LiveKit's `/rtc`.
    V0,
    /// One: LiveKit's `/rtc/v1`.
    V1,
}

impl Args {
    /// Checks what the parser cannot.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            matches!(self.url.scheme(), "ws" | "wss"),
            "--url begins with ws:// or wss://, not {}",
            self.url
        );
        ensure!(
            self.publishers + self.subscribers > 0,
            "rooms without bots measure nothing: give --publishers or --subscribers"
        );
        ensure!(
            self.speakers() <= self.publishers,
            "--speakers {} is more than the --publishers {}",
            self.speakers(),
            self.publishers
        );
        ensure!((0.0..=90.0).contains(&self.loss), "--loss is a percentage from 0 to 90, not {}", self.loss);
        ensure!(
            (0.0..=1.0).contains(&self.sample()),
            "--sample is a share from 0 to 1, not {}",
            self.sample()
        );
        ensure!(
            !self.turn || self.duration <= TURN_LIFETIME,
            "--turn is for runs of up to {TURN_LIFETIME} s: allocations are not refreshed"
        );
        Ok(())
    }

    pub fn speakers(&self) -> u32 {
        self.speakers.unwrap_or(self.publishers)
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.duration)
    }

    pub fn settle(&self) -> Duration {
        Duration::from_secs(self.settle)
    }

    pub fn bots(&self) -> u32 {
        self.rooms * (self.publishers + self.subscribers)
    }

    pub fn format(&self) -> Format {
        let is_lossy = self.loss > 0.0;
        Format { red: self.red || is_lossy, nack: is_lossy }
    }

    pub fn losses(&self) -> Loss {
        Loss::new(self.loss, self.loss_direction)
    }

    pub fn sample(&self) -> f64 {
        self.sample.unwrap_or_else(|| (SAMPLED / f64::from(self.bots().max(1))).min(1.0))
    }

    /// Whether the bot with this number reads each stamp: they are spread evenly.
    pub fn is_sampled(&self, bot: u32) -> bool {
        let until = |bot: u32| (f64::from(bot) * self.sample() + 1e-9).floor();
        until(bot + 1) > until(bot)
    }

    pub fn threads(&self) -> usize {
        let half = || std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        self.threads.map_or_else(half, usize::from)
    }
}

fn as_text<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.as_str())
}

fn as_optional_text<S: Serializer>(url: &Option<Url>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(Url::as_str).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(more: &[&str]) -> Args {
        let given = ["banter-load", "--url", "ws://127.0.0.1:7880"];
        Args::try_parse_from(given.iter().chain(more)).expect("they are understood")
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_a_reason() {
        for (given, reason) in [
            (&["--publishers", "2", "--speakers", "3"][..], "more than the --publishers"),
            (&["--publishers", "0", "--subscribers", "0"], "without bots"),
            (&["--loss", "95"], "percentage"),
            (&["--sample", "2"], "share"),
            (&["--turn", "--duration", "600"], "not refreshed"),
        ] {
            let refusal = args(given).check().expect_err(reason).to_string();
            assert!(refusal.contains(reason), "{refusal}");
        }
        assert!(args(&[]).check().is_ok());
    }

    #[test]
    fn a_share_of_the_bots_is_sampled_and_spread_evenly() {
        let sampled = |args: &Args| (0..args.bots()).filter(|&bot| args.is_sampled(bot)).count();
        assert_eq!(sampled(&args(&["--subscribers", "99"])), 100);
        let many = args(&["--subscribers", "999"]);
        assert_eq!(sampled(&many), 100);
        assert!((0..100).all(|ten| (0..10).filter(|one| many.is_sampled(ten * 10 + one)).count() == 1));
        assert_eq!(sampled(&args(&["--sample", "0"])), 0);
    }

    #[test]
    fn the_secret_is_not_written_down() {
        let json = serde_json::to_string(&args(&["--api-secret", "hushhush"])).expect("they are JSON");
        assert!(json.contains("ws://127.0.0.1:7880/") && !json.contains("hushhush"), "{json}");
    }
}
