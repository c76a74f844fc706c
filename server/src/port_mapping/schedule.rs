//! When a router is asked for what: a value, driven by the answers and the time.

use std::time::{Duration, Instant};

use super::Wanted;

/// For how long a port is asked for. A server that dies leaves its ports forwarded no longer than this.
pub(super) const LEASE: Duration = Duration::from_secs(1200);
/// Between two looks at whether the router is there, and is the one that it was.
const CHECK: Duration = Duration::from_secs(30);
/// Until a router is looked for again, and until a refused port is asked for again.
const AGAIN: Duration = Duration::from_secs(120);

/// What to do next; what comes of it is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look for a router: [`Schedule::found`] or [`Schedule::lost`].
    Search,
    /// See whether it is still there, and at which address: [`Schedule::checked`] or [`Schedule::lost`].
    Check,
    /// Ask for a port, or for more time: [`Schedule::granted`], [`Schedule::refused`] or [`Schedule::lost`].
    Map(Wanted),
    /// Give a port back: [`Schedule::removed`].
    Unmap(Wanted),
    Wait(Instant),
    /// Everything has been given back.
    Done,
}

/// What a router has promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// The port at the router's address. It is of use only if it is the one that clients are told of, our own.
    pub external_port: u16,
    /// Zero is for ever.
    pub lifetime: Duration,
    /// Seconds since the router has lost its mappings, where the protocol tells.
    pub epoch: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Schedule {
    ports: Vec<Port>,
    router: Router,
    is_leaving: bool,
}

#[derive(Debug)]
enum Router {
    Unknown { search: Instant },
    Known { check: Instant, epoch: Option<Epoch> },
}

#[derive(Debug)]
struct Port {
    wanted: Wanted,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent {
        due: Instant,
    },
    Held {
        renewal: Instant,
        end: Instant,
    },
    /// The router has forwarded another number, which is of no use.
    Misplaced,
}

/// A router's own clock, read at a time of ours.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    router: u32,
    at: Instant,
}

impl Schedule {
    pub(super) fn new(wanted: impl IntoIterator<Item = Wanted>, now: Instant) -> Self {
        let port = |wanted| Port { wanted, state: State::Absent { due: now } };
        let ports = wanted.into_iter().map(port).collect();
        Self { ports, router: Router::Unknown { search: now }, is_leaving: false }
    }

    pub(super) fn next(&self, now: Instant) -> Step {
        if let Some(port) = self.ports.iter().find(|port| self.is_to_go(port)) {
            return Step::Unmap(port.wanted);
        }
        if self.is_leaving {
            return Step::Done;
        }
        let check = match self.router {
            Router::Unknown { search } if search <= now => return Step::Search,
            Router::Unknown { search } => return Step::Wait(search),
            Router::Known { check, .. } if check <= now => return Step::Check,
            Router::Known { check, .. } => check,
        };
        match self.ports.iter().find(|port| port.due().is_some_and(|due| due <= now)) {
            Some(port) => Step::Map(port.wanted),
            None => Step::Wait(self.ports.iter().filter_map(Port::due).chain([check]).min().unwrap_or(check)),
        }
    }

    /// There is a router, which may be another one than before: it is asked for everything.
    pub(super) fn found(&mut self, now: Instant) {
        self.router = Router::Known { check: now + CHECK, epoch: None };
        self.ask_for_all(now);
    }

    /// There is no router, or it no longer answers. What it has promised holds for as long as it has said.
    pub(super) fn lost(&mut self, now: Instant) {
        let search = match self.router {
            Router::Known { .. } => now,
            Router::Unknown { .. } => now + AGAIN,
        };
        self.router = Router::Unknown { search };
        for port in &mut self.ports {
            if matches!(port.state, State::Held { end, .. } if end <= now) {
                port.state = State::Absent { due: now };
            }
        }
    }

    /// The router is there. One that has a clock is asked for a port, so that it shows it.
    pub(super) fn checked(&mut self, now: Instant) {
        let Router::Known { check, epoch } = &mut self.router else { return };
        *check = now + CHECK;
        let held = self.ports.iter_mut().find(|port| matches!(port.state, State::Held { .. }));
        if let (Some(_), Some(port)) = (epoch, held) {
            port.ask(now);
        }
    }

