//! One order: a certificate for some domains, proved by one kind of challenge (RFC 8555 §7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;

use super::schedule::Failure;
use crate::tls::challenges::{Answer, AnswerError, Challenges};

/// How often an order is asked about, and for how long.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// How a domain is proved to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a TLS connection to port 443.
    TlsAlpn01,
    /// By a request to port 80.
    Http01,
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("the authority does not offer {0:?} for {1}")]
    NotOffered(Proof, String),
    #[error("the authority could not validate this server: {0}")]
    NotValidated(String),
    #[error("{0}")]
    Protocol(#[from] Error),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
}

impl Proof {
    fn challenge(self) -> ChallengeType {
        match self {
            Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Proof::Http01 => ChallengeType::Http01,
        }
    }
}

impl OrderError {
    /// Whether another kind of proof may do.
    pub fn is_about_the_proof(&self) -> bool {
        matches!(self, OrderError::NotOffered(..) | OrderError::NotValidated(_))
    }

    /// Whether the authority does not know the account, say because its database was emptied.
    pub fn is_about_the_account(&self) -> bool {
        const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
        matches!(self, OrderError::Protocol(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN))
    }

    pub fn failure(&self) -> Failure {
        match self {
            OrderError::NotOffered(..)
            | OrderError::NotValidated(_)
            | OrderError::Answer(_)
            | OrderError::Key(_) => Failure::Refused,
            OrderError::Protocol(Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => {
                Failure::Refused
            }
            OrderError::Protocol(_) => Failure::Unreachable,
        }
    }
}

/// Obtains a certificate: its key and its chain, one after the other, in PEM.
pub async fn complete(
    account: &Account,
    domains: &[String],
    proof: Proof,
    challenges: &Challenges,
    provider: &CryptoProvider,
) -> Result<String, OrderError> {
    let identifiers: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let answers = answer_challenges(&mut order, proof, challenges, provider).await?;
    match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(_) => return Err(OrderError::NotValidated(reasons(&mut order).await)),
        // The order itself says why, in words for all of its domains.
        Err(Error::Api(problem)) => {
            let reasons = reasons(&mut order).await;
            let said = problem.detail.unwrap_or_default();
            return Err(OrderError::NotValidated(if reasons.is_empty() { said } else { reasons }));
        }
        Err(error) => return Err(error.into()),
    }
    drop(answers);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

/// Prepares the answers and has the authority ask. They are given until what is returned is dropped.
async fn answer_challenges(
    order: &mut Order,
    proof: Proof,
    challenges: &Challenges,
    provider: &CryptoProvider,
) -> Result<Vec<Answer>, OrderError> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // An earlier order may have proved it already.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let offered = authorization.challenge(proof.challenge());
        let mut challenge = offered.ok_or_else(|| OrderError::NotOffered(proof, domain.clone()))?;
        answers.push(answer(proof, &domain, &challenge, challenges, provider)?);
        challenge.set_ready().await?;
    }
    Ok(answers)
}

fn answer(
    proof: Proof,
    domain: &str,
    challenge: &ChallengeHandle<'_>,
    challenges: &Challenges,
    provider: &CryptoProvider,
) -> Result<Answer, AnswerError> {
    let authorization = challenge.key_authorization();
    match proof {
        Proof::Http01 => Ok(challenges.answer_http(&challenge.token, authorization.as_str())),
        Proof::TlsAlpn01 => {
            let digest = authorization.digest();
            let digest = digest.as_ref().try_into().expect("a SHA-256 has 32 bytes");
            challenges.answer_tls(domain, digest, provider)
        }
    }
}

/// What the authority says of the challenges that failed.
async fn reasons(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_ok() {
            reasons.extend(said(&authorization));
        }
    }
    reasons.join("; ")
}

fn said(authorization: &AuthorizationHandle<'_>) -> Vec<String> {
    let domain = authorization.identifier().to_string();
    let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
    errors
        .map(|problem| format!("{domain}: {}", problem.detail.as_deref().unwrap_or("no reason given")))
        .collect()
}
