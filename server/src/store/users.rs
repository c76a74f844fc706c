//! Accounts and their password hashes.

use banter_protocol::rest::{Role, UnixMillis, User, UserId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Column, Result};

const COLUMNS: &str = "id, username, role, created_at";

/// Fails on `users.name_key` if the name is taken.
pub fn insert(connection: &Connection, user: &User, name_key: &str) -> Result<()> {
    connection.execute(
        "INSERT INTO users (id, username, name_key, role, created_at)
         VALUES (:id, :username, :name_key, :role, :created_at)",
        named_params! {
            ":id": user.id.as_str(),
            ":username": user.username,
            ":name_key": name_key,
            ":role": user.role.as_str(),
            ":created_at": Column(user.created_at),
        },
    )?;
    Ok(())
}

pub fn by_id(connection: &Connection, id: &UserId) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
    Ok(connection.query_row(&sql, [id.as_str()], user).optional()?)
}

pub fn by_name_key(connection: &Connection, name_key: &str) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE name_key = ?1");
    Ok(connection.query_row(&sql, [name_key], user).optional()?)
}

/// Every member, oldest account first.
pub fn all(connection: &Connection) -> Result<Vec<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE removed_at IS NULL ORDER BY created_at, id");
    Ok(connection.prepare(&sql)?.query_map([], user)?.collect::<rusqlite::Result<_>>()?)
}

pub fn owner_exists(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'owner')";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Raises `last owner` (a trigger) rather than leave the server without one.
pub fn set_role(connection: &Connection, id: &UserId, role: Role) -> Result<()> {
    connection.execute("UPDATE users SET role = ?2 WHERE id = ?1", [id.as_str(), role.as_str()])?;
    Ok(())
}

pub fn password_hash(connection: &Connection, id: &UserId) -> Result<Option<String>> {
    Ok(connection
        .query_row("SELECT hash FROM passwords WHERE user_id = ?1", [id.as_str()], |row| row.get(0))
        .optional()?)
}

pub fn set_password_hash(connection: &Connection, id: &UserId, hash: &str, now: UnixMillis) -> Result<()> {
    connection.execute(
        "INSERT INTO passwords (user_id, hash, changed_at) VALUES (:id, :hash, :now)
         ON CONFLICT (user_id) DO UPDATE SET hash = :hash, changed_at = :now",
        named_params! { ":id": id.as_str(), ":hash": hash, ":now": Column(now) },
    )?;
    Ok(())
}

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let role: String = row.get("role")?;
    Ok(User {
        id: UserId::new(row.get::<_, String>("id")?),
        username: row.get("username")?,
        // The column's CHECK admits nothing else.
        role: role.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        created_at: row.get::<_, Column<UnixMillis>>("created_at")?.0,
    })
}
