//! A certificate in files: taken up when they change, and kept when they break.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::client::{person, pinning, shake, web_socket};
use crate::places::token;
use crate::program;
use crate::server::{PATIENCE, Server, text};

/// A certificate and its key, in PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
}

/// Two files that hold a pair.
pub struct Files {
    folder: TempDir,
}

impl Pair {
    pub fn new(last_year: i32) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(last_year, 1, 1);
        Self { chain: params.self_signed(&key).expect("signed").pem(), key: key.serialize_pem() }
    }
}

impl Files {
    pub fn of(pair: &Pair) -> Self {
        let this = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        this.write(pair);
        this
    }

    fn write(&self, pair: &Pair) {
        std::fs::write(self.chain(), &pair.chain).expect("writable");
        std::fs::write(self.key(), &pair.key).expect("writable");
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub fn flags(&self) -> Vec<String> {
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let flags = ["--dev", "--tls", "files", "--tls-cert"].map(str::to_owned);
        flags.into_iter().chain([text(self.chain()), "--tls-key".to_owned(), text(self.key())]).collect()
    }
}

pub async fn serve(files: &Files) -> Server {
    let flags = files.flags();
    Server::with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_while_calls_live_on() {
    let (first, second, third) = (Pair::new(2090), Pair::new(2091), Pair::new(2092));
    let files = Files::of(&first);
    let server = serve(&files).await;
    let ada = server.person("ada", "admin").await;
    let id = text(&ada.channel(json!({ "name": "General" })).await["id"]);
    let answer = token(&person(&server, pinning(&first.chain), ada.token.clone()), &id).await;
    let url = format!("{}/rtc?protocol=16&access_token={}", text(&answer["wsUrl"]), text(&answer["token"]));
    let mut socket = web_socket(server.port, &url, pinning(&first.chain)).await;

    files.write(&second);
    server.signal("HUP");
    shows(&server, &second).await;
    files.write(&third);
    shows(&server, &third).await;

    socket.send(Frame::Ping("still here".into())).await.expect("open");
    let echo = async {
        while let Some(frame) = socket.next().await {
            if frame.expect("open").is_pong() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, echo).await.expect("in time"), "the call lives on");
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_is_logged() {
    let (good, other) = (Pair::new(2090), Pair::new(2091));
    let files = Files::of(&good);
    let server = serve(&files).await;
    std::fs::write(files.key(), &other.key).expect("writable");
    server.signal("HUP");
    server.printed("does not belong to the certificate").await;
    std::fs::write(files.chain(), "not a certificate").expect("writable");
    server.signal("HUP");
    server.printed("has no certificate in it").await;
    std::fs::remove_file(files.chain()).expect("removable");
    server.signal("HUP");
    server.printed("cannot be read").await;
    shake(server.port, "localhost", pinning(&good.chain)).await.expect("the one before");
    files.write(&other);
    server.signal("HUP");
    shows(&server, &other).await;
}

#[tokio::test]
async fn an_expired_certificate_is_served_with_a_warning() {
    let pair = Pair::new(2001);
    let server = serve(&Files::of(&pair)).await;
    server.printed("the TLS certificate has expired").await;
    shake(server.port, "localhost", pinning(&pair.chain)).await.expect("TLS");
}

#[test]
fn what_is_wrong_with_the_files_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (pair, other) = (Pair::new(2090), Pair::new(2091));
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (chain, key) = (file("chain", &pair.chain), file("key", &pair.key));
    let (empty, foreign) = (file("empty", ""), file("foreign", &other.key));
    for (chain, key, said) in [
        ("/nowhere/chain.pem", key.as_str(), "/nowhere/chain.pem cannot be read"),
        (&empty, &key, "empty has no certificate in it"),
        (&chain, &empty, "empty has no private key in it"),
        (&chain, &foreign, "foreign holds a key that does not belong to the certificate"),
    ] {
        let error =
            start(folder.path(), &["--tls", "files", "--tls-cert", chain, "--tls-key", key]).failed(1);
        assert!(error.contains(said), "{said:?} is missing: {error}");
    }
    let error = start(folder.path(), &["--tls", "files", "--tls-cert", &chain]).failed(2);
    assert!(error.contains("tls_cert and tls_key"), "{error}");
    let error = start(folder.path(), &["--tls", "sometimes"]).failed(2);
    assert!(error.contains("--tls \"sometimes\" is not a way"), "{error}");
}

/// Waits until new connections are shown this certificate.
async fn shows(server: &Server, pair: &Pair) {
    let deadline = Instant::now() + PATIENCE;
    while shake(server.port, "localhost", pinning(&pair.chain)).await.is_err() {
        assert!(Instant::now() < deadline, "another certificate stays:\n{}", server.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start(folder: &Path, flags: &[&str]) -> program::Finished {
    let data = folder.join("data");
    let data = data.to_str().expect("UTF-8");
    let ports = ["serve", "--dev", "--port", "0", "--rtc-port-range", "0", "--rtc-workers", "1"];
    program::run(&[&ports[..], &["--data-dir", data], flags].concat())
}
