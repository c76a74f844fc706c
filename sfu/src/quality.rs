//! How good each participant's connection is: from what is lost and late, in both directions.
//!
//! Every five seconds each stream is scored from 100 down, in LiveKit's way, and the worst of a participant's streams
//! counts. Silence says nothing: who is muted, idle or transmits no silence stays as good as it was, and only one of whom
//! not even ICE hears anything is lost.

use std::time::{Duration, Instant};

use crate::RoomKey;
use crate::net::{ConnectionQuality, Event, Quality, Reach};
use crate::rtp::ReceiveStats;
use crate::rtp::rtcp::ReportBlock;
use crate::sfu::{Sfu, Timer};

/// How often connections are judged.
const INTERVAL: Duration = Duration::from_secs(5);
/// Fewer packets in an interval, as silence is transmitted, say nothing of a connection: half a second of speech.
const MIN_PACKETS: u64 = 25;
/// Points that one percent of loss costs: Opus with forward error correction, and with two repeats in RED.
const LOSS_COST: f32 = 5.33;
const LOSS_COST_RED: f32 = 2.67;
/// A score follows a worse interval faster than a better one.
const FALL: f32 = 0.8;
const RISE: f32 = 0.4;
const GOOD_BELOW: f32 = 80.0;
const POOR_BELOW: f32 = 40.0;

/// What an interval has shown of one stream.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    sent: u64,
    lost: u64,
    /// From speaker to listener, as far as it is known.
    delay: Duration,
    jitter: Duration,
    is_red: bool,
}

/// One participant's score so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rating {
    score: f32,
    /// ICE hears nothing of the participant.
    unheard: bool,
    told: Option<ConnectionQuality>,
}

/// Where the interval began in a publisher's stream: packets expected and received until then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upstream {
    expected: u64,
    received: u64,
}

/// What a subscriber has reported of a stream, in packets since its beginning; all wraps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Downstream {
    began: Option<Totals>,
    latest: Option<Totals>,
    jitter: Duration,
    round_trip: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Totals {
    /// Sent by us when the report came. What is under way is about the same at the beginning and the end of an interval.
    sent: u32,
    received: u32,
}

impl Sfu {
    /// Has the room's connections judged from now on, until nobody is inside.
    pub(crate) fn watch_quality(&mut self, key: RoomKey, now: Instant) {
        if let Some(room) = self.rooms.get_mut(&key)
            && !std::mem::replace(&mut room.rating, true)
        {
            self.wheel.schedule(now + INTERVAL, Timer::Quality(key));
        }
    }

    /// Tells whose quality has changed, and whose path.
    pub(crate) fn judge_quality(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(&key) else { return };
        room.rating = false;
        let members = room.participants.clone();
        let mut changes = Vec::new();
        for &index in &members {
            for connection in self.participants[index].connections() {
                self.review_path(connection);
            }
            let worst = self.worst_score(index);
            let participant = &mut self.participants[index];
            let is_connected = self.connections[participant.publisher].is_connected()
                || participant.subscriber.is_some_and(|index| self.connections[index].is_connected());
            if is_connected && let Some((quality, score)) = participant.rating.follow(worst) {
                changes.push(Quality { participant: participant.key, quality, score });
            }
        }
        if !changes.is_empty() {
            self.events.push_back((key, Event::Quality { room: key, changes }));
        }
        if !members.is_empty() {
            self.watch_quality(key, now);
        }
    }

    /// The score of the worst of a participant's streams in the interval that ends here, which also says how much it is to
    /// send from here on.
    fn worst_score(&mut self, participant: usize) -> Option<f32> {
        let mut samples = Vec::new();
        let mut reconsidered = false;
        for &publication in &self.participants[participant].publications {
            let publication = &mut self.publications[publication];
            let is_red = publication.is_red();
            let Some(source) = &mut publication.source else { continue };
            let Some(sample) = source.upstream.sample(&source.stats, is_red) else { continue };
            reconsidered |= publication.allowance.judge(sample.sent, sample.lost);
            samples.push(sample);
        }
        if reconsidered {
            self.ask_to_offer_again(participant);
        }
        // Of what nobody has reported nothing is new, and in a large room that is nearly everything.
        for track in std::mem::take(&mut self.participants[participant].reported) {
            let Some(&publication) = self.publication_by_track.get(&track) else { continue };
            if let Some(subscription) = self.publications[publication].subscriptions.of_mut(participant) {
                let is_red = subscription.is_redundant();
                samples.extend(subscription.downstream.sample(is_red));
            }
        }
        samples.iter().map(Sample::score).min_by(f32::total_cmp)
    }

    pub(crate) fn note_reach(&mut self, participant: usize, reach: Reach) {
        self.participants[participant].rating.unheard = reach != Reach::Heard;
    }
}

impl Rating {
    /// Takes in an interval's score; says what is to be told, if anything.
    fn follow(&mut self, score: Option<f32>) -> Option<(ConnectionQuality, f32)> {
        // Where nothing can be seen, nothing is wrong.
        let score = score.unwrap_or(100.0);
        let pace = if score < self.score { FALL } else { RISE };
        self.score += pace * (score - self.score);
        let quality = match self.score {
            _ if self.unheard => ConnectionQuality::Lost,
            score if score < POOR_BELOW => ConnectionQuality::Poor,
            score if score < GOOD_BELOW => ConnectionQuality::Good,
            _ => ConnectionQuality::Excellent,
        };
        let opinion = if self.unheard { 1.0 } else { mean_opinion(self.score) };
        (self.told.replace(quality) != Some(quality)).then_some((quality, opinion))
    }
}

