//! Invites, found by the hash of their code.

use banter_protocol::rest::{Invite, InviteId, UnixMillis, UserId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Column, Result};

pub type CodeHash = [u8; 32];

const COLUMNS: &str = "id, max_uses, uses, expires_at, created_by, created_at";

pub fn insert(connection: &Connection, invite: &Invite, code: &CodeHash) -> Result<()> {
    connection.execute(
        "INSERT INTO invites (id, code_hash, max_uses, uses, expires_at, created_by, created_at)
         VALUES (:id, :code, :max_uses, :uses, :expires_at, :created_by, :created_at)",
        named_params! {
            ":id": invite.id.as_str(),
            ":code": code,
            ":max_uses": invite.max_uses,
            ":uses": invite.uses,
            ":expires_at": Column(invite.expires_at),
            ":created_by": invite.created_by.as_ref().map(UserId::as_str),
            ":created_at": Column(invite.created_at),
        },
    )?;
    Ok(())
}

/// The invite if it can still be used.
pub fn usable(connection: &Connection, code: &CodeHash, now: UnixMillis) -> Result<Option<Invite>> {
    let sql =
        format!("SELECT {COLUMNS} FROM invites WHERE code_hash = ?1 AND expires_at > ?2 AND uses < max_uses");
    Ok(connection.query_row(&sql, (code, Column(now)), invite).optional()?)
}

/// Takes one use, if there is one left. Atomic: the condition and the count are one statement.
pub fn take_use(connection: &Connection, code: &CodeHash, now: UnixMillis) -> Result<Option<InviteId>> {
    Ok(connection
        .query_row(
            "UPDATE invites SET uses = uses + 1
             WHERE code_hash = ?1 AND expires_at > ?2 AND uses < max_uses RETURNING id",
            (code, Column(now)),
            |row| row.get::<_, String>(0).map(InviteId::new),
        )
        .optional()?)
}

pub fn record_use(connection: &Connection, invite: &InviteId, user: &UserId, now: UnixMillis) -> Result<()> {
    connection.execute(
        "INSERT INTO invite_uses (user_id, invite_id, used_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_id) DO UPDATE SET invite_id = ?2, used_at = ?3",
        (user.as_str(), invite.as_str(), Column(now)),
    )?;
    Ok(())
}

/// Newest first, spent and expired ones included: their makers want to see what became of them.
pub fn all(connection: &Connection) -> Result<Vec<Invite>> {
    let sql = format!("SELECT {COLUMNS} FROM invites ORDER BY created_at DESC, id");
    Ok(connection.prepare(&sql)?.query_map([], invite)?.collect::<rusqlite::Result<_>>()?)
}

/// False if there is none of this id.
pub fn delete(connection: &Connection, id: &InviteId) -> Result<bool> {
    Ok(connection.execute("DELETE FROM invites WHERE id = ?1", [id.as_str()])? > 0)
}

fn invite(row: &Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        id: InviteId::new(row.get::<_, String>("id")?),
        max_uses: row.get("max_uses")?,
        uses: row.get("uses")?,
        expires_at: row.get::<_, Column<UnixMillis>>("expires_at")?.0,
        created_by: row.get::<_, Option<String>>("created_by")?.map(UserId::new),
        created_at: row.get::<_, Column<UnixMillis>>("created_at")?.0,
    })
}
