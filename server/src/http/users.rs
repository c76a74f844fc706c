//! The people of this server.

use axum::Json;
use axum::extract::State;
use banter_protocol::rest::{ErrorBody, User};

use super::AppState;
use super::auth::SignedIn;
use super::error::ApiError;

/// Everyone with an account, oldest first.
#[utoipa::path(get, operation_id = "list_users", path = "/users", tag = "users", responses(
    (status = 200, body = [User], description = "The accounts"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
))]
pub async fn list(State(app): State<AppState>, _: SignedIn) -> Result<Json<Vec<User>>, ApiError> {
    Ok(Json(app.accounts.list().await?))
}
