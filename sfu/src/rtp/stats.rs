//! What a receiver counts of one stream (RFC 3550 §6.4.1, appendices A.3 and A.8).

use std::time::{Duration, Instant};

use super::header::{ExtSeq, RtpTime};
use super::rtcp::{NtpTime, ReportBlock, to_65536ths};
use crate::Ssrc;

/// The statistics of one received stream, for its reports.
#[derive(Clone, Debug)]
pub struct ReceiveStats {
    clock_rate: u32,
    received: u64,
    stream: Option<Progress>,
    sender_report: Option<(NtpTime, Instant)>,
}

/// What there is to know once a packet has come.
#[derive(Clone, Debug)]
struct Progress {
    first: ExtSeq,
    highest: ExtSeq,
    /// Arrival of the first packet: where arrival times are counted from.
    epoch: Instant,
    /// Arrival minus timestamp of the latest packet, in ticks; only differences mean anything.
    transit: u32,
    /// In 16ths of a tick, as in appendix A.8.
    jitter: u32,
    expected_before: u64,
    received_before: u64,
}

impl ReceiveStats {
    /// `clock_rate` in ticks per second: 48,000 for Opus.
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, received: 0, stream: None, sender_report: None }
    }

    /// Counts a packet that arrived at `now`. Give every packet once: SRTP keeps repeats away.
    pub fn handle_packet(&mut self, index: ExtSeq, timestamp: RtpTime, now: Instant) {
        self.received += 1;
        let stream = self.stream.get_or_insert(Progress {
            first: index,
            highest: index,
            epoch: now,
            transit: 0u32.wrapping_sub(timestamp.0),
            jitter: 0,
            expected_before: 0,
            received_before: 0,
        });
        stream.first = stream.first.min(index);
        stream.highest = stream.highest.max(index);
        stream.update_jitter(timestamp, ticks(now.saturating_duration_since(stream.epoch), self.clock_rate));
    }

    /// Remembers the sender's latest report, to which ours will refer.
    pub fn handle_sender_report(&mut self, ntp: NtpTime, now: Instant) {
        self.sender_report = Some((ntp, now));
    }

    /// Packets received since the beginning.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that were sent and did not arrive, since the beginning; negative when more came than were sent.
    pub fn lost(&self) -> i64 {
        let expected = self.stream.as_ref().map_or(0, Progress::expected);
        expected.cast_signed() - self.received.cast_signed()
    }

    /// How irregularly packets arrive (RFC 3550 §6.4.1).
    pub fn jitter(&self) -> Duration {
        let sixteenths = self.stream.as_ref().map_or(0, |stream| stream.jitter);
        Duration::from_nanos(u64::from(sixteenths) * 1_000_000_000 / 16 / u64::from(self.clock_rate.max(1)))
    }

    /// The block to send about this stream, and the beginning of the next interval. `None` before the first packet.
    pub fn report(&mut self, ssrc: Ssrc, now: Instant) -> Option<ReportBlock> {
        let cumulative_lost = self.lost().clamp(-0x80_0000, 0x7F_FFFF) as i32;
        let stream = self.stream.as_mut()?;
        let (last_sender_report, delay_since_sender_report) = match self.sender_report {
            Some((ntp, at)) => (ntp.middle(), to_65536ths(now.saturating_duration_since(at))),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: stream.close_interval(self.received),
            cumulative_lost,
            highest_seq: stream.highest.0 as u32,
            jitter: stream.jitter >> 4,
            last_sender_report,
            delay_since_sender_report,
        })
    }
}

impl Progress {
    fn expected(&self) -> u64 {
        self.highest.0 - self.first.0 + 1
    }

    /// Appendix A.8, in integers.
    fn update_jitter(&mut self, timestamp: RtpTime, arrival: u32) {
        let transit = arrival.wrapping_sub(timestamp.0);
        let deviation = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
        self.transit = transit;
        self.jitter =
            self.jitter.saturating_sub(self.jitter.saturating_add(8) >> 4).saturating_add(deviation);
    }