    pub(super) fn granted(&mut self, wanted: Wanted, grant: Grant, now: Instant) {
        if let Some(router) = grant.epoch {
            self.read_clock(Epoch { router, at: now }, now);
        }
        let Some(port) = self.port(wanted) else { return };
        let lifetime = if grant.lifetime.is_zero() { LEASE } else { grant.lifetime };
        port.state = match grant.external_port == wanted.port {
            true => State::Held { renewal: now + (lifetime / 2).max(CHECK), end: now + lifetime },
            false => State::Misplaced,
        };
    }

    pub(super) fn refused(&mut self, wanted: Wanted, now: Instant) {
        if let Some(port) = self.port(wanted) {
            port.state = State::Absent { due: now + AGAIN };
        }
    }

    /// A port is no longer forwarded, or nothing can be done about it.
    pub(super) fn removed(&mut self, wanted: Wanted, now: Instant) {
        self.refused(wanted, now);
    }

    /// From here on everything is given back.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// What is forwarded, as far as the router has said.
    pub(super) fn held(&self) -> impl Iterator<Item = Wanted> {
        self.ports.iter().filter(|port| matches!(port.state, State::Held { .. })).map(|port| port.wanted)
    }

    /// A clock that does not continue is that of a router which has forgotten everything.
    fn read_clock(&mut self, read: Epoch, now: Instant) {
        let Router::Known { epoch, .. } = &mut self.router else { return };
        let restarted = epoch.replace(read).is_some_and(|before| !before.is_continued_by(read));
        if restarted {
            self.ask_for_all(now);
        }
    }

    fn ask_for_all(&mut self, now: Instant) {
        self.ports.iter_mut().for_each(|port| port.ask(now));
    }

    fn is_to_go(&self, port: &Port) -> bool {
        match port.state {
            State::Misplaced => true,
            State::Held { .. } => self.is_leaving,
            State::Absent { .. } => false,
        }
    }

    fn port(&mut self, wanted: Wanted) -> Option<&mut Port> {
        self.ports.iter_mut().find(|port| port.wanted == wanted)
    }
}

impl Port {
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Absent { due } => Some(due),
            State::Held { renewal, .. } => Some(renewal),
            State::Misplaced => None,
        }
    }

    fn ask(&mut self, now: Instant) {
        match &mut self.state {
            State::Absent { due } => *due = now,
            State::Held { renewal, .. } => *renewal = now,
            State::Misplaced => {}
        }
    }
}

