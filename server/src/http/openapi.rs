//! The description of the API, from which the web app's types are generated.

use axum::response::IntoResponse;
use banter_protocol::rest::{
    ChannelDeletedEvent, ChannelEvent, ExcludedEvent, ParticipantEvent, ParticipantLeftEvent, SnapshotEvent,
    SpeakingEvent,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Banter",
        description = "Self-hosted voice channels. Sign in for a session, list the channels, fetch an access token for \
                       one, and take it to any LiveKit client.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(
        SnapshotEvent,
        ChannelEvent,
        ChannelDeletedEvent,
        ParticipantEvent,
        ParticipantLeftEvent,
        SpeakingEvent,
        ExcludedEvent
    )),
    security(("bearer" = []), ("cookie" = [])),
    modifiers(&Schemes),
)]
struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::with_description(
            "banter_session",
            "Set at sign-in, over TLS with __Host- before its name; writes need an Origin of ours",
        );
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// The whole document as JSON text, ending in a line break.
pub fn document() -> String {
    let (_, openapi) =
        OpenApiRouter::with_openapi(Description::openapi()).nest("/api", super::api()).split_for_parts();
    let mut text = openapi.to_pretty_json().expect("the document has string keys only");
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(get, operation_id = "openapi_document", path = "/openapi.json", tag = "meta", security(()),
    responses((status = 200, content_type = "application/json", body = Object, description = "This document")))]
pub async fn serve() -> impl IntoResponse {
    ([("content-type", "application/json")], document())
}
