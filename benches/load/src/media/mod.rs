//! The bots' media: some threads, each with its share of the bots, and the way to them.
#![expect(clippy::disallowed_methods, reason = "it starts the threads that own the clock and the randomness")]

mod driver;
mod link;
mod loss;
mod ports;
mod stream;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use banter_sfu::transport::Identity;
use mio::{Poll, Waker};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

use crate::bot::{Newcomer, Target};
use crate::microphone::Talk;
use crate::sdp::Format;
use crate::tally::{Tally, Window};

use driver::{Driver, WAKER};
pub use link::{TurnServer, Way};
pub use loss::{Direction, Loss};
pub use ports::host;

/// What all bots of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The address that they send from; 127.0.0.1 stands for all of 127.0.0.0/8.
    pub local: IpAddr,
    pub talk: Talk,
    pub format: Format,
    pub loss: Loss,
    /// Where the harness's clock begins.
    pub epoch: Instant,
}

/// What signalling asks of a media thread.
#[derive(Debug)]
pub enum Command {
    Enter {
        who: Newcomer,
        way: Way,
        reply: oneshot::Sender<anyhow::Result<BotKey>>,
    },
    Hear {
        bot: BotKey,
        sections: u32,
    },
    Speak {
        bot: BotKey,
        publisher: u32,
        slot: u32,
        cid: String,
    },
    Offer {
        bot: BotKey,
        reply: oneshot::Sender<String>,
    },
    Accept {
        bot: BotKey,
        answer: String,
        reply: oneshot::Sender<anyhow::Result<()>>,
    },
    Answer {
        bot: BotKey,
        offer: String,
        reply: oneshot::Sender<anyhow::Result<String>>,
    },
    Candidate {
        bot: BotKey,
        target: Target,
        candidate: String,
    },
    Leave {
        bot: BotKey,
    },
    /// Counts anew what is sent in this window.
    Measure {
        window: Window,
    },
    Collect {
        reply: oneshot::Sender<Tally>,
    },
    Stop,
}

/// A bot, in the numbers of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotKey(usize);

/// The way to a media thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaHandle {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl MediaHandle {
    pub fn send(&self, command: Command) {
        // A thread that has ended drops the replies, which whoever asks sees.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }

    /// Sends a command that is answered.
    pub async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> anyhow::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply));
        answer.await.map_err(|_closed| anyhow::anyhow!("the media thread has ended, or the bot has left"))
    }
}

/// All media threads of a run.
#[derive(Debug)]
pub struct Media {
    threads: Vec<(MediaHandle, JoinHandle<()>)>,
}

impl Media {
    pub fn start(threads: usize, setting: Setting) -> anyhow::Result<Self> {
        let identity = Identity::generate()?;
        let threads = (0..threads).map(|number| start(number, setting, identity.clone()));
        Ok(Self { threads: threads.collect::<Result<_, _>>()? })
    }

    /// The thread of the bot with this number.
    pub fn of(&self, bot: u32) -> &MediaHandle {
        &self.threads[bot as usize % self.threads.len()].0
    }

    pub fn measure(&self, window: Window) {
        self.threads.iter().for_each(|(handle, _)| handle.send(Command::Measure { window }));
    }

    /// What all have counted.
    pub async fn collect(&self) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for (handle, _) in &self.threads {
            sum.add(&handle.ask(|reply| Command::Collect { reply }).await?);
        }
        Ok(sum)
    }

    /// Ends the threads.
    pub async fn stop(self) {
        self.threads.iter().for_each(|(handle, _)| handle.send(Command::Stop));
        let threads = self.threads.into_iter().map(|(_, thread)| thread);
        // A thread that has panicked has said so.
        let join = move || threads.for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

fn start(number: usize, setting: Setting, identity: Identity) -> io::Result<(MediaHandle, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (commands, receiver) = mpsc::channel();
    let driver = Driver::new(poll, receiver, identity, setting, StdRng::from_rng(&mut rand::rng()));
    let thread = thread::Builder::new().name(format!("bots-{number}")).spawn(move || driver.run())?;
    Ok((MediaHandle { commands, waker }, thread))
}
