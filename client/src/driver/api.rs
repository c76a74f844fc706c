//! The server's REST API, as far as a test needs it.
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

use std::error::Error;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use banter_protocol::rest::{ConnectionTest, ErrorBody, LoginRequest, Session};
use banter_protocol::token::{ApiKeys, Claims, VideoGrant};
use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use url::Url;

use super::Server;

const PATIENCE: Duration = Duration::from_secs(10);
/// A token for the API call alone.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone)]
pub enum Credential {
    /// A member's name and password.
    Account { name: String, password: String },
    /// A session's token, or a LiveKit access token that may create rooms.
    Token(String),
    /// An API key and its secret.
    ApiKey { key: String, secret: String },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nothing came back.
    #[error("{0}")]
    NoAnswer(String),
    /// The certificate is not believed, or TLS failed otherwise.
    #[error("{0}")]
    Tls(String),
    /// The server says no; the text is its own.
    #[error("{message} (HTTP {status})")]
    Refused { status: u16, message: String },
    /// There is no such thing as a connection test.
    #[error("what answers there is no Banter server of this version (HTTP {status})")]
    NotBanter { status: u16 },
}

pub(super) async fn prepare(
    server: &Server,
    credential: &Credential,
) -> Result<(ConnectionTest, Duration), ApiError> {
    let client = Client::builder()
        .tls_backend_preconfigured((*server.tls).clone())
        .timeout(PATIENCE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| failed(&error))?;
    let token = match credential {
        Credential::Token(token) => token.clone(),
        Credential::ApiKey { key, secret } => sign(key, secret),
        Credential::Account { name, password } => {
            let request = LoginRequest { username: name.clone(), password: password.clone() };
            let url = server.api("auth/login");
            ask::<Session>(client.post(url).json(&request)).await?.token
        }
    };
    let began = Instant::now();
    let test = ask(client.post(server.api("voice/connection-test")).bearer_auth(token)).await?;
    Ok((test, began.elapsed()))
}

async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ApiError> {
    let response = request.send().await.map_err(|error| failed(&error))?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(|_| ApiError::NotBanter { status: status.as_u16() });
    }
    Err(refusal(response).await)
}

async fn refusal(response: Response) -> ApiError {
    let status = response.status().as_u16();
    match response.json::<ErrorBody>().await {
        Ok(_) if status == 404 => ApiError::NotBanter { status },
        Ok(body) => ApiError::Refused { status, message: body.error.message },
        Err(_) => ApiError::NotBanter { status },
    }
}

/// The innermost causes say what happened, the outermost only that something did.
fn failed(error: &reqwest::Error) -> ApiError {
    let mut causes = Vec::new();
    let mut cause = error.source();
    let mut is_tls = false;
    while let Some(inner) = cause {
        is_tls |= is_tls_error(inner);
        causes.push(inner.to_string());
        cause = inner.source();
    }
    let text = causes.pop().unwrap_or_else(|| error.to_string());
    match error {
        _ if is_tls => ApiError::Tls(text),
        error if error.is_timeout() => ApiError::NoAnswer("no answer within 10 seconds".to_owned()),
        _ => ApiError::NoAnswer(text),
    }
}

/// What an I/O error wraps is none of its sources, but has to be asked for.
fn is_tls_error(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => is_tls_error(wrapped),
        None => error.is::<rustls::Error>(),
    }
}

fn sign(key: &str, secret: &str) -> String {
    let keys = ApiKeys::new(vec![(key.to_owned(), secret.to_owned())]).expect("there is one");
    let grant = VideoGrant { room_create: true, ..VideoGrant::default() };
    let claims = Claims { subject: "probe".into(), video: Some(grant), ..Claims::default() };
    keys.sign(&claims, SystemTime::now(), TOKEN_LIFETIME)
}

impl Server {
    fn api(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/{path}"));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_error_is_found_however_deep_it_is_wrapped() {
        let inner = io::Error::other(rustls::Error::DecryptError);
        assert!(is_tls_error(&io::Error::other(inner)));
        assert!(is_tls_error(&rustls::Error::DecryptError));
        assert!(!is_tls_error(&io::Error::other("the cable is cut")));
        assert!(!is_tls_error(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
