//! Secrets and ids drawn from a generator that the caller hands in.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::CryptoRng;
use sha2::{Digest, Sha256};

/// An opaque secret: 256 random bits, shown to its holder once and stored only as a hash.
pub fn token(rng: &mut impl CryptoRng) -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>(rng))
}

/// A secret that travels in a link: 128 random bits.
pub fn code(rng: &mut impl CryptoRng) -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>(rng))
}

/// What is stored of a token or code. Unsalted: they are random, so there is nothing to guess.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 21 characters that are safe in a URL: 126 random bits.
pub fn id(rng: &mut impl CryptoRng) -> String {
    let random = |size| {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    nanoid::format(random, &nanoid::alphabet::SAFE, 21)
}

/// The name of a LiveKit API key: `api_` and 32 hexadecimal digits.
pub fn api_key(rng: &mut impl CryptoRng) -> String {
    let digits = bytes::<16>(rng).map(|byte| format!("{byte:02x}")).concat();
    format!("api_{digits}")
}

/// The secret of a LiveKit API key: 32 random bytes in base64.
pub fn api_secret(rng: &mut impl CryptoRng) -> String {
    STANDARD.encode(bytes::<32>(rng))
}

fn bytes<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn each_kind_has_its_shape() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(token(&mut rng).len(), 43);
        assert_eq!(code(&mut rng).len(), 22);
        assert_eq!(id(&mut rng).len(), 21);
        let key = api_key(&mut rng);
        assert!(key.strip_prefix("api_").is_some_and(|hex| hex.len() == 32));
        assert_eq!(STANDARD.decode(api_secret(&mut rng)).expect("base64").len(), 32);
    }
}
