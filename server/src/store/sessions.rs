//! Sessions, found by the hash of their token.

use std::net::IpAddr;

use banter_protocol::rest::{UnixMillis, User, UserId};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{Column, Result, users};

pub type TokenHash = [u8; 32];

pub fn insert(
    connection: &Connection,
    token: &TokenHash,
    user: &UserId,
    from: IpAddr,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> Result<()> {
    connection.execute(
        "INSERT INTO sessions (token_hash, user_id, address, created_at, expires_at)
         VALUES (:token, :user, :address, :now, :expires_at)",
        named_params! {
            ":token": token,
            ":user": user.as_str(),
            ":address": from.to_string(),
            ":now": Column(now),
            ":expires_at": Column(expires_at),
        },
    )?;
    Ok(())
}

/// Whose session it is, unless it has expired.
pub fn user(connection: &Connection, token: &TokenHash, now: UnixMillis) -> Result<Option<User>> {
    Ok(connection
        .query_row(
            "SELECT users.id, username, role, users.created_at
             FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE token_hash = :token AND expires_at > :now",
            named_params! { ":token": token, ":now": Column(now) },
            users::user,
        )
        .optional()?)
}

/// Where the person signed in last, as far as sessions still tell.
pub fn last_address(connection: &Connection, user: &UserId) -> Result<Option<IpAddr>> {
    let address: Option<String> = connection
        .query_row(
            "SELECT address FROM sessions WHERE user_id = ?1 AND address IS NOT NULL ORDER BY created_at DESC LIMIT 1",
            [user.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(address.and_then(|text| text.parse().ok()))
}

pub fn delete(connection: &Connection, token: &TokenHash) -> Result<()> {
    connection.execute("DELETE FROM sessions WHERE token_hash = ?1", [token])?;
    Ok(())
}

/// Ends every session of a person but `kept`.
pub fn delete_others(connection: &Connection, user: &UserId, kept: Option<&TokenHash>) -> Result<()> {
    connection.execute(
        "DELETE FROM sessions WHERE user_id = :user AND token_hash IS NOT :kept",
        named_params! { ":user": user.as_str(), ":kept": kept },
    )?;
    Ok(())
}

pub fn delete_expired(connection: &Connection, now: UnixMillis) -> Result<()> {
    connection.execute("DELETE FROM sessions WHERE expires_at <= ?1", [Column(now)])?;
    Ok(())
}
