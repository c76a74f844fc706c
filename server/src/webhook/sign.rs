//! The signature of a webhook: a token of an API key that holds the digest of the body.

use std::time::{Duration, SystemTime};

use banter_protocol::token::{ApiKeys, Claims};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const LIFETIME: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(super) struct Signer {
    keys: ApiKeys,
    /// Empty is the first key.
    key: String,
}

impl Signer {
    pub(super) fn new(keys: ApiKeys, key: Option<String>) -> Self {
        Self { keys, key: key.unwrap_or_default() }
    }

    /// The `Authorization` of `body`, for five minutes.
    pub(super) fn sign(&self, body: &[u8], now: SystemTime) -> String {
        let sha256 = STANDARD.encode(Sha256::digest(body));
        let claims = Claims { issuer: self.key.clone(), sha256, ..Claims::default() };
        self.keys.sign(&claims, now, LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_holds_the_digest_and_names_the_key() {
        let keys = ApiKeys::new(vec![("one".into(), "1".into()), ("two".into(), "2".into())]).expect("keys");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let token = Signer::new(keys.clone(), Some("two".into())).sign(b"", now);
        let claims = keys.verify(&token, now).expect("valid");
        assert_eq!(claims.issuer, "two");
        assert_eq!(claims.sha256, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(claims.expires_at, Some(1_000_300));
        assert_eq!(
            keys.verify(&Signer::new(keys.clone(), None).sign(b"", now), now).expect("valid").issuer,
            "one"
        );
    }
}
