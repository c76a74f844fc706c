//! The rule on conversations (see `tests/conversations/make.py`): who is heard when.
#![expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]

use std::path::Path;

use super::*;
use crate::rtp::AudioLevel;

const FRAME: Duration = Duration::from_millis(20);
/// Frames within which a voice gets in: 60 ms.
const PROMPT: usize = 3;
/// A microphone that sends nothing in this frame.
const NOTHING: u8 = 255;
/// Frames after which backgrounds are known.
const WARM_UP: usize = 320;

/// Levels of each microphone by frame, and what is said.
struct Conversation {
    microphones: usize,
    frames: Vec<Vec<u8>>,
    turns: Vec<Turn>,
}

#[derive(Clone, Debug)]
struct Turn {
    microphone: usize,
    begin: usize,
    end: usize,
    kind: String,
}

/// Which microphones were heard, by frame.
struct Heard(Vec<Vec<bool>>);

impl Conversation {
    fn named(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
        let bytes = std::fs::read(folder.join(name).with_extension("levels")).expect("its levels");
        let (&microphones, rows) = bytes.split_first().expect("the number of microphones");
        let text = std::fs::read_to_string(folder.join(name).with_extension("turns")).expect("its turns");
        let microphones = usize::from(microphones);
        Self {
            microphones,
            frames: rows.chunks_exact(microphones).map(<[u8]>::to_vec).collect(),
            turns: text.lines().map(Turn::parse).collect(),
        }
    }

    /// Plays it to a room with so many places.
    fn play(&self, places: usize) -> Heard {
        let (mut loudest, now) = (Loudest::default(), Instant::now());
        let mut voices = vec![Voice::default(); self.microphones];
        let mut heard = Vec::new();
        for (number, levels) in self.frames.iter().enumerate() {
            let now = now + FRAME * number as u32;
            let mut admitted = vec![false; self.microphones];
            for (microphone, &below_overload) in levels.iter().enumerate() {
                if below_overload == NOTHING {
                    continue;
                }
                let voice = &mut voices[microphone];
                voice.observe(Some(AudioLevel { voice: false, below_overload }), now);
                admitted[microphone] = loudest.admits(places, TrackKey(microphone as u64), voice, now);
            }
            assert!(loudest.tracks().count() <= places);
            heard.push(admitted);
        }
        Heard(heard)
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.kind == kind)
    }

    /// How many people say something in this frame.
    fn speakers(&self, frame: usize) -> usize {
        self.turns.iter().filter(|turn| (turn.begin..turn.end).contains(&frame)).count()
    }
}

impl Turn {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [microphone, begin, end, kind] = words[..] else { panic!("four words, not {line:?}") };
        let number = |word: &str| word.parse().expect("a number");
        Self { microphone: number(microphone), begin: number(begin), end: number(end), kind: kind.to_owned() }
    }
}

impl Heard {
    /// Frames of a turn that pass until it is heard; `None` if it never is.
    fn delay(&self, turn: &Turn) -> Option<usize> {
        self.0[turn.begin..turn.end].iter().position(|heard| heard[turn.microphone])
    }

    /// Frames of a turn that are not heard.
    fn lost(&self, turn: &Turn) -> usize {
        self.0[turn.begin..turn.end].iter().filter(|heard| !heard[turn.microphone]).count()
    }

    /// How often a microphone has begun to be heard.
    fn beginnings(&self) -> usize {
        let begins = |pair: &[Vec<bool>]| pair[0].iter().zip(&pair[1]).filter(|(a, b)| !**a && **b).count();
        self.0.windows(2).map(begins).sum()
    }
}

#[test]
fn in_a_discussion_everybody_is_heard_from_the_first_syllable_loud_or_soft() {
    let conversation = Conversation::named("discussion");
    for places in [3, 5] {
        let heard = conversation.play(places);
        for turn in &conversation.turns {
            assert!(heard.delay(turn).is_some_and(|delay| delay < PROMPT), "{places}: {turn:?}");
            assert!(heard.lost(turn) <= 2, "{places}: {} frames of {turn:?}", heard.lost(turn));
        }
        assert!(heard.beginnings() <= conversation.turns.len(), "{places}: {}", heard.beginnings());
        let silent = 6..conversation.microphones;
        assert!(heard.0.iter().all(|frame| !frame[silent.clone()].contains(&true)), "nobody is there");
    }
}

#[test]
fn with_two_places_nobody_who_speaks_alone_waits() {
    let conversation = Conversation::named("discussion");
    let heard = conversation.play(2);
    for turn in conversation.of_kind("speech").filter(|turn| conversation.speakers(turn.begin) == 1) {
        assert!(heard.delay(turn).is_some_and(|delay| delay <= PROMPT + 1), "{turn:?}");
    }
    assert!(heard.beginnings() <= conversation.turns.len(), "{}", heard.beginnings());
}

#[test]
fn ten_people_who_laugh_take_turns_with_nobody_and_who_speaks_up_is_heard() {
    let conversation = Conversation::named("laughter");
    let heard = conversation.play(5);
    for turn in conversation.of_kind("speech") {
        // In the midst of nine who laugh, some of them louder, it takes a little longer than else.
        assert!(heard.delay(turn).is_some_and(|delay| delay <= 8), "{:?} {turn:?}", heard.delay(turn));
        assert!(heard.lost(turn) <= 8, "{} frames of {turn:?}", heard.lost(turn));
    }
    assert!(heard.beginnings() <= conversation.turns.len(), "{}", heard.beginnings());
}

