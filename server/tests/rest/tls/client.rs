//! Clients that believe exactly the certificate that a test says.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, WantsVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::server::{Person, Server};

/// Believes one certificate, whatever its names, as an app does that was told its fingerprint.
#[derive(Debug)]
struct Pinned {
    /// `None` believes anything.
    certificate: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

pub fn pinning(pem: &str) -> ClientConfig {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate in PEM");
    with(Some(certificate))
}

/// Believes whatever it is shown, to look at it.
pub fn believing_anything() -> ClientConfig {
    with(None)
}

fn with(certificate: Option<CertificateDer<'static>>) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { certificate, provider: provider.clone() });
    builder(provider).dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

/// Believes what this authority has signed, under the name that was asked for.
pub fn believing(root: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("a root in PEM")).expect("a root");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.build().expect("a verifier");
    builder(provider).with_webpki_verifier(verifier).with_no_client_auth()
}

fn builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions")
}

/// Shakes hands under a name, or says why not.
pub async fn shake(
    port: u16,
    name: &'static str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(name).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The certificate that a client is shown, in DER.
pub fn shown(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

/// Somebody who speaks TLS to the server.
pub fn person(server: &Server, config: ClientConfig, token: Option<String>) -> Person {
    let http = reqwest::Client::builder().tls_backend_preconfigured(config).build().expect("a client");
    Person { http, base: format!("https://localhost:{}", server.port), token }
}

/// Opens a WebSocket over TLS.
pub async fn web_socket(port: u16, url: &str, config: ClientConfig) -> WebSocketStream<TlsStream<TcpStream>> {
    let stream = shake(port, "localhost", config).await.expect("TLS");
    tokio_tungstenite::client_async(url, stream).await.expect("a WebSocket").0
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
        if self.certificate.as_ref().is_none_or(|expected| expected == end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if self.certificate.is_some() {
            return verify_tls13_signature(message, certificate, signed, algorithms);
        }
        // Its extensions may be critical and unknown, as that of a validation is.
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| Error::from(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
