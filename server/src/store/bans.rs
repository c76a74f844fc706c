//! Bans of people and of networks.

use std::net::{IpAddr, Ipv6Addr};

use banter_protocol::rest::{Ban, BanId, UnixMillis, UserId};
use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Column, Result};

const SELECT: &str = "SELECT bans.id, user_id, users.username, network, reason, created_by,
        authors.username AS created_by_name, bans.created_at, expires_at
     FROM bans LEFT JOIN users ON users.id = user_id LEFT JOIN users AS authors ON authors.id = created_by";

const IN_FORCE: &str = "(expires_at IS NULL OR expires_at > :now)";

/// Fails on `bans.user_id` if the person has one; `ban.username` and `ban.created_by_name` are not stored.
pub fn insert(connection: &Connection, ban: &Ban, network: Option<IpNet>) -> Result<()> {
    let bounds = network.map(bounds);
    connection.execute(
        "INSERT INTO bans (id, user_id, network, first_address, last_address, reason, created_by, created_at, expires_at)
         VALUES (:id, :user_id, :network, :first, :last, :reason, :created_by, :created_at, :expires_at)",
        named_params! {
            ":id": ban.id.as_str(),
            ":user_id": ban.user_id.as_ref().map(UserId::as_str),
            ":network": ban.network,
            ":first": bounds.map(|(first, _)| first),
            ":last": bounds.map(|(_, last)| last),
            ":reason": ban.reason,
            ":created_by": ban.created_by.as_ref().map(UserId::as_str),
            ":created_at": Column(ban.created_at),
            ":expires_at": ban.expires_at.map(Column),
        },
    )?;
    Ok(())
}

pub fn by_id(connection: &Connection, id: &BanId) -> Result<Option<Ban>> {
    let sql = format!("{SELECT} WHERE bans.id = ?1");
    Ok(connection.query_row(&sql, [id.as_str()], ban).optional()?)
}

/// The ban that keeps a person out at `now`.
pub fn of_user(connection: &Connection, user: &UserId, now: UnixMillis) -> Result<Option<Ban>> {
    let sql = format!("{SELECT} WHERE user_id = :user AND {IN_FORCE}");
    let parameters = named_params! { ":user": user.as_str(), ":now": Column(now) };
    Ok(connection.query_row(&sql, parameters, ban).optional()?)
}

/// The ban that holds longest for an address at `now`.
pub fn of_address(connection: &Connection, address: IpAddr, now: UnixMillis) -> Result<Option<Ban>> {
    let sql = format!(
        "{SELECT} WHERE network IS NOT NULL AND first_address <= :address AND last_address >= :address AND {IN_FORCE}
         ORDER BY expires_at IS NULL DESC, expires_at DESC LIMIT 1"
    );
    let parameters = named_params! { ":address": octets(address), ":now": Column(now) };
    Ok(connection.query_row(&sql, parameters, ban).optional()?)
}

/// All that are in force, newest first.
pub fn all(connection: &Connection, now: UnixMillis) -> Result<Vec<Ban>> {
    let sql = format!("{SELECT} WHERE {IN_FORCE} ORDER BY bans.created_at DESC, bans.id");
    let mut statement = connection.prepare(&sql)?;
    Ok(statement.query_map(named_params! { ":now": Column(now) }, ban)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection) -> Result<u32> {
    Ok(connection.query_row("SELECT count(*) FROM bans", [], |row| row.get(0))?)
}

pub fn delete(connection: &Connection, id: &BanId) -> Result<()> {
    connection.execute("DELETE FROM bans WHERE id = ?1", [id.as_str()])?;
    Ok(())
}

/// Takes away a person's ban, in force or not, to make place for another.
pub fn delete_of_user(connection: &Connection, user: &UserId) -> Result<()> {
    connection.execute("DELETE FROM bans WHERE user_id = ?1", [user.as_str()])?;
    Ok(())
}

pub fn delete_expired(connection: &Connection, now: UnixMillis) -> Result<()> {
    connection.execute("DELETE FROM bans WHERE expires_at <= ?1", [Column(now)])?;
    Ok(())
}

fn bounds(network: IpNet) -> ([u8; 16], [u8; 16]) {
    (octets(network.network()), octets(network.broadcast()))
}

/// IPv4 addresses have their place among the others, mapped (RFC 4291 §2.5.5.2).
fn octets(address: IpAddr) -> [u8; 16] {
    let v6: Ipv6Addr = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    v6.octets()
}

fn ban(row: &Row<'_>) -> rusqlite::Result<Ban> {
    Ok(Ban {
        id: BanId::new(row.get::<_, String>("id")?),
        user_id: row.get::<_, Option<String>>("user_id")?.map(UserId::new),
        username: row.get("username")?,
        network: row.get("network")?,
        reason: row.get("reason")?,
        created_by: row.get::<_, Option<String>>("created_by")?.map(UserId::new),
        created_by_name: row.get("created_by_name")?,
        created_at: row.get::<_, Column<UnixMillis>>("created_at")?.0,
        expires_at: row.get::<_, Option<Column<UnixMillis>>>("expires_at")?.map(|at| at.0),
    })
}
