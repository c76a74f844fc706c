//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use url::Url;

/// Fills rooms of a LiveKit-compatible server with bots that talk and listen, and says what came of it.
///
/// Each bot joins by real signalling and real ICE, DTLS and SRTP. Payloads carry the time at which they were sent, so that
/// what a server adds to the delay is measured on one clock. With --server-pid also the server's CPU time and memory are.
#[derive(Clone, Debug, Parser)]
#[command(name = "banter-load", version, after_help = EXAMPLES)]
pub struct Args {
    /// Address of the server, such as ws://127.0.0.1:7880
    #[arg(long, value_name = "URL")]
    pub url: Url,
    /// API key, as in --api-key devkey
    #[arg(long, value_name = "KEY", default_value = "devkey")]
    pub api_key: String,
    /// Its secret, as in --api-secret secret
    #[arg(long, value_name = "SECRET", default_value = "secret")]
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
    /// Bots in each room who only listen, as in --subscribers 90
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub subscribers: u32,
    /// Seconds for which packets are counted, as in --duration 30
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Talk without pauses, a frame of 100 bytes in each 20 ms: numbers that can be compared by hand
    #[arg(long)]
    pub steady: bool,
    /// One peer connection for each bot (v1) or two (v0)
    #[arg(long, value_enum, default_value_t = Mode::V1)]
    pub mode: Mode,
    /// Joins that are begun in a second, as in --join-rate 100
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub join_rate: u32,
    /// Address from which bots send
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub local: IpAddr,
    /// Process of the server on this machine, for its CPU time and memory, as in --server-pid $(pidof banter)
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Another server to measure in turn with the first (A B A B), as in --compare-url ws://127.0.0.1:7980
    #[arg(long, value_name = "URL")]
    pub compare_url: Option<Url>,
    /// Process of that server
    #[arg(long, value_name = "PID", requires = "compare_url")]
    pub compare_pid: Option<u32>,
    /// Turns of each server in a comparison
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub turns: u32,
    /// Write everything that was measured to this file, as in --json load.json
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  One speaker and a hundred listeners, with the server's CPU time:
    banter-load --url ws://127.0.0.1:7880 --subscribers 100 --server-pid $(pidof banter)
  Ten rooms of 25 people, two of whom talk at a time:
    banter-load --url ws://127.0.0.1:7880 --rooms 10 --publishers 25 --speakers 2 --subscribers 0
  Two servers in turn:
    banter-load --url ws://127.0.0.1:7880 --server-pid 41 --compare-url ws://127.0.0.1:7980 --compare-pid 42";

/// How many peer connections a bot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
        Ok(())
    }

    pub fn speakers(&self) -> u32 {
        self.speakers.unwrap_or(self.publishers)
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.duration)
    }

    pub fn bots(&self) -> u32 {
        self.rooms * (self.publishers + self.subscribers)
    }
}
