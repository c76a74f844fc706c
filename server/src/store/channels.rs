//! Voice channels.

use banter_protocol::rest::{Channel, ChannelId, UnixMillis, UserId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Column, Result};

const COLUMNS: &str = "id, name, description, max_participants, position, created_by, created_at";

pub fn insert(connection: &Connection, channel: &Channel) -> Result<()> {
    connection.execute(
        "INSERT INTO voice_channels (id, name, description, max_participants, position, created_by, created_at)
         VALUES (:id, :name, :description, :max_participants, :position, :created_by, :created_at)",
        named_params! {
            ":id": channel.id.as_str(),
            ":name": channel.name,
            ":description": channel.description,
            ":max_participants": channel.max_participants,
            ":position": channel.position,
            ":created_by": channel.created_by.as_str(),
            ":created_at": Column(channel.created_at),
        },
    )?;
    Ok(())
}

pub fn by_id(connection: &Connection, id: &ChannelId) -> Result<Option<Channel>> {
    let sql = format!("SELECT {COLUMNS} FROM voice_channels WHERE id = ?1");
    Ok(connection.query_row(&sql, [id.as_str()], channel).optional()?)
}

/// In the order in which they are shown.
pub fn all(connection: &Connection) -> Result<Vec<Channel>> {
    let sql = format!("SELECT {COLUMNS} FROM voice_channels ORDER BY position, created_at, id");
    Ok(connection.prepare(&sql)?.query_map([], channel)?.collect::<rusqlite::Result<_>>()?)
}

/// Writes everything about a channel that can change.
pub fn update(connection: &Connection, channel: &Channel) -> Result<()> {
    connection.execute(
        "UPDATE voice_channels
         SET name = :name, description = :description, max_participants = :max_participants, position = :position
         WHERE id = :id",
        named_params! {
            ":id": channel.id.as_str(),
            ":name": channel.name,
            ":description": channel.description,
            ":max_participants": channel.max_participants,
            ":position": channel.position,
        },
    )?;
    Ok(())
}

/// False if there is none of this id.
pub fn delete(connection: &Connection, id: &ChannelId) -> Result<bool> {
    Ok(connection.execute("DELETE FROM voice_channels WHERE id = ?1", [id.as_str()])? > 0)
}

fn channel(row: &Row<'_>) -> rusqlite::Result<Channel> {
    Ok(Channel {
        id: ChannelId::new(row.get::<_, String>("id")?),
        name: row.get("name")?,
        description: row.get("description")?,
        max_participants: row.get("max_participants")?,
        position: row.get("position")?,
        created_by: UserId::new(row.get::<_, String>("created_by")?),
        created_at: row.get::<_, Column<UnixMillis>>("created_at")?.0,
    })
}
