//! Where values come from, and what is refused.

use std::path::Path;

use crate::program::{self, Finished, command};

#[test]
fn values_are_shown_with_their_origin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = path(folder.path(), "data");
    let file = path(folder.path(), "banter.toml");
    let shown = show(&data, &[], &[]);
    assert_eq!(row(&shown, "port"), ("7880".into(), "default".into()));
    assert_eq!(row(&shown, "data_dir"), (data.clone(), "flag".into()));
    assert!(!Path::new(&data).exists(), "looking leaves nothing behind");

    program::add_user(Path::new(&data), "ada", "owner", "long enough");
    set(&data, "livekit_port", "1001");
    assert_eq!(row(&show(&data, &[], &[]), "port"), ("1001".into(), "settings".into()));
    std::fs::write(&file, "port = 1002\npublic_ip = [\"192.0.2.1\", \"192.0.2.2\"]\n").expect("a file");
    let with_file = ["--config", &file];
    let shown = show(&data, &with_file, &[]);
    assert_eq!(row(&shown, "port"), ("1002".into(), "file".into()));
    assert_eq!(row(&shown, "public_ip"), ("192.0.2.1,192.0.2.2".into(), "file".into()));
    let variable = [("BANTER_PORT", "1003")];
    assert_eq!(row(&show(&data, &with_file, &variable), "port"), ("1003".into(), "environment".into()));
    let flags = ["--config", &file, "--port", "1004"];
    assert_eq!(row(&show(&data, &flags, &variable), "port"), ("1004".into(), "flag".into()));
}

#[test]
fn the_api_secret_is_shown_on_request_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shown = show(&path(folder.path(), "data"), &["--dev"], &[]);
    assert_eq!(row(&shown, "api_key"), ("devkey".into(), "--dev".into()));
    assert_eq!(row(&shown, "bind"), ("127.0.0.1".into(), "--dev".into()));
    assert!(
        shown.lines().any(|line| line.starts_with("api_secret") && line.contains("(shown with --secrets)"))
    );
    let shown = show(&path(folder.path(), "data"), &["--dev", "--secrets"], &[]);
    assert_eq!(row(&shown, "api_secret"), ("secret".into(), "--dev".into()));
}

#[test]
fn everything_wrong_is_said_at_once_and_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = path(folder.path(), "data");
    let file = path(folder.path(), "banter.toml");
    std::fs::write(&file, "prot = 1\nrtc_port_range = \"9-1\"\n").expect("a file");
    let arguments = ["serve", "--data-dir", &data, "--config", &file, "--port", "http", "--bind", "here"];
    let output = command(&arguments).env("BANTER_PUBLIC_URI", "x").output().expect("the program runs");
    let said = Finished::from(output).failed(2);
    for part in [
        "the key \"prot\" is not known; did you mean \"port\"?",
        "rtc_port_range \"9-1\"",
        "--port \"http\"",
        "--bind \"here\"",
        "BANTER_PUBLIC_URI is not known; did you mean BANTER_PUBLIC_URL?",
    ] {
        assert!(said.contains(part), "{part:?} is missing:\n{said}");
    }
    assert!(!Path::new(&data).exists());
}

#[test]
fn a_mistyped_flag_is_refused_with_the_one_that_was_meant() {
    let said = program::run(&["serve", "--data-dri", "x"]).failed(2);
    assert!(said.contains("--data-dir"), "{said}");
    program::run(&["sevre"]).failed(2);
}

#[test]
fn a_missing_file_is_said() {
    let said = program::run(&["config", "show", "--config", "/nowhere/banter.toml"]).failed(2);
    assert!(said.contains("/nowhere/banter.toml cannot be read"), "{said}");
}

#[test]
fn bad_settings_are_refused_as_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = path(folder.path(), "data");
    program::add_user(Path::new(&data), "ada", "owner", "long enough");
    set(&data, "livekit_port", "many");
    let said = program::run(&["serve", "--data-dir", &data]).failed(2);
    assert!(said.contains("port (in the settings) \"many\""), "{said}");
}

fn show(data: &str, flags: &[&str], variables: &[(&str, &str)]) -> String {
    let mut arguments = vec!["config", "show", "--data-dir", data];
    arguments.extend(flags);
    let output = command(&arguments).envs(variables.iter().copied()).output().expect("the program runs");
    Finished::from(output).succeeded()
}

/// A key's value and origin.
fn row(table: &str, key: &str) -> (String, String) {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(key)).expect("the key");
    let columns: Vec<_> = line.split_whitespace().collect();
    (columns[1].to_owned(), columns[2].to_owned())
}

fn set(data: &str, key: &str, value: &str) {
    let database = rusqlite::Connection::open(Path::new(data).join("banter.db")).expect("the database");
    database.execute("INSERT INTO settings VALUES (?1, ?2)", [key, value]).expect("a setting");
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("UTF-8").to_owned()
}
