//! The HTTP face of the program: the REST API, the event stream, the web app, and the LiveKit doors beside them.

mod acme;
mod auth;
mod body;
mod channels;
mod connection_test;
mod error;
mod events;
mod health;
mod https;
mod invites;
mod media;
mod metrics;
mod moderation;
mod openapi;
mod reached;
mod security;
mod tokens;
pub mod twirp;
mod users;
mod web_app;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, Uri, header};
use banter_sfu::net::MediaHandle;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::events::{EventHub, Streams};
use crate::metrics::Metrics;
use crate::service::accounts::Accounts;
use crate::service::channels::Channels;
use crate::service::connection_test::ConnectionTests;
use crate::service::invites::Invites;
use crate::service::moderation::Moderation;
use crate::service::sessions::Sessions;
use crate::service::voice::Voice;
use crate::store::Database;
use crate::tls::Challenges;
pub use acme::{Front, own_router as acme_router};
use error::ApiError;
pub use metrics::own_router as metrics_router;
pub use openapi::document;
pub use reached::Site;

/// The largest request body of the API: far above any real one.
const BODY_LIMIT: usize = 64 * 1024;
/// Until the answer begins, the request's body included: who sends it byte by byte holds nothing for long.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handlers reach for.
#[derive(Clone, Debug)]
pub struct AppState {
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub invites: Invites,
    pub channels: Channels,
    pub voice: Voice,
    pub tests: ConnectionTests,
    pub moderation: Moderation,
    pub events: EventHub,
    pub streams: Streams,
    pub database: Database,
    pub site: Arc<Site>,
    /// True once the program is about to end: long answers stop.
    pub ending: watch::Receiver<bool>,
    pub media: MediaHandle,
    pub metrics: Metrics,
}

/// Everything this program answers to over HTTP. `signal` holds the LiveKit doors, which take access tokens in place
/// of sessions.
pub fn router(state: AppState, signal: Router, challenges: Challenges) -> Router {
    // Outside of the routes, since it changes which one is taken.
    Router::new()
        .fallback_service(routes(state, signal).merge(acme::router(challenges)))
        .layer(axum::middleware::map_request(collapse_slashes))
}

fn routes(state: AppState, signal: Router) -> Router {
    let (api, _) = api().split_for_parts();
    let signal = signal.layer(axum::middleware::from_fn_with_state(state.clone(), reached::note_client));
    let policy = security::Policy::new(state.site.public_url());
    let api = api
        .fallback(|| async { ApiError::not_found() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, BODY_TIMEOUT))
        .layer(axum::middleware::map_response(security::never_store));
    Router::new()
        .nest("/api", api)
        .merge(health::router())
        .merge(metrics::router())
        .fallback(web_app::serve)
        .layer(CompressionLayer::new())
        .layer(axum::middleware::map_response_with_state(policy, security::add_headers))
        .layer(axum::middleware::from_fn_with_state(state.clone(), https::prefer))
        .with_state(state)
        .merge(signal)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_request(()).on_failure(()))
}

/// Server SDKs that are given an address with a slash at its end ask for `//twirp/…`.
async fn collapse_slashes(mut request: Request) -> Request {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with("//") {
        return request;
    }
    let single = format!("/{}", path.trim_start_matches('/'));
    let mut parts = request.uri().clone().into_parts();
    // The rest of a path that was valid is valid.
    if let Ok(path) = single.parse() {
        parts.path_and_query = Some(path);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The routes under `/api`, with their description.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(auth::setup_state))
        .routes(routes!(auth::set_up))
        .routes(routes!(auth::register))
        .routes(routes!(auth::log_in))
        .routes(routes!(auth::log_out))
        .routes(routes!(auth::me))
        .routes(routes!(auth::change_password))
        .routes(routes!(invites::list, invites::create))
        .routes(routes!(invites::look_up, invites::delete))
        .routes(routes!(users::list))
        .routes(routes!(moderation::members))
        .routes(routes!(moderation::update_voice))
        .routes(routes!(moderation::move_member))
        .routes(routes!(moderation::disconnect))
        .routes(routes!(moderation::kick))
        .routes(routes!(moderation::list_bans, moderation::ban))
        .routes(routes!(moderation::unban))
        .routes(routes!(moderation::audit_log))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::update, channels::delete))
        .routes(routes!(tokens::create))
        .routes(routes!(connection_test::create))
        .routes(routes!(events::stream))
        .routes(routes!(media::status))
        .routes(routes!(openapi::serve))
}

/// A request's span. Paths are given as patterns and queries not at all: both can hold secrets.
fn span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<axum::extract::MatchedPath>().map_or("", |path| path.as_str());
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("");
    tracing::info_span!("http", method = %request.method(), route, agent)
}
