//! One participant's claim on one publication.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::forward::redundancy::Redundancy;
use crate::forward::rewrite::Rewriter;
use crate::quality::Downstream;
use crate::rtp::Extension;
use crate::rtp::rtcp::ReportBlock;
use crate::sdp::SendSection;
use crate::{PayloadType, Ssrc};

/// Repeats that one subscriber may ask for in a second; a call needs a handful, a flood gets no more.
const REPAIRS_PER_SECOND: u32 = 100;

/// What is sent to one subscriber of one track, and how far it has got.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Slab index of the participant who hears.
    pub(crate) subscriber: usize,
    /// Slab index of the connection on which.
    pub(crate) connection: usize,
    pub(crate) ssrc: Ssrc,
    /// Sent along until the subscriber has reported on the stream.
    introduction: Option<Introduction>,
    paused: bool,
    /// Whether the subscriber may hear anything at all.
    permitted: bool,
    pub(crate) outlet: Outlet,
    pub(crate) rewriter: Rewriter,
    pub(crate) redundancy: Redundancy,
    pub(crate) sent: Sent,
    pub(crate) downstream: Downstream,
    repairs: Repairs,
}

/// Repeats granted in the second that began at `since`.
#[derive(Clone, Copy, Debug)]
struct Repairs {
    since: Instant,
    granted: u32,
}

/// The section that a stream belongs to, for packets that overtake the answer by which the subscriber learns of the
/// stream. Without it Firefox takes them for another section's stream, and then the section of its own stays silent.
/// RFC 9143 §9.2 wants the mid in packets until the receiver is known to have it.
#[derive(Clone, Copy, Debug)]
struct Introduction {
    id: u8,
    mid: [u8; Self::MAX_MID],
    len: u8,
}

impl Introduction {
    /// What a one-byte header element holds (RFC 8285 §4.2).
    const MAX_MID: usize = 16;
    const MAX_ID: u8 = 14;

    /// `None` where the peer takes no mid, or its mid does not fit.
    fn of(section: &SendSection) -> Option<Self> {
        let id = section.mid_ext.filter(|id| *id <= Self::MAX_ID)?;
        let name = section.mid.0.as_bytes();
        let mut mid = [0; Self::MAX_MID];
        mid.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { id, mid, len: name.len() as u8 })
    }

    fn extension(&self) -> Extension<'_> {
        Extension { id: self.id, value: &self.mid[..usize::from(self.len)] }
    }
}

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// No section of the subscriber's description carries it.
    Unbound,
    /// A section is agreed; its connection is not up yet.
    Bound(Format),
    /// Packets flow.
    Live(Format),
}

/// The payload types that a subscriber expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) opus: PayloadType,
    pub(crate) red: Option<PayloadType>,
    pub(crate) nack: bool,
}

/// For sender reports (RFC 3550 §6.4.1); both wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl Subscription {
    pub(crate) fn new(
        subscriber: usize,
        connection: usize,
        permitted: bool,
        rng: &mut StdRng,
        now: Instant,
    ) -> Self {
        Self {
            subscriber,
            connection,
            ssrc: Ssrc(rng.random_range(1..u32::MAX)),
            introduction: None,
            paused: false,
            permitted,
            outlet: Outlet::Unbound,
            rewriter: Rewriter::new(rng.random(), rng.random()),
            redundancy: Redundancy::default(),
            sent: Sent::default(),
            downstream: Downstream::default(),
            repairs: Repairs { since: now, granted: 0 },
        }
    }

    /// Takes the section that negotiation found for it; says whether that changed anything.
    ///
    /// A changed payload type starts a new run of numbers: a repeat under the old number and the new type would be other
    /// bytes under one nonce.
    pub(crate) fn bind(&mut self, section: &SendSection, connected: bool) -> bool {
        let format = Format { opus: section.opus, red: section.red, nack: section.nack };
        let outlet = if connected { Outlet::Live(format) } else { Outlet::Bound(format) };
        let changed = self.outlet != outlet;
        if changed {
            self.rewriter.detach();
            self.outlet = outlet;
            self.introduction = Introduction::of(section);
        }
        changed
    }

    /// The header extension that packets carry at present.
    pub(crate) fn extension(&self) -> Option<Extension<'_>> {
        self.introduction.as_ref().map(Introduction::extension)
    }

    /// The subscriber has told what it receives of the stream, so it knows where the stream belongs.
    fn introduced(&mut self) {
        if self.introduction.take().is_some() {
            // From here on a number stands for other bytes.
            self.rewriter.detach();
        }
    }

    pub(crate) fn unbind(&mut self) {
        self.rewriter.detach();
        self.outlet = Outlet::Unbound;
    }

    /// The connection has come up; true if packets flow from here on.
    pub(crate) fn connected(&mut self) -> bool {
        let Outlet::Bound(format) = self.outlet else { return false };
        self.outlet = Outlet::Live(format);
        true
    }

    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.rewriter.detach();
        }
    }

    pub(crate) fn set_permitted(&mut self, permitted: bool) {
        self.permitted = permitted;
        self.rewriter.detach();
    }

    /// The format to send in, if packets are to flow.
    pub(crate) fn live(&self) -> Option<Format> {
        match self.outlet {
            Outlet::Live(format) if self.permitted && !self.paused => Some(format),
            Outlet::Live(_) | Outlet::Bound(_) | Outlet::Unbound => None,
        }
    }

    /// Takes what the subscriber has reported of the stream.
    pub(crate) fn note(&mut self, report: &ReportBlock, round_trip: Option<Duration>) {
        self.introduced();
        self.redundancy.note(report, self.rewriter.next_seq());
        self.downstream.note(report, self.sent.packets, round_trip);
    }

    /// Whether it is sent RED, as far as the publication has any.
    pub(crate) fn is_redundant(&self) -> bool {
        self.redundancy.is_on() && self.live().is_some_and(|format| format.red.is_some())
    }

    /// Counts a repeat against this second's share.
    pub(crate) fn may_repair(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.repairs.since) >= Duration::from_secs(1) {
            self.repairs = Repairs { since: now, granted: 0 };
        }
        self.repairs.granted += 1;
        self.repairs.granted <= REPAIRS_PER_SECOND
    }
}