impl Default for Rating {
    fn default() -> Self {
        Self { score: 100.0, unheard: false, told: None }
    }
}

impl Upstream {
    fn sample(&mut self, stats: &ReceiveStats, is_red: bool) -> Option<Sample> {
        let received = stats.received();
        let expected = received.saturating_add_signed(stats.lost());
        let before = std::mem::replace(self, Self { expected, received });
        let sent = expected.saturating_sub(before.expected);
        let lost = sent.saturating_sub(received - before.received);
        (sent >= MIN_PACKETS).then(|| Sample {
            sent,
            lost,
            delay: Duration::ZERO,
            jitter: stats.jitter(),
            is_red,
        })
    }
}

impl Downstream {
    /// Takes a receiver's report. `sent` is how many packets it has been sent, repeats apart.
    pub(crate) fn note(&mut self, report: &ReportBlock, sent: u32, round_trip: Option<Duration>) {
        let received = report.highest_seq.wrapping_sub(report.cumulative_lost.cast_unsigned());
        let totals = Totals { sent, received };
        self.began.get_or_insert(totals);
        self.latest = Some(totals);
        self.jitter = Duration::from_micros(u64::from(report.jitter) * 1000 / 48);
        self.round_trip = round_trip.or(self.round_trip);
    }

    /// What the sender lost on its way to us leaves a gap in the numbers too, so packets are compared, not numbers.
    fn sample(&mut self, is_red: bool) -> Option<Sample> {
        let (began, latest) = (self.began?, self.latest?);
        let sent = latest.sent.wrapping_sub(began.sent);
        if u64::from(sent) < MIN_PACKETS {
            return None;
        }
        self.began = self.latest;
        let received = latest.received.wrapping_sub(began.received);
        Some(Sample {
            sent: sent.into(),
            lost: sent.saturating_sub(received).into(),
            delay: self.round_trip.unwrap_or_default() / 2,
            jitter: self.jitter,
            is_red,
        })
    }
}

impl Sample {
    /// 100 for a perfect stream, 0 for a useless one.
    fn score(&self) -> f32 {
        // A jitter buffer waits about twice as long as packets vary.
        let delay_ms = (self.delay + 2 * self.jitter).as_secs_f32() * 1000.0;
        // The E-model's: it hardly matters below 160 ms, and much above.
        let delay_cost = if delay_ms < 160.0 { delay_ms / 40.0 } else { (delay_ms - 120.0) / 10.0 };
        let loss_cost = if self.is_red { LOSS_COST_RED } else { LOSS_COST };
        let percent = self.lost.min(self.sent) as f32 * 100.0 / self.sent.max(1) as f32;
        (100.0 - delay_cost - percent * loss_cost).clamp(0.0, 100.0)
    }
}

/// What people would say of it, 1 to 4.5 (ITU-T G.107 annex B).
fn mean_opinion(rating: f32) -> f32 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ssrc;

    const PERFECT: Sample =
        Sample { sent: 250, lost: 0, delay: Duration::ZERO, jitter: Duration::ZERO, is_red: false };

    #[test]
    fn loss_and_delay_cost_and_redundancy_halves_the_loss() {
        assert_eq!(PERFECT.score(), 100.0);
        let lossy = Sample { lost: 25, ..PERFECT };
        assert!((46.0..47.0).contains(&lossy.score()), "{}", lossy.score());
        assert!((73.0..74.0).contains(&Sample { is_red: true, ..lossy }.score()));
        let far = Sample { delay: Duration::from_millis(300), ..PERFECT };
        assert!((81.5..82.5).contains(&far.score()), "{}", far.score());
        assert_eq!(Sample { lost: 250, ..PERFECT }.score(), 0.0);
    }

    #[test]
    fn opinions_span_the_scale() {
        assert_eq!((mean_opinion(100.0), mean_opinion(0.0)), (4.5, 1.0));
        assert!(mean_opinion(80.0) > mean_opinion(40.0));
    }

    #[test]
    fn a_rating_falls_fast_rises_slowly_and_is_told_when_it_changes() {
        let mut rating = Rating::default();
        assert_eq!(rating.follow(None), Some((ConnectionQuality::Excellent, 4.5)));
        assert_eq!(rating.follow(Some(95.0)), None);
        assert!(matches!(rating.follow(Some(20.0)), Some((ConnectionQuality::Poor, _))));
        assert!(matches!(rating.follow(Some(100.0)), Some((ConnectionQuality::Good, _))));
        assert_eq!(rating.follow(Some(100.0)), None);
        assert!(matches!(rating.follow(None), Some((ConnectionQuality::Excellent, _))));
        rating.unheard = true;
        assert_eq!(rating.follow(None), Some((ConnectionQuality::Lost, 1.0)));
        rating.unheard = false;
        assert!(matches!(rating.follow(None), Some((ConnectionQuality::Excellent, _))));
    }

    #[test]
    fn what_was_lost_on_the_way_to_us_is_not_the_listeners_fault() {
        let report = |highest_seq, cumulative_lost| ReportBlock {
            ssrc: Ssrc(7),
            fraction_lost: 0,
            cumulative_lost,
            highest_seq,
            jitter: 0,
            last_sender_report: 0,
            delay_since_sender_report: 0,
        };
        let mut downstream = Downstream::default();
        downstream.note(&report(1_000, 0), 1_000, None);
        // Twenty numbers were never sent, five packets did not arrive.
        downstream.note(&report(1_250, 25), 1_230, None);
        let sample = downstream.sample(false).expect("enough packets");
        assert_eq!((sample.sent, sample.lost), (230, 5));
        assert_eq!(downstream.sample(false), None, "nothing since");
    }
}
