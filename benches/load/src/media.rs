//! The thread that carries the bots' media: sockets, timers and the clock.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock and the system's randomness")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use banter_sfu::transport::Identity;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;
use tokio::sync::oneshot;

use crate::bot::{Bot, PTIME, Talk, Target};
use crate::connection::{Arrival, MAX_PACKET};
use crate::tally::Tally;

const WAKER: Token = Token(0);
const FIRST_SOCKET: usize = 1;

/// Who comes in, as far as media is concerned.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub began: Instant,
    pub has_two_connections: bool,
    /// Others in its room when all are there.
    pub listeners: u64,
}

/// What signalling asks of the media thread.
#[derive(Debug)]
pub enum Command {
    Enter {
        who: Newcomer,
        reply: oneshot::Sender<io::Result<BotKey>>,
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
    /// Counts anew what is sent from now on, for so long.
    Measure {
        duration: Duration,
    },
    Collect {
        reply: oneshot::Sender<Tally>,
    },
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotKey(usize);

/// The way to the media thread. Cheap to clone.
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

/// Starts a media thread whose bots send from `local`.
pub fn start(local: IpAddr, talk: Talk) -> anyhow::Result<(MediaHandle, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (commands, receiver) = mpsc::channel();
    let identity = Identity::generate()?;
    let driver = Driver {
        poll,
        commands: receiver,
        identity,
        local,
        talk,
        epoch: Instant::now(),
        bots: Slab::new(),
        sockets: Slab::new(),
        wakes: BinaryHeap::new(),
        tally: Tally::default(),
        rng: StdRng::from_rng(&mut rand::rng()),
    };
    let thread = thread::Builder::new().name("bots".into()).spawn(move || driver.run())?;
    Ok((MediaHandle { commands, waker }, thread))
}

struct Socket {
    io: UdpSocket,
    bot: usize,
    target: Target,
    /// The latest wake that its connection asked for; earlier entries of the heap are void.
    wake: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Socket(usize),
    Microphone(usize),
}

struct Entry {
    bot: Bot,
    /// Slab indices of its sockets.
    sockets: [Option<usize>; 2],
}

struct Driver {
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    identity: Identity,
    local: IpAddr,
    talk: Talk,
    epoch: Instant,
    bots: Slab<Entry>,
    sockets: Slab<Socket>,
    wakes: BinaryHeap<(Reverse<Instant>, Wake)>,
    tally: Tally,
    rng: StdRng,
}

impl Driver {
    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            let timeout = self.wakes.peek().map(|(Reverse(at), _)| at.saturating_duration_since(now));
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                eprintln!("the bots' sockets cannot be polled: {error}");
                return;
            }
            for event in &events {
                if let Some(socket) = event.token().0.checked_sub(FIRST_SOCKET) {
                    self.receive(socket);
                }
            }
            self.wake_up();
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, Command::Stop) {
                    return;
                }
                self.execute(command);
            }
        }
    }

    fn receive(&mut self, socket: usize) {
        let mut buffer = [0; MAX_PACKET];
        while let Some(Socket { io, bot, target, .. }) = self.sockets.get(socket) {
            let Ok((len, from)) = io.recv_from(&mut buffer) else { break };
            let now = Instant::now();
            let bot = &mut self.bots[*bot].bot;
            match bot.connection(*target).handle_datagram(from, &mut buffer[..len], now) {
                Arrival::Sound { stamp, is_late } => {
                    if !bot.has_heard {
                        bot.has_heard = true;
                        self.tally.first_sound.add(now.saturating_duration_since(bot.began));
                    }
                    self.tally.note_received(stamp, is_late, len, now.saturating_duration_since(self.epoch));
                    continue;
                }
                Arrival::Duplicate => self.tally.duplicated += 1,
                Arrival::Other => {}
            }
            self.poll_connection(socket, now);
        }
    }

    fn wake_up(&mut self) {
        let now = Instant::now();
        while let Some(&(Reverse(at), wake)) = self.wakes.peek()
            && at <= now
        {
            self.wakes.pop();
            match wake {
                Wake::Socket(socket) => {
                    if self.sockets.get(socket).is_some_and(|socket| socket.wake == at) {
                        self.poll_connection(socket, now);
                    }
                }
                Wake::Microphone(bot) => self.speak(bot, at, now),
            }
        }
    }

    fn speak(&mut self, key: usize, at: Instant, now: Instant) {
        let Some(Entry { bot, sockets }) = self.bots.get_mut(key) else { return };
        if bot.microphone.is_none() {
            return;
        }
        let Some(socket) = sockets[0].and_then(|socket| self.sockets.get(socket)) else { return };
        let sent = now.saturating_duration_since(self.epoch);
        if bot.speak_frame(&self.talk, sent, |to, packet| drop(socket.io.send_to(packet, to))) {
            self.tally.note_sent(sent, bot.listeners);
        }
        self.wakes.push((Reverse(at + PTIME), Wake::Microphone(key)));
    }

    fn poll_connection(&mut self, key: usize, now: Instant) {
        let Some(Socket { io, bot, target, wake }) = self.sockets.get_mut(key) else { return };
        let bot = &mut self.bots[*bot].bot;
        let at = bot.connection(*target).poll(now, |to, packet| drop(io.send_to(packet, to)));
        if !bot.was_connected && bot.is_connected() {
            bot.was_connected = true;
            self.tally.connected.add(now.saturating_duration_since(bot.began));
        }
        if *wake != at {
            *wake = at;
            self.wakes.push((Reverse(at), Wake::Socket(key)));
        }
    }

    fn poll_bot(&mut self, BotKey(bot): BotKey) {
        let now = Instant::now();
        let sockets = self.bots.get(bot).map(|entry| entry.sockets).unwrap_or_default();
        for socket in sockets.into_iter().flatten() {
            self.poll_connection(socket, now);
        }
    }

    /// Replies that nobody waits for any more are dropped.
    fn execute(&mut self, command: Command) {
        match command {
            Command::Enter { who, reply } => drop(reply.send(self.enter(&who))),
            Command::Hear { bot, sections } => self.with(bot, |bot, _| bot.hear(sections)),
            Command::Speak { bot, publisher, slot, cid } => self.give_microphone(bot, publisher, slot, cid),
            Command::Offer { bot, reply } => self.with(bot, |bot, _| drop(reply.send(bot.offer()))),
            Command::Accept { bot, answer, reply } => {
                self.with(bot, |bot, now| drop(reply.send(bot.publisher.accept(&answer, now))));
            }
            Command::Answer { bot, offer, reply } => {
                self.with(bot, |bot, now| {
                    drop(reply.send(bot.connection(Target::Subscriber).answer(&offer, now)));
                });
            }
            Command::Candidate { bot, target, candidate } => {
                self.with(bot, |bot, _| bot.connection(target).add_candidate(&candidate));
            }
            Command::Leave { bot } => self.leave(bot),
            Command::Measure { duration } => {
                let from = self.epoch.elapsed();
                self.tally.restart(from, from + duration);
            }
            Command::Collect { reply } => drop(reply.send(self.tally.clone())),
            Command::Stop => {}
        }
    }

    fn with(&mut self, key: BotKey, act: impl FnOnce(&mut Bot, Instant)) {
        if let Some(entry) = self.bots.get_mut(key.0) {
            act(&mut entry.bot, Instant::now());
            self.poll_bot(key);
        }
    }

    fn enter(&mut self, who: &Newcomer) -> io::Result<BotKey> {
        let now = Instant::now();
        let key = self.bots.vacant_key();
        let publisher = self.open(key, Target::Publisher, now)?;
        let subscriber = match who.has_two_connections {
            true => Some(self.open(key, Target::Subscriber, now)?),
            false => None,
        };
        let addresses = (publisher.1, subscriber.map(|(_, address)| address));
        let bot = Bot::new(&self.identity, addresses, (who.began, who.listeners), &mut self.rng, now);
        self.bots.insert(Entry { bot, sockets: [Some(publisher.0), subscriber.map(|(socket, _)| socket)] });
        self.poll_bot(BotKey(key));
        Ok(BotKey(key))
    }

    fn open(&mut self, bot: usize, target: Target, now: Instant) -> io::Result<(usize, SocketAddr)> {
        let mut io = UdpSocket::bind(SocketAddr::new(self.local, 0))?;
        let address = io.local_addr()?;
        let entry = self.sockets.vacant_entry();
        let key = entry.key();
        self.poll.registry().register(&mut io, Token(FIRST_SOCKET + key), Interest::READABLE)?;
        entry.insert(Socket { io, bot, target, wake: now });
        Ok((key, address))
    }

    /// Microphones begin at times of their own within 20 ms, as people's do.
    fn give_microphone(&mut self, key: BotKey, publisher: u32, slot: u32, cid: String) {
        let Self { bots, rng, epoch, wakes, .. } = self;
        let Some(entry) = bots.get_mut(key.0) else { return };
        let at = (epoch.elapsed().as_millis() / PTIME.as_millis()) as u32;
        entry.bot.speak(publisher, slot, cid, at, rng);
        let phase = Duration::from_micros(u64::from(publisher) * 7_919 % PTIME.as_micros() as u64);
        wakes.push((Reverse(Instant::now() + phase), Wake::Microphone(key.0)));
    }

    fn leave(&mut self, key: BotKey) {
        if let Some(entry) = self.bots.get_mut(key.0) {
            entry.bot.microphone = None;
            entry.bot.publisher.close();
            if let Some(subscriber) = &mut entry.bot.subscriber {
                subscriber.close();
            }
            self.poll_bot(key);
            let entry = self.bots.remove(key.0);
            for socket in entry.sockets.into_iter().flatten() {
                self.sockets.remove(socket);
            }
        }
    }
}
