//! TLS: the certificate that this program shows, where it comes from, and how another takes its place while connections
//! live on.
//!
//! [`Tls`] is all that a port needs: [`Tls::accept`] for HTTP, and [`Tls::server_config`] for any other protocol, which
//! follows every replacement of the certificate by itself.

mod acme;
mod certificate;
mod challenges;
mod files;
mod fingerprint;
mod reload;
mod resolver;
mod self_signed;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use banter_protocol::rest::UnixMillis;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{AcmeConfig, TlsConfig};
use crate::data_dir::DataDir;
use acme::Acme;
pub use certificate::{Certificate, CertificateError};
use challenges::ACME_TLS;
pub use challenges::Challenges;
pub use files::FilesError;
pub use fingerprint::Fingerprint;
pub use reload::Reload;
use resolver::Resolver;
pub use self_signed::SelfSignedError;

/// The first byte of a TLS connection: a record that holds a handshake message (RFC 8446 §5.1).
pub const FIRST_BYTE: u8 = 0x16;

const HTTP: &[u8] = b"http/1.1";
/// TURN over TLS (RFC 7443 §3).
const TURN: &[u8] = b"stun.turn";

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    resolver: Arc<Resolver>,
    http: Arc<ServerConfig>,
    /// For a port of everything.
    shared: Arc<ServerConfig>,
    /// For those who come to see whether this server holds a domain, and for nothing else.
    validation: Arc<ServerConfig>,
    challenges: Challenges,
    trust: Trust,
}

/// What TLS carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Http,
    Turn,
}

/// Why a client should believe the certificate that it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// There is none to believe: this server speaks plain HTTP only.
    #[default]
    Plain,
    /// It was told this fingerprint, by an invite link for one.
    Fingerprint(Fingerprint),
    /// An authority vouches for it.
    Authority,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// What TLS has to know of the rest of the program.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub folder: DataDir,
    /// Names and addresses of this server, for a certificate of its own making.
    pub names: Vec<String>,
    /// Where the program listens for TLS.
    pub port: u16,
    /// Wakes whoever can read a certificate again.
    pub reload: Reload,
    /// True once the program is about to end.
    pub ending: watch::Receiver<bool>,
}

impl Tls {
    /// Takes the certificate that `config` asks for and keeps it up to date from then on. `None` where TLS is off.
    pub fn start(
        config: &TlsConfig,
        around: Surroundings,
        now: UnixMillis,
    ) -> Result<Option<Self>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        match config {
            TlsConfig::Off => Ok(None),
            TlsConfig::SelfSigned => {
                let certificate = self_signed::load_or_make(&around.folder, &around.names, &provider)?;
                let trust = Trust::Fingerprint(certificate.fingerprint());
                Ok(Some(Self::with(Arc::new(Resolver::new(certificate)), provider, trust)))
            }
            TlsConfig::Files { certificate, key } => {
                let files = files::Files { certificate: certificate.clone(), key: key.clone() };
                let stamp = files.stamp();
                let first = files.load(&provider)?;
                first.warn_of_expiry(now);
                let resolver = Arc::new(Resolver::new(first));
                let this = Self::with(resolver.clone(), provider.clone(), Trust::Authority);
                tokio::spawn(files::follow(files, stamp, resolver, provider, around.reload, around.ending));
                Ok(Some(this))
            }
            TlsConfig::Auto(config) => Self::with_authority(config, around, provider).map(Some),
        }
    }

    /// Until the authority has given a certificate, the one of our own making is shown.
    fn with_authority(
        config: &AcmeConfig,
        around: Surroundings,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let Surroundings { folder, names, port, reload, ending } = around;
        let challenges = Challenges::default();
        let acme = Acme::new(config.clone(), &folder, port, challenges.clone(), provider.clone());
        let kept = acme.kept();
        let renewal = kept.as_ref().map(acme::renewal);
        let first = match kept {
            Some(certificate) => certificate,
            None => {
                tracing::warn!(
                    "no certificate of an authority yet: until there is one, browsers warn of this server's own"
                );
                self_signed::load_or_make(&folder, &names, &provider)?
            }
        };
        let resolver = Arc::new(Resolver::new(first));
        tokio::spawn(acme.follow(renewal, resolver.clone(), reload, ending));
        Ok(Self::answering(challenges, resolver, provider, Trust::Authority))
    }

    fn with(resolver: Arc<Resolver>, provider: Arc<CryptoProvider>, trust: Trust) -> Self {
        let challenges = Challenges::default();
        Self::answering(challenges, resolver, provider, trust)
    }

    fn answering(
        challenges: Challenges,
        resolver: Arc<Resolver>,
        provider: Arc<CryptoProvider>,
        trust: Trust,
    ) -> Self {
        let http = server_config(resolver.clone(), provider.clone(), &[HTTP]);
        let shared = server_config(resolver.clone(), provider.clone(), &[HTTP, TURN]);
        let validation = server_config(Arc::new(challenges.clone()), provider, &[ACME_TLS]);
        Self { resolver, http, shared, validation, challenges, trust }
    }

    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// A configuration for another port or protocol, TLS 1.2 and newer. It shows whatever certificate is current at each
    /// handshake. A client that offers application protocols has to offer one of `protocols`, unless that is empty.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        server_config(self.resolver.clone(), self.http.crypto_provider().clone(), protocols)
    }

    /// What certificate authorities ask over HTTP.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Shakes hands for HTTP. Which application protocol was agreed upon is in the second half of `TlsStream::get_ref`.
    /// An authority that validates a domain is answered, and then its connection fails.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.shake_hands(stream, &self.http).await
    }

    /// The same for HTTP and TURN; says which of the two, if the client has.
    pub async fn accept_shared<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<Inside>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.shake_hands(stream, &self.shared).await?;
        let inside = stream.get_ref().1.alpn_protocol().map(|agreed| match agreed == TURN {
            true => Inside::Turn,
            false => Inside::Http,
        });
        Ok((stream, inside))
    }

    async fn shake_hands<S>(&self, stream: S, config: &Arc<ServerConfig>) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        if !is_validation(&start.client_hello()) {
            return start.into_stream(config.clone()).await;
        }
        let mut stream = start.into_stream(self.validation.clone()).await?;
        stream.shutdown().await?;
        Err(io::Error::other("it was the validation of a domain"))
    }
}

fn server_config(
    resolver: Arc<dyn ResolvesServerCert>,
    provider: Arc<CryptoProvider>,
    protocols: &[&[u8]],
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn is_validation(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ACME_TLS))
}

/// The certificate of the operator's or of an authority that there is at present; `None` if there is none, or only one of our
/// own making.
pub fn found(config: &TlsConfig, data: &DataDir) -> Result<Option<Certificate>, FilesError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    match config {
        TlsConfig::Off | TlsConfig::SelfSigned => Ok(None),
        TlsConfig::Files { certificate, key } => {
            let files = files::Files { certificate: certificate.clone(), key: key.clone() };
            files.load(&provider).map(Some)
        }
        TlsConfig::Auto(config) => {
            let acme = Acme::new(config.clone(), data, config.http_port, Challenges::default(), provider);
            Ok(acme.kept())
        }
    }
}

/// Where certificates and their keys are kept, each pair in one file.
fn folder(data: &DataDir) -> PathBuf {
    data.path().join("tls")
}
