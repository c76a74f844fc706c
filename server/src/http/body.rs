//! JSON request bodies, with failures in the API's own shape.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body that was sent as JSON and fits `T`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        // Other types are what a form on a foreign page could send without asking (Fetch, CORS-safelisted).
        if !is_json(&request) {
            return Err(ApiError::unsupported_media_type());
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::payload_too_large(),
                _ => ApiError::malformed_body("the body could not be read; send it again"),
            })?;
        parse(&bytes).map(Self)
    }
}

fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return false };
    let Ok(text) = value.to_str() else { return false };
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, cause) = (error.path().to_string(), error.inner());
        match cause.classify() {
            serde_json::error::Category::Data => data_error(&path, cause),
            _ => ApiError::malformed_body(format!("the body is not valid JSON: {cause}")),
        }
    })?;
    json.end().map_err(|error| ApiError::malformed_body(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}

fn data_error(path: &str, cause: &serde_json::Error) -> ApiError {
    let message = cause.to_string();
    // The path ends at the object that lacks the field; only the message has its name.
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match missing {
        Some(field) => ApiError::validation(field, format!("{field} is missing; add it")),
        // The whole body, or an item of a body that is a list.
        None if path == "." || path.starts_with('[') => {
            ApiError::malformed_body(format!("the body does not fit: {message}"))
        }
        None => ApiError::validation(path, format!("{path} does not fit: {message}")),
    }
}
