//! Certificates of an authority that speaks ACME (RFC 8555), Let's Encrypt for one: obtained, kept, and renewed for as long
//! as the program runs. Failures are logged and tried again; they never keep the program from serving.

mod client;
mod keep;
mod order;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use banter_protocol::rest::UnixMillis;
use instant_acme::{Account, NewAccount};
use rustls::crypto::CryptoProvider;
use tokio::sync::watch;
use tokio::time::sleep;

use super::challenges::Challenges;
use super::resolver::Resolver;
use super::{Certificate, CertificateError, Reload};
use crate::ambient;
use crate::config::AcmeConfig;
use crate::data_dir::DataDir;
use client::Client;
use keep::{Keep, KeepError, KeptAccount};
use order::{OrderError, Proof};
use schedule::{Backoff, Failure};

/// The port at which authorities look for TLS-ALPN-01 (RFC 8737 §3).
const HTTPS_PORT: u16 = 443;
/// Between looks at the clock while a certificate is good: it may be set, and machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Obtains and renews certificates.
#[derive(Debug)]
pub struct Acme {
    config: AcmeConfig,
    keep: Keep,
    proofs: [Proof; 2],
    challenges: Challenges,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug, thiserror::Error)]
enum ObtainError {
    #[error("no HTTP client could be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("no account with the authority: {0}")]
    Account(#[source] instant_acme::Error),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("what the authority sent {0}")]
    Certificate(#[from] CertificateError),
    #[error("what the authority sent is not for {}", .0.join(", "))]
    Names(Vec<String>),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl ObtainError {
    fn failure(&self) -> Failure {
        match self {
            ObtainError::Account(instant_acme::Error::Api(problem))
                if problem.status.is_none_or(|status| status < 500) =>
            {
                Failure::Refused
            }
            ObtainError::Account(_) | ObtainError::Client(_) | ObtainError::Keep(_) => Failure::Unreachable,
            ObtainError::Order(error) => error.failure(),
            ObtainError::Certificate(_) | ObtainError::Names(_) => Failure::Refused,
        }
    }
}

impl Acme {
    /// `port` is where this server listens for TLS.
    pub fn new(
        config: AcmeConfig,
        data: &DataDir,
        port: u16,
        challenges: Challenges,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { config, keep: Keep::new(data), proofs: proofs(port), challenges, provider }
    }

    /// The certificate of an earlier run, if it is for these domains and of this authority.
    pub fn kept(&self) -> Option<Certificate> {
        self.keep.certificate(self.config.directory.as_str(), &self.config.domains, &self.provider)
    }

    /// Keeps `resolver` supplied until `ending`. The operator's wish for a reload ends the wait after a failure.
    pub async fn follow(
        self,
        kept: Option<UnixMillis>,
        resolver: Arc<Resolver>,
        reload: Reload,
        mut ending: watch::Receiver<bool>,
    ) {
        tokio::select! {
            () = self.supply(kept, &resolver, &reload) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
    }

    /// `renewal` is when the certificate that is shown has to be renewed; `None` if there is none yet.
    async fn supply(&self, mut renewal: Option<UnixMillis>, resolver: &Resolver, reload: &Reload) {
        loop {
            if let Some(at) = renewal {
                until(at).await;
            }
            let (certificate, pem) = self.obtain_patiently(reload).await;
            if let Err(error) = self.keep.write_certificate(&pem) {
                tracing::warn!(%error, "the certificate will have to be obtained again at the next start");
            }
            renewal = Some(schedule::renewal(certificate.validity));
            tracing::info!(
                domains = %self.config.domains.join(", "),
                fingerprint = %certificate.fingerprint(),
                "TLS certificate obtained"
            );
            let pause = schedule::pause(certificate.validity);
            resolver.replace(certificate);
            sleep(pause).await;
        }
    }

    async fn obtain_patiently(&self, reload: &Reload) -> (Certificate, String) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.obtain().await {
                Ok(obtained) => return obtained,
                Err(error) => error,
            };
            let failure = error.failure();
            let wait = backoff.after(failure);
            let again_in_seconds = wait.as_secs();
            match failure {
                Failure::Unreachable => tracing::warn!(
                    %error,
                    again_in_seconds,
                    "no TLS certificate from the authority, which is not reached or not well; look at --acme-directory \
                     and at this machine's way to the internet"
                ),
                Failure::Refused => tracing::warn!(
                    %error,
                    again_in_seconds,
                    "no TLS certificate from the authority; see that the domain leads to this server and that its \
                     ports 80 and 443 are open or forwarded, then send SIGHUP to try at once"
                ),
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = reload.requested() => {}
            }
        }
    }

    async fn obtain(&self) -> Result<(Certificate, String), ObtainError> {
        let account = self.account().await?;
        let pem = match self.order(&account, self.proofs[0]).await {
            Err(error) if error.is_about_the_proof() => {
                tracing::warn!(%error, proof = ?self.proofs[0], other = ?self.proofs[1], "trying the other proof");
                self.order(&account, self.proofs[1]).await
            }
            outcome => outcome,
        }
        .inspect_err(|error| {
            if error.is_about_the_account() {
                self.keep.forget_account();
            }
        })?;
        let certificate = Certificate::from_pem(pem.as_bytes(), pem.as_bytes(), &self.provider)?;
        if !certificate.covers(&self.config.domains) {
            return Err(ObtainError::Names(self.config.domains.clone()));
        }
        Ok((certificate, pem))
    }

    async fn order(&self, account: &Account, proof: Proof) -> Result<String, OrderError> {
        order::complete(account, &self.config.domains, proof, &self.challenges, &self.provider).await
    }

    /// The account of an earlier run, or a new one.
    async fn account(&self) -> Result<Account, ObtainError> {
        let directory = self.config.directory.as_str();
        let builder = Account::builder_with_http(Box::new(Client::new()?));
        let email = self.config.email.clone();
        if let Some(kept) = self.keep.account(directory).filter(|kept| kept.email == email) {
            return builder.from_credentials(kept.credentials).await.map_err(ObtainError::Account);
        }
        let contact = email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) =
            builder.create(&new, directory.to_owned(), None).await.map_err(ObtainError::Account)?;
        self.keep.write_account(&KeptAccount { directory: directory.to_owned(), email, credentials })?;
        Ok(account)
    }
}

/// When the certificate of an earlier run has to be renewed.
pub fn renewal(certificate: &Certificate) -> UnixMillis {
    schedule::renewal(certificate.validity)
}

/// The one that is more likely to be seen comes first.
fn proofs(port: u16) -> [Proof; 2] {
    match port {
        HTTPS_PORT => [Proof::TlsAlpn01, Proof::Http01],
        _ => [Proof::Http01, Proof::TlsAlpn01],
    }
}

/// Waits for a moment on the wall clock.
async fn until(at: UnixMillis) {
    loop {
        let left = at.0.saturating_sub(ambient::now().wall.0);
        let Ok(left @ 1..) = u64::try_from(left) else { return };
        sleep(Duration::from_millis(left).min(LOOK_EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_decides_which_proof_comes_first() {
        assert_eq!(proofs(443), [Proof::TlsAlpn01, Proof::Http01]);
        assert_eq!(proofs(7880), [Proof::Http01, Proof::TlsAlpn01]);
    }
}
