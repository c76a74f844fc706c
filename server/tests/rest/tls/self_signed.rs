//! The certificate that the program makes for itself, and TLS on the port of everything else.

use banter_server::tls::Fingerprint;
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::client::{person, pinning, shake, shown, web_socket};
use crate::places::{Call, token};
use crate::server::{PASSWORD, PATIENCE, Person, Server, send, text};

#[tokio::test]
async fn one_port_speaks_http_and_https_and_web_sockets_on_both() {
    let server = Server::start().await;
    let pem = certificate(&server);
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let plain = token(&ada, &id).await;
    assert_eq!(plain["wsUrl"], format!("ws://127.0.0.1:{}", server.port));
    let mut call = Call::join(&plain).await.expect("a place");
    assert_eq!(call.joined().await, (true, true));

    let secure = person(&server, pinning(&pem), ada.token.clone());
    secure.get("/readyz").await.ok(200);
    let answer = token(&secure, &id).await;
    assert_eq!(answer["wsUrl"], format!("wss://localhost:{}", server.port));
    let url = format!("{}/rtc?protocol=16&access_token={}", text(&answer["wsUrl"]), text(&answer["token"]));
    let mut socket = web_socket(server.port, &url, pinning(&pem)).await;
    let first = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time").expect("open");
    assert!(first.expect("a frame").is_binary(), "the join response");
    socket.send(Frame::Ping("still here".into())).await.expect("open");
    server.signal("TERM");
    let end = async { while let Some(Ok(_)) = socket.next().await {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the call ends in time");
    assert_eq!(server.ended().await.0, Some(0));
}

#[tokio::test]
async fn the_certificate_stays_and_its_fingerprint_is_printed() {
    let server = Server::start().await;
    let first = shown(&shake(server.port, "localhost", pinning(&certificate(&server))).await.expect("TLS"));
    let fingerprint = Fingerprint::of(&first);
    assert!(server.printed("└").await.contains(&fingerprint.to_string()));
    let (_, _, folder) = server.stop().await;
    let server = Server::on(folder, &["--dev", "--public-url", "https://talk.example"]).await;
    let pinned = pinning(&certificate(&server));
    let again = shown(&shake(server.port, "banter.example", pinned).await.expect("TLS"));
    assert_eq!(Fingerprint::of(&again), fingerprint, "kept, whatever it is called by now");
}

#[tokio::test]
async fn a_client_that_expects_another_certificate_is_not_fooled() {
    let (server, other) = (Server::start().await, Server::start().await);
    shake(server.port, "localhost", pinning(&certificate(&other))).await.expect_err("another one");
}

#[tokio::test]
async fn the_cookie_is_secure_where_tls_is() {
    let server = Server::start().await;
    let ada = server.person("ada", "member").await;
    let secure = person(&server, pinning(&certificate(&server)), None);
    for (person, name, attribute) in
        [(&ada, "banter_session", false), (&secure, "__Host-banter_session", true)]
    {
        let body = json!({ "username": "ada", "password": PASSWORD });
        let answer = person.post("/api/auth/login", body).await;
        let cookie = answer.header("set-cookie");
        assert_eq!(cookie.ends_with("; Secure"), attribute);
        assert!(
            cookie.starts_with(&format!("{name}=")),
            "two that do not stand in each other's way: {cookie}"
        );
        assert!(!answer.headers.contains_key("strict-transport-security"), "{answer:?}");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let me = Person { token: None, ..person.clone() }.request(Method::GET, "/api/auth/me");
        send(me.header("cookie", cookie)).await.ok(200);
    }
    let page = format!("https://localhost:{}", server.port);
    let request = secure.request(Method::POST, "/api/auth/login").header("origin", page);
    send(request.json(&json!({ "username": "ada", "password": PASSWORD }))).await.ok(200);
}

#[tokio::test]
async fn an_https_invite_link_has_the_fingerprint() {
    let server = Server::start().await;
    let pem = certificate(&server);
    let ada = server.person("ada", "admin").await;
    let link = |invite: &Value| text(&invite["url"]);
    assert!(!link(&ada.invite(json!({})).await).contains("&fp="), "an http link");

    let stream = shake(server.port, "localhost", pinning(&pem)).await.expect("TLS");
    let fingerprint = Fingerprint::of(&shown(&stream)).to_base64url();
    let secure = person(&server, pinning(&pem), ada.token.clone());
    let invite = secure.invite(json!({})).await;
    let expected = format!("{}/invite#{}&fp={fingerprint}", secure.base, text(&invite["code"]));
    assert_eq!(link(&invite), expected);
}

#[tokio::test]
async fn who_begins_a_handshake_and_says_no_more_is_sent_away() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.expect("a connection");
    stream.write_all(&[0x16, 3, 1]).await.expect("the beginning of a record");
    let closed = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("in time");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    server.stranger().get("/healthz").await;
}

#[tokio::test]
async fn where_tls_is_off_a_handshake_ends_at_once_and_sighup_changes_nothing() {
    let server = Server::with(&["--dev", "--tls", "off"]).await;
    let other = Server::start().await;
    shake(server.port, "localhost", pinning(&certificate(&other))).await.expect_err("no TLS here");
    for server in [&server, &other] {
        server.signal("HUP");
        server.stranger().get("/readyz").await.ok(200);
    }
    assert!(!server.data().join("tls").exists());
    assert!(!server.printed("└").await.contains("SHA-256"));
    assert_eq!(server.stop().await.0, Some(0));
}

fn certificate(server: &Server) -> String {
    std::fs::read_to_string(server.data().join("tls/self-signed.pem")).expect("the program has made one")
}
