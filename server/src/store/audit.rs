//! The audit log: written once, never changed.

use banter_protocol::rest::{AuditEntry, UnixMillis, UserId};
use rusqlite::{Connection, Row, named_params};

use super::{Column, Result};

const COLUMNS: &str = "id, at, action, actor_id, actor_name, target_id, target_name, reason, details";

/// The oldest entries give way to new ones beyond this many.
const KEPT: i64 = 100_000;

/// Appends an entry; its id is the log's own.
pub fn append(connection: &Connection, entry: &AuditEntry) -> Result<()> {
    let details = serde_json::to_string(&entry.details).expect("details have string keys only");
    connection.execute(
        "INSERT INTO audit_log (at, action, actor_id, actor_name, target_id, target_name, reason, details)
         VALUES (:at, :action, :actor_id, :actor_name, :target_id, :target_name, :reason, :details)",
        named_params! {
            ":at": Column(entry.at),
            ":action": entry.action.as_str(),
            ":actor_id": entry.actor_id.as_ref().map(UserId::as_str),
            ":actor_name": entry.actor_name,
            ":target_id": entry.target_id.as_ref().map(UserId::as_str),
            ":target_name": entry.target_name,
            ":reason": entry.reason,
            ":details": details,
        },
    )?;
    connection.execute("DELETE FROM audit_log WHERE id <= ?1", [connection.last_insert_rowid() - KEPT])?;
    Ok(())
}

/// At most `limit` entries that are older than `before`, newest first.
pub fn page(connection: &Connection, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>> {
    let sql = format!("SELECT {COLUMNS} FROM audit_log WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map((before.unwrap_or(i64::MAX), limit), entry)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What was done at the command line since the entry `after`, oldest first.
pub fn by_operator_since(connection: &Connection, after: i64) -> Result<Vec<AuditEntry>> {
    let sql = format!("SELECT {COLUMNS} FROM audit_log WHERE id > ?1 AND actor_id IS NULL ORDER BY id");
    Ok(connection.prepare(&sql)?.query_map([after], entry)?.collect::<rusqlite::Result<_>>()?)
}

/// The id of the newest entry; 0 while there is none.
pub fn last(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM audit_log", [], |row| row.get(0))?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let action: String = row.get("action")?;
    let details: String = row.get("details")?;
    Ok(AuditEntry {
        id: row.get("id")?,
        at: row.get::<_, Column<UnixMillis>>("at")?.0,
        // Only `append` writes here.
        action: action.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
        actor_id: row.get::<_, Option<String>>("actor_id")?.map(UserId::new),
        actor_name: row.get("actor_name")?,
        target_id: row.get::<_, Option<String>>("target_id")?.map(UserId::new),
        target_name: row.get("target_name")?,
        reason: row.get("reason")?,
        details: serde_json::from_str(&details).map_err(|_| rusqlite::Error::InvalidQuery)?,
    })
}
