//! How people stand: whether they are members, what moderators decided about them, and which tokens are theirs.

use banter_protocol::rest::{Member, Role, UnixMillis, UserId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Column, Result, users};

/// What the account says of itself. Bans are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub member: Member,
    pub generation: u64,
    /// The membership has ended.
    pub removed: bool,
    /// Why, if a reason was given.
    pub removed_reason: Option<String>,
}

const COLUMNS: &str =
    "id, username, role, created_at, generation, removed_at IS NOT NULL AS removed, removed_reason,
    server_muted, server_deafened";

pub fn of(connection: &Connection, user: &UserId) -> Result<Option<Standing>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
    Ok(connection.query_row(&sql, [user.as_str()], standing).optional()?)
}

/// Every member, oldest account first.
pub fn members(connection: &Connection) -> Result<Vec<Member>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE removed_at IS NULL ORDER BY created_at, id");
    let mut statement = connection.prepare(&sql)?;
    let members = statement.query_map([], |row| standing(row).map(|standing| standing.member))?;
    Ok(members.collect::<rusqlite::Result<_>>()?)
}

/// Sets what moderators allow a member's voice.
pub fn set_voice(connection: &Connection, user: &UserId, muted: bool, deafened: bool) -> Result<()> {
    connection.execute(
        "UPDATE users SET server_muted = ?2, server_deafened = ?3 WHERE id = ?1",
        (user.as_str(), muted, deafened),
    )?;
    Ok(())
}

/// Ends a membership. Whoever is invited again begins as a member without a role.
pub fn remove(connection: &Connection, user: &UserId, reason: Option<&str>, now: UnixMillis) -> Result<()> {
    users::set_role(connection, user, Role::Member)?;
    connection.execute(
        "UPDATE users SET removed_at = :now, removed_reason = :reason WHERE id = :user",
        named_params! { ":user": user.as_str(), ":reason": reason, ":now": Column(now) },
    )?;
    Ok(())
}

/// Takes up a membership that has ended.
pub fn restore(connection: &Connection, user: &UserId) -> Result<()> {
    connection.execute(
        "UPDATE users SET removed_at = NULL, removed_reason = NULL WHERE id = ?1",
        [user.as_str()],
    )?;
    Ok(())
}

/// Makes every access token that the person holds void.
pub fn next_generation(connection: &Connection, user: &UserId) -> Result<()> {
    connection.execute("UPDATE users SET generation = generation + 1 WHERE id = ?1", [user.as_str()])?;
    Ok(())
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing {
        member: Member {
            user: users::user(row)?,
            server_muted: row.get("server_muted")?,
            server_deafened: row.get("server_deafened")?,
        },
        // It begins with 0 and only grows.
        generation: row.get::<_, i64>("generation")?.unsigned_abs(),
        removed: row.get("removed")?,
        removed_reason: row.get("removed_reason")?,
    })
}
