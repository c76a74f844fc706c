//! Certificates of an authority: obtained by either proof, renewed, kept, and tried for again.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use tempfile::TempDir;

use super::authority::{Authority, Conduct, Doors};
use super::client::{believing, pinning, shake, shown};
use crate::server::{PATIENCE, Person, Server, send};

const DOMAIN: &str = "talk.example.org";

#[tokio::test]
async fn a_certificate_is_obtained_by_http_at_the_port_of_its_own() {
    let authority = Authority::start().await;
    let server = Running::with(&authority, &[]).await;
    let own = server.server.ports()["acme_http"].as_u64().and_then(|port| u16::try_from(port).ok());
    authority.finds(Doors { http: Some(own.expect("a port of its own")), tls: None });
    server.shows_a_certificate_of(&authority).await;
    assert_eq!(authority.proofs(), [Some("http-01")]);

    let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    let base = format!("http://127.0.0.1:{}", own.expect("a port of its own"));
    let answer = Person { http, base, token: None };
    let answer = send(answer.request(reqwest::Method::GET, "/invite?a=b").header("host", DOMAIN)).await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), format!("https://{DOMAIN}:{}/invite?a=b", server.server.port));
    let missing = server.server.stranger().get("/.well-known/acme-challenge/token").await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_certificate_is_obtained_by_http_at_the_port_of_everything() {
    let authority = Authority::start().await;
    let server = Running::with(&authority, &[]).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    server.shows_a_certificate_of(&authority).await;
    assert_eq!(authority.proofs(), [Some("http-01")]);
}

#[tokio::test]
async fn where_one_proof_fails_the_other_one_is_tried() {
    let authority = Authority::start().await;
    let server = Running::with(&authority, &["--acme-email", "ada@example.org"]).await;
    authority.finds(Doors { http: None, tls: Some(server.server.port) });
    server.shows_a_certificate_of(&authority).await;
    assert_eq!(authority.proofs(), [None, Some("tls-alpn-01")]);
    let output = server.server.printed("trying the other proof").await;
    assert!(output.contains("connection refused"), "the authority's reason:\n{output}");
}

