//! Start and end of the program.

use serde_json::Value;

use crate::places::{Call, token};
use crate::program;
use crate::server::{PASSWORD, Server, text};

#[tokio::test]
async fn the_box_tells_an_operator_what_to_know() {
    let server = Server::with(&[]).await;
    let output = server.printed("└").await;
    for part in [
        format!("http://localhost:{}", server.port),
        format!("{}/tcp web app", server.port),
        "/udp".to_owned(),
        "Nobody hears anything?".to_owned(),
        "no owner yet".to_owned(),
    ] {
        assert!(output.contains(&part), "{part:?} is missing:\n{output}");
    }
}

#[tokio::test]
async fn the_set_up_link_is_new_at_each_start_and_gone_with_an_owner() {
    let server = Server::start().await;
    let first = server.setup_code().await;
    let (_, _, folder) = server.stop().await;
    let server = Server::on(folder, &["--dev"]).await;
    assert_ne!(server.setup_code().await, first);
    let old = serde_json::json!({ "code": first, "username": "ada", "password": PASSWORD });
    server.stranger().post("/api/auth/setup", old).await.error(403, "setup_code_invalid");
    program::add_user(&server.data(), "ada", "owner", PASSWORD);
    let (_, _, folder) = server.stop().await;
    let server = Server::on(folder, &["--dev"]).await;
    assert!(!server.printed("└").await.contains("/setup"));
}

#[tokio::test]
async fn sigterm_and_sigint_end_calls_with_a_reason_and_close_the_database() {
    for signal in ["TERM", "INT"] {
        let server = Server::start().await;
        let ada = server.person("ada", "admin").await;
        let id = text(&ada.channel(serde_json::json!({ "name": "General" })).await["id"]);
        let mut call = Call::join(&token(&ada, &id).await).await.expect("a place");
        server.signal(signal);
        assert_eq!(call.dismissed().await, livekit_protocol::DisconnectReason::ServerShutdown as i32);
        let (code, output, folder) = server.ended().await;
        assert_eq!(code, Some(0), "{output}");
        let left = |name: &str| folder.path().join("data").join(name).exists();
        assert!(left("banter.db") && !left("banter.db-wal") && !left("ports.json"));
    }
}

#[tokio::test]
async fn ports_json_says_what_is_in_use() {
    let server = Server::start().await;
    let file = std::fs::read(server.data().join("ports.json")).expect("the file");
    let ports: Value = serde_json::from_slice(&file).expect("JSON");
    assert_eq!(ports["http"], server.port);
    assert_eq!(ports["pid"], server.pid());
    let udp = ports["rtc_udp"].as_array().expect("a list");
    assert!(udp.len() == 1 && udp[0].as_u64().is_some_and(|port| port > 0), "{ports}");
}

#[tokio::test]
async fn a_port_in_use_names_its_holder() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let port = server.port.to_string();
    let said = program::run(&["serve", "--dev", "--port", &port, "--data-dir", data]).failed(3);
    assert!(said.contains(&format!("TCP port {port} is in use")), "{said}");
    assert!(said.contains(&format!("by banter (process {})", server.pid())), "{said}");
    assert!(said.contains("--port"), "{said}");

    let held = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let range = held.local_addr().expect("bound").port().to_string();
    let arguments = ["serve", "--dev", "--port", "0", "--rtc-port-range", &range, "--data-dir", data];
    let said = program::run(&arguments).failed(3);
    assert!(said.contains(&format!("UDP port {range} is in use")), "{said}");
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start().await;
    let data = server.data();
    let data = data.to_str().expect("UTF-8");
    let arguments = ["serve", "--dev", "--port", "0", "--rtc-port-range", "0", "--data-dir", data];
    let said = program::run(&arguments).failed(1);
    assert!(said.contains("another server runs on the data folder"), "{said}");
    server.stranger().get("/readyz").await.ok(200);
    assert!(server.data().join("ports.json").exists(), "the first one goes on undisturbed");
}

#[tokio::test]
async fn logs_are_json_where_no_person_reads_and_hold_no_secrets() {
    let server = Server::with(&["--dev", "--log", "trace"]).await;
    let code = server.setup_code().await;
    let ada = server.person("ada", "admin").await;
    let invite = ada.invite(serde_json::json!({})).await;
    let invite_code = text(&invite["code"]);
    server.stranger().get(&format!("/api/invites/{invite_code}")).await.ok(200);
    ada.get("/api/users?secret=hush-hush").await.ok(200);
    let id = text(&ada.channel(serde_json::json!({ "name": "General" })).await["id"]);
    let access = token(&ada, &id).await;
    let call = Call::join(&access).await.expect("a place");
    call.leave().await;
    let (_, output, _) = server.stop().await;

    let (logs, printed): (Vec<_>, Vec<_>) = output.lines().partition(|line| line.starts_with('{'));
    for line in &logs {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object["level"].is_string() && object["timestamp"].is_string(), "{line}");
    }
    assert!(!logs.is_empty() && printed.iter().any(|line| line.contains(&code)));
    let secrets = [
        PASSWORD.to_owned(),
        "hush-hush".to_owned(),
        ada.token.clone().expect("signed in"),
        text(&access["token"]),
        invite_code,
        code,
        "access_token".to_owned(),
    ];
    for secret in &secrets {
        let leak = logs.iter().find(|line| line.contains(secret.as_str()));
        assert!(leak.is_none(), "{secret:?} is in the log: {leak:?}");
    }
}

#[tokio::test]
async fn logs_are_text_on_request() {
    let server = Server::with(&["--dev", "--log-format", "text"]).await;
    let output = server.printed("listening").await;
    assert!(output.lines().any(|line| line.contains("INFO") && !line.starts_with('{')), "{output}");
}

#[tokio::test]
async fn development_mode_warns_loudly_and_binds_to_this_machine_only() {
    let server = Server::start().await;
    let output = server.printed("└").await;
    assert!(output.contains("DEVELOPMENT MODE"), "{output}");
    assert!(output.contains("\"WARN\""), "{output}");
    assert!(!output.contains("On your network"), "{output}");
}
