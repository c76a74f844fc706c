//! Browsers are sent to https where they know the certificate. Programs are not.

use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};

use super::client::{person, pinning};
use super::files::{Files, Pair, serve};
use crate::server::{Answer, Person, Server, send};

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
/// As a proxy on this machine speaks for a stranger.
const STRANGER: [(&str, &str); 2] = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "http")];

#[tokio::test]
async fn pages_are_sent_to_https_and_programs_are_answered() {
    let server = serve(&Files::of(&Pair::new(2090))).await;
    let here = format!("https://127.0.0.1:{}", server.port);
    let answer = ask(&server, Method::GET, "/invite?a=b", &[PAGE]).await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.header("location"), format!("{here}/invite?a=b"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(ask(&server, Method::HEAD, "/", &[PAGE]).await.status, StatusCode::PERMANENT_REDIRECT);

    for (path, accept) in [("/", "*/*"), ("/healthz", "*/*"), ("/api/setup", "application/json")] {
        let answer = ask(&server, Method::GET, path, &[("accept", accept)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(!answer.headers.contains_key("strict-transport-security"), "{answer:?}");
    }
    let answer = send(unfollowed(&server).request(Method::GET, "/").header(PAGE.0, PAGE.1)).await;
    assert_eq!(answer.status, StatusCode::OK, "from this machine itself");
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_https_by_https_only() {
    let pair = Pair::new(2090);
    let server = serve(&Files::of(&pair)).await;
    let answer = person(&server, pinning(&pair.chain), None).get("/").await;
    assert_eq!(
        (answer.status, answer.header("strict-transport-security")),
        (StatusCode::OK, "max-age=2592000")
    );
}

#[tokio::test]
async fn nobody_is_sent_to_a_certificate_that_browsers_refuse() {
    let server = Server::start().await;
    assert_eq!(ask(&server, Method::GET, "/", &[PAGE]).await.status, StatusCode::OK);
}

async fn ask(server: &Server, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = unfollowed(server).request(method, path);
    for (name, value) in STRANGER.iter().chain(headers) {
        request = request.header(*name, *value);
    }
    send(request).await
}

fn unfollowed(server: &Server) -> Person {
    let http = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    Person { http, ..server.stranger() }
}
