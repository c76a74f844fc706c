//! Headers that tell browsers what pages of this server may do, and what may be done with them.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use url::Url;

/// The content security policy, made once.
#[derive(Clone, Debug)]
pub struct Policy(HeaderValue);

impl Policy {
    /// Voice connections go to `public_url` even when the page came from a LAN address.
    pub fn new(public_url: Option<&Url>) -> Self {
        let public = public_url.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let text = format!(
            "default-src 'self'; connect-src 'self' ws: wss: {public}; img-src 'self' data: blob:; \
             media-src 'self' blob: mediastream:; style-src 'self' 'unsafe-inline'; font-src 'self'; \
             worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        Self(HeaderValue::from_str(&text).expect("an origin in ASCII is a valid header value"))
    }
}

pub async fn add_headers(State(policy): State<Policy>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.0);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Other sites learn nothing of our addresses. Not `no-referrer`: it would turn the Origin of a form into `null`.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static("microphone=(self), speaker-selection=(self), camera=(), geolocation=()"),
    );
    response
}

/// Answers of the API are about this moment and this person.
pub async fn never_store(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
