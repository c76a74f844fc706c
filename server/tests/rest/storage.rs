//! The data folder and the database in it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use crate::program;
use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn only_the_owner_of_the_folder_can_read_it() {
    let server = Server::start().await;
    server.person("ada", "owner").await;
    assert_eq!(mode(&server.data()), 0o700);
    let files: Vec<_> = std::fs::read_dir(server.data()).expect("the folder").flatten().collect();
    assert!(files.len() >= 3, "the database, its log, the ports: {files:?}");
    for file in files {
        let expected = if file.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&file.path()), expected, "{file:?}");
    }
    assert_eq!(mode(&server.data().join("tls/self-signed.pem")), 0o600);
}

#[tokio::test]
async fn a_folder_that_was_open_is_closed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let server = Server::on(folder, &["--dev"]).await;
    assert_eq!(mode(&server.data()), 0o700);
}

#[tokio::test]
async fn the_first_run_makes_the_livekit_settings() {
    let server = Server::with(&[]).await;
    let database = Connection::open(server.data().join("banter.db")).expect("the database");
    let setting = |key: &str| -> String {
        database.query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0)).expect(key)
    };
    let key = setting("livekit_api_key");
    let hex = key.strip_prefix("api_").expect("the prefix");
    assert!(hex.len() == 32 && hex.chars().all(|c| c.is_ascii_hexdigit()), "{key}");
    assert_eq!(setting("livekit_api_secret").len(), 44, "32 bytes in base64");
    assert_eq!(setting("livekit_port"), "7880");
    assert_eq!(setting("livekit_rtc_tcp_port"), "7881");
    assert_eq!(setting("livekit_rtc_port_range_start"), "50000");
    assert_eq!(setting("livekit_rtc_port_range_end"), "60000");
    assert_eq!(setting("livekit_domain"), "");

    let (_, _, folder) = server.stop().await;
    let server = Server::on(folder, &[]).await;
    let database = Connection::open(server.data().join("banter.db")).expect("the database");
    let again: String = database
        .query_row("SELECT value FROM settings WHERE key = 'livekit_api_key'", [], |row| row.get(0))
        .expect("the key");
    assert_eq!(again, key, "made once");
}

#[tokio::test]
async fn secrets_are_stored_as_hashes() {
    let server = Server::start().await;
    let ada = server.person("ada", "admin").await;
    let invite = ada.invite(serde_json::json!({})).await;
    let (_, _, folder) = server.stop().await;
    let bytes = std::fs::read(folder.path().join("data/banter.db")).expect("the database");
    let code = invite["code"].as_str().expect("a code").to_owned();
    for secret in [PASSWORD, ada.token.as_deref().expect("signed in"), &code] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "a secret is in the database as it is");
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
}

#[tokio::test]
async fn the_schema_is_the_one_agreed_on() {
    let server = Server::start().await;
    let database = Connection::open(server.data().join("banter.db")).expect("the database");
    let columns: Vec<String> = database
        .prepare("SELECT name || ' ' || type FROM pragma_table_info('voice_channels')")
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .expect("columns");
    let expected = [
        "id TEXT",
        "name TEXT",
        "description TEXT",
        "max_participants INTEGER",
        "position INTEGER",
        "created_by TEXT",
        "created_at INTEGER",
    ];
    assert_eq!(columns, expected);
    let version: i64 =
        database.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    let journal: String =
        database.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a mode");
    assert_eq!((version, journal.as_str()), (9, "wal"));
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    program::add_user(&data, "ada", "owner", PASSWORD);
    let database = Connection::open(data.join("banter.db")).expect("the database");
    database.pragma_update(None, "user_version", 99).expect("a version");
    drop(database);
    let data = data.to_str().expect("UTF-8");
    let said = program::run(&["serve", "--dev", "--data-dir", data]).failed(1);
    assert!(said.contains("schema version 99") && said.contains("newer banter"), "{said}");
}

#[test]
fn an_older_database_is_copied_aside_and_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    program::add_user(&data, "ada", "owner", PASSWORD);
    let database = Connection::open(data.join("banter.db")).expect("the database");
    let back = "DROP TABLE bans; DROP TABLE audit_log; ALTER TABLE sessions DROP COLUMN address;
        ALTER TABLE users DROP COLUMN generation; ALTER TABLE users DROP COLUMN removed_at;
        ALTER TABLE users DROP COLUMN removed_reason; ALTER TABLE users DROP COLUMN server_muted;
        ALTER TABLE users DROP COLUMN server_deafened; PRAGMA user_version = 8;";
    database.execute_batch(back).expect("an older schema");
    drop(database);
    let text = data.to_str().expect("UTF-8");
    let list = program::run(&["user", "list", "--data-dir", text]).succeeded();
    assert!(list.starts_with("ada"), "{list}");
    let copy = data.join("backups/banter-schema-8.db");
    assert_eq!((mode(&copy), mode(&data.join("backups"))), (0o600, 0o700));
    let copied = Connection::open(copy).expect("the copy");
    let people: i64 = copied.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).expect("a count");
    assert_eq!(people, 1);
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it exists").permissions().mode() & 0o777
}
