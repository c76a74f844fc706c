//! Whether a domain is the server's own: HTTP-01 (RFC 8555 §8.3) and TLS-ALPN-01 (RFC 8737 §3).

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Doors;
use crate::tls::client;

const ACME_TLS: &[u8] = b"acme-tls/1";
/// id-pe-acmeIdentifier.
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

/// `Err` says what was found in place of the proof.
pub async fn validate(
    kind: &str,
    doors: Doors,
    domain: &str,
    token: &str,
    key_authorization: &str,
) -> Result<(), String> {
    match kind {
        "http-01" => http(doors.http, domain, token, key_authorization).await,
        _ => tls(doors.tls, domain, key_authorization).await,
    }
}

async fn http(port: Option<u16>, domain: &str, token: &str, expected: &str) -> Result<(), String> {
    let port = port.ok_or("connection refused")?;
    let url = format!("http://127.0.0.1:{port}/.well-known/acme-challenge/{token}");
    let request = reqwest::Client::new().get(url).header("host", domain);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
    if status == 200 && text == expected { Ok(()) } else { Err(format!("{status}: {text:?}")) }
}

async fn tls(port: Option<u16>, domain: &str, key_authorization: &str) -> Result<(), String> {
    let port = port.ok_or("connection refused")?;
    let mut config: ClientConfig = client::believing_anything();
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(domain.to_owned()).expect("a domain");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(ACME_TLS) {
        return Err("another application protocol".to_owned());
    }
    match connection.peer_certificates() {
        Some([certificate]) => check(certificate, domain, key_authorization),
        _ => Err("not one certificate".to_owned()),
    }
}

fn check(certificate: &CertificateDer<'_>, domain: &str, key_authorization: &str) -> Result<(), String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let mut names =
        certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
    if names.next().map(Vec::as_slice) != Some(&[GeneralName::DNSName(domain)]) {
        return Err("another name, or several".to_owned());
    }
    let digest = Sha256::digest(key_authorization);
    // An OCTET STRING of 32 bytes in DER.
    let expected = [&[4, 32], digest.as_slice()].concat();
    let proof =
        certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == ACME_IDENTIFIER);
    match proof {
        Some(extension) if extension.critical && extension.value == expected => Ok(()),
        Some(_) => Err("another key authorization".to_owned()),
        None => Err("no acmeIdentifier".to_owned()),
    }
}
