//! Every failure of the API and the answer it becomes. The cause of an internal one is logged, never sent.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use banter_protocol::rest::{ErrorBody, ErrorCode, ErrorDetail, UnixMillis};

use crate::events::TooManyStreams;
use crate::service::Forbidden;
use crate::service::accounts::{AccountError, ChangePasswordError, LoginError, RegisterError, SetupError};
use crate::service::channels::{ChannelFault, CreateChannelError, DeleteChannelError, UpdateChannelError};
use crate::service::exclusion::Exclusion;
use crate::service::invites::{CreateInviteError, DeleteInviteError, ListInvitesError, LookUpError};
use crate::service::moderation::{AuditError, BanError, ModerationError};
use crate::service::passwords::HashError;
use crate::service::throttle::Throttled;
use crate::service::voice::TokenError;
use crate::store::StoreError;

/// A failure as the client sees it.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    field: Option<String>,
    retry_after: Option<Duration>,
    reason: Option<String>,
    until: Option<UnixMillis>,
}

impl ApiError {
    fn new(code: ErrorCode, message: impl ToString) -> Self {
        let message = sentence(&message.to_string());
        Self { code, message, field: None, retry_after: None, reason: None, until: None }
    }

    pub fn validation(field: &str, message: impl ToString) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(ErrorCode::ValidationFailed, message) }
    }

    pub fn malformed_body(message: impl ToString) -> Self {
        Self::new(ErrorCode::MalformedBody, message)
    }

    pub fn unsupported_media_type() -> Self {
        Self::new(
            ErrorCode::UnsupportedMediaType,
            "the body has to be JSON; send it with the header Content-Type: application/json",
        )
    }

    pub fn payload_too_large() -> Self {
        Self::new(ErrorCode::PayloadTooLarge, "the body is larger than any this route takes; send less")
    }

    pub fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "nobody is signed in, or the session has ended; sign in again")
    }

    pub fn origin_mismatch() -> Self {
        Self::new(
            ErrorCode::OriginMismatch,
            "the request comes from a page of another address; open this server's own page, or set public_url to the \
             address people use",
        )
    }

    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is nothing at this address; check it against /api/openapi.json")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            ErrorCode::MethodNotAllowed,
            "this address does not take this method; check it against /api/openapi.json",
        )
    }

    fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside the server");
        Self::new(ErrorCode::Internal, "the server failed; try again, and if it persists look into its log")
    }

    fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::ValidationFailed | ErrorCode::MalformedBody => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized | ErrorCode::InvalidCredentials => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden
            | ErrorCode::MembershipEnded
            | ErrorCode::Banned
            | ErrorCode::AddressBanned
            | ErrorCode::OriginMismatch
            | ErrorCode::SetupCodeInvalid => StatusCode::FORBIDDEN,
            ErrorCode::NotFound
            | ErrorCode::UserNotFound
            | ErrorCode::ChannelNotFound
            | ErrorCode::InviteInvalid => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::UsernameTaken
            | ErrorCode::ChannelFull
            | ErrorCode::NotInVoice
            | ErrorCode::SetupDone => StatusCode::CONFLICT,
            ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let detail = ErrorDetail::from(self);
        let retry_after = detail.retry_after_seconds;
        let mut response = (status, Json(ErrorBody { error: detail })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ApiError> for ErrorDetail {
    fn from(error: ApiError) -> Self {
        let ApiError { code, message, field, retry_after, reason, until } = error;
        let retry_after_seconds = retry_after.map(|wait| wait.as_secs() + 1);
        Self { code, message, field, retry_after_seconds, reason, until }
    }
}

/// What a client gets when a handler panicked.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let cause = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    ApiError::internal(&cause).into_response()
}

/// Error texts begin in lower case, to be read after "error:"; people read whole sentences.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), chars.as_str())
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<Forbidden> for ApiError {
    fn from(error: Forbidden) -> Self {
        Self::new(ErrorCode::Forbidden, error)
    }
}

impl From<TooManyStreams> for ApiError {
    fn from(error: TooManyStreams) -> Self {
        Self::new(ErrorCode::TooManyRequests, error)
    }
}

impl From<Throttled> for ApiError {
    fn from(error: Throttled) -> Self {
        Self { retry_after: Some(error.0), ..Self::new(ErrorCode::TooManyRequests, error) }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self {
                retry_after: Some(Duration::from_secs(2)),
                ..Self::new(ErrorCode::TooManyRequests, error)
            },
            HashError::Failed(cause) => Self::internal(&cause),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Name(fault) => Self::validation("username", fault),
            AccountError::Password(fault) => Self::validation("password", fault),
            AccountError::NameTaken => Self::new(ErrorCode::UsernameTaken, error),
            AccountError::Hash(error) => error.into(),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Done => Self::new(ErrorCode::SetupDone, error),
            SetupError::CodeInvalid => Self::new(ErrorCode::SetupCodeInvalid, error),
            SetupError::Throttled(error) => error.into(),
            SetupError::Account(error) => error.into(),
        }
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::InviteInvalid => Self::new(ErrorCode::InviteInvalid, error),
            RegisterError::Excluded(error) => error.into(),
            RegisterError::Throttled(error) => error.into(),
            RegisterError::Account(error) => error.into(),
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::InvalidCredentials => Self::new(ErrorCode::InvalidCredentials, error),
            LoginError::Excluded(error) => error.into(),
            LoginError::Throttled(error) => error.into(),
            LoginError::Hash(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for ApiError {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::InvalidCredentials => Self::new(ErrorCode::InvalidCredentials, error),
            ChangePasswordError::Password(fault) => Self::validation("new_password", fault),
            ChangePasswordError::Throttled(error) => error.into(),
            ChangePasswordError::Hash(error) => error.into(),
            ChangePasswordError::Store(error) => error.into(),
        }
    }
}

