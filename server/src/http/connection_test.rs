//! A test of the paths between a client and the media server.

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use banter_protocol::rest::{ConnectionTest, ErrorBody};

use super::AppState;
use super::auth::{SignedIn, bearer};
use super::error::ApiError;
use super::reached::Reached;
use crate::ambient::{self, At};
use crate::service::connection_test::Tester;

/// Whoever is signed in may test, and whoever has an API key: by a token that it has signed, with the grant to create
/// rooms, as for LiveKit's server API.
pub struct MayTest(Tester);

impl<S: Send + Sync> FromRequestParts<S> for MayTest
where
    AppState: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = AppState::from_ref(state);
        // Session tokens have no dots in them, and so are no such tokens.
        let claims = bearer(&parts.headers).and_then(|token| app.metrics.rooms.verify(&token).ok());
        if let Some(claims) =
            claims.filter(|claims| claims.video.as_ref().is_some_and(|grant| grant.room_create))
        {
            return Ok(Self(Tester::Operator(claims.issuer)));
        }
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self(Tester::Member(caller.user.id)))
    }
}

/// Prepares a test of each path that this server offers: any LiveKit client that joins with both tokens of a path and hears
/// itself has shown that the path works. Besides a session, a token of an API key that may create rooms will do.
#[utoipa::path(post, operation_id = "create_connection_test", path = "/voice/connection-test", tag = "voice", responses(
    (status = 200, body = ConnectionTest, description = "Tokens for a private room for each path, which closes after a minute"),
    (status = 401, body = ErrorBody, description = "`unauthorized`"),
    (status = 403, body = ErrorBody, description = "`origin_mismatch`"),
    (status = 429, body = ErrorBody, description = "`too_many_requests`"),
))]
pub async fn create(
    State(app): State<AppState>,
    At(now): At,
    MayTest(tester): MayTest,
    reached: Reached,
) -> Result<axum::Json<ConnectionTest>, ApiError> {
    let paths =
        app.tests.prepare(tester, reached.client, reached.host_address(), now, &mut ambient::rng())?;
    Ok(axum::Json(ConnectionTest { ws_url: reached.ws_url(), server_time: now.wall, paths }))
}
