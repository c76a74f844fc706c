//! A running server, and people who speak to it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program;

pub const PASSWORD: &str = "correct horse battery";

/// Far more than anything takes; only failures wait this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Server {
    process: Child,
    folder: TempDir,
    pub port: u16,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(&["--dev"]).await
    }

    pub async fn with(flags: &[&str]) -> Self {
        Self::on(tempfile::tempdir().expect("a temporary folder"), flags).await
    }

    /// With one free port for everything.
    pub async fn on_one_port(flags: &[&str]) -> Self {
        Self::with(&[&["--single-port", "0"], flags].concat()).await
    }

    /// Starts on a folder that an earlier server has left.
    pub async fn on(folder: TempDir, flags: &[&str]) -> Self {
        Self::among(folder, flags, &[]).await
    }

    /// The same with environment variables.
    pub async fn among(folder: TempDir, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let ports: &[&str] = match flags.contains(&"--single-port") {
            true => &[],
            false => &["--port", "0", "--rtc-tcp-port", "0", "--rtc-port-range", "0", "--rtc-workers", "1"],
        };
        let data = folder.path().join("data");
        let output = File::create(folder.path().join("output")).expect("the folder is writable");
        let process = program::command(&["serve", "--data-dir"])
            .arg(&data)
            .args(ports)
            .args(flags)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        let mut server = Self { process, folder, port: 0 };
        server.port = server.wait_for_port().await;
        server
    }

    async fn wait_for_port(&mut self) -> u16 {
        let file = self.data().join("ports.json");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.process.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.output());
            if let Some(ports) =
                std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            {
                return ports["http"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
            }
            assert!(Instant::now() < deadline, "the server does not listen\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// All that it has printed and logged.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Waits until it has printed `text`.
    pub async fn printed(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.output();
            if output.contains(text) {
                return output;
            }
            assert!(Instant::now() < deadline, "{text:?} is not printed:\n{output}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What `ports.json` says.
    pub fn ports(&self) -> Value {
        let text = std::fs::read(self.data().join("ports.json")).expect("the server listens");
        serde_json::from_slice(&text).expect("JSON")
    }

    pub async fn setup_code(&self) -> String {
        let output = self.printed("/setup#code=").await;
        let rest = output.split("/setup#code=").nth(1).expect("the link");
        rest.chars().take_while(|c| !c.is_whitespace()).collect()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill exists").success());
    }

    /// Waits for its end; answers the exit code, everything it said, and its folder.
    pub async fn ended(mut self) -> (Option<i32>, String, TempDir) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let output = self.output();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        (status.code(), output, folder)
    }

    pub async fn stop(self) -> (Option<i32>, String, TempDir) {
        self.signal("TERM");
        self.ended().await
    }

    pub fn stranger(&self) -> Person {
        Person { http: reqwest::Client::new(), base: format!("http://127.0.0.1:{}", self.port), token: None }
    }

    /// Makes an account of this role and signs it in.
    pub async fn person(&self, name: &str, role: &str) -> Person {
        program::add_user(&self.data(), name, role, PASSWORD);
        self.sign_in(name).await
    }

    pub async fn sign_in(&self, name: &str) -> Person {
        let stranger = self.stranger();
        let answer =
            stranger.post("/api/auth/login", json!({ "username": name, "password": PASSWORD })).await;
        let token = answer.ok(200)["token"].as_str().expect("a token").to_owned();
        Person { token: Some(token), ..stranger }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Somebody with a bearer token, or without.
#[derive(Clone)]
pub struct Person {
    pub http: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
}

impl Person {
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The same session as a browser holds it.
    pub fn cookie(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let cookie = format!("other=1; banter_session={}", self.token.as_deref().expect("signed in"));
        self.http.request(method, format!("{}{path}", self.base)).header("cookie", cookie)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn channel(&self, body: Value) -> Value {
        self.post("/api/voice/channels", body).await.ok(201)
    }

    pub async fn invite(&self, body: Value) -> Value {
        self.post("/api/invites", body).await.ok(201)
    }

    pub async fn id(&self) -> String {
        text(&self.get("/api/auth/me").await.ok(200)["id"])
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

impl Answer {
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).expect("JSON") }
    }

    /// Checks status, code and shape, and answers the inner object.
    pub fn error(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body: Value = serde_json::from_str(&self.text).expect("errors are JSON");
        let error = body["error"].clone();
        assert_eq!(body, json!({ "error": error }), "nothing beside the error");
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.ends_with('.') && message.len() > 20, "cause and next step: {message:?}");
        error
    }

    /// The same for `validation_failed`, with the field it names.
    pub fn invalid(self, field: &str) {
        assert_eq!(self.error(400, "validation_failed")["field"], field);
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().expect("text")
    }
}

/// The text in a JSON value.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// The names of an object's members, sorted.
pub fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
