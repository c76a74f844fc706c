//! `/metrics`: on the port of everything else for admins and those with the password of the configuration, and on a port of
//! its own, if there is one, for everybody or those with the password.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use banter_protocol::rest::Role;

use super::AppState;
use super::auth::SignedIn;
use super::error::ApiError;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::service;

pub fn router() -> Router<AppState> {
    Router::new().route("/metrics", get(guarded))
}

/// The routes of the port of its own.
pub fn own_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(open)).with_state(metrics)
}

async fn guarded(State(app): State<AppState>, request: Request) -> Result<Response, ApiError> {
    if !app.metrics.has_password(request.headers()) {
        let (mut parts, _) = request.into_parts();
        let SignedIn(caller) = SignedIn::from_request_parts(&mut parts, &app).await?;
        service::require(&caller.user, Role::Admin)?;
    }
    Ok(answer(&app.metrics))
}

async fn open(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    if metrics.config.credentials.is_some() && !metrics.has_password(&headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"metrics\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "the name or the password is wrong\n").into_response();
    }
    answer(&metrics)
}

fn answer(metrics: &Metrics) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()).into_response()
}
