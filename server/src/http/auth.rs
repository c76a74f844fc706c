//! Signing in and out, and the proof of it that other routes ask for.

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use banter_protocol::rest::{
    ErrorBody, LoginRequest, PasswordRequest, RegisterRequest, Session, SetupRequest, SetupState, User,
};

use super::AppState;
use super::body::Json;
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient::{self, At};
use crate::service::sessions::{Caller, LIFETIME, SessionKey};

const COOKIE_NAME: &str = "banter_session";
/// Where TLS is. A browser lets no plain page replace a Secure cookie of the same name, so that whoever has signed in at
/// the https address could not do so at the http one; and with this prefix no other host can set it (RFC 6265bis §4.1.3).
const SECURE_COOKIE_NAME: &str = "__Host-banter_session";

/// The caller is signed in, by bearer token or by cookie. With a cookie, a write has to come from a page of ours:
/// browsers add cookies to what other sites make them send.
pub struct SignedIn(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = AppState::from_ref(state);
        let token = match bearer(&parts.headers) {
            Some(token) => token,
            None => {
                let token = cookie(&parts.headers).ok_or_else(ApiError::unauthorized)?;
                let Ok(reached) = Reached::from_request_parts(parts, state).await;
                if !parts.method.is_safe() && !has_own_origin(&parts.headers, &reached) {
                    return Err(ApiError::origin_mismatch());
                }
                token
            }
        };
        let caller = app.sessions.caller(SessionKey::of(&token), ambient::now().wall).await?;
        caller.map(Self).ok_or_else(ApiError::unauthorized)
    }
}

/// A request that may begin a session. If a browser sends it, it has to come from a page of ours: nobody should find
/// themselves signed in to an account of somebody else's making.
pub struct FromOwnPage;

impl<S: Send + Sync> FromRequestParts<S> for FromOwnPage
where
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Ok(reached) = Reached::from_request_parts(parts, state).await;
        let from_program = !parts.headers.contains_key(ORIGIN);
        if from_program || has_own_origin(&parts.headers, &reached) {
            Ok(Self)
        } else {
            Err(ApiError::origin_mismatch())
        }
    }
}

fn has_own_origin(headers: &HeaderMap, reached: &Reached) -> bool {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| reached.is_own_origin(origin))
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    cookie_named(SECURE_COOKIE_NAME, headers).or_else(|| cookie_named(COOKIE_NAME, headers))
}

fn cookie_named(wanted: &str, headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned())
}

type SetCookie = AppendHeaders<[(HeaderName, String); 1]>;

fn set_cookie(token: &str, lifetime_seconds: u64, reached: &Reached) -> SetCookie {
    let (name, secure) = if reached.secure { (SECURE_COOKIE_NAME, "; Secure") } else { (COOKIE_NAME, "") };
    let cookie =
        format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lifetime_seconds}{secure}");
    AppendHeaders([(SET_COOKIE, cookie)])
}

fn signed_in(status: StatusCode, session: Session, reached: &Reached) -> impl IntoResponse + use<> {
    (status, set_cookie(&session.token, LIFETIME.as_secs(), reached), axum::Json(session))
}

/// Says whether the server still waits for its first owner.
#[utoipa::path(get, operation_id = "setup_state", path = "/setup", tag = "auth", security(()), responses((status = 200, body = SetupState, description = "Whether the set-up is still to be done")))]
pub async fn setup_state(State(app): State<AppState>) -> Result<axum::Json<SetupState>, ApiError> {
    let needed = app.accounts.setup_needed().await?;
    Ok(axum::Json(SetupState { needed }))
}

/// Makes the first owner, with the code from the link that the server printed.
#[utoipa::path(post, operation_id = "set_up", path = "/auth/setup", tag = "auth", security(()), responses(
    (status = 201, body = Session, description = "The owner, signed in"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 403, body = ErrorBody, description = "`setup_code_invalid`, `origin_mismatch`"),
    (status = 409, body = ErrorBody, description = "`setup_done`, `username_taken`"),
    (status = 429, body = ErrorBody, description = "`too_many_requests`"),
))]
pub async fn set_up(
    State(app): State<AppState>,
    At(now): At,
    _: FromOwnPage,
    reached: Reached,
    Json(request): Json<SetupRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let session = app.accounts.set_up(request, reached.client, now, &mut ambient::rng()).await?;
    Ok(signed_in(StatusCode::CREATED, session, &reached))
}

/// Makes an account with an invite. Somebody who was kicked takes up their account again with its name and password.
#[utoipa::path(post, operation_id = "register", path = "/auth/register", tag = "auth", security(()), responses(
    (status = 201, body = Session, description = "The new member, signed in"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`, `banned`, `address_banned`"),
    (status = 404, body = ErrorBody, description = "`invite_invalid`"),
    (status = 409, body = ErrorBody, description = "`username_taken`"),
    (status = 429, body = ErrorBody, description = "`too_many_requests`"),
))]
pub async fn register(
    State(app): State<AppState>,
    At(now): At,
    _: FromOwnPage,
    reached: Reached,
    Json(request): Json<RegisterRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let session = app.accounts.register(request, reached.client, now, &mut ambient::rng()).await?;
    Ok(signed_in(StatusCode::CREATED, session, &reached))
}

/// Signs in. The token works as a bearer token; the same one is set as a cookie.
#[utoipa::path(post, operation_id = "log_in", path = "/auth/login", tag = "auth", security(()), responses(
    (status = 200, body = Session, description = "The session"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`invalid_credentials`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`, `banned`, `address_banned`, `membership_ended`"),
    (status = 429, body = ErrorBody, description = "`too_many_requests`"),
))]
pub async fn log_in(
    State(app): State<AppState>,
    At(now): At,
    _: FromOwnPage,
    reached: Reached,
    Json(request): Json<LoginRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let session = app.accounts.log_in(request, reached.client, now, &mut ambient::rng()).await?;
    Ok(signed_in(StatusCode::OK, session, &reached))
}

/// Ends the session.
#[utoipa::path(post, operation_id = "log_out", path = "/auth/logout", tag = "auth", responses(
    (status = 204, description = "The session has ended"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`"),
))]
pub async fn log_out(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    reached: Reached,
) -> Result<impl IntoResponse, ApiError> {
    app.sessions.end(caller.session).await?;
    Ok((StatusCode::NO_CONTENT, set_cookie("", 0, &reached)))
}

/// Who am I?
#[utoipa::path(get, operation_id = "me", path = "/auth/me", tag = "auth", responses(
    (status = 200, body = User, description = "The caller"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
))]
pub async fn me(SignedIn(caller): SignedIn) -> axum::Json<User> {
    axum::Json(caller.user)
}

/// Changes the caller's password. Their other sessions end.
#[utoipa::path(post, operation_id = "change_password", path = "/auth/password", tag = "auth", responses(
    (status = 204, description = "The password is changed"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`, `invalid_credentials`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`"),
    (status = 429, body = ErrorBody, description = "`too_many_requests`"),
))]
pub async fn change_password(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Json(request): Json<PasswordRequest>,
) -> Result<StatusCode, ApiError> {
    app.accounts.change_password(&caller, request, now, &mut ambient::rng()).await?;
    Ok(StatusCode::NO_CONTENT)
}
