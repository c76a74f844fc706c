//! Keeps browsers on https, where an authority vouches for the certificate.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::reached::Reached;
use crate::listener::OverTls;
use crate::tls::Trust;

/// 30 days: an operator who goes back to a certificate that browsers do not know has locked people out for so long.
const STRICT: HeaderValue = HeaderValue::from_static("max-age=2592000");

/// Sends pages that came without TLS to their https address, and has browsers remember it (RFC 6797). Programs are
/// answered either way.
pub async fn prefer(State(app): State<AppState>, reached: Reached, request: Request, next: Next) -> Response {
    if app.site.trust() != Trust::Authority {
        return next.run(request).await;
    }
    if reached.plain && !reached.client.is_loopback() && is_navigation(&request) {
        return redirect(&reached.https_url(), &request);
    }
    let over_tls = request.extensions().get::<OverTls>().is_some_and(|over_tls| over_tls.0);
    let mut response = next.run(request).await;
    if over_tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT);
    }
    response
}

fn is_navigation(request: &Request) -> bool {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let accepted = request.headers().get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    safe && accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// Not to be stored, since browsers would keep to it when TLS is off one day.
pub fn redirect(base: &str, request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match HeaderValue::from_str(&format!("{base}{path}")) {
        Ok(to) => {
            let store = HeaderValue::from_static("no-store");
            let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, store)];
            (StatusCode::PERMANENT_REDIRECT, headers).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
