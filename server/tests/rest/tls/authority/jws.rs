//! Signed requests (RFC 8555 §6.2): ES256, a fresh nonce, the address they are sent to, and a key or an account.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The accounts' keys by number, and the nonces that are still good.
#[derive(Default)]
pub struct Accounts {
    keys: Vec<Jwk>,
    nonces: BTreeSet<String>,
    next_nonce: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

/// What was signed, by whom.
pub struct Signed {
    pub key: Jwk,
    /// The account that signed by its address; `None` if by its key.
    pub account: Option<String>,
    pub payload: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    BadNonce,
    Malformed,
    AccountDoesNotExist,
}

#[derive(Deserialize)]
struct Envelope {
    protected: String,
    payload: String,
    signature: String,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    nonce: String,
    url: String,
    kid: Option<String>,
    jwk: Option<Jwk>,
}

impl Accounts {
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn nonce(&mut self) -> String {
        self.next_nonce += 1;
        let nonce = format!("nonce-{}", self.next_nonce);
        self.nonces.insert(nonce.clone());
        nonce
    }

    /// Answers the account's number.
    pub fn register(&mut self, key: Jwk) -> usize {
        self.keys.push(key);
        self.keys.len()
    }

    /// Opens a request that was sent to `url`. `account_prefix` is what accounts' addresses begin with.
    pub fn open(&mut self, body: &[u8], url: &str, account_prefix: &str) -> Result<Signed, Fault> {
        let envelope: Envelope = serde_json::from_slice(body).map_err(|_| Fault::Malformed)?;
        let protected: Protected =
            serde_json::from_slice(&decode(&envelope.protected)?).map_err(|_| Fault::Malformed)?;
        if !self.nonces.remove(&protected.nonce) {
            return Err(Fault::BadNonce);
        }
        if protected.alg != "ES256" || protected.url != url {
            return Err(Fault::Malformed);
        }
        let key = match (protected.jwk, &protected.kid) {
            (Some(key), None) => key,
            (None, Some(kid)) => {
                let number = kid.strip_prefix(account_prefix).and_then(|number| number.parse::<usize>().ok());
                let key = number.and_then(|number| self.keys.get(number.checked_sub(1)?));
                key.cloned().ok_or(Fault::AccountDoesNotExist)?
            }
            _ => return Err(Fault::Malformed),
        };
        let message = format!("{}.{}", envelope.protected, envelope.payload);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point()?)
            .verify(message.as_bytes(), &decode(&envelope.signature)?)
            .map_err(|_| Fault::Malformed)?;
        let payload = decode(&envelope.payload)?;
        let payload = match payload.as_slice() {
            [] => Value::Null,
            text => serde_json::from_slice(text).map_err(|_| Fault::Malformed)?,
        };
        Ok(Signed { key, account: protected.kid, payload })
    }
}

impl Jwk {
    /// RFC 7638.
    pub fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y } = self;
        let text = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// Uncompressed (SEC 1 §2.3.3).
    fn point(&self) -> Result<Vec<u8>, Fault> {
        if (self.kty.as_str(), self.crv.as_str()) != ("EC", "P-256") {
            return Err(Fault::Malformed);
        }
        Ok([vec![4], decode(&self.x)?, decode(&self.y)?].concat())
    }
}

pub fn decode(text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed)
}
