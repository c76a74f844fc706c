//! What a microphone gives: Opus frames of 20 ms with real pauses, as an encoder with DTX made them of speech.

use std::sync::LazyLock;

/// Made by `speech/make.py`: for each 20 ms the level (RFC 6464) and the length of the frame, 0 in a pause.
static RECORDED: &[u8] = include_bytes!("../speech/speech.bin");

static FRAMES: LazyLock<Vec<Frame>> = LazyLock::new(|| {
    let triples = RECORDED.chunks_exact(3);
    triples
        .map(|triple| Frame { level: triple[0], len: u16::from_be_bytes([triple[1], triple[2]]) })
        .collect()
});

/// What an encoder without DTX sends of an even voice.
const STEADY: Frame = Frame { level: 30, len: 100 };
/// Comfort noise is renewed so often: every 400 ms (RFC 7587 §3.1.3).
const COMFORT_EVERY: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Decibels below overload.
    pub level: u8,
    /// Bytes; 0 is nothing to send.
    pub len: u16,
}

/// The frame number `at` of somebody who talks.
pub fn talking(at: u32) -> Frame {
    FRAMES[at as usize % FRAMES.len()]
}

/// The same without pauses.
pub fn steady() -> Frame {
    STEADY
}

/// The same of somebody who keeps quiet.
pub fn quiet(at: u32) -> Frame {
    Frame { level: 127, len: if at.is_multiple_of(COMFORT_EVERY) { 3 } else { 0 } }
}

/// Bytes of a frame of somebody who talks, on average.
pub fn mean_len() -> usize {
    let sent = || FRAMES.iter().map(|frame| usize::from(frame.len)).filter(|len| *len > 0);
    sent().sum::<usize>() / sent().count().max(1)
}

/// Frames of the recording.
pub fn len() -> u32 {
    FRAMES.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_speech_with_pauses() {
        let sent = FRAMES.iter().filter(|frame| frame.len > 0).count();
        let share = sent as f64 / FRAMES.len() as f64;
        assert!(FRAMES.len() > 1000 && (0.5..0.95).contains(&share), "{sent} of {}", FRAMES.len());
        assert!(FRAMES.iter().all(|frame| frame.len < 400 && frame.level <= 127));
    }

    #[test]
    fn who_keeps_quiet_sends_comfort_noise_now_and_then() {
        assert_eq!((0..100).filter(|&at| quiet(at).len > 0).count(), 5);
    }
}
