//! Who is speaking, from the audio levels that clients put on their packets (RFC 6464).

use std::time::{Duration, Instant};

/// How often a room's speakers are judged, and the span over which.
pub const INTERVAL: Duration = Duration::from_millis(400);

/// Quietest level that counts as speech, in dB below full scale.
const ACTIVE_LEVEL: u8 = 35;
/// Share of an interval that must be that loud.
const ACTIVE_SHARE: f32 = 0.4;
/// Weight of the newest interval: an exponential average over two of them.
const SMOOTHING: f32 = 2.0 / 3.0;
/// Published levels have this many steps, so that a steady voice is not news every time.
const STEPS: f32 = 8.0;

/// One microphone's recent loudness. Feed it every authenticated packet, ask once per [`INTERVAL`].
#[derive(Clone, Debug, Default)]
pub(crate) struct LevelMeter {
    observed: Duration,
    active: Duration,
    /// Smallest attenuation seen in this interval: the loudest packet.
    loudest: u8,
    smoothed: f32,
    last_packet: Option<Instant>,
}

impl LevelMeter {
    /// Takes one packet's level (0 loudest to 127 silent, in dBov below zero) and its playing time.
    pub(crate) fn observe(&mut self, level: u8, duration: Duration, now: Instant) {
        if self.observed.is_zero() {
            self.loudest = 127;
        }
        self.last_packet = Some(now);
        self.observed += duration;
        self.loudest = self.loudest.min(level);
        if level <= ACTIVE_LEVEL {
            self.active += duration;
        }
    }

    /// Whether audio has come lately, loud or not.
    pub(crate) fn is_fed(&self, now: Instant) -> bool {
        self.last_packet.is_some_and(|at| now.saturating_duration_since(at) < 2 * INTERVAL)
    }

    /// Closes an interval and says how loud the microphone is: 0 to 1, linear; `None` when nobody speaks.
    pub(crate) fn judge(&mut self, now: Instant) -> Option<f32> {
        let share = self.active.as_secs_f32() / INTERVAL.as_secs_f32();
        let level = if !self.is_fed(now) || share < ACTIVE_SHARE {
            0.0
        } else {
            let attenuation = f32::from(self.loudest) - 20.0 * share.min(1.0).log10();
            linear(attenuation)
        };
        // Silence shows at once, loudness is smoothed: a ring that lingers is worse than one that flickers.
        self.smoothed = if level == 0.0 { 0.0 } else { self.smoothed + (level - self.smoothed) * SMOOTHING };
        (self.observed, self.active) = (Duration::ZERO, Duration::ZERO);
        (self.smoothed >= linear(f32::from(ACTIVE_LEVEL))).then_some(self.smoothed)
    }
}

/// Rounds a level up to a published step.
pub(crate) fn quantize(level: f32) -> f32 {
    ((level * STEPS).ceil() / STEPS).min(1.0)
}

fn linear(attenuation: f32) -> f32 {
    10f32.powf(-attenuation / 20.0)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn speak(meter: &mut LevelMeter, now: &mut Instant, level: u8, frames: u32) {
        for _ in 0..frames {
            *now += FRAME;
            meter.observe(level, FRAME, *now);
        }
    }

    #[test]
    fn speech_is_heard_within_one_interval_and_silence_ends_it() {
        let (mut meter, mut now) = (LevelMeter::default(), Instant::now());
        speak(&mut meter, &mut now, 20, 20);
        assert!(meter.judge(now).is_some());
        speak(&mut meter, &mut now, 127, 20);
        assert_eq!(meter.judge(now), None);
    }

    #[test]
    fn a_click_is_not_speech() {
        let (mut meter, mut now) = (LevelMeter::default(), Instant::now());
        speak(&mut meter, &mut now, 5, 2);
        speak(&mut meter, &mut now, 80, 18);
        assert_eq!(meter.judge(now), None);
    }

    #[test]
    fn a_microphone_that_stops_sending_falls_silent() {
        let (mut meter, mut now) = (LevelMeter::default(), Instant::now());
        speak(&mut meter, &mut now, 10, 20);
        assert!(meter.judge(now).is_some());
        assert_eq!(meter.judge(now + 2 * INTERVAL), None);
    }

    #[test]
    fn louder_is_louder() {
        let mut levels = [10, 20, 30].map(|attenuation| {
            let (mut meter, mut now) = (LevelMeter::default(), Instant::now());
            speak(&mut meter, &mut now, attenuation, 20);
            meter.judge(now).expect("speaking")
        });
        levels.reverse();
        assert!(levels.is_sorted());
        assert!((quantize(0.01) - 0.125).abs() < f32::EPSILON);
    }
}
