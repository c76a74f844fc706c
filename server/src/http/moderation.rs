//! Keeping order.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use banter_protocol::rest::{
    AuditPage, Ban, BanId, CreateBan, ErrorBody, Member, MoveRequest, ReasonRequest, UpdateVoice, UserId,
};
use serde::Deserialize;

use super::AppState;
use super::auth::SignedIn;
use super::body::Json;
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient::{self, At};

/// Everyone with an account, oldest first, with what moderators have decided about their voice (moderators).
#[utoipa::path(get, operation_id = "list_members", path = "/members", tag = "moderation", responses(
    (status = 200, body = [Member], description = "The members"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`"),
))]
pub async fn members(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<Vec<Member>>, ApiError> {
    Ok(axum::Json(app.moderation.members(&caller.user).await?))
}

/// Takes away a member's right to speak or to listen, or gives it back (moderators, on those below them). It holds for
/// the call under way and for later ones.
#[utoipa::path(patch, operation_id = "update_member_voice", path = "/members/{id}/voice", tag = "moderation", params(("id" = UserId, Path)), responses(
    (status = 200, body = Member, description = "The member as they are now"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`user_not_found`"),
))]
pub async fn update_voice(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Json(request): Json<UpdateVoice>,
) -> Result<axum::Json<Member>, ApiError> {
    let member = app.moderation.update_voice(&caller.user, UserId::new(id), request, now.wall).await?;
    Ok(axum::Json(member))
}

/// Moves a member's call into another channel (moderators, on those below them): their client follows by itself. Somebody
/// who is there already stays. What moderators decided about their voice holds there too.
#[utoipa::path(post, operation_id = "move_member", path = "/members/{id}/move", tag = "moderation", params(("id" = UserId, Path)), responses(
    (status = 204, description = "The member is in the channel, or on the way into it"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`user_not_found`, `channel_not_found`"),
    (status = 409, body = ErrorBody, description = "`not_in_voice`, `channel_full`"),
))]
pub async fn move_member(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Json(request): Json<MoveRequest>,
) -> Result<StatusCode, ApiError> {
    app.moderation.move_member(&caller.user, UserId::new(id), request, now.wall).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a member's call (moderators, on those below them). They may join again.
#[utoipa::path(post, operation_id = "disconnect_member", path = "/members/{id}/disconnect", tag = "moderation", params(("id" = UserId, Path)), responses(
    (status = 204, description = "The call has ended"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`user_not_found`"),
    (status = 409, body = ErrorBody, description = "`not_in_voice`"),
))]
pub async fn disconnect(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Json(request): Json<ReasonRequest>,
) -> Result<StatusCode, ApiError> {
    app.moderation.disconnect(&caller.user, UserId::new(id), request, now.wall).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a membership (moderators, on those below them): sessions, access tokens and calls end at once, and the account
/// cannot sign in. With a new invite, its name and its password the person takes it up again, as a member.
#[utoipa::path(post, operation_id = "kick_member", path = "/members/{id}/kick", tag = "moderation", params(("id" = UserId, Path)), responses(
    (status = 204, description = "The membership has ended"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`user_not_found`"),
))]
pub async fn kick(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Json(request): Json<ReasonRequest>,
) -> Result<StatusCode, ApiError> {
    app.moderation.kick(&caller.user, UserId::new(id), request, now.wall).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bans in force, newest first (moderators).
#[utoipa::path(get, operation_id = "list_bans", path = "/bans", tag = "moderation", responses(
    (status = 200, body = [Ban], description = "The bans"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`"),
))]
pub async fn list_bans(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<Vec<Ban>>, ApiError> {
    Ok(axum::Json(app.moderation.bans(&caller.user, now.wall).await?))
}

/// Bans a person (moderators, on those below them), a network (admins), or both, for a while or for good. Sessions, access
/// tokens and calls end at once. The membership lasts: after the ban the person may sign in again. A ban of a network
/// keeps everyone out who comes from there, but for admins and owners.
#[utoipa::path(post, operation_id = "create_ban", path = "/bans", tag = "moderation", responses(
    (status = 201, body = Ban, description = "The ban"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`user_not_found`"),
))]
pub async fn ban(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    reached: Reached,
    Json(request): Json<CreateBan>,
) -> Result<(StatusCode, axum::Json<Ban>), ApiError> {
    let mut rng = ambient::rng();
    let ban = app.moderation.ban(&caller.user, request, reached.client, now.wall, &mut rng).await?;
    Ok((StatusCode::CREATED, axum::Json(ban)))
}

/// Lifts a ban (admins).
#[utoipa::path(delete, operation_id = "delete_ban", path = "/bans/{id}", tag = "moderation", params(("id" = BanId, Path)), responses(
    (status = 204, description = "The ban is lifted"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`not_found`"),
))]
pub async fn unban(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    app.moderation.unban(&caller.user, BanId::new(id), now.wall).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Entries older than this one.
    before: Option<i64>,
    /// How many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// What moderators did, newest first (admins).
#[utoipa::path(get, operation_id = "audit_log", path = "/audit-log", tag = "moderation", params(Page), responses(
    (status = 200, body = AuditPage, description = "A page of it"),
    (status = 400, body = ErrorBody, description = "`validation_failed`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`"),
))]
pub async fn audit_log(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<AuditPage>, ApiError> {
    let Ok(Query(Page { before, limit })) = page else {
        return Err(ApiError::validation(
            "before",
            "before and limit are whole numbers; correct or leave them out",
        ));
    };
    Ok(axum::Json(app.moderation.audit_log(&caller.user, before, limit).await?))
}
