//! SQL and row types, nothing else. What an operation means, and who may do it, is decided in `service/`.

pub mod audit;
pub mod bans;
pub mod channels;
mod database;
pub mod invites;
mod migrations;
pub mod sessions;
pub mod settings;
pub mod standing;
pub mod users;

use banter_protocol::rest::UnixMillis;
use rusqlite::ErrorCode;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

pub use database::{Database, OpenError};
pub use migrations::SCHEMA_VERSION;

/// The database could not do its work. Callers can only report it: the cause is in the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database is closed")]
    Closed,
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Translates the violation of a named constraint, so that the constraint itself is the check.
pub trait OnConstraint<T> {
    /// `column` as SQLite reports it: `table.column`.
    fn on_unique<E: From<StoreError>>(self, column: &str, error: impl FnOnce() -> E) -> Result<T, E>;
    /// `text` is what a trigger raised.
    fn on_abort<E: From<StoreError>>(self, text: &str, error: impl FnOnce() -> E) -> Result<T, E>;
}

impl<T> OnConstraint<T> for Result<T> {
    fn on_unique<E: From<StoreError>>(self, column: &str, error: impl FnOnce() -> E) -> Result<T, E> {
        self.map_err(|cause| match constraint_message(&cause) {
            Some(message) if message.ends_with(column) => error(),
            _ => cause.into(),
        })
    }

    fn on_abort<E: From<StoreError>>(self, text: &str, error: impl FnOnce() -> E) -> Result<T, E> {
        self.map_err(|cause| match constraint_message(&cause) {
            Some(message) if message == text => error(),
            _ => cause.into(),
        })
    }
}

fn constraint_message(error: &StoreError) -> Option<&str> {
    match error {
        StoreError::Sqlite(rusqlite::Error::SqliteFailure(failure, Some(message)))
            if failure.code == ErrorCode::ConstraintViolation =>
        {
            Some(message)
        }
        _ => None,
    }
}

/// Carries a type of `protocol`, which knows no SQL, in and out of a column.
pub(crate) struct Column<T>(pub T);

impl ToSql for Column<UnixMillis> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.0))
    }
}

impl FromSql for Column<UnixMillis> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|millis| Self(UnixMillis(millis)))
    }
}
