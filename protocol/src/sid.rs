//! Ids that LiveKit's clients see: a prefix that names the kind of thing, then random characters.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};

/// Random characters after the prefix, as many as LiveKit uses: about 2⁷⁰ values.
const RANDOM_LENGTH: usize = 12;

/// Longest id accepted from outside, prefix included.
const MAX_LENGTH: usize = 64;

/// Letters and digits without those that are easily misread.
const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidError {
    #[error("the id does not begin with {expected}")]
    Prefix { expected: &'static str },
    #[error(
        "the id is empty after its prefix, longer than {MAX_LENGTH} characters, or has characters other than letters, digits, '_' and '-'"
    )]
    Body,
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SidError;

            fn from_str(text: &str) -> Result<Self, SidError> {
                check(text, Self::PREFIX).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

sid! {
    /// One life of a room: a room that is closed and opened again has a new one.
    RoomSid, "RM_"
}
sid! {
    /// One session of one participant: a rejoin has a new one.
    ParticipantSid, "PA_"
}
sid! {
    /// One published track.
    TrackSid, "TR_"
}
sid! {
    /// One server process.
    NodeSid, "ND_"
}

sid! {
    /// One event that a webhook tells of.
    EventSid, "EV_"
}

impl EventSid {
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(random(Self::PREFIX, rng))
    }
}

impl RoomSid {
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(random(Self::PREFIX, rng))
    }
}

impl ParticipantSid {
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(random(Self::PREFIX, rng))
    }
}

impl NodeSid {
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(random(Self::PREFIX, rng))
    }
}

impl TrackSid {
    /// An audio track's id tells its source by a letter, such as `TR_AM…` for a microphone.
    pub fn random_audio(source: AudioSource, rng: &mut impl Rng) -> Self {
        let prefix = match source {
            AudioSource::Microphone => "TR_AM",
            AudioSource::ScreenShare => "TR_As",
            AudioSource::Other => "TR_A",
        };
        Self(random(prefix, rng))
    }
}

/// Where audio comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioSource {
    Microphone,
    ScreenShare,
    Other,
}

fn random(prefix: &str, rng: &mut impl Rng) -> String {
    let mut sid = String::with_capacity(prefix.len() + RANDOM_LENGTH);
    sid.push_str(prefix);
    sid.extend((0..RANDOM_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])));
    sid
}

fn check(text: &str, prefix: &'static str) -> Result<String, SidError> {
    let body = text.strip_prefix(prefix).ok_or(SidError::Prefix { expected: prefix })?;
    let plain = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if body.is_empty() || text.len() > MAX_LENGTH || !plain {
        return Err(SidError::Body);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn random_ids_carry_their_prefix_and_parse_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let participant = ParticipantSid::random(&mut rng);
        let track = TrackSid::random_audio(AudioSource::Microphone, &mut rng);
        assert_eq!(participant.as_str().len(), 15);
        assert!(track.as_str().starts_with("TR_AM"));
        assert_eq!(participant.as_str().parse(), Ok(participant));
        assert_eq!(track.as_str().parse(), Ok(track));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        assert_eq!("PA_abc".parse::<TrackSid>(), Err(SidError::Prefix { expected: "TR_" }));
        assert_eq!("TR_".parse::<TrackSid>(), Err(SidError::Body));
        assert_eq!("TR_a b".parse::<TrackSid>(), Err(SidError::Body));
        assert_eq!(format!("TR_{}", "a".repeat(62)).parse::<TrackSid>(), Err(SidError::Body));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".*") {
            if let Ok(sid) = text.parse::<RoomSid>() {
                prop_assert_eq!(sid.as_str(), text);
            }
        }
    }
}