    /// The fraction lost since the previous call, in 256ths (appendix A.3).
    fn close_interval(&mut self, received: u64) -> u8 {
        let expected = self.expected() - self.expected_before;
        let received_now = received - self.received_before;
        self.expected_before = self.expected();
        self.received_before = received;
        match expected.checked_sub(received_now) {
            Some(lost) if expected > 0 => u8::try_from((lost << 8) / expected).unwrap_or(u8::MAX),
            _ => 0,
        }
    }
}

fn ticks(time: Duration, clock_rate: u32) -> u32 {
    (time.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ssrc = Ssrc(7);
    const NTP: NtpTime = NtpTime(0x4E54_5031_4E54_5032);

    #[test]
    fn losses_are_counted_per_interval_and_in_all() {
        let (mut stats, mut clock) = (ReceiveStats::new(48_000), Clock::new());
        assert_eq!(stats.report(SOURCE, clock.now), None);
        for index in [65_533, 65_534, 65_536, 65_537] {
            clock.receive(&mut stats, index);
        }
        let report = stats.report(SOURCE, clock.now).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (51, 1));
        assert_eq!(report.highest_seq, 0x1_0001);

        clock.receive(&mut stats, 65_535);
        clock.receive(&mut stats, 65_538);
        let report = stats.report(SOURCE, clock.now).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0));
        let silent = stats.report(SOURCE, clock.now).unwrap();
        assert_eq!((silent.fraction_lost, stats.received(), stats.lost()), (0, 6, 0));
    }

    #[test]
    fn an_early_packet_that_comes_late_moves_the_beginning() {
        let (mut stats, mut clock) = (ReceiveStats::new(48_000), Clock::new());
        for index in [11, 10, 12] {
            clock.receive(&mut stats, index);
        }
        assert_eq!(stats.lost(), 0);
    }

    #[test]
    fn jitter_settles_at_the_deviation_of_arrivals() {
        let (mut stats, mut clock) = (ReceiveStats::new(48_000), Clock::new());
        for index in 0..100 {
            clock.receive(&mut stats, index);
        }
        assert_eq!(stats.jitter(), Duration::ZERO);
        for index in 100..400 {
            clock.now += if index % 2 == 0 { Duration::from_millis(4) } else { Duration::ZERO };
            clock.receive(&mut stats, index);
            clock.now -= if index % 2 == 0 { Duration::from_millis(4) } else { Duration::ZERO };
        }
        let jitter = stats.jitter().as_secs_f64();
        assert!((0.0038..0.0042).contains(&jitter), "{jitter}");
    }

    #[test]
    fn timestamps_without_sense_saturate_the_jitter() {
        let (mut stats, clock) = (ReceiveStats::new(48_000), Clock::new());
        for index in 0..100 {
            stats.handle_packet(ExtSeq(index), RtpTime(0x7FFF_FFFF * (index as u32 & 1)), clock.now);
        }
        assert!(stats.jitter() > Duration::from_secs(3600));
    }

    #[test]
    fn reports_refer_to_the_latest_sender_report() {
        let (mut stats, mut clock) = (ReceiveStats::new(48_000), Clock::new());
        clock.receive(&mut stats, 1);
        stats.handle_sender_report(NTP, clock.now);
        let report = stats.report(SOURCE, clock.now + Duration::from_millis(1_500)).unwrap();
        assert_eq!(report.last_sender_report, NTP.middle());
        assert_eq!(report.delay_since_sender_report, 3 << 15);
    }

    /// Time in which packets of 20 ms arrive evenly.
    struct Clock {
        now: Instant,
    }

    impl Clock {
        #[expect(
            clippy::disallowed_methods,
            reason = "an arbitrary origin: an Instant cannot be made otherwise"
        )]
        fn new() -> Self {
            Self { now: Instant::now() }
        }

        fn receive(&mut self, stats: &mut ReceiveStats, index: u64) {
            stats.handle_packet(ExtSeq(index), RtpTime((index * 960) as u32), self.now);
            self.now += Duration::from_millis(20);
        }
    }
}
