//! Access tokens for voice channels.

use axum::extract::State;
use banter_protocol::rest::{ErrorBody, VoiceToken, VoiceTokenRequest};

use super::AppState;
use super::auth::SignedIn;
use super::body::Json;
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient::At;

/// Signs an access token for a channel and names the address to take it to.
#[utoipa::path(post, operation_id = "create_voice_token", path = "/voice/token", tag = "voice", responses(
    (status = 200, body = VoiceToken, description = "The token and where to take it"),
    (status = 400, body = ErrorBody, description = "`validation_failed`, `malformed_body`"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`, `banned`, `address_banned`, `membership_ended`"),
    (status = 404, body = ErrorBody, description = "`channel_not_found`"),
    (status = 409, body = ErrorBody, description = "`channel_full`"),
))]
pub async fn create(
    State(app): State<AppState>,
    At(now): At,
    SignedIn(caller): SignedIn,
    reached: Reached,
    Json(request): Json<VoiceTokenRequest>,
) -> Result<axum::Json<VoiceToken>, ApiError> {
    let token = app.voice.token(&caller.user, request.channel_id, reached.client, now.wall).await?;
    Ok(axum::Json(VoiceToken { token, ws_url: reached.ws_url() }))
}
