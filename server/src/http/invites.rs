//! Invites.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use banter_protocol::rest::{CreateInvite, CreatedInvite, ErrorBody, Invite, InviteId, InviteState};

use super::AppState;
use super::auth::SignedIn;
use super::body::Json;
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient::{self, At};
use crate::service::invites::Destination;

/// Makes an invite (admins). Its code is shown only in this answer.
#[utoipa::path(post, operation_id = "create_invite", path = "/invites", tag = "invites", responses(
    (status = 201, body = CreatedInvite, description = "The invite with its code"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
))]
pub async fn create(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    reached: Reached,
    Json(request): Json<CreateInvite>,
) -> Result<(StatusCode, axum::Json<CreatedInvite>), ApiError> {
    let to = Destination { base: reached.base_url(), fingerprint: reached.fingerprint() };
    let invite = app.invites.create(&caller.user, request, &to, now.wall, &mut ambient::rng()).await?;
    Ok((StatusCode::CREATED, axum::Json(invite)))
}

/// All invites, newest first (admins).
#[utoipa::path(get, operation_id = "list_invites", path = "/invites", tag = "invites", responses(
    (status = 200, body = [Invite], description = "The invites"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`"),
))]
pub async fn list(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<Vec<Invite>>, ApiError> {
    Ok(axum::Json(app.invites.list(&caller.user).await?))
}

/// Says whether an invite can still be used. For everyone who has its code.
#[utoipa::path(get, operation_id = "look_up_invite", path = "/invites/{invite}", tag = "invites", security(()),
    params(("invite" = String, Path, description = "The code in the invite link")),
    responses(
        (status = 200, body = InviteState, description = "It can be used"),
        (status = 404, body = ErrorBody, description = "`invite_invalid`"),
        (status = 429, body = ErrorBody, description = "`too_many_requests`"),
    ))]
pub async fn look_up(
    State(app): State<AppState>,
    At(now): At,
    reached: Reached,
    Path(code): Path<String>,
) -> Result<axum::Json<InviteState>, ApiError> {
    Ok(axum::Json(app.invites.look_up(&code, reached.client, now).await?))
}

/// Withdraws an invite (admins). Accounts made with it stay.
#[utoipa::path(delete, operation_id = "delete_invite", path = "/invites/{invite}", tag = "invites",
    params(("invite" = InviteId, Path, description = "The invite's id, not its code")),
    responses(
        (status = 204, description = "The invite is gone"),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ))]
pub async fn delete(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    app.invites.delete(&caller.user, InviteId::new(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
