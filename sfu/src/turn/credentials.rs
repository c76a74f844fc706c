//! Credentials that expire by themselves and need no table of users (draft-uberti-behave-turn-rest §2.2).
//!
//! The username is `<expiry in Unix seconds>:<participant>`, the password the Base64 of HMAC-SHA1(secret, username).
//! Whoever knows the secret can make them and check them.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The longest that credentials may be valid.
pub const MAX_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// How far two machines' clocks may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How long credentials that exist now may at most be good for.
pub(super) const LONGEST_LEFT: Duration = MAX_VALIDITY.saturating_add(CLOCK_SKEW);
/// Longest username (RFC 8489 §14.3: fewer than 509 bytes).
const MAX_USERNAME_LEN: usize = 508;

/// What credentials are made from: at least 32 bytes from a source of good randomness.
#[derive(Clone)]
pub struct Secret(hmac::Key);

/// The secret is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a TURN secret has at least {} bytes, and this one has {len}; make a new one", Secret::MIN_LEN)]
pub struct ShortSecret {
    pub len: usize,
}

impl Secret {
    pub const MIN_LEN: usize = 32;

    pub fn new(bytes: &[u8]) -> Result<Self, ShortSecret> {
        if bytes.len() < Self::MIN_LEN {
            return Err(ShortSecret { len: bytes.len() });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, bytes)))
    }

    /// The password that belongs to a username.
    pub(super) fn password(&self, username: &str) -> String {
        BASE64_STANDARD.encode(hmac::sign(&self.0, username.as_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// The secret in use, and during a change the one before it, whose credentials are still good.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub current: Secret,
    pub previous: Option<Secret>,
}

impl Secrets {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// How long credentials are good for making allocations: more than nothing, a day at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity(Duration);

/// Not a time for which credentials can be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TURN credentials are valid for one second to 24 hours, not for {0:?}; choose a time in between")]
pub struct InvalidValidity(pub Duration);

impl Validity {
    pub fn new(duration: Duration) -> Result<Self, InvalidValidity> {
        if (Duration::from_secs(1)..=MAX_VALIDITY).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(InvalidValidity(duration))
        }
    }

    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for Validity {
    fn default() -> Self {
        Self(Duration::from_secs(3600))
    }
}

/// What a participant shows to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Makes a participant's credentials, good for `validity` from `wall` on. `participant` is what
/// [`super::Server::revoke`] will name, such as a sid.
pub fn mint(secret: &Secret, participant: &str, validity: Validity, wall: SystemTime) -> Credentials {
    let expires = since_epoch(wall + validity.duration()).as_secs();
    let username = format!("{expires}:{participant}");
    let password = secret.password(&username);
    Credentials { username, password }
}

/// A username of ours, taken apart. Says nothing about who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Username<'a> {
    expires: Duration,
    pub(super) participant: &'a str,
}

impl<'a> Username<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (expires, participant) = text.split_once(':')?;
        // `parse` alone would take a sign as well.
        let is_plain = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain || participant.is_empty() || text.len() > MAX_USERNAME_LEN {
            return None;
        }
        Some(Self { expires: Duration::from_secs(expires.parse().ok()?), participant })
    }

    /// True while an allocation may be made with it. An expiry that no server of ours would have given is as bad as one
    /// that is past.
    pub(super) fn is_timely(self, wall: SystemTime) -> bool {
        let now = since_epoch(wall);
        now < self.expires && self.expires <= now + LONGEST_LEFT
    }
}

fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn c20_the_username_has_expiry_and_participant_and_the_password_is_its_hmac() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let wall = NOW + Duration::from_secs(1_700_000_000);
        let credentials = mint(&secret, "PA_alice", Validity::default(), wall);
        assert_eq!(credentials.username, "1700003600:PA_alice");
        // printf 1700003600:PA_alice | openssl dgst -sha1 -hmac 0123456789abcdef0123456789abcdef -binary | base64
        assert_eq!(credentials.password, "5SnNSvbtfKfTMFVJ58bcJ5bOh3Q=");
    }

    #[test]
    fn c22_validity_is_a_second_to_a_day() {
        assert_eq!(Validity::default().duration(), Duration::from_secs(3600));
        for seconds in [1, 300, 86_400] {
            assert!(Validity::new(Duration::from_secs(seconds)).is_ok());
        }
        for seconds in [0, 86_401] {
            assert!(Validity::new(Duration::from_secs(seconds)).is_err());
        }
    }

    #[test]
    fn c24_a_short_secret_is_none_and_no_secret_is_printed() {
        assert_eq!(Secret::new(&[1; 31]).unwrap_err(), ShortSecret { len: 31 });
        let secret = Secret::new(b"a secret of more than thirty-two bytes").unwrap();
        let credentials = mint(&secret, "PA_alice", Validity::default(), NOW);
        assert!(!format!("{secret:?} {credentials:?}").contains("secret of"));
        assert!(!format!("{credentials:?}").contains(&credentials.password));
    }

    #[test]
    fn c25_each_participant_has_credentials_of_his_own() {
        let secret = Secret::new(&[7; 32]).unwrap();
        let [alice, bob] = ["PA_alice", "PA_bob"].map(|name| mint(&secret, name, Validity::default(), NOW));
        assert_ne!(alice.username, bob.username);
        assert_ne!(alice.password, bob.password);
    }

    #[test]
    fn c26_only_a_plain_decimal_expiry_within_a_day_and_five_minutes_is_timely() {
        for text in
            ["", ":", "1", "1:", ":PA", "-1:PA", "+1:PA", " 1:PA", "1 :PA", "0x1:PA", "1.5:PA", "١:PA"]
        {
            assert_eq!(Username::parse(text), None, "{text}");
        }
        assert_eq!(Username::parse("18446744073709551616:PA"), None);
        assert_eq!(Username::parse(&format!("1:{}", "x".repeat(507))), None);
        let wall = NOW + Duration::from_secs(1000);
        for (expires, timely) in
            [(0, false), (1000, false), (1001, true), (87_700, true), (87_701, false), (u64::MAX, false)]
        {
            let text = format!("{expires}:PA_alice");
            assert_eq!(Username::parse(&text).unwrap().is_timely(wall), timely, "{text}");
        }
        assert_eq!(Username::parse("1:PA:x").unwrap().participant, "PA:x");
    }
}
