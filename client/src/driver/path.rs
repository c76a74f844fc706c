//! The course of a test: join twice, connect, speak, and hear what comes back.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::time::{Duration, Instant};

use banter_protocol::rest::PathTest;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout_at};

use super::Server;
use super::endpoint::{Endpoint, Happening, Manner, Speak};
use crate::measure::{PACKETS, PTIME, Packet, Reception, SIZES, TRIES};
use crate::report::{Connected, Failure};
use crate::session::{Event, Part};

/// For ICE and DTLS.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// From the connection to the first packet.
const FIRST_PACKET_PATIENCE: Duration = Duration::from_secs(5);
/// For what is still under way at the end.
const LATE: Duration = Duration::from_secs(1);

/// Both sessions, and what is known of them.
struct Call {
    speak: mpsc::UnboundedSender<Speak>,
    happenings: [mpsc::UnboundedReceiver<Happening>; 2],
    manner: Manner,
    progress: [Progress; 2],
    check: Option<Duration>,
    reception: Reception,
    /// Ends the listener when it is dropped.
    _listening: mpsc::UnboundedSender<Speak>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    #[default]
    Nothing,
    PathFound,
    Connected,
}

pub(super) async fn try_path(server: &Server, test: &PathTest) -> Result<Connected, Failure> {
    let mut call = Call::begin(server, test).await?;
    let offered = Instant::now();
    call.connect(offered + CONNECT_PATIENCE).await?;
    let set_up = offered.elapsed();
    call.warm_up(Instant::now() + FIRST_PACKET_PATIENCE).await?;
    call.speak().await?;
    let media = call.reception.measured(call.manner.is_v6).ok_or(Failure::Silent)?;
    Ok(Connected { set_up, check: call.check, media })
}

impl Call {
    async fn begin(server: &Server, test: &PathTest) -> Result<Self, Failure> {
        let start = Instant::now();
        let join = |token, part| Endpoint::join(server, test.path, token, part, start);
        let (speaker, listener) =
            tokio::try_join!(join(&test.sender, Part::Speaks), join(&test.receiver, Part::Listens))?;
        let manner = speaker.manner();
        let (speak, to_speaker) = mpsc::unbounded_channel();
        let (listening, to_listener) = mpsc::unbounded_channel();
        let (from_speaker, speaking) = mpsc::unbounded_channel();
        let (from_listener, hearing) = mpsc::unbounded_channel();
        tokio::spawn(speaker.run(to_speaker, from_speaker));
        tokio::spawn(listener.run(to_listener, from_listener));
        Ok(Self {
            speak,
            happenings: [speaking, hearing],
            manner,
            progress: Default::default(),
            check: None,
            reception: Reception::new(start),
            _listening: listening,
        })
    }

    /// Waits until both are connected.
    async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        while self.progress.iter().any(|progress| *progress < Progress::Connected) {
            match timeout_at(deadline.into(), self.step()).await {
                Ok(happened) => happened?,
                Err(_) => return Err(self.not_connected()),
            }
        }
        Ok(())
    }

    fn not_connected(&self) -> Failure {
        match self.progress.iter().max() {
            Some(Progress::PathFound | Progress::Connected) => Failure::NoKeys,
            Some(Progress::Nothing) | None => Failure::NoAnswer,
        }
    }

    /// Sends until something is heard: the server takes a moment to bind one to the other.
    async fn warm_up(&mut self, deadline: Instant) -> Result<(), Failure> {
        let mut ticks = interval(PTIME);
        let mut number = 0;
        while !self.reception.has_begun() {
            if Instant::now() > deadline {
                return Err(Failure::Silent);
            }
            tokio::select! {
                happened = self.step() => happened?,
                _ = ticks.tick() => {
                    self.send(Packet::WarmUp(number));
                    number += 1;
                }
            }
        }
        Ok(())
    }

    /// Two seconds of speech, then datagrams of each size, and a while for what is late.
    async fn speak(&mut self) -> Result<(), Failure> {
        let sizes = if self.manner.in_datagrams { 0..SIZES.len() } else { 0..0 };
        let large = sizes.flat_map(|size| (0..TRIES).map(move |attempt| Packet::Large { size, attempt }));
        let mut ticks = interval(PTIME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for packet in (0..PACKETS).map(Packet::Speech).chain(large) {
            loop {
                tokio::select! {
                    happened = self.step() => happened?,
                    _ = ticks.tick() => break,
                }
            }
            self.send(packet);
        }
        let deadline = Instant::now() + LATE;
        while !self.reception.is_complete(self.manner.in_datagrams) {
            match timeout_at(deadline.into(), self.step()).await {
                Ok(happened) => happened?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn send(&self, packet: Packet) {
        // A speaker that has ended has told why.
        let _ = self.speak.send(Speak(packet));
    }

    /// Waits for one thing to happen. Can be cancelled.
    async fn step(&mut self) -> Result<(), Failure> {
        let [speaker, listener] = &mut self.happenings;
        let (who, happening) = tokio::select! {
            happening = speaker.recv() => (0, happening),
            happening = listener.recv() => (1, happening),
        };
        let now = Instant::now();
        match happening {
            Some(Happening::Session(event)) => self.note(who, event, now),
            Some(Happening::Failed(failure)) => Err(failure),
            None => Err(Failure::Ended("a session ended without a word".to_owned())),
        }
    }

    fn note(&mut self, who: usize, event: Event, now: Instant) -> Result<(), Failure> {
        match event {
            Event::NotNamed => return Err(Failure::NotNamed),
            Event::Ended(cause) => return Err(Failure::Ended(cause)),
            Event::CheckAnswered(time) => {
                self.check = Some(self.check.map_or(time, |shortest| shortest.min(time)));
            }
            Event::PathFound => self.progress[who] = self.progress[who].max(Progress::PathFound),
            Event::Connected => self.progress[who] = Progress::Connected,
            Event::Heard(payload) => self.reception.handle_payload(&payload, now),
        }
        Ok(())
    }
}
