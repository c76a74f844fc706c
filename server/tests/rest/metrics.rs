//! Who may read the counters, and that they count.

use serde_json::Value;

use crate::program;
use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn admins_read_the_counters_and_others_do_not() {
    let server = Server::start().await;
    for (name, role) in [("ada", "admin"), ("bob", "member")] {
        program::add_user(&server.data(), name, role, PASSWORD);
    }
    assert_eq!(read(server.port, None).await.0, 401);
    assert_eq!(read(server.port, Some(&bearer(&server, "bob").await)).await.0, 403);
    let (status, text) = read(server.port, Some(&bearer(&server, "ada").await)).await;
    assert_eq!(status, 200);
    assert_eq!(value(&text, "banter_rooms"), Some(0), "{text}");
    assert_eq!(value(&text, "banter_webhooks_total{fate=\"failed\"}"), Some(0), "{text}");
    assert!(text.contains("# TYPE banter_media_packets_total counter"), "{text}");
}

#[tokio::test]
async fn refusals_are_counted_by_status() {
    let server = Server::with(&["--dev", "--metrics-port", "0"]).await;
    let door = format!("http://127.0.0.1:{}/rtc/validate", server.port);
    assert_eq!(reqwest::get(&door).await.expect("an answer").status(), 401);
    let (status, text) = read(metrics_port(&server), None).await;
    assert_eq!(status, 200, "its own port is open unless there is a password");
    assert_eq!(value(&text, "banter_signal_requests_total{status=\"401\"}"), Some(1), "{text}");
    let other = format!("http://127.0.0.1:{}/api/me", metrics_port(&server));
    assert_eq!(reqwest::get(&other).await.expect("an answer").status(), 404, "there is nothing else");
}

#[tokio::test]
async fn the_password_of_the_configuration_opens_both_ports() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("livekit.yaml");
    let text = "development: true\nprometheus: {port: 6789, username: prom, password: secret}\n";
    std::fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let server = Server::with(&["--livekit-config", file, "--metrics-port", "0"]).await;
    // prom:secret and prom:wrong
    for port in [server.port, metrics_port(&server)] {
        assert_eq!(read(port, Some("Basic cHJvbTpzZWNyZXQ=")).await.0, 200);
        assert_eq!(read(port, Some("Basic cHJvbTp3cm9uZw==")).await.0, 401);
        assert_eq!(read(port, None).await.0, 401);
    }
}

async fn read(port: u16, authorization: Option<&str>) -> (u16, String) {
    let mut request = reqwest::Client::new().get(format!("http://127.0.0.1:{port}/metrics"));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a text"))
}

async fn bearer(server: &Server, name: &str) -> String {
    let url = format!("http://127.0.0.1:{}/api/auth/login", server.port);
    let body = serde_json::json!({"username": name, "password": PASSWORD});
    let answer: Value = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    format!("Bearer {}", answer["token"].as_str().expect("a token"))
}

fn metrics_port(server: &Server) -> u16 {
    let text = std::fs::read(server.data().join("ports.json")).expect("the ports");
    let ports: Value = serde_json::from_slice(&text).expect("JSON");
    ports["metrics"].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
}

fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}
