//! Who asks: nonces without a table, and the long-term credential mechanism (RFC 8489 §9.2).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::CryptoRng;

use super::credentials::{Secrets, Username};
use super::expiry::NONCE_LIFETIME;
use super::stun::{AttributeType, ErrorCode, IntegrityKind, Key, Message, PasswordAlgorithm};

/// "obMatJos2", and the set of security features in Base64, of which we offer bit 0, password algorithms
/// (RFC 8489 §9.2, §18.1, erratum 6290).
const NONCE_COOKIE: &[u8; 13] = b"obMatJos2AAAB";
/// Seconds since the server's start, and the code that proves them ours.
const NONCE_BODY_LEN: usize = 4 + 14;
const NONCE_LEN: usize = NONCE_COOKIE.len() + NONCE_BODY_LEN / 3 * 4;

/// What we offer in PASSWORD-ALGORITHMS and want to see again (RFC 8489 §9.2.4).
pub(super) const PASSWORD_ALGORITHMS: [u8; 8] = [0, 1, 0, 0, 0, 2, 0, 0];

/// Makes nonces that prove by themselves when and for whom they were made.
#[derive(Debug)]
pub(super) struct Nonces {
    key: hmac::Key,
    start: Instant,
}

impl Nonces {
    pub(super) fn new(rng: &mut impl CryptoRng, start: Instant) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), start }
    }

    /// A nonce for whoever is at `remote`.
    pub(super) fn mint(&self, remote: SocketAddr, now: Instant) -> [u8; NONCE_LEN] {
        let seconds = self.seconds(now).to_be_bytes();
        let mut body = [0; NONCE_BODY_LEN];
        body[..4].copy_from_slice(&seconds);
        body[4..].copy_from_slice(&self.code(seconds, remote));
        let mut nonce = [0; NONCE_LEN];
        let (cookie, text) = nonce.split_at_mut(NONCE_COOKIE.len());
        cookie.copy_from_slice(NONCE_COOKIE);
        BASE64_STANDARD.encode_slice(body, text).expect("18 bytes are 24 characters");
        nonce
    }

    /// True if we made this nonce for `remote`, and not long ago.
    pub(super) fn is_fresh(&self, nonce: &[u8], remote: SocketAddr, now: Instant) -> bool {
        let Some(text) = nonce.strip_prefix(NONCE_COOKIE).filter(|_| nonce.len() == NONCE_LEN) else {
            return false;
        };
        let mut body = [0; NONCE_BODY_LEN];
        if BASE64_STANDARD.decode_slice(text, &mut body) != Ok(NONCE_BODY_LEN) {
            return false;
        }
        let (&seconds, code) = body.split_first_chunk().expect("a nonce begins with its time");
        let age = self.seconds(now).checked_sub(u32::from_be_bytes(seconds));
        constant_time::verify_slices_are_equal(code, &self.code(seconds, remote)).is_ok()
            && age.is_some_and(|age| Duration::from_secs(age.into()) < NONCE_LIFETIME)
    }

    fn code(&self, seconds: [u8; 4], remote: SocketAddr) -> [u8; 14] {
        let octets = match remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&seconds);
        context.update(&octets);
        context.update(&remote.port().to_be_bytes());
        *context.sign().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }

    fn seconds(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.start).as_secs() as u32
    }
}

/// Somebody whose message is signed with a password of ours.
#[derive(Debug)]
pub(super) struct User<'a> {
    pub(super) username: Username<'a>,
    /// What the answer is signed with.
    pub(super) key: Key,
    pub(super) integrity: IntegrityKind,
}

/// Finds out who sent a request, or which error to answer with: 401 and 438 are challenges, to be sent with a nonce.
///
/// The order is that of RFC 8489 §9.2.4. Whether the user may still make allocations is for the caller to ask.
pub(super) fn authenticate<'a>(
    request: &Message<'a>,
    secrets: &Secrets,
    realm: &str,
    is_fresh: impl FnOnce(&[u8]) -> bool,
) -> Result<User<'a>, ErrorCode> {
    let integrity = request.integrity().ok_or(ErrorCode::Unauthenticated)?;
    let [username, nonce] = [AttributeType::USERNAME, AttributeType::NONCE].map(|kind| request.value(kind));
    let (Some(username), Some(_), Some(nonce)) = (username, request.value(AttributeType::REALM), nonce)
    else {
        return Err(ErrorCode::BadRequest);
    };
    let algorithm = chosen_algorithm(request)?;
    if !is_fresh(nonce) {
        return Err(ErrorCode::StaleNonce);
    }
    // A name that nobody can have goes the same long way as any other, so that it cannot be told from a wrong password.
    let text = std::str::from_utf8(username).unwrap_or_default();
    let mut signed_with = None;
    for secret in secrets.iter() {
        let key = Key::long_term(algorithm, text, realm, &secret.password(text));
        if request.is_signed_with(&key) {
            signed_with = Some(key);
        }
    }
    match (Username::parse(text), signed_with) {
        (Some(username), Some(key)) => Ok(User { username, key, integrity }),
        _ => Err(ErrorCode::Unauthenticated),
    }
}

/// What the key is to be made with: MD5 for those who know nothing else, and otherwise what they chose of our offer,
/// which they repeat so that nobody on the way can have taken the better half of it (RFC 8489 §9.2.4).
fn chosen_algorithm(request: &Message<'_>) -> Result<PasswordAlgorithm, ErrorCode> {
    let chosen = request.value(AttributeType::PASSWORD_ALGORITHM);
    let (chosen, offered) = match (chosen, request.value(AttributeType::PASSWORD_ALGORITHMS)) {
        (None, None) => return Ok(PasswordAlgorithm::Md5),
        (Some(chosen), Some(offered)) => (chosen, offered),
        (Some(_), None) | (None, Some(_)) => return Err(ErrorCode::BadRequest),
    };
    [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256]
        .into_iter()
        .find(|algorithm| offered == PASSWORD_ALGORITHMS && chosen == algorithm.to_bytes())
        .ok_or(ErrorCode::BadRequest)
}
