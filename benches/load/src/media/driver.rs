//! A media thread: sockets, timers and the clock.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use banter_sfu::net::ReceiveBatch;
use banter_sfu::transport::Identity;
use mio::{Events, Interest, Poll, Token};
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;
use tokio::sync::oneshot;

use super::link::{Link, Way};
use super::ports::Ports;
use super::{BotKey, Command, Setting};
use crate::bot::{Bot, Newcomer, Target};
use crate::connection::{Arrival, Manner};
use crate::microphone::{Microphone, PTIME};
use crate::tally::Tally;

pub const WAKER: Token = Token(0);
/// Batches of one socket before others and the microphones have their turn.
const MAX_BATCHES: usize = 8;

/// Sockets have odd tokens, streams even ones.
fn port_token(port: usize) -> Token {
    Token(2 * port + 1)
}

fn stream_token(line: usize) -> Token {
    Token(2 * line + 2)
}

/// A connection and what carries it.
struct Line {
    bot: usize,
    target: Target,
    link: Link,
    /// The latest wake that was asked for; earlier entries of the heap are void.
    wake: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Line(usize),
    Microphone(usize),
}

struct Entry {
    /// Without one until each of its lines has an address.
    bot: Option<Bot>,
    who: Newcomer,
    reply: Option<oneshot::Sender<anyhow::Result<BotKey>>>,
    lines: [Option<usize>; 2],
    /// When the microphone has its next turn; earlier entries of the heap are void.
    speak_at: Option<Instant>,
}

pub struct Driver {
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    identity: Identity,
    setting: Setting,
    bots: Slab<Entry>,
    lines: Slab<Line>,
    ports: Ports,
    /// Sockets with more to read than their turn allowed.
    unread: Vec<usize>,
    wakes: BinaryHeap<(Reverse<Instant>, Wake)>,
    tally: Tally,
    rng: StdRng,
}

