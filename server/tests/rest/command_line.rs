//! `banter user` and the help texts.

use serde_json::json;

use crate::program::{run, run_with_input};
use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn accounts_are_managed_beside_a_running_server() {
    let server = Server::start().await;
    let data = server.data();
    let data = data.to_str().expect("UTF-8");
    let ada = server.person("ada", "owner").await;
    assert_eq!(ada.get("/api/auth/me").await.ok(200)["role"], "owner");
    server.person("bob", "member").await;

    run(&["user", "role", "BOB", "admin", "--data-dir", data]).succeeded();
    let bob = server.sign_in("bob").await;
    assert_eq!(bob.get("/api/auth/me").await.ok(200)["role"], "admin");

    let passwd = ["user", "passwd", "bob", "--password-stdin", "--data-dir", data];
    run_with_input(&passwd, "another password\n").succeeded();
    bob.get("/api/auth/me").await.error(401, "unauthorized");
    let old = json!({ "username": "bob", "password": PASSWORD });
    server.stranger().post("/api/auth/login", old).await.error(401, "invalid_credentials");

    let list = run(&["user", "list", "--data-dir", data]).succeeded();
    let rows: Vec<Vec<_>> = list.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(rows, [["ada", "owner"], ["bob", "admin"]]);
}

#[tokio::test]
async fn what_cannot_be_done_to_accounts_is_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let add = |name: &str, role: &str, password: &str| {
        run_with_input(
            &["user", "add", name, "--role", role, "--password-stdin", "--data-dir", data],
            password,
        )
    };
    add("ada", "owner", "long enough\n").succeeded();
    assert!(add("ADA", "member", "long enough\n").failed(1).contains("already has this name"));
    assert!(add("bob", "member", "short\n").failed(1).contains("8 characters"));
    assert!(add("bob", "king", "long enough\n").failed(2).contains("owner, admin, moderator and member"));
    let last = run(&["user", "role", "ada", "member", "--data-dir", data]).failed(1);
    assert!(last.contains("only owner"), "{last}");
    add("eve", "owner", "long enough\n").succeeded();
    run(&["user", "role", "ada", "member", "--data-dir", data]).succeeded();
    let unknown = run(&["user", "role", "nobody", "member", "--data-dir", data]).failed(1);
    assert!(unknown.contains("no account with the name \"nobody\""), "{unknown}");
}

#[test]
fn there_is_help_at_every_level() {
    for (arguments, part) in [
        (&["--help"][..], "serves"),
        (&["serve", "--help"], "--rtc-port-range"),
        (&["serve", "--help"], "BANTER_PUBLIC_URL"),
        (&["config", "--help"], "show"),
        (&["config", "show", "--help"], "origin"),
        (&["user", "--help"], "passwd"),
        (&["user", "add", "--help"], "--password-stdin"),
        (&["user", "passwd", "--help"], "sessions end"),
        (&["user", "role", "--help"], "last owner"),
        (&["user", "kick", "--help"], "--reason"),
        (&["user", "ban", "--help"], "--address"),
        (&["user", "unban", "--help"], "network"),
        (&["user", "bans", "--help"], "newest first"),
        (&["user", "list", "--help"], "oldest account first"),
        (&["invite", "--help"], "create"),
        (&["invite", "create", "--help"], "--max-uses"),
        (&["openapi", "--help"], "OpenAPI"),
    ] {
        let text = run(arguments).succeeded();
        assert!(text.contains(part), "{arguments:?} lacks {part:?}:\n{text}");
    }
}
