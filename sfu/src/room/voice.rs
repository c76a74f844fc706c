//! How much one microphone stands out: its loudness over its own background, from the levels that its client puts on
//! its packets (RFC 6464).

use std::time::{Duration, Instant};

use crate::rtp::AudioLevel;

/// Decibels over the background from which a packet is speech.
const SPEECH: f32 = 9.0;
/// What a packet without a level counts for: it loses to clear speech, and wins against noise.
const UNKNOWN: f32 = 20.0;
/// What a packet loses of a client that tells voices from other sounds, and says that this is none.
const NO_VOICE: f32 = 10.0;
/// Part of the way up that prominence goes with one packet.
const ATTACK: f32 = 0.7;
/// Decibels that prominence falls in a second, so that it outlasts the gaps between words.
const DECAY: f32 = 40.0;

/// Backgrounds in decibels below overload. Below the quietest nothing is heard any more, and what is louder than the loudest is
/// no background, however steady: music, or a tone.
const QUIETEST: f32 = 70.0;
const LOUDEST: f32 = 40.0;
/// What is supposed until a microphone has been heard for a [`WINDOW`].
const SUPPOSED: f32 = 60.0;
/// The background is the least of this span, or of up to twice of it: nobody talks so long without a breath.
const WINDOW: Duration = Duration::from_secs(3);
/// After so long without a packet the client had nothing to send: its background is as quiet as is supposed.
const GAP: Duration = Duration::from_millis(200);
/// Weight of the newest packet in the level whose least is taken: a hole of one packet is no background.
const SMOOTHING: f32 = 0.2;

/// A microphone as it has sounded until the latest packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    background: Background,
    /// Decibels over the background of the latest packet.
    excess: f32,
    /// The same of what lasts, as of the latest packet: smoothed, fast up and slowly down.
    prominence: f32,
    /// The latest packet, and the latest that was speech.
    heard_at: Option<Instant>,
    spoke_at: Option<Instant>,
    /// The client has marked voices, so its word counts.
    marks_voice: bool,
}

/// The quietest that a microphone was lately, in decibels below overload.
#[derive(Clone, Copy, Debug)]
struct Background {
    smoothed: f32,
    /// Quietest since `since`, and in the window before.
    current: f32,
    previous: f32,
    since: Option<Instant>,
}

impl Default for Voice {
    fn default() -> Self {
        let background = Background { smoothed: 0.0, current: 0.0, previous: SUPPOSED, since: None };
        Self { background, excess: 0.0, prominence: 0.0, heard_at: None, spoke_at: None, marks_voice: false }
    }
}

impl Voice {
    /// Takes one packet; `level` is `None` where the client sends none.
    pub(crate) fn observe(&mut self, level: Option<AudioLevel>, now: Instant) {
        let excess = match level {
            Some(level) => self.excess(level, now),
            None => UNKNOWN,
        };
        // A packet counts for no more than the one before it: a click is in one of them, a syllable in several.
        let lasting = excess.min(std::mem::replace(&mut self.excess, excess));
        let before = self.prominence_at(now);
        self.prominence = if lasting > before { before + (lasting - before) * ATTACK } else { before };
        self.heard_at = Some(now);
        if lasting >= SPEECH {
            self.spoke_at = Some(now);
        }
    }

    /// Decibels over the background, at the latest packet and less and less since.
    pub(crate) fn prominence_at(&self, now: Instant) -> f32 {
        let Some(at) = self.heard_at else { return 0.0 };
        (self.prominence - DECAY * now.saturating_duration_since(at).as_secs_f32()).max(0.0)
    }

    /// Whether there was speech within `span`, up to and with the latest packet.
    pub(crate) fn spoke_within(&self, span: Duration, now: Instant) -> bool {
        self.spoke_at.is_some_and(|at| now.saturating_duration_since(at) <= span)
    }

    fn excess(&mut self, level: AudioLevel, now: Instant) -> f32 {
        let AudioLevel { voice, below_overload } = level;
        let attenuation = f32::from(below_overload).min(QUIETEST);
        if self.heard_at.is_some_and(|at| now.saturating_duration_since(at) >= GAP) {
            self.background.pause();
        }
        let excess = self.background.follow(attenuation, now) - attenuation;
        self.marks_voice |= voice;
        if self.marks_voice && !voice { excess - NO_VOICE } else { excess }
    }
}