impl Driver {
    pub fn new(
        poll: Poll,
        commands: mpsc::Receiver<Command>,
        identity: Identity,
        setting: Setting,
        rng: StdRng,
    ) -> Self {
        Self {
            poll,
            commands,
            identity,
            setting,
            bots: Slab::new(),
            lines: Slab::new(),
            ports: Ports::new(setting.local),
            unread: Vec::new(),
            wakes: BinaryHeap::new(),
            tally: Tally::default(),
            rng,
        }
    }

    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut batch = ReceiveBatch::new();
        loop {
            let now = Instant::now();
            let next = self.wakes.peek().map(|(Reverse(at), _)| at.saturating_duration_since(now));
            let timeout = if self.unread.is_empty() { next } else { Some(Duration::ZERO) };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                eprintln!("the bots' sockets cannot be polled: {error}. Their thread ends.");
                return;
            }
            let mut readable = std::mem::take(&mut self.unread);
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(odd) if odd % 2 == 1 => readable.push(odd / 2),
                    Token(even) => self.serve_stream(even / 2 - 1),
                }
            }
            readable.into_iter().for_each(|port| self.receive(port, &mut batch));
            self.wake_up();
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, Command::Stop) {
                    self.ports.flush();
                    return;
                }
                self.execute(command);
            }
            self.ports.flush();
        }
    }

    fn receive(&mut self, port: usize, batch: &mut ReceiveBatch) {
        for _ in 0..MAX_BATCHES {
            // A socket that was closed has nothing, and an error is that of an earlier datagram.
            if self.ports.receive(port, batch).is_err() {
                return;
            }
            let now = Instant::now();
            for datagram in batch.iter_mut() {
                if let Some(line) = self.ports.line(port, datagram.to) {
                    self.handle_datagram(line, datagram.from, datagram.payload, now);
                }
            }
            if !batch.may_have_more() {
                return;
            }
        }
        self.unread.push(port);
    }

    fn serve_stream(&mut self, line: usize) {
        loop {
            let Some(Line { link: Link::Tcp(Some(stream)), .. }) = self.lines.get_mut(line) else { return };
            stream.flush();
            let (remote, mut datagrams) = (stream.remote, Vec::new());
            if !stream.receive(|datagram| datagrams.push(datagram.to_vec())) {
                return;
            }
            let now = Instant::now();
            for mut datagram in datagrams {
                self.handle_datagram(line, remote, &mut datagram, now);
            }
        }
    }

    fn handle_datagram(&mut self, key: usize, from: SocketAddr, bytes: &mut [u8], now: Instant) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let opened = line.link.open(from, bytes, now);
        let bot = self.bots.get_mut(line.bot).and_then(|entry| entry.bot.as_mut());
        let (Some((from, bytes)), Some(bot)) = (opened, bot) else {
            return self.poll_line(key, now);
        };
        if self.setting.loss.takes_down(bytes, &mut self.rng) {
            return;
        }
        let at = now.saturating_duration_since(self.setting.epoch);
        let connection = bot.connection(line.target);
        match connection.handle_datagram(from, bytes, now, at) {
            Arrival::Sound(heard, publisher) => {
                let is_urgent = connection.is_urgent();
                if !bot.has_heard {
                    bot.has_heard = true;
                    self.tally.first_sound.add(now.saturating_duration_since(bot.who.began));
                }
                if !bot.who.is_visitor && publisher & VISITOR == 0 {
                    self.tally.note_heard(&heard, at);
                }
                if !is_urgent {
                    return;
                }
            }
            Arrival::Duplicate => {
                self.tally.duplicated += 1;
                return;
            }
            Arrival::Other => {}
        }
        self.poll_line(key, now);
    }

    fn wake_up(&mut self) {
        let now = Instant::now();
        while let Some(&(Reverse(at), wake)) = self.wakes.peek()
            && at <= now
        {
            self.wakes.pop();
            match wake {
                Wake::Line(line) => {
                    if self.lines.get(line).is_some_and(|line| line.wake == at) {
                        self.poll_line(line, now);
                    }
                }
                Wake::Microphone(bot) => self.speak(bot, at),
            }
        }
    }

    fn speak(&mut self, key: usize, at: Instant) {
        let Self { bots, lines, ports, setting, rng, tally, .. } = self;
        let Some(Entry { bot: Some(bot), lines: own, speak_at, .. }) = bots.get_mut(key) else { return };
        let Some(line) = own[0].and_then(|line| lines.get_mut(line)) else { return };
        if *speak_at != Some(at) {
            return;
        }
        let now = Instant::now();
        let due = at.saturating_duration_since(setting.epoch);
        let lag = now.saturating_duration_since(at);
        let send = |to, packet: &[u8]| {
            if !setting.loss.takes_up(packet, rng) {
                line.link.send(ports, to, packet, now);
            }
        };
        if bot.speak_frame(&setting.talk, (due, lag), send) && !bot.who.is_visitor {
            tally.note_sent(due, bot.who.listeners);
        }
        *speak_at = Some(at + PTIME);
        self.wakes.push((Reverse(at + PTIME), Wake::Microphone(key)));
    }

    fn poll_line(&mut self, key: usize, now: Instant) {
        let Self { bots, lines, ports, wakes, tally, .. } = self;
        let Some(Line { bot: owner, target, link, wake }) = lines.get_mut(key) else { return };
        let owner = *owner;
        let advanced = link.advance(ports, now);
        let bot = bots.get_mut(owner).and_then(|entry| entry.bot.as_mut());
        let mut at = now + Duration::from_secs(3600);
        if let Some(bot) = bot {
            at = bot.connection(*target).poll(now, |to, packet| link.send(ports, to, packet, now));
            if !bot.was_connected && bot.is_connected() {
                bot.was_connected = true;
                tally.connected.add(now.saturating_duration_since(bot.who.began));
            }
        }
        at = link.deadline().map_or(at, |deadline| deadline.min(at));
        if *wake != at {
            *wake = at;
            wakes.push((Reverse(at), Wake::Line(key)));
        }
        match advanced {
            Ok(false) => {}
            Ok(true) => self.complete(owner, now),
            Err(error) => self.refuse(owner, error),
        }
    }

    fn poll_bot(&mut self, BotKey(bot): BotKey) {
        let now = Instant::now();
        let lines = self.bots.get(bot).map(|entry| entry.lines).unwrap_or_default();
        for line in lines.into_iter().flatten() {
            self.poll_line(line, now);
        }
    }

    /// Replies that nobody waits for any more are dropped.
    fn execute(&mut self, command: Command) {
        match command {
            Command::Enter { who, way, reply } => self.enter(who, &way, reply),
            Command::Hear { bot, sections } => self.with(bot, |bot, _| bot.hear(sections)),
            Command::Speak { bot, publisher, slot, cid } => self.give_microphone(bot, publisher, slot, cid),
            Command::Offer { bot, reply } => self.with(bot, |bot, _| drop(reply.send(bot.offer()))),
            Command::Accept { bot, answer, reply } => self.accept(bot, &answer, reply),
            Command::Answer { bot, offer, reply } => self.answer(bot, &offer, reply),
            Command::Candidate { bot, target, candidate } => self.add_candidates(bot, target, &[candidate]),
            Command::Leave { bot } => self.leave(bot),
            Command::Measure { window } => self.tally.restart(window),
            Command::Collect { reply } => drop(reply.send(self.tally.clone())),
            Command::Stop => {}
        }
    }

    fn with(&mut self, key: BotKey, act: impl FnOnce(&mut Bot, Instant)) {
        if let Some(Entry { bot: Some(bot), .. }) = self.bots.get_mut(key.0) {
            act(bot, Instant::now());
            self.poll_bot(key);
        }
    }

    fn accept(&mut self, bot: BotKey, answer: &str, reply: oneshot::Sender<anyhow::Result<()>>) {
        let mut accepted = Ok(Vec::new());
        self.with(bot, |bot, now| accepted = bot.publisher.accept(answer, now));
        let _ =
            reply.send(accepted.map(|candidates| self.add_candidates(bot, Target::Publisher, &candidates)));
    }

    fn answer(&mut self, bot: BotKey, offer: &str, reply: oneshot::Sender<anyhow::Result<String>>) {
        let mut answered = Ok((String::new(), Vec::new()));
        self.with(bot, |bot, now| answered = bot.connection(Target::Subscriber).answer(offer, now));
        let _ = reply.send(answered.map(|(answer, candidates)| {
            self.add_candidates(bot, Target::Subscriber, &candidates);
            answer
        }));
    }

    fn add_candidates(&mut self, key: BotKey, target: Target, candidates: &[String]) {
        let Self { bots, lines, poll, .. } = self;
        let Some(Entry { bot: Some(bot), lines: own, .. }) = bots.get_mut(key.0) else { return };
        let at = own[usize::from(target == Target::Subscriber)].or(own[0]);
        let Some((at, line)) = at.and_then(|at| Some((at, lines.get_mut(at)?))) else { return };
        for candidate in candidates {
            let had_stream = matches!(line.link, Link::Tcp(Some(_)));
            let Some(candidate) = line.link.take_candidate(candidate) else { continue };
            if let (false, Link::Tcp(Some(stream))) = (had_stream, &mut line.link) {
                let both = Interest::READABLE | Interest::WRITABLE;
                // A stream that nobody watches carries nothing, of which ICE will hear.
                let _ = poll.registry().register(stream, stream_token(at), both);
            }
            bot.connection(target).add_candidate(&candidate);
        }
        self.poll_bot(key);
    }

    fn enter(&mut self, who: Newcomer, way: &Way, reply: oneshot::Sender<anyhow::Result<BotKey>>) {
        let now = Instant::now();
        let key =
            self.bots.insert(Entry { bot: None, who, reply: Some(reply), lines: [None; 2], speak_at: None });
        for (place, target) in [Target::Publisher, Target::Subscriber].into_iter().enumerate() {
            if target == Target::Subscriber && !who.has_two_connections {
                break;
            }
            match self.open(key, target, way, now) {
                Ok(line) => self.bots[key].lines[place] = Some(line),
                Err(error) => return self.refuse(key, error.into()),
            }
        }
        self.complete(key, now);
        self.poll_bot(BotKey(key));
    }

    fn open(&mut self, bot: usize, target: Target, way: &Way, now: Instant) -> io::Result<usize> {
        let entry = self.lines.vacant_entry();
        let key = entry.key();
        let mut place = || self.ports.open(key, self.poll.registry(), port_token);
        let link = match way {
            Way::Udp => Link::Udp(place()?),
            Way::Tcp => Link::Tcp(None),
            Way::Turn(server) => Link::turn(place()?, server.clone(), StdRng::from_rng(&mut self.rng), now),
        };
        entry.insert(Line { bot, target, link, wake: now });
        Ok(key)
    }

    /// Makes the bot, if all of its lines have addresses.
    fn complete(&mut self, key: usize, now: Instant) {
        let Some(entry) = self.bots.get_mut(key) else { return };
        let lines = || entry.lines.iter().flatten().map(|&line| &self.lines[line].link);
        if entry.bot.is_some() || !lines().all(Link::is_ready) {
            return;
        }
        let ends: Vec<_> = lines().map(Link::ends).collect();
        let Some(&publisher) = ends.first() else { return };
        let manner = Manner { format: self.setting.format, is_sampled: entry.who.is_sampled };
        let ends = (publisher, ends.get(1).copied());
        entry.bot = Some(Bot::new(&self.identity, entry.who, ends, manner, &mut self.rng, now));
        if let Some(reply) = entry.reply.take() {
            let _ = reply.send(Ok(BotKey(key)));
        }
        self.poll_bot(BotKey(key));
    }

    fn refuse(&mut self, key: usize, error: anyhow::Error) {
        let reply = self.bots.get_mut(key).and_then(|entry| entry.reply.take());
        if let Some(reply) = reply {
            let _ = reply.send(Err(error));
            self.leave(BotKey(key));
        }
    }

    /// Microphones begin at times of their own within 20 ms, as people's do.
    fn give_microphone(&mut self, key: BotKey, publisher: u32, slot: u32, cid: String) {
        let now = Instant::now();
        let Self { bots, rng, setting, wakes, .. } = self;
        let Some(Entry { bot: Some(bot), speak_at, .. }) = bots.get_mut(key.0) else { return };
        let since = now.saturating_duration_since(setting.epoch);
        let at = (since.as_millis() / PTIME.as_millis()) as u32;
        let number = if bot.who.is_visitor { publisher | VISITOR } else { publisher };
        bot.speak(Microphone::new(number, slot, at, rng), cid);
        let phase = Duration::from_micros(u64::from(publisher) * 7_919 % PTIME.as_micros() as u64);
        *speak_at = Some(now + phase);
        wakes.push((Reverse(now + phase), Wake::Microphone(key.0)));
    }

    fn leave(&mut self, key: BotKey) {
        if let Some(bot) = self.bots.get_mut(key.0).and_then(|entry| entry.bot.as_mut()) {
            bot.close();
            self.poll_bot(key);
        }
        let Some(entry) = self.bots.try_remove(key.0) else { return };
        for line in entry.lines.into_iter().flatten() {
            match self.lines.remove(line).link {
                // What cannot be given back is lost with the process.
                Link::Udp(place) | Link::Turn { place, .. } => {
                    let _ = self.ports.close(place, self.poll.registry());
                }
                Link::Tcp(Some(mut stream)) => drop(self.poll.registry().deregister(&mut stream)),
                Link::Tcp(None) => {}
            }
        }
    }
}

/// Set in the numbers of publishers who come and go.
const VISITOR: u32 = 1 << 31;