#[test]
fn open_microphones_get_nothing_while_somebody_needs_a_place() {
    let conversation = Conversation::named("open_microphones");
    // More keyboards, streets and music than places.
    for places in [2, 3, 5] {
        let heard = conversation.play(places);
        for turn in &conversation.turns {
            assert!(heard.delay(turn).is_some_and(|delay| delay < PROMPT), "{places}: {turn:?}");
            let is_sent = |at: &usize| conversation.frames[*at][turn.microphone] != NOTHING;
            let sent = (turn.begin..turn.end).filter(is_sent);
            let lost = sent.filter(|&at| !heard.0[at][turn.microphone]).count();
            assert!(lost <= 4, "{places}: {lost} packets of {turn:?}");
        }
        let (fans, nobody) = (2..12, 19..24);
        for (number, frame) in heard.0.iter().enumerate().skip(WARM_UP) {
            assert!(!frame[fans.clone()].contains(&true), "{places}: a fan is heard in frame {number}");
            assert!(!frame[nobody.clone()].contains(&true), "{places}: silence is heard in frame {number}");
        }
    }
}

#[test]
fn six_who_talk_without_end_and_equally_loud_share_three_places() {
    let one = Conversation::named("discussion");
    let turn = one.turns[0].clone();
    let sentence: Vec<u8> =
        one.frames[..turn.end + 10].iter().map(|levels| levels[turn.microphone]).collect();
    let at = |microphone: usize, frame: usize| sentence[(frame + 41 * microphone) % sentence.len()];
    let frames = (0..6_000).map(|frame| (0..6).map(|microphone| at(microphone, frame)).collect()).collect();
    let heard = Conversation { microphones: 6, frames, turns: Vec::new() }.play(3);
    for microphone in 0..6 {
        let share = heard.0.iter().filter(|frame| frame[microphone]).count() as f64 / 6_000.0;
        assert!((0.25..0.75).contains(&share), "{microphone} is heard {share:.2} of the time");
    }
    // As long as a phrase, on the average: nobody has a place for ever, and none is lost in the middle of a word.
    let stay = 3 * FRAME * 6_000 / heard.beginnings() as u32;
    assert!(stay > Duration::from_secs(1), "{stay:?}");
}

#[test]
fn a_place_is_lost_to_a_louder_voice_at_once_to_an_equal_one_in_a_pause_and_to_a_softer_one_never() {
    let levels = |other: u8| {
        let mut frames = vec![vec![70, 70]; WARM_UP];
        frames.extend(vec![vec![35, 70]; 50]);
        frames.extend(vec![vec![35, other]; 50]);
        frames.extend(vec![vec![70, other]; 50]);
        Conversation { microphones: 2, frames, turns: Vec::new() }.play(1)
    };
    let taken = |heard: &Heard| heard.0.iter().position(|frame| frame[1]).map(|at| at - (WARM_UP + 50));
    assert_eq!(taken(&levels(20)), Some(2));
    let in_a_pause = taken(&levels(35)).expect("at some time");
    assert!((60..=70).contains(&in_a_pause), "{in_a_pause}");
    let after_it = taken(&levels(60)).expect("nobody else speaks");
    assert!((70..=91).contains(&after_it), "{after_it}");
}

#[test]
fn who_falls_silent_is_heard_for_the_hold_and_who_is_muted_is_not() {
    let mut frames = vec![vec![30]; 50];
    frames.extend(vec![vec![127]; 100]);
    let heard = Conversation { microphones: 1, frames, turns: Vec::new() }.play(5);
    let after = heard.0.iter().skip(50).filter(|frame| frame[0]).count();
    assert_eq!(FRAME * after as u32, HOLD);

    let (mut loudest, mut voice, now) = (Loudest::default(), Voice::default(), Instant::now());
    for _ in 0..2 {
        voice.observe(None, now);
    }
    assert!(loudest.admits(1, TrackKey(1), &voice, now) && loudest.has(TrackKey(1), now));
    loudest.vacate(TrackKey(1));
    assert!(!loudest.has(TrackKey(1), now));
}

#[test]
fn clients_that_tell_no_level_are_heard_before_noise_and_after_clear_speech() {
    let (mut loudest, now) = (Loudest::default(), Instant::now());
    let (mut mute, mut clear) = (Voice::default(), Voice::default());
    for n in 0..WARM_UP as u32 {
        let now = now + FRAME * n;
        mute.observe(None, now);
        clear.observe(Some(AudioLevel { voice: false, below_overload: 65 }), now);
        assert_eq!(loudest.admits(1, TrackKey(1), &mute, now), n > 0);
        assert!(!loudest.admits(1, TrackKey(2), &clear, now));
    }
    for n in WARM_UP as u32..WARM_UP as u32 + 3 {
        clear.observe(Some(AudioLevel { voice: false, below_overload: 25 }), now + FRAME * n);
    }
    assert!(loudest.admits(1, TrackKey(2), &clear, now + FRAME * (WARM_UP as u32 + 2)));
}

#[test]
fn small_rooms_and_rooms_without_a_rule_hear_everybody() {
    let rule = LoudestSpeakers { places: 5, above: 30 };
    assert!(!rule.applies_to(30) && rule.applies_to(31));
    assert!(!LoudestSpeakers::OFF.applies_to(1_000));
}
