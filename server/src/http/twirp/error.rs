//! Twirp's errors: a code, a message, and the HTTP status that goes with the code.

use axum::extract::rejection::BytesRejection;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::header};
use serde_json::json;

use crate::signal::{AdminError, CallError, SendDataError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    Malformed,
    NotFound,
    BadRoute,
    Unauthenticated,
    ResourceExhausted,
    FailedPrecondition,
    Unimplemented,
    Unavailable,
    Canceled,
    Internal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TwirpError {
    code: Code,
    status: StatusCode,
    message: String,
    /// What was asked for, if it is not there.
    route: Option<String>,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::Malformed => "malformed",
            Self::NotFound => "not_found",
            Self::BadRoute => "bad_route",
            Self::Unauthenticated => "unauthenticated",
            Self::ResourceExhausted => "resource_exhausted",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Unavailable => "unavailable",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }

    /// From the Twirp specification, version 7.
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::BadRoute => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Canceled => StatusCode::REQUEST_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl TwirpError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), route: None }
    }

    pub(super) fn no_handler(path: &str) -> Self {
        Self::new(Code::BadRoute, format!("no handler for path {path:?}"))
    }

    /// The body did not arrive whole, or is too large.
    pub(super) fn unreadable(rejection: &BytesRejection) -> Self {
        Self { status: rejection.status(), ..Self::new(Code::Malformed, rejection.body_text()) }
    }

    /// Says in an error about a route which one was asked for.
    pub(super) fn routed(self, method: &Method, uri: &Uri) -> Self {
        match self.code {
            Code::BadRoute => Self { route: Some(format!("{method} {}", uri.path())), ..self },
            _ => self,
        }
    }
}

impl From<AdminError> for TwirpError {
    fn from(error: AdminError) -> Self {
        let code = match &error {
            AdminError::NoRoom | AdminError::NoParticipant | AdminError::NoTrack => Code::NotFound,
            AdminError::Invalid(_) => Code::InvalidArgument,
            AdminError::RemoteUnmute | AdminError::ChannelsOnly => Code::FailedPrecondition,
            AdminError::Full(_) => Code::ResourceExhausted,
            AdminError::ShuttingDown => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SendDataError> for TwirpError {
    fn from(error: SendDataError) -> Self {
        let code = match error {
            SendDataError::NoRoom => Code::NotFound,
            SendDataError::TooLong => Code::InvalidArgument,
        };
        Self::new(code, error.to_string())
    }
}

impl From<CallError> for TwirpError {
    /// LiveKit's choice of codes. What a participant's method says itself is an error of its own making: internal.
    fn from(error: CallError) -> Self {
        let code = match error.code {
            CallError::CONNECTION_TIMEOUT | CallError::RESPONSE_TIMEOUT => Code::Canceled,
            CallError::RECIPIENT_DISCONNECTED => Code::Unavailable,
            CallError::REQUEST_TOO_LARGE | CallError::RESPONSE_TOO_LARGE => Code::Malformed,
            CallError::UNSUPPORTED_METHOD => Code::InvalidArgument,
            CallError::RECIPIENT_NOT_FOUND => Code::NotFound,
            CallError::TOO_MANY_CALLS => Code::ResourceExhausted,
            CallError::UNSUPPORTED_VERSION => Code::Unimplemented,
            _ => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for TwirpError {
    fn into_response(self) -> Response {
        tracing::debug!(code = self.code.name(), reason = %self.message, "call refused");
        let mut body = json!({ "code": self.code.name(), "msg": self.message });
        if let Some(route) = self.route {
            body["meta"] = json!({ "twirp_invalid_route": route });
        }
        (self.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}
