//! Whose certificates are believed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use banter_protocol::signal::BASE64URL;
use base64::Engine as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};

/// Why a server is believed to be who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// An authority vouches for it that this machine trusts.
    Authorities,
    /// It shows this one certificate, as an invite link says.
    Fingerprint(Fingerprint),
    /// It is believed without a reason.
    Anything,
}

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SHA-256 fingerprint; give the one that the server prints, or that is in an invite link")]
pub struct NotAFingerprint(String);

#[derive(Debug, thiserror::Error)]
#[error("the certificate authorities of this machine cannot be read: {0}; or give the server's fingerprint")]
pub struct TrustError(#[from] Error);

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Reads hexadecimal bytes, with or without colons, or Base64 for URLs.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAFingerprint(text.to_owned());
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let bytes = match digits.len() {
            64 => digits.chunks(2).map(hex).collect::<Option<Vec<u8>>>().ok_or_else(wrong)?,
            _ => BASE64URL.decode(text).map_err(|_| wrong())?,
        };
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl Trust {
    pub(super) fn into_tls(self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Authorities => Arc::new(Verifier::new(provider.clone())?),
            Self::Fingerprint(fingerprint) => {
                Arc::new(Pinned { fingerprint: Some(fingerprint), provider: provider.clone() })
            }
            Self::Anything => Arc::new(Pinned { fingerprint: None, provider: provider.clone() }),
        };
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

/// Believes one certificate, or any; its owner has to prove that it has the key.
struct Pinned {
    fingerprint: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint(Sha256::digest(end_entity).into());
        match self.fingerprint {
            Some(expected) if expected != shown => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed_and_as_it_is_in_links() {
        let bytes: Vec<u8> = (0..32).collect();
        let printed = bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let expected = Fingerprint(bytes.clone().try_into().expect("32 bytes"));
        let link = BASE64URL.encode(&bytes);
        for text in [printed.clone(), printed.replace(':', ""), link] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "AB:CD", &printed.replace('0', "x"), &printed[3..]] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
