//! Voice channels.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use banter_protocol::rest::{
    Channel, ChannelId, ChannelWithParticipants, CreateChannel, ErrorBody, UpdateChannel,
};

use super::AppState;
use super::auth::SignedIn;
use super::body::Json;
use super::error::ApiError;
use crate::ambient::{self, At};

/// All voice channels, by position and then by age, with the people inside.
#[utoipa::path(get, operation_id = "list_channels", path = "/voice/channels", tag = "voice", responses(
    (status = 200, body = [ChannelWithParticipants], description = "The channels"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
))]
pub async fn list(
    State(app): State<AppState>,
    _: SignedIn,
) -> Result<axum::Json<Vec<ChannelWithParticipants>>, ApiError> {
    Ok(axum::Json(app.channels.list().await?))
}

/// Makes a channel (admins).
#[utoipa::path(post, operation_id = "create_channel", path = "/voice/channels", tag = "voice", responses(
    (status = 201, body = Channel, description = "The new channel"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
))]
pub async fn create(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    Json(request): Json<CreateChannel>,
) -> Result<(StatusCode, axum::Json<Channel>), ApiError> {
    let channel = app.channels.create(&caller.user, request, now.wall, &mut ambient::rng()).await?;
    Ok((StatusCode::CREATED, axum::Json(channel)))
}

/// Changes a channel (admins). What is left out stays as it is.
#[utoipa::path(patch, operation_id = "update_channel", path = "/voice/channels/{id}", tag = "voice", params(("id" = ChannelId, Path)), responses(
    (status = 200, body = Channel, description = "The channel as it is now"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`channel_not_found`"),
))]
pub async fn update(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Json(request): Json<UpdateChannel>,
) -> Result<axum::Json<Channel>, ApiError> {
    Ok(axum::Json(app.channels.update(&caller.user, ChannelId::new(id), request).await?))
}

/// Deletes a channel (admins). Who is inside is disconnected and told why.
#[utoipa::path(delete, operation_id = "delete_channel", path = "/voice/channels/{id}", tag = "voice", params(("id" = ChannelId, Path)), responses(
    (status = 204, description = "The channel is gone"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`, `origin_mismatch`"),
    (status = 404, body = ErrorBody, description = "`channel_not_found`"),
))]
pub async fn delete(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    app.channels.delete(&caller.user, ChannelId::new(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
