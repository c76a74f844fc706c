//! A run: bots fill the rooms, talk for a while, and go.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

use crate::args::Args;
use crate::bare::Bare;
use crate::crowd::{Crowd, Tale};
use crate::media::{Media, Setting};
use crate::microphone::Talk;
use crate::progress::Progress;
use crate::tally::{Tally, Window};
use crate::watch::{Sight, Watch, look};

/// After the last packet, for those under way.
const DRAIN: Duration = Duration::from_secs(1);
/// Packets for which a speaker talks before another takes over: 4 s.
const TURN: u32 = 200;
/// Between two looks at what has been counted.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// One server, as it is reached and watched.
#[derive(Clone, Debug)]
pub struct Server {
    pub url: Url,
    pub pid: Option<u32>,
}

/// What one run came to.
#[derive(Debug)]
pub struct Outcome {
    pub tale: Tale,
    pub tally: Tally,
    /// Before the first join, when the last one was connected, and when all had left.
    pub empty: Sight,
    pub connected: Sight,
    pub left: Sight,
    /// During the measurement: the first of them at its beginning, the last one at its end.
    pub sights: Vec<Sight>,
    /// The CPU time of each copy of a packet when nothing but `sendmmsg` is done.
    pub bare: Option<Duration>,
}

/// Carries a run out. `stop` ends the measurement early; what was counted until then is told all the same.
pub async fn run(args: &Args, server: &Server, stop: &watch::Receiver<bool>) -> anyhow::Result<Outcome> {
    let progress = Progress::new(server.url.as_str());
    let talk = Talk {
        publishers: args.publishers.max(1),
        speakers: args.speakers(),
        turn: TURN,
        is_steady: args.steady,
        red: args.red,
    };
    let epoch = Instant::now();
    let setting = Setting { local: args.local, talk, format: args.format(), loss: args.losses(), epoch };
    let bare = server.pid.and_then(|_| Bare::of(args));
    let bare_before = bare.map(Bare::measure).transpose()?;
    let media = Media::start(args.threads(), setting)?;
    let empty = look(server.pid)?;
    let mut crowd = Crowd::new(args, server, &media);
    crowd.fill(&progress, stop).await;
    crowd.until_connected(&progress, stop).await?;
    let connected = look(server.pid)?;
    let is_stopped = pause(args.settle(), stop).await;

    let window = Window::lasting(epoch.elapsed(), args.duration());
    media.measure(window);
    let watch = Watch::begin(server.pid, window.piece());
    if !is_stopped {
        tokio::select! {
            _ = crowd.carry_on(args.duration(), stop) => {}
            () = show(&progress, &media, args.duration()) => {}
        }
    }
    let sights = watch.end().await?;
    tokio::time::sleep(DRAIN).await;
    let tally = media.collect().await?;
    progress.show("everybody leaves");
    let tale = crowd.empty().await;
    media.stop().await;
    let left = look(server.pid)?;
    let bare_after = bare.map(Bare::measure).transpose()?;
    progress.end();
    let bare = bare_before.zip(bare_after).map(|(before, after)| (before + after) / 2);
    Ok(Outcome { tale, tally, empty, connected, left, sights, bare })
}

/// Tells what has been counted, until it is stopped.
async fn show(progress: &Progress, media: &Media, duration: Duration) {
    let began = Instant::now();
    loop {
        if let Ok(tally) = media.collect().await {
            progress.show(&format!(
                "{:.0} of {} s, {} packets in, {} out, {} missing",
                began.elapsed().as_secs_f64(),
                duration.as_secs(),
                tally.sent,
                tally.received,
                tally.gaps
            ));
        }
        tokio::time::sleep(SHOW_EVERY).await;
    }
}

/// True if it was cut short.
pub async fn pause(duration: Duration, stop: &watch::Receiver<bool>) -> bool {
    let mut stop = stop.clone();
    timeout(duration, stop.wait_for(|stop| *stop)).await.is_ok()
}