#[tokio::test]
async fn a_single_port_proves_it_by_tls_as_well() {
    let authority = Authority::start().await;
    let server = Running::with(&authority, &["--single-port", "0"]).await;
    authority.finds(Doors { http: None, tls: Some(server.server.port) });
    server.shows_a_certificate_of(&authority).await;
    assert_eq!(authority.proofs(), [None, Some("tls-alpn-01")]);
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends() {
    let authority = Authority::start().await;
    authority.issue_for(Duration::from_secs(6));
    let server = Running::with(&authority, &[]).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    let first = server.shows_a_certificate_of(&authority).await;
    let deadline = Instant::now() + PATIENCE;
    while server.shows_a_certificate_of(&authority).await == first {
        assert!(Instant::now() < deadline, "not renewed:\n{}", server.server.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(authority.accounts(), 1);
}

#[tokio::test]
async fn a_restart_asks_for_nothing_that_is_kept() {
    let authority = Authority::start().await;
    let server = Running::with(&authority, &[]).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    let first = server.shows_a_certificate_of(&authority).await;
    // It is written a moment before it is shown.
    let (_, _, folder) = server.server.stop().await;
    let server = Running::on(folder, &authority.directory(), &authority.root(), &[]).await;
    assert_eq!(server.shows_a_certificate_of(&authority).await, first);
    let (_, _, folder) = server.server.stop().await;
    assert_eq!(authority.proofs().len(), 1);

    authority.loses();
    let more = ["--acme-domains", "talk.example.org,more.example.org"];
    let server = Running::on(folder, &authority.directory(), &authority.root(), &more).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    let deadline = Instant::now() + PATIENCE;
    while shake(server.server.port, "more.example.org", believing(&authority.root())).await.is_err() {
        assert!(
            Instant::now() < deadline,
            "another domain is another certificate:\n{}",
            server.server.output()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((authority.proofs().len(), authority.accounts()), (2, 1));
}

#[tokio::test]
async fn an_authority_that_is_down_is_no_reason_not_to_start() {
    let first = Authority::start().await;
    let (directory, root, port) = (first.directory(), first.root(), first.port());
    let issuer = first.stop().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Running::on(folder, &directory, &root, &[]).await;
    server.server.printed("no TLS certificate from the authority").await;
    let own = std::fs::read_to_string(server.server.data().join("tls/self-signed.pem")).expect("made");
    shake(server.server.port, DOMAIN, pinning(&own)).await.expect("the one of its own until then");
    server.server.stranger().get("/readyz").await.ok(200);

    let authority = Authority::of(issuer, port).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    server.shows_a_certificate_of(&authority).await;
}

#[tokio::test]
async fn bad_answers_are_told_and_change_nothing() {
    let authority = Authority::start().await;
    authority.behave(Conduct::Unwell);
    let server = Running::with(&authority, &[]).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    server.server.printed("no TLS certificate from the authority").await;
    for (conduct, said) in [
        (Conduct::WrongKey, "does not belong to the certificate"),
        (Conduct::WrongName, "is not for talk.example.org"),
        (Conduct::Empty, "has no certificate in it"),
    ] {
        authority.behave(conduct);
        server.server.signal("HUP");
        server.server.printed(said).await;
    }
    shake(server.server.port, DOMAIN, believing(&authority.root())).await.expect_err("its own still");
    authority.behave(Conduct::Honest);
    server.server.signal("HUP");
    server.shows_a_certificate_of(&authority).await;
}

#[tokio::test]
async fn an_account_that_the_authority_has_lost_is_made_anew() {
    let authority = Authority::start().await;
    authority.behave(Conduct::WrongName);
    let server = Running::with(&authority, &[]).await;
    authority.finds(Doors { http: Some(server.server.port), tls: None });
    server.server.printed("is not for").await;
    authority.forget_accounts();
    authority.behave(Conduct::Honest);
    server.server.signal("HUP");
    server.server.printed("accountDoesNotExist").await;
    server.server.signal("HUP");
    server.shows_a_certificate_of(&authority).await;
}

#[tokio::test]
async fn a_port_for_the_authority_that_is_taken_is_a_warning() {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = held.local_addr().expect("bound").port().to_string();
    let authority = Authority::start().await;
    let server = Running::with(&authority, &["--acme-http-port", &port]).await;
    let output = server.server.printed("over plain HTTP only if port 80 is forwarded").await;
    assert!(output.contains(&format!("TCP port {port} is in use")), "{output}");
    authority.finds(Doors { http: None, tls: Some(server.server.port) });
    server.shows_a_certificate_of(&authority).await;
}

/// A server that gets its certificate from a test's authority, whose root it trusts.
struct Running {
    server: Server,
    _root: TempDir,
}

impl Running {
    async fn with(authority: &Authority, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::on(folder, &authority.directory(), &authority.root(), flags).await
    }

    async fn on(folder: TempDir, directory: &str, root: &str, flags: &[&str]) -> Self {
        let kept = tempfile::tempdir().expect("a temporary folder");
        let file = kept.path().join("root.pem");
        std::fs::write(&file, root).expect("writable");
        let own = ["--dev", "--tls", "auto", "--acme-directory", directory];
        // What is given once more goes before what is given here.
        let defaults = [["--acme-domains", DOMAIN], ["--acme-http-port", "0"]];
        let defaults = defaults.iter().filter(|pair| !flags.contains(&pair[0])).flatten().copied();
        let flags: Vec<&str> = own.into_iter().chain(defaults).chain(flags.iter().copied()).collect();
        let variables = [("SSL_CERT_FILE", file.to_str().expect("UTF-8"))];
        Self { server: Server::among(folder, &flags, &variables).await, _root: kept }
    }

    /// Waits until a client that believes the authority and nobody else is content; answers the certificate.
    async fn shows_a_certificate_of(&self, authority: &Authority) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match shake(self.server.port, DOMAIN, believing(&authority.root())).await {
                Ok(stream) => return shown(&stream),
                Err(error) => {
                    assert!(Instant::now() < deadline, "{error}:\n{}", self.server.output());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}
