//! A track that a participant offers, and those who hear it.

use std::time::{Duration, Instant};

use slab::Slab;

use super::participant::Participant;
use super::speakers::LevelMeter;
use super::subscriptions::Subscriptions;
use super::voice::Voice;
use crate::allowance::Allowance;
use crate::forward::numbering::Numbering;
use crate::forward::ring::Ring;
use crate::net::TrackSpec;
use crate::quality::Upstream;
use crate::rtp::{ExtSeq, ReceiveStats, RtpTime};
use crate::sdp::{Incoming, ReceiveSection};
use crate::{RoomKey, Ssrc};

/// Opus' RTP clock, whatever the audio's rate (RFC 7587 §4.1).
const CLOCK_RATE: u32 = 48_000;

/// One published track. Its owner's connection, or another worker, feeds it; its subscriptions are fed from it.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) owner: Owner,
    pub(crate) spec: TrackSpec,
    /// Where the client sends it, once its offer had a section for it.
    pub(crate) section: Option<ReceiveSection>,
    /// The RTP stream that carries it at present.
    pub(crate) source: Option<Source>,
    /// The packets that go out, as if there had been no others. What follows a packet that was held back is anchored anew.
    pub(crate) numbering: Numbering,
    /// By the numbers of `numbering`.
    pub(crate) ring: Ring,
    /// Somebody who heard the latest packet is to get the next one in RED.
    pub(crate) wants_redundancy: bool,
    pub(crate) meter: LevelMeter,
    pub(crate) voice: Voice,
    pub(crate) allowance: Allowance,
    pub(crate) subscriptions: Subscriptions,
}

/// Whose a publication is.
#[derive(Debug)]
pub(crate) enum Owner {
    /// Slab index of the participant.
    Here(usize),
    Elsewhere(Elsewhere),
}

impl Owner {
    /// The room that they are in.
    pub(crate) fn room(&self, participants: &Slab<Participant>) -> RoomKey {
        match self {
            Self::Here(owner) => participants[*owner].room,
            Self::Elsewhere(elsewhere) => elsewhere.room,
        }
    }
}

/// The owner, on another worker, of a publication that is mirrored here.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) room: RoomKey,
    /// Their `PA_` sid.
    pub(crate) label: String,
    /// What arrives is RED.
    pub(crate) is_red: bool,
}

/// A publisher's RTP stream.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) ssrc: Ssrc,
    pub(crate) stats: ReceiveStats,
    pub(crate) upstream: Upstream,
    /// Timestamp and arrival of the latest packet, for what the clock reads in between.
    pub(crate) latest: (RtpTime, Instant),
    /// What the latest sender report said the clock reads, and its arrival.
    pub(crate) report: Option<(RtpTime, Instant)>,
}

impl Publication {
    pub(crate) fn new(owner: Owner, spec: TrackSpec) -> Self {
        Self {
            owner,
            spec,
            section: None,
            source: None,
            numbering: Numbering::starting_at(ExtSeq(0)),
            ring: Ring::default(),
            wants_redundancy: false,
            meter: LevelMeter::default(),
            voice: Voice::default(),
            allowance: Allowance::default(),
            subscriptions: Subscriptions::default(),
        }
    }

    /// What negotiation needs to know of it.
    pub(crate) fn incoming(&self) -> Incoming {
        Incoming {
            track: self.spec.track,
            cid: self.spec.cid.clone(),
            red: self.spec.red,
            stereo: self.spec.stereo,
            dtx: self.spec.dtx,
            max_bitrate: self.allowance.bitrate(),
        }
    }

    /// Whether what arrives is RED.
    pub(crate) fn is_red(&self) -> bool {
        match &self.owner {
            Owner::Here(_) => self.section.as_ref().is_some_and(|section| section.red.is_some()),
            Owner::Elsewhere(elsewhere) => elsewhere.is_red,
        }
    }

    /// Whether a participant of this worker, by its slab index, is the owner.
    pub(crate) fn is_of(&self, participant: usize) -> bool {
        matches!(self.owner, Owner::Here(owner) if owner == participant)
    }

    /// Makes the next packet continue every subscriber's numbering, whatever its own number.
    pub(crate) fn detach(&mut self) {
        self.numbering.detach();
        for subscription in self.subscriptions.as_mut_slice() {
            subscription.rewriter.detach();
        }
    }

    /// Takes on a new stream; those who listen hear it as the continuation of the one before.
    pub(crate) fn start_source(&mut self, ssrc: Ssrc, first: RtpTime, now: Instant) {
        if let Some(old) = &self.source {
            let now_there = old.time_at(now);
            for subscription in self.subscriptions.as_mut_slice() {
                let outgoing = subscription.rewriter.timestamp(now_there);
                subscription.rewriter.restart(first, outgoing);
            }
            self.numbering.detach();
            self.ring.clear();
        }
        self.source = Some(Source {
            ssrc,
            stats: ReceiveStats::new(CLOCK_RATE),
            upstream: Upstream::default(),
            latest: (first, now),
            report: None,
        });
    }
}

impl Source {
    /// What the publisher's media clock reads at `now`, judged from its latest packet.
    pub(crate) fn time_at(&self, now: Instant) -> RtpTime {
        let (timestamp, arrival) = self.latest;
        timestamp.wrapping_add(ticks(now.saturating_duration_since(arrival)))
    }

    /// The same from its sender report, which knows the sampling instant rather than the arrival.
    pub(crate) fn reported_time_at(&self, now: Instant) -> RtpTime {
        match self.report {
            Some((reading, arrival)) => reading.wrapping_add(ticks(now.saturating_duration_since(arrival))),
            None => self.time_at(now),
        }
    }
}

/// A span in ticks of the media clock.
fn ticks(span: Duration) -> u32 {
    (span.as_micros() * u128::from(CLOCK_RATE) / 1_000_000) as u32
}
