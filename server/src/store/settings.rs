//! Settings: text by key.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Result;

pub fn all(connection: &Connection) -> Result<BTreeMap<String, String>> {
    Ok(connection
        .prepare("SELECT key, value FROM settings")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?)
}

pub fn set(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection.execute(
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        [key, value],
    )?;
    Ok(())
}

/// Sets a value only where there is none.
pub fn set_if_absent(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .execute("INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING", [key, value])?;
    Ok(())
}
