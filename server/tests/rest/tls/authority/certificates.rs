//! The root, and what it signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

#[derive(Clone)]
pub struct Issuer(Arc<CertifiedIssuer<'static, KeyPair>>);

/// What a certificate is asked for.
pub struct Request {
    pub names: Vec<String>,
    pub key: PublicKey,
}

/// An uncompressed point of P-256.
pub struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Request {
    /// Reads a request that its own key has signed (RFC 2986).
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, request) = X509CertificationRequest::from_der(der).ok()?;
        let info = &request.certification_request_info;
        let key = info.subject_pki.subject_public_key.data.to_vec();
        let signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key);
        signed.verify(info.raw, &request.signature_value.data).ok()?;
        let names = request.requested_extensions()?.find_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })?;
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        };
        Some(Self { names: names.iter().map(name).collect::<Option<_>>()?, key: PublicKey(key) })
    }
}

impl Issuer {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "The root of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).expect("signed")))
    }

    pub fn root(&self) -> String {
        self.0.pem()
    }

    /// A chain in PEM.
    pub fn issue(&self, names: &[String], key: &impl PublicKeyData, lifetime: Duration) -> String {
        let mut params = CertificateParams::new(names).expect("names");
        let now = SystemTime::now();
        (params.not_before, params.not_after) = (now.into(), (now + lifetime).into());
        params.signed_by(key, &self.0).expect("signed").pem()
    }

    /// For the authority's own door.
    pub fn server_config(&self) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("signed").der().clone();
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("a pair")
    }
}
