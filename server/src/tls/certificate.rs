//! A chain of certificates with the key to the first one, read and checked.

use std::sync::Arc;

use banter_protocol::rest::UnixMillis;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Fingerprint;

/// The key belongs to the first certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    pub validity: Validity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: UnixMillis,
    pub until: UnixMillis,
}

/// The end of a sentence that begins with what was read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("is not valid PEM: {0}")]
    Pem(#[source] pem::Error),
    #[error("has no certificate in it (-----BEGIN CERTIFICATE-----); give the whole chain in PEM")]
    NoCertificate,
    #[error("has no private key in it (-----BEGIN PRIVATE KEY-----); give it in PEM and not encrypted")]
    NoKey,
    #[error("holds a certificate that cannot be read: {0}")]
    Malformed(String),
    #[error("holds a key that does not belong to the certificate; give the two that were made together")]
    Mismatch,
    #[error("cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

impl Certificate {
    /// Reads a chain, the server's certificate first, and its key, both in PEM. They may stand in the same text.
    pub fn from_pem(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(CertificateError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => CertificateError::NoKey,
            error => CertificateError::Pem(error),
        })?;
        let validity = validity(chain.first().ok_or(CertificateError::NoCertificate)?)?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
            error => CertificateError::Unusable(error),
        })?;
        Ok(Self { certified: Arc::new(certified), validity })
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.first())
    }

    /// Says so in the log if browsers will refuse it.
    pub fn warn_of_expiry(&self, now: UnixMillis) {
        if now.0 > self.validity.until.0 {
            tracing::warn!("the TLS certificate has expired; browsers will refuse it until it is renewed");
        } else if now.0 < self.validity.from.0 {
            tracing::warn!("the TLS certificate is not valid yet; look at this machine's clock");
        }
    }

    /// Whether a browser takes it for each of these domains.
    pub fn covers(&self, domains: &[String]) -> bool {
        let names = ParsedCertificate::try_from(self.first());
        names.is_ok_and(|names| {
            let is_named = |domain: &String| {
                ServerName::try_from(domain.as_str())
                    .is_ok_and(|name| verify_server_name(&names, &name).is_ok())
            };
            domains.iter().all(is_named)
        })
    }

    pub fn into_certified(self) -> Arc<CertifiedKey> {
        self.certified
    }

    fn first(&self) -> &CertificateDer<'static> {
        &self.certified.cert[0]
    }
}

fn validity(der: &CertificateDer<'_>) -> Result<Validity, CertificateError> {
    let certificate = parse(der)?;
    let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
    Ok(Validity {
        from: millis(certificate.validity().not_before.timestamp()),
        until: millis(certificate.validity().not_after.timestamp()),
    })
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(CertificateError::Malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn a_chain_and_its_key_are_a_certificate() {
        let (chain, key) = pair();
        let read = |chain: &str, key: &str| {
            Certificate::from_pem(chain.as_bytes(), key.as_bytes(), &default_provider())
        };
        let certificate = read(&chain, &key).expect("a pair");
        let both = format!("{key}{chain}");
        assert_eq!(read(&both, &both).expect("one text").fingerprint(), certificate.fingerprint());
        // 2020-01-01 and 2030-01-01, by `date -d … +%s`.
        let validity = Validity { from: UnixMillis(1_577_836_800_000), until: UnixMillis(1_893_456_000_000) };
        assert_eq!(certificate.validity, validity);

        let covers = |name: &str| certificate.covers(&["talk.example".to_owned(), name.to_owned()]);
        assert!(covers("TALK.example") && !covers("other.example"));

        let (other, _) = pair();
        assert!(matches!(read(&other, &key), Err(CertificateError::Mismatch)));
        assert!(matches!(read("", &key), Err(CertificateError::NoCertificate)));
        assert!(matches!(read(&chain, &chain), Err(CertificateError::NoKey)));
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(read(&chain, &locked), Err(CertificateError::NoKey)));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(broken, &key), Err(CertificateError::Malformed(_))));
        assert!(matches!(read("-----BEGIN CERTIFICATE-----\n", &key), Err(CertificateError::Pem(_))));
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["talk.example".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    }
}