impl From<CreateInviteError> for ApiError {
    fn from(error: CreateInviteError) -> Self {
        match error {
            CreateInviteError::Forbidden(error) => error.into(),
            CreateInviteError::Uses => Self::validation("max_uses", error),
            CreateInviteError::Lifetime => Self::validation("expires_in_seconds", error),
            CreateInviteError::Store(error) => error.into(),
        }
    }
}

impl From<LookUpError> for ApiError {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Invalid => Self::new(ErrorCode::InviteInvalid, error),
            LookUpError::Throttled(error) => error.into(),
            LookUpError::Store(error) => error.into(),
        }
    }
}

impl From<ListInvitesError> for ApiError {
    fn from(error: ListInvitesError) -> Self {
        match error {
            ListInvitesError::Forbidden(error) => error.into(),
            ListInvitesError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteInviteError> for ApiError {
    fn from(error: DeleteInviteError) -> Self {
        match error {
            DeleteInviteError::Forbidden(error) => error.into(),
            DeleteInviteError::Unknown => Self::new(ErrorCode::NotFound, error),
            DeleteInviteError::Store(error) => error.into(),
        }
    }
}

impl From<ChannelFault> for ApiError {
    fn from(fault: ChannelFault) -> Self {
        let field = match fault {
            ChannelFault::Name(_) => "name",
            ChannelFault::Description => "description",
            ChannelFault::MaxParticipants => "maxParticipants",
            ChannelFault::Position => "position",
        };
        Self::validation(field, fault)
    }
}

impl From<CreateChannelError> for ApiError {
    fn from(error: CreateChannelError) -> Self {
        match error {
            CreateChannelError::Forbidden(error) => error.into(),
            CreateChannelError::Fault(fault) => fault.into(),
            CreateChannelError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateChannelError> for ApiError {
    fn from(error: UpdateChannelError) -> Self {
        match error {
            UpdateChannelError::Forbidden(error) => error.into(),
            UpdateChannelError::Fault(fault) => fault.into(),
            UpdateChannelError::Unknown => Self::new(ErrorCode::ChannelNotFound, error),
            UpdateChannelError::Store(error) => error.into(),
        }
    }
}

impl From<DeleteChannelError> for ApiError {
    fn from(error: DeleteChannelError) -> Self {
        match error {
            DeleteChannelError::Forbidden(error) => error.into(),
            DeleteChannelError::Unknown => Self::new(ErrorCode::ChannelNotFound, error),
            DeleteChannelError::Store(error) => error.into(),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown => Self::new(ErrorCode::ChannelNotFound, error),
            TokenError::Full(_) => Self::new(ErrorCode::ChannelFull, error),
            TokenError::Excluded(error) => error.into(),
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<Exclusion> for ApiError {
    fn from(error: Exclusion) -> Self {
        let (code, reason, until) = match &error {
            Exclusion::Removed { reason } => (ErrorCode::MembershipEnded, reason.clone(), None),
            Exclusion::Banned { reason, until } => (ErrorCode::Banned, reason.clone(), *until),
            Exclusion::Address { until } => (ErrorCode::AddressBanned, None, *until),
        };
        Self { reason, until, ..Self::new(code, error) }
    }
}

impl From<ModerationError> for ApiError {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::Forbidden(error) => error.into(),
            ModerationError::Rank(error) => Self::new(ErrorCode::Forbidden, error),
            ModerationError::UnknownUser => Self::new(ErrorCode::UserNotFound, error),
            ModerationError::Reason(error) => Self::validation("reason", error),
            ModerationError::NotInVoice(_) => Self::new(ErrorCode::NotInVoice, error),
            ModerationError::UnknownChannel => Self::new(ErrorCode::ChannelNotFound, error),
            ModerationError::ChannelFull(_) => Self::new(ErrorCode::ChannelFull, error),
            ModerationError::Store(error) => error.into(),
        }
    }
}

impl From<BanError> for ApiError {
    fn from(error: BanError) -> Self {
        match error {
            BanError::Moderation(error) => error.into(),
            BanError::Nobody => Self::validation("user_id", error),
            BanError::Address(_) | BanError::Loopback(_) | BanError::CoversCaller(_) => {
                Self::validation("address", error)
            }
            BanError::NoAddress(_) => Self::validation("include_address", error),
            BanError::Lifetime => Self::validation("expires_in_seconds", error),
            BanError::TooMany => Self::new(ErrorCode::Forbidden, error),
            BanError::Unknown => Self::new(ErrorCode::NotFound, error),
        }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Forbidden(error) => error.into(),
            AuditError::Limit => Self::validation("limit", error),
            AuditError::Store(error) => error.into(),
        }
    }
}
