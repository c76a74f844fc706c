//! The media plane's own account of its work.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use banter_protocol::rest::{ErrorBody, MediaStatus};

use super::AppState;
use super::auth::SignedIn;
use super::error::ApiError;
use crate::service;

/// What the media workers have done since the start (admins): counts of datagrams and packets, each with its fate.
#[utoipa::path(get, operation_id = "media_status", path = "/media", tag = "meta", responses(
    (status = 200, body = MediaStatus, description = "Counts over all workers"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`forbidden`"),
))]
pub async fn status(
    State(app): State<AppState>,
    SignedIn(caller): SignedIn,
) -> Result<Json<MediaStatus>, ApiError> {
    service::require(&caller.user, banter_protocol::rest::Role::Admin)?;
    let counters = app.media.counters();
    Ok(Json(MediaStatus {
        participants: app.media.participants(),
        core: by_name(counters.core.named()),
        socket: by_name(counters.socket.named()),
        streams: by_name(counters.streams.named()),
    }))
}

fn by_name(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).collect()
}
