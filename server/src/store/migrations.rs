//! The schema's history, embedded: forward only, one file a step. The version of a database is the number of its
//! last step, which SQLite keeps in `user_version`.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::OpenError;
use crate::data_dir;

macro_rules! migration {
    ($file:literal) => {
        M::up(include_str!(concat!("../../../migrations/", $file))).foreign_key_check()
    };
}

const STEPS: &[M<'static>] = &[
    migration!("001_users.sql"),
    migration!("002_passwords.sql"),
    migration!("003_sessions.sql"),
    migration!("004_invites.sql"),
    migration!("005_invite_uses.sql"),
    migration!("006_settings.sql"),
    migration!("007_last_owner.sql"),
    migration!("008_voice_channels.sql"),
    migration!("009_moderation.sql"),
];

/// The schema that this program reads and writes.
pub const SCHEMA_VERSION: usize = STEPS.len();

pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let shown = || path.display().to_string();
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|cause| OpenError::Sqlite { path: shown(), cause })?;
    match usize::try_from(found) {
        Ok(version) if version == SCHEMA_VERSION => return Ok(()),
        Ok(version) if version > SCHEMA_VERSION => {
            return Err(OpenError::NewerSchema { path: shown(), found, known: SCHEMA_VERSION });
        }
        Ok(0) | Err(_) => {}
        Ok(version) => copy_aside(connection, path, version)
            .map_err(|cause| OpenError::Backup { path: shown(), cause })?,
    }
    Migrations::from_slice(STEPS)
        .to_latest(connection)
        .map_err(|cause| OpenError::Migration { path: shown(), cause })
}

/// Writes `backups/banter-schema-N.db` beside the database. An older copy of the same version is kept under the next
/// free number: it may be the better one.
fn copy_aside(connection: &Connection, path: &Path, version: usize) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(".")).join("backups");
    data_dir::create_private(&folder)?;
    let target = (0..)
        .map(|n| match n {
            0 => folder.join(format!("banter-schema-{version}.db")),
            n => folder.join(format!("banter-schema-{version}-{n}.db")),
        })
        .find(|candidate| !candidate.exists())
        .expect("the numbers do not end");
    let text = target.to_str().ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?;
    connection.execute("VACUUM INTO ?1", [text]).map_err(std::io::Error::other)?;
    data_dir::restrict(&target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_applies_to_an_empty_database() {
        Migrations::from_slice(STEPS).validate().expect("the steps apply");
    }

    #[test]
    fn the_database_is_copied_aside_before_its_schema_changes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("banter.db");
        let mut connection = Connection::open(&path).expect("opens");
        Migrations::from_slice(STEPS).to_version(&mut connection, 6).expect("an older schema");
        connection.execute("INSERT INTO settings VALUES ('k', 'v')", []).expect("a row");

        run(&mut connection, &path).expect("migrates");

        let copy = Connection::open(folder.path().join("backups/banter-schema-6.db")).expect("the copy");
        let version: i64 =
            copy.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        let value: String =
            copy.query_row("SELECT value FROM settings", [], |row| row.get(0)).expect("the row");
        assert_eq!((version, value.as_str()), (6, "v"));
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("banter.db");
        let mut connection = Connection::open(&path).expect("opens");
        connection.pragma_update(None, "user_version", 99).expect("a version");
        let error = run(&mut connection, &path).expect_err("refused");
        assert!(matches!(error, OpenError::NewerSchema { found: 99, .. }), "{error}");
    }
}
