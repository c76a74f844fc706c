//! Where certificate authorities see that a domain is this server's (RFC 8555 §8.3).

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::Url;

use super::https;
use crate::tls::Challenges;

const HTTPS_PORT: u16 = 443;

/// Where a browser that came to the port of its own is sent.
#[derive(Clone, Debug)]
pub struct Front {
    pub public_url: Option<Url>,
    /// The port of everything.
    pub port: u16,
}

pub fn router(challenges: Challenges) -> Router {
    Router::new().route("/.well-known/acme-challenge/{token}", get(prove)).with_state(challenges)
}

/// The routes of the port of its own: that one, and the way to https.
pub fn own_router(challenges: Challenges, front: Front) -> Router {
    let send_on = Router::new().fallback(send_on).with_state(front);
    router(challenges).fallback_service(send_on)
}

async fn prove(State(challenges): State<Challenges>, Path(token): Path<String>) -> Response {
    match challenges.key_authorization(&token) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "no such challenge is open\n").into_response(),
    }
}

async fn send_on(State(front): State<Front>, request: Request) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let base = match (&front.public_url, host) {
        (Some(url), _) if url.scheme() == "https" => url.clone(),
        (_, Some(host)) => match https_url(host, front.port) {
            Some(url) => url,
            None => return StatusCode::BAD_REQUEST.into_response(),
        },
        _ => return StatusCode::BAD_REQUEST.into_response(),
    };
    https::redirect(base.as_str().trim_end_matches('/'), &request)
}

/// The same host at another port.
fn https_url(host: &str, port: u16) -> Option<Url> {
    let mut url = Url::parse(&format!("https://{host}/")).ok()?;
    url.set_port((port != HTTPS_PORT).then_some(port)).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_the_port_of_everything() {
        let shown = |host, port| https_url(host, port).map(|url| url.to_string());
        assert_eq!(shown("talk.example", 443), Some("https://talk.example/".into()));
        assert_eq!(shown("talk.example:80", 7880), Some("https://talk.example:7880/".into()));
        assert_eq!(shown("[::1]:8080", 443), Some("https://[::1]/".into()));
        assert_eq!(shown("", 443), None);
    }
}
