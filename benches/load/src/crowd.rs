//! A run: bots fill the rooms, talk for a while, and go.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use banter_protocol::token::{ApiKeys, Claims};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::args::Args;
use crate::bot::Talk;
use crate::histogram::Histogram;
use crate::media::{self, Command, MediaHandle};
use crate::process::{self, Usage};
use crate::signal::{Plan, Session};
use crate::tally::Tally;

/// For a bot to be let in, and for all to be connected after the last one was.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// After the last join, before anything is counted: subscriptions are still on their way.
const SETTLE: Duration = Duration::from_secs(3);
/// After the last packet, for those under way.
const DRAIN: Duration = Duration::from_secs(1);
/// Packets for which a speaker talks before another takes over: 4 s.
const TURN: u32 = 200;
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// One server, as it is reached and watched.
#[derive(Clone, Debug)]
pub struct Server {
    pub url: Url,
    pub pid: Option<u32>,
}

/// What one run came to.
#[derive(Debug)]
pub struct Outcome {
    pub bots: u32,
    pub failed_joins: u32,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// From the first word to the server's first.
    pub joins: Histogram,
    pub tally: Tally,
    pub measured: Duration,
    /// The server's: before the first join, and around the measurement.
    pub server: Option<[Usage; 3]>,
    /// The harness's own, around the measurement.
    pub harness: [Usage; 2],
}

/// Carries a run out. `stop` ends the measurement early; what was counted until then is told all the same.
pub async fn run(args: &Args, server: &Server, stop: &watch::Receiver<bool>) -> anyhow::Result<Outcome> {
    let talk = Talk {
        publishers: args.publishers.max(1),
        speakers: args.speakers(),
        turn: TURN,
        is_steady: args.steady,
    };
    let (media, thread) = media::start(args.local, talk)?;
    let usage = || server.pid.map(|pid| process::usage(Some(pid))).transpose();
    let empty = usage()?;
    let (leaving, left) = watch::channel(false);
    let mut crowd = Crowd::new(args, server, media.clone(), left);
    crowd.fill(stop).await;
    crowd.until_connected(stop).await?;
    let is_stopped = pause(SETTLE, stop).await;

    let before = (usage()?, process::usage(None)?);
    media.send(Command::Measure { duration: args.duration() });
    let began = Instant::now();
    if !is_stopped {
        crowd.progress(&format!("measuring for {} s", args.duration().as_secs()));
        pause(args.duration(), stop).await;
    }
    let measured = began.elapsed();
    let after = (usage()?, process::usage(None)?);
    tokio::time::sleep(DRAIN).await;
    let tally = media.ask(|reply| Command::Collect { reply }).await?;

    leaving.send_replace(true);
    let outcome = crowd.empty().await;
    media.send(Command::Stop);
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    Ok(Outcome {
        tally,
        measured,
        server: empty.zip(before.0).zip(after.0).map(|((empty, before), after)| [empty, before, after]),
        harness: [before.1, after.1],
        ..outcome
    })
}

struct Crowd<'a> {
    args: &'a Args,
    server: &'a Server,
    keys: ApiKeys,
    media: MediaHandle,
    leaving: watch::Receiver<bool>,
    joining: JoinSet<anyhow::Result<(Session, Duration)>>,
    staying: JoinSet<anyhow::Result<()>>,
    joined: u32,
    failed: u32,
    first_failure: Option<String>,
    joins: Histogram,
    run: u64,
}

impl<'a> Crowd<'a> {
    fn new(args: &'a Args, server: &'a Server, media: MediaHandle, leaving: watch::Receiver<bool>) -> Self {
        let keys =
            ApiKeys::new(vec![(args.api_key.clone(), args.api_secret.clone())]).expect("there is a pair");
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            args,
            server,
            keys,
            media,
            leaving,
            joining: JoinSet::new(),
            staying: JoinSet::new(),
            joined: 0,
            failed: 0,
            first_failure: None,
            joins: Histogram::default(),
            run: since_epoch.as_millis() as u64,
        }
    }

    /// Lets every bot join, publishers first, at the rate that was asked for.
    async fn fill(&mut self, stop: &watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.args.join_rate);
        let Args { rooms, publishers, subscribers, .. } = *self.args;
        for place in 0..publishers + subscribers {
            for room in 0..rooms {
                if *stop.borrow() {
                    break;
                }
                ticks.tick().await;
                self.begin(room, place);
                while let Some(joined) = self.joining.try_join_next() {
                    self.note(joined.map_err(anyhow::Error::from).flatten());
                }
            }
        }
        while let Some(joined) = self.joining.join_next().await {
            self.note(joined.map_err(anyhow::Error::from).flatten());
        }
    }

    /// Waits until all who were let in are connected, or patience ends: those who are not count as failed.
    async fn until_connected(&mut self, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            let tally = self.media.ask(|reply| Command::Collect { reply }).await?;
            let connected = tally.connected.len() as u32;
            self.progress(&format!("connected {connected} of {}", self.joined));
            if connected >= self.joined || *stop.borrow() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.failed += self.joined - connected;
                self.first_failure.get_or_insert_with(|| "no connection came up: is UDP open?".to_owned());
                return Ok(());
            }
            pause(Duration::from_millis(100), stop).await;
        }
    }

    fn begin(&mut self, room: u32, place: u32) {
        let Args { publishers, subscribers, .. } = *self.args;
        let name = format!("load-{}-{room}", self.run);
        let claims = Claims::for_room(&format!("bot-{place}"), &format!("Bot {place}"), &name);
        let plan = Plan {
            url: self.server.url.clone(),
            token: self.keys.sign(&claims, SystemTime::now(), TOKEN_LIFETIME),
            mode: self.args.mode,
            publishes: (place < publishers).then_some((room * publishers + place, place)),
            listeners: u64::from(publishers + subscribers - 1),
        };
        let media = self.media.clone();
        self.joining.spawn(async move {
            let began = Instant::now();
            let joining = Session::join(&plan, media, began);
            let session = timeout(JOIN_PATIENCE, joining).await.context("the join took too long")??;
            Ok((session, began.elapsed()))
        });
    }

    fn note(&mut self, joined: anyhow::Result<(Session, Duration)>) {
        match joined {
            Ok((session, took)) => {
                self.joined += 1;
                self.joins.add(took);
                self.staying.spawn(session.stay(self.leaving.clone()));
            }
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| format!("{error:#}"));
            }
        }
        self.progress(&format!("joined {} of {}", self.joined, self.args.bots()));
    }

    /// Waits until everybody has left.
    async fn empty(mut self) -> Outcome {
        while let Some(left) = self.staying.join_next().await {
            if let Err(error) = left.map_err(anyhow::Error::from).flatten() {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| format!("{error:#}"));
            }
        }
        Outcome {
            bots: self.args.bots(),
            failed_joins: self.failed,
            first_failure: self.first_failure,
            joins: self.joins,
            tally: Tally::default(),
            measured: Duration::ZERO,
            server: None,
            harness: [Usage { cpu: Duration::ZERO, resident_bytes: 0 }; 2],
        }
    }

    fn progress(&self, text: &str) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let _ = write!(out, "\r\x1b[K{}: {text}", self.server.url);
        }
    }
}

/// True if it was cut short.
async fn pause(duration: Duration, stop: &watch::Receiver<bool>) -> bool {
    let mut stop = stop.clone();
    timeout(duration, stop.wait_for(|stop| *stop)).await.is_ok()
}
