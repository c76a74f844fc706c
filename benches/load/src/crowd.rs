//! The bots of a run: who they are, how they come in, stay, come and go, and leave.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use banter_protocol::token::{ApiKeys, Claims};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::Args;
use crate::histogram::Histogram;
use crate::media::{Media, MediaHandle, host};
use crate::progress::Progress;
use crate::run::{Server, pause};
use crate::signal::{Plan, Route, Session};

/// For a bot to be let in, and for all to be connected after the last one was.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long visitors stay, if there are enough of them.
const VISIT_SECONDS: u32 = 10;
/// Bots that speak to the server from one address: below what servers allow one address.
const BOTS_OF_ADDRESS: u32 = 200;
/// Beyond the run's own time.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub struct Crowd<'a> {
    args: &'a Args,
    server: &'a Server,
    keys: ApiKeys,
    media: &'a Media,
    leaving: watch::Sender<bool>,
    joining: JoinSet<anyhow::Result<(Session, Plan, Duration)>>,
    staying: JoinSet<anyhow::Result<()>>,
    /// Each is asked to leave, and joins again.
    visitors: Vec<mpsc::Sender<()>>,
    visits: (mpsc::UnboundedSender<Visit>, mpsc::UnboundedReceiver<Visit>),
    joined: u32,
    pub tale: Tale,
    run: u128,
}

/// A visitor has come back: how long that took.
type Visit = anyhow::Result<Duration>;

/// What is told of joins.
#[derive(Clone, Debug, Default)]
pub struct Tale {
    pub failed: u32,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// From the first word to the server's first.
    pub joins: Histogram,
    pub returns: Histogram,
}

impl<'a> Crowd<'a> {
    pub fn new(args: &'a Args, server: &'a Server, media: &'a Media) -> Self {
        let keys =
            ApiKeys::new(vec![(args.api_key.clone(), args.api_secret.clone())]).expect("there is a pair");
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            args,
            server,
            keys,
            media,
            leaving: watch::Sender::new(false),
            joining: JoinSet::new(),
            staying: JoinSet::new(),
            visitors: Vec::new(),
            visits: mpsc::unbounded_channel(),
            joined: 0,
            tale: Tale::default(),
            run: since_epoch.as_millis(),
        }
    }

    /// Lets every bot join, publishers first, at the rate that was asked for.
    pub async fn fill(&mut self, progress: &Progress, stop: &watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.args.join_rate);
        let Args { rooms, publishers, subscribers, .. } = *self.args;
        'all: for place in 0..publishers + subscribers {
            for room in 0..rooms {
                if *stop.borrow() {
                    break 'all;
                }
                ticks.tick().await;
                self.begin(room, place);
                while let Some(joined) = self.joining.try_join_next() {
                    self.note(joined.map_err(anyhow::Error::from).flatten());
                }
                progress.show(&format!("joined {} of {}", self.joined, self.args.bots()));
            }
        }
        while let Some(joined) = self.joining.join_next().await {
            self.note(joined.map_err(anyhow::Error::from).flatten());
            progress.show(&format!("joined {} of {}", self.joined, self.args.bots()));
        }
    }

    /// Waits until all who were let in are connected, or patience ends: those who are not count as failed.
    pub async fn until_connected(
        &mut self,
        progress: &Progress,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            let connected = self.media.collect().await?.connected.len() as u32;
            progress.show(&format!("connected {connected} of {}", self.joined));
            if connected >= self.joined || *stop.borrow() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.tale.failed += self.joined - connected;
                self.tale
                    .first_failure
                    .get_or_insert_with(|| "no connection came up: is UDP open?".to_owned());
                return Ok(());
            }
            pause(Duration::from_millis(50), stop).await;
        }
    }

    /// Has visitors leave and come back for so long, one after the other; true if it was cut short.
    pub async fn carry_on(&mut self, duration: Duration, stop: &watch::Receiver<bool>) -> bool {
        if self.visitors.is_empty() {
            return pause(duration, stop).await;
        }
        let end = Instant::now() + duration;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.args.churn.max(1));
        for visitor in (0..self.visitors.len()).cycle() {
            if Instant::now() >= end || *stop.borrow() {
                break;
            }
            ticks.tick().await;
            // One who is still on the way is not asked again.
            let _ = self.visitors[visitor].try_send(());
            while let Ok(visit) = self.visits.1.try_recv() {
                self.note_visit(visit);
            }
        }
        *stop.borrow()
    }

    /// Waits until everybody has left.
    pub async fn empty(mut self) -> Tale {
        self.leaving.send_replace(true);
        while let Some(left) = self.staying.join_next().await {
            if let Err(error) = left.map_err(anyhow::Error::from).flatten() {
                self.tale.fail(&error);
            }
        }
        while let Ok(visit) = self.visits.1.try_recv() {
            self.note_visit(visit);
        }
        self.tale
    }

    fn begin(&mut self, room: u32, place: u32) {
        let plan = self.plan(room, place);
        let media = self.media.of(plan.bot).clone();
        self.joining.spawn(async move {
            let (session, took) = join(&plan, media).await?;
            Ok((session, plan, took))
        });
    }

    fn plan(&self, room: u32, place: u32) -> Plan {
        let args = self.args;
        let name = format!("load-{}-{room}", self.run);
        let claims = Claims::for_room(&format!("bot-{place}"), &format!("Bot {place}"), &name);
        let bot = place * args.rooms + room;
        let residents = (0..args.publishers + args.subscribers)
            .filter(|&place| !is_visitor(args, room, place))
            .count() as u64;
        let is_visitor = is_visitor(args, room, place);
        Plan {
            bot,
            url: self.server.url.clone(),
            token: self.keys.sign(&claims, SystemTime::now(), args.duration() + TOKEN_LIFETIME),
            mode: args.mode,
            from: args.local.is_loopback().then(|| host((bot / BOTS_OF_ADDRESS) as usize)),
            route: match (args.tcp, args.turn) {
                (true, _) => Route::Tcp,
                (false, true) => Route::Turn,
                (false, false) => Route::Udp,
            },
            publishes: (place < args.publishers).then_some((room * args.publishers + place, place)),
            red: args.red,
            listeners: residents - u64::from(!is_visitor),
            is_visitor,
            is_sampled: args.is_sampled(bot),
        }
    }

    fn note(&mut self, joined: anyhow::Result<(Session, Plan, Duration)>) {
        match joined {
            Ok((session, plan, took)) => {
                self.joined += 1;
                self.tale.joins.add(took);
                let leaving = self.leaving.subscribe();
                if plan.is_visitor {
                    let (ask, asked) = mpsc::channel(1);
                    self.visitors.push(ask);
                    let media = self.media.of(plan.bot).clone();
                    let visits = self.visits.0.clone();
                    self.staying.spawn(visit(session, plan, media, asked, leaving, visits));
                } else {
                    self.staying.spawn(session.stay(told(leaving)));
                }
            }
            Err(error) => self.tale.fail(&error),
        }
    }

    fn note_visit(&mut self, visit: Visit) {
        match visit {
            Ok(took) => self.tale.returns.add(took),
            Err(error) => self.tale.fail(&error),
        }
    }
}

