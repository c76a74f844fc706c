//! What certificate authorities ask this server to prove that a domain is its own, while they may ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The application protocol of TLS-ALPN-01 (RFC 8737 §6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// The answers to open challenges. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    key_authorization_by_token: BTreeMap<String, String>,
    certificate_by_domain: BTreeMap<String, Arc<CertifiedKey>>,
}

/// An answer that is given while this lives.
#[derive(Debug)]
pub struct Answer {
    challenges: Challenges,
    to: To,
}

#[derive(Debug)]
enum To {
    Token(String),
    Domain(String),
}

#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made to answer the challenge: {0}")]
pub enum AnswerError {
    Make(#[from] rcgen::Error),
    Key(#[from] rustls::Error),
}

impl Challenges {
    /// Answers `/.well-known/acme-challenge/<token>` with the key authorization (RFC 8555 §8.3).
    pub fn answer_http(&self, token: &str, key_authorization: &str) -> Answer {
        self.open().key_authorization_by_token.insert(token.to_owned(), key_authorization.to_owned());
        Answer { challenges: self.clone(), to: To::Token(token.to_owned()) }
    }

    /// Answers a handshake for `domain` and [`ACME_TLS`] with a certificate that holds the SHA-256 of the key
    /// authorization (RFC 8737 §3).
    pub fn answer_tls(
        &self,
        domain: &str,
        digest: &[u8; 32],
        provider: &CryptoProvider,
    ) -> Result<Answer, AnswerError> {
        let certificate = Arc::new(proof(domain, digest, provider)?);
        self.open().certificate_by_domain.insert(domain.to_owned(), certificate);
        Ok(Answer { challenges: self.clone(), to: To::Domain(domain.to_owned()) })
    }

    /// The key authorization for a token of an open challenge.
    pub fn key_authorization(&self, token: &str) -> Option<String> {
        self.open().key_authorization_by_token.get(token).cloned()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn proof(domain: &str, digest: &[u8; 32], provider: &CryptoProvider) -> Result<CertifiedKey, AnswerError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not checked against each other: the check knows nothing of the critical extension, and refuses it.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], provider.key_provider.load_private_key(key)?))
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let domain = hello.server_name()?.to_ascii_lowercase();
        self.open().certificate_by_domain.get(&domain).cloned()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut open = self.challenges.open();
        match &self.to {
            To::Token(token) => drop(open.key_authorization_by_token.remove(token)),
            To::Domain(domain) => drop(open.certificate_by_domain.remove(domain)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn an_answer_is_given_as_long_as_it_is_held() {
        let challenges = Challenges::default();
        let http = challenges.answer_http("token", "token.thumb");
        let tls = challenges.answer_tls("talk.example", &[7; 32], &default_provider()).expect("made");
        assert_eq!(challenges.key_authorization("token").as_deref(), Some("token.thumb"));
        assert_eq!(challenges.key_authorization("another"), None);
        assert!(challenges.open().certificate_by_domain.contains_key("talk.example"));
        drop((http, tls));
        assert_eq!(challenges.key_authorization("token"), None);
        assert!(challenges.open().certificate_by_domain.is_empty());
    }
}