impl Epoch {
    /// Whether both clocks have gone on by about the same time since (RFC 6887 §8.5).
    fn is_continued_by(self, later: Epoch) -> bool {
        if later.router.saturating_add(1) < self.router {
            return false;
        }
        let router = u64::from(later.router.saturating_sub(self.router));
        let ours = later.at.saturating_duration_since(self.at).as_secs();
        ours + 2 >= router - router / 16 && router + 2 >= ours - ours / 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;
    use crate::port_holder::Transport;

    const WEB: Wanted = Wanted { transport: Transport::Tcp, port: 7880 };
    const MEDIA: Wanted = Wanted { transport: Transport::Udp, port: 50_000 };

    #[test]
    fn a_router_is_looked_for_until_there_is_one() {
        let (mut schedule, now) = start();
        assert_eq!(schedule.next(now), Step::Search);
        schedule.lost(now);
        assert_eq!(schedule.next(now), Step::Wait(now + AGAIN));
        assert_eq!(schedule.next(now + AGAIN), Step::Search);
        schedule.found(now + AGAIN);
        assert_eq!(schedule.next(now + AGAIN), Step::Map(WEB));
    }

    #[test]
    fn each_port_is_renewed_after_half_of_its_time() {
        let (mut schedule, mut now) = mapped(None);
        assert_eq!(held(&schedule), [WEB, MEDIA]);
        let half = now + LEASE / 2;
        while now < half {
            assert_eq!(schedule.next(now), Step::Wait(half.min(now + CHECK)));
            now = half.min(now + CHECK);
            if schedule.next(now) == Step::Check {
                schedule.checked(now);
            }
        }
        assert_eq!(schedule.next(now), Step::Map(WEB));
        schedule.granted(WEB, grant(WEB, None), now);
        assert_eq!(schedule.next(now), Step::Map(MEDIA));
    }

    #[test]
    fn a_short_lease_is_not_renewed_all_the_time() {
        let (mut schedule, now) = start();
        schedule.found(now);
        schedule.granted(WEB, Grant { lifetime: Duration::from_secs(1), ..grant(WEB, None) }, now);
        schedule.refused(MEDIA, now);
        assert_eq!(schedule.next(now), Step::Wait(now + CHECK));
    }

    #[test]
    fn a_router_that_has_begun_anew_is_asked_for_everything() {
        let (mut schedule, mut now) = mapped(Some(1000));
        now += CHECK;
        assert_eq!(schedule.next(now), Step::Check);
        schedule.checked(now);
        assert_eq!(schedule.next(now), Step::Map(WEB), "so that it shows its clock");
        schedule.granted(WEB, grant(WEB, Some(1030)), now);
        assert!(matches!(schedule.next(now), Step::Wait(_)), "all is as it was");

        now += CHECK;
        schedule.checked(now);
        schedule.granted(WEB, grant(WEB, Some(3)), now);
        assert_eq!(schedule.next(now), Step::Map(MEDIA));
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let now = ambient::now().monotonic;
        let before = Epoch { router: 100, at: now };
        let after = |seconds, router| Epoch { router, at: now + Duration::from_secs(seconds) };
        for (seconds, router, continued) in [
            (0, 100, true),
            (0, 99, true),
            (0, 98, false),
            (160, 250, true),
            (160, 230, false),
            (0, 110, false),
        ] {
            assert_eq!(before.is_continued_by(after(seconds, router)), continued, "{seconds} s, {router}");
        }
    }

    #[test]
    fn another_number_is_given_back_and_asked_for_again_later() {
        let (mut schedule, now) = start();
        schedule.found(now);
        schedule.granted(WEB, Grant { external_port: 7881, ..grant(WEB, None) }, now);
        assert_eq!(schedule.next(now), Step::Unmap(WEB));
        schedule.removed(WEB, now);
        assert_eq!(schedule.next(now), Step::Map(MEDIA));
        schedule.granted(MEDIA, grant(MEDIA, None), now);
        assert_eq!(held(&schedule), [MEDIA]);
        schedule.checked(now + AGAIN);
        assert_eq!(schedule.next(now + AGAIN), Step::Map(WEB));
    }

    #[test]
    fn a_router_that_goes_away_is_looked_for_at_once_and_its_word_holds_for_its_time() {
        let (mut schedule, now) = mapped(None);
        schedule.lost(now + CHECK);
        assert_eq!(schedule.next(now + CHECK), Step::Search);
        assert_eq!(held(&schedule), [WEB, MEDIA]);
        schedule.lost(now + LEASE);
        assert!(held(&schedule).is_empty());
    }

    #[test]
    fn whoever_leaves_gives_back_what_is_held() {
        let (mut schedule, now) = start();
        schedule.found(now);
        schedule.granted(WEB, grant(WEB, None), now);
        schedule.refused(MEDIA, now);
        schedule.leave();
        assert_eq!(schedule.next(now), Step::Unmap(WEB));
        schedule.removed(WEB, now);
        assert_eq!(schedule.next(now), Step::Done);
    }

    fn start() -> (Schedule, Instant) {
        let now = ambient::now().monotonic;
        (Schedule::new([WEB, MEDIA], now), now)
    }

    fn mapped(epoch: Option<u32>) -> (Schedule, Instant) {
        let (mut schedule, now) = start();
        schedule.found(now);
        schedule.granted(WEB, grant(WEB, epoch), now);
        schedule.granted(MEDIA, grant(MEDIA, epoch), now);
        (schedule, now)
    }

    fn grant(wanted: Wanted, epoch: Option<u32>) -> Grant {
        Grant { external_port: wanted.port, lifetime: LEASE, epoch }
    }

    fn held(schedule: &Schedule) -> Vec<Wanted> {
        schedule.held().collect()
    }
}