impl Tale {
    fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }
}

/// Those in the last places come and go, but never more than half of all.
fn is_visitor(args: &Args, room: u32, place: u32) -> bool {
    let visitors = (args.churn * VISIT_SECONDS).min(args.bots() / 2);
    (args.publishers + args.subscribers - 1 - place) * args.rooms + room < visitors
}

async fn join(plan: &Plan, media: MediaHandle) -> anyhow::Result<(Session, Duration)> {
    let began = Instant::now();
    let joining = Session::join(plan, media, began);
    let session = timeout(JOIN_PATIENCE, joining).await.context("the join took too long")??;
    Ok((session, began.elapsed()))
}

/// Leaves whenever that is asked for, and comes back.
async fn visit(
    mut session: Session,
    plan: Plan,
    media: MediaHandle,
    mut asked: mpsc::Receiver<()>,
    leaving: watch::Receiver<bool>,
    visits: mpsc::UnboundedSender<Visit>,
) -> anyhow::Result<()> {
    loop {
        let until = async {
            tokio::select! {
                () = told(leaving.clone()) => {}
                _ = asked.recv() => {}
            }
        };
        session.stay(until).await?;
        session = loop {
            if *leaving.borrow() {
                return Ok(());
            }
            match join(&plan, media.clone()).await {
                Ok((session, took)) => {
                    let _ = visits.send(Ok(took));
                    break session;
                }
                Err(error) => drop(visits.send(Err(error))),
            }
            tokio::select! {
                () = told(leaving.clone()) => {}
                _ = asked.recv() => {}
            }
        };
    }
}

async fn told(mut leaving: watch::Receiver<bool>) {
    // Whoever says so is gone: it is over as well.
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn visitors_are_listeners_of_all_rooms_and_never_more_than_half() {
        let visitors = |more: &[&str]| {
            let given = ["banter-load", "--url", "ws://127.0.0.1:1", "--rooms", "2", "--subscribers", "20"];
            let args = Args::try_parse_from(given.iter().chain(more)).expect("they are understood");
            let places = (0..2).flat_map(|room| (0..args.bots() / 2).map(move |place| (room, place)));
            places.filter(|&(room, place)| is_visitor(&args, room, place)).collect::<Vec<_>>()
        };
        assert!(visitors(&[]).is_empty());
        let ten = visitors(&["--churn", "1"]);
        assert_eq!(ten.len(), 10);
        assert!(ten.iter().all(|&(_, place)| place >= 16), "{ten:?}");
        assert_eq!(visitors(&["--churn", "100"]).len(), 21);
    }
}