impl Background {
    /// Takes one packet in and says what the background is, all in decibels below overload.
    fn follow(&mut self, attenuation: f32, now: Instant) -> f32 {
        let since = *self.since.get_or_insert_with(|| {
            self.smoothed = attenuation;
            now
        });
        self.smoothed += (attenuation - self.smoothed) * SMOOTHING;
        if now.saturating_duration_since(since) >= WINDOW {
            (self.previous, self.current) = (self.current, 0.0);
            self.since = Some(now);
        }
        self.current = self.current.max(self.smoothed);
        self.current.max(self.previous).clamp(LOUDEST, QUIETEST)
    }

    /// The client was silent, and nobody knows how silent.
    fn pause(&mut self) {
        self.smoothed = self.smoothed.max(SUPPOSED);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    struct Microphone {
        voice: Voice,
        now: Instant,
    }

    impl Microphone {
        fn new() -> Self {
            Self { voice: Voice::default(), now: Instant::now() }
        }

        /// Plays a level for a while; true if any of it was speech.
        fn play(&mut self, below_overload: u8, voice: bool, millis: u64) -> bool {
            let mut spoke = false;
            for _ in 0..millis / 20 {
                self.now += FRAME;
                self.voice.observe(Some(AudioLevel { voice, below_overload }), self.now);
                spoke |= self.voice.spoke_within(Duration::ZERO, self.now);
            }
            spoke
        }

        fn prominence(&self) -> f32 {
            self.voice.prominence_at(self.now)
        }
    }

    #[test]
    fn a_steady_noise_is_background_after_a_window_and_speech_over_it_stands_out() {
        let mut microphone = Microphone::new();
        microphone.play(45, false, 4_000);
        assert!(!microphone.play(45, false, 10_000));
        assert_eq!(microphone.prominence(), 0.0);
        assert!(!microphone.play(30, false, 20), "one packet may be a click");
        assert!(microphone.play(30, false, 20));
        microphone.play(30, false, 60);
        assert!((12.0..16.0).contains(&microphone.prominence()), "{}", microphone.prominence());
    }

    #[test]
    fn a_steady_sound_that_is_loud_is_no_background() {
        let mut microphone = Microphone::new();
        microphone.play(20, false, 60_000);
        assert!(microphone.play(20, false, 20));
        assert!((19.0..21.0).contains(&microphone.prominence()), "{}", microphone.prominence());
    }

    #[test]
    fn silence_is_never_speech_and_a_whisper_is() {
        let mut microphone = Microphone::new();
        assert!(!microphone.play(127, false, 10_000));
        assert!(!microphone.play(62, false, 1_000));
        assert!(microphone.play(52, false, 200));
    }

    #[test]
    fn a_voice_outlasts_the_gap_between_words_and_not_the_end_of_a_sentence() {
        let mut microphone = Microphone::new();
        microphone.play(70, false, 4_000);
        microphone.play(25, false, 400);
        let speaking = microphone.prominence();
        microphone.play(70, false, 200);
        assert!((speaking - microphone.prominence() - 8.0).abs() < 0.5);
        assert!(microphone.voice.spoke_within(Duration::from_millis(200), microphone.now));
        microphone.play(70, false, 1_000);
        assert_eq!(microphone.prominence(), 0.0);
        assert!(!microphone.voice.spoke_within(Duration::from_millis(200), microphone.now));
    }

    #[test]
    fn a_client_that_marks_voices_is_believed_when_it_says_that_there_is_none() {
        let mut microphone = Microphone::new();
        microphone.play(60, false, 4_000);
        assert!(microphone.play(45, false, 40), "nothing is known of marks yet");
        microphone.play(60, true, 20);
        assert!(!microphone.play(45, false, 100));
        assert!(microphone.play(45, true, 40));
    }

    #[test]
    fn clicks_are_not_speech() {
        let mut microphone = Microphone::new();
        for _ in 0..100 {
            assert!(!microphone.play(62, false, 100));
            assert!(!microphone.play(15, false, 20));
        }
        assert_eq!(microphone.prominence(), 0.0);
    }

    #[test]
    fn who_transmits_no_silence_has_a_quiet_background_all_the_same() {
        let mut microphone = Microphone::new();
        for _ in 0..10 {
            microphone.play(40, false, 2_000);
            microphone.now += Duration::from_secs(1);
        }
        assert!(microphone.play(40, false, 100));
        assert!(microphone.prominence() > 15.0, "{}", microphone.prominence());
    }

    #[test]
    fn packets_without_a_level_count_as_speech_of_middle_loudness() {
        let (mut voice, now) = (Voice::default(), Instant::now());
        for n in 0..10 {
            voice.observe(None, now + n * FRAME);
        }
        assert!(voice.spoke_within(Duration::ZERO, now + 9 * FRAME));
        assert!((19.0..=20.0).contains(&voice.prominence_at(now + 9 * FRAME)));
    }
}
