//! `banter probe`: the paths from this machine to a server.

use std::process::ExitCode;

use anyhow::{Context, bail};
use banter_client::driver::{ApiError, Credential, Fingerprint, Server, Trust};
use banter_protocol::rest::TestPath;
use clap::Args;
use url::{Url, form_urlencoded};

use super::checkup::{self, Progress};
use crate::checkup::{Finding, Report, paths};

pub const AFTER_HELP: &str = "\
Each path is tried with two sessions: what one sends for two seconds (50 packets a second) the
other hears, by way of the server. Times are round trips. Of datagrams, some as large as 1200,
1232, 1400 and 1472 bytes are tried.

Secrets are no flags, as every user of a machine can read those. They are asked for, or taken from
the environment: BANTER_PASSWORD (with --user), BANTER_API_SECRET (with --api-key), or
BANTER_TOKEN alone: a session's token, or a LiveKit access token with the grant roomCreate.

Exit codes: 0 nothing fails (there may be warnings), 1 something fails, 2 wrong use, or it could
not run.";

#[derive(Debug, Args)]
pub struct Command {
    /// Address of the server, or an invite link, whose fingerprint is believed
    url: String,
    /// Sign in with this name
    #[arg(long, value_name = "NAME", conflicts_with = "api_key")]
    user: Option<String>,
    /// Use this API key
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// SHA-256 of the certificate that the server shows, as it prints it
    #[arg(long, value_name = "SHA-256", conflicts_with = "insecure")]
    fingerprint: Option<Fingerprint>,
    /// Believe any certificate
    #[arg(long)]
    insecure: bool,
    /// Try only these paths: udp4, udp6, tcp, turn-udp, turn-tcp, turn-tls
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    paths: Vec<TestPath>,
    /// Print one JSON document, and nothing else on the standard output
    #[arg(long)]
    json: bool,
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let (base, linked) = read_url(&command.url)?;
    let trust = match command.fingerprint.or(linked) {
        Some(fingerprint) => Trust::Fingerprint(fingerprint),
        None if command.insecure => Trust::Anything,
        None => Trust::Authorities,
    };
    let credential = command.credential()?;
    let server = Server::new(base.clone(), trust)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime could not be started")?;
    let progress = Progress::new(command.json);
    let findings = runtime.block_on(probe(&server, &credential, &base, &command.wanted(), &progress));
    progress.done();
    checkup::show(&Report { program: "probe", findings: findings? }, command.json)
}

async fn probe(
    server: &Server,
    credential: &Credential,
    base: &Url,
    wanted: &[TestPath],
    progress: &Progress,
) -> anyhow::Result<Vec<Finding>> {
    let url = base.as_str().trim_end_matches('/');
    progress.looking_at(url);
    let (api, prepared) = checkup::prepare(server, credential, url).await;
    let test = match prepared {
        Ok(test) => test,
        // Without it nothing can be said about the paths, which is not their fault.
        Err(error @ ApiError::Refused { .. }) => bail!("{url} does not prepare a test: {error}"),
        Err(_) => {
            let skipped = wanted.iter().map(|path| paths::skipped(*path, "the web address does not work"));
            return Ok(std::iter::once(api).chain(skipped).collect());
        }
    };
    let mut findings = vec![api, checkup::judge_clocks(test.server_time)];
    findings.extend(paths::judge_sent_to(base, &test.ws_url));
    findings.extend(checkup::try_paths(server, &test, wanted, &paths::Side::Client, progress).await);
    Ok(findings)
}

impl Command {
    fn wanted(&self) -> Vec<TestPath> {
        let all = TestPath::ALL.into_iter();
        all.filter(|path| self.paths.is_empty() || self.paths.contains(path)).collect()
    }

    fn credential(&self) -> anyhow::Result<Credential> {
        Ok(match (&self.user, &self.api_key) {
            (Some(name), _) => {
                Credential::Account { name: name.clone(), password: secret("BANTER_PASSWORD", "Password: ")? }
            }
            (None, Some(key)) => {
                Credential::ApiKey { key: key.clone(), secret: secret("BANTER_API_SECRET", "API secret: ")? }
            }
            (None, None) => match std::env::var("BANTER_TOKEN") {
                Ok(token) => Credential::Token(token),
                Err(_) => bail!(
                    "somebody has to ask for the test: give --user NAME, --api-key KEY, or BANTER_TOKEN"
                ),
            },
        })
    }
}

fn secret(variable: &str, prompt: &str) -> anyhow::Result<String> {
    match std::env::var(variable) {
        Ok(secret) => Ok(secret),
        Err(_) => rpassword::prompt_password(prompt)
            .with_context(|| format!("the secret could not be asked for; pass it in {variable}")),
    }
}

/// The server's address, and the fingerprint of an invite link (`…/invite#CODE&fp=FINGERPRINT`). WebSocket addresses will do.
fn read_url(text: &str) -> anyhow::Result<(Url, Option<Fingerprint>)> {
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let text = text.strip_prefix("ws").map_or(text.clone(), |rest| format!("http{rest}"));
    let mut url = Url::parse(&text)
        .with_context(|| format!("{text:?} is no address; give one like https://talk.example.org"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        bail!("{text:?} is no address of a server; give one like https://talk.example.org");
    }
    let fragment = url.fragment().unwrap_or_default().to_owned();
    let pin = form_urlencoded::parse(fragment.as_bytes()).find(|(name, _)| name == "fp");
    let pin = pin.map(|(_, value)| value.parse()).transpose()?;
    url.set_fragment(None);
    url.set_query(None);
    let path = url.path().trim_end_matches('/').trim_end_matches("/invite").to_owned();
    url.set_path(&path);
    Ok((url, pin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_invite_links_are_taken() {
        let pin = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
        for (given, address, pinned) in [
            ("https://talk.example", "https://talk.example/", false),
            ("talk.example:7880", "https://talk.example:7880/", false),
            ("ws://192.0.2.1:7880/", "http://192.0.2.1:7880/", false),
            (&format!("https://talk.example/invite#c0de&fp={pin}"), "https://talk.example/", true),
            ("https://example.org/talk/invite#c0de", "https://example.org/talk", false),
        ] {
            let (url, fingerprint) = read_url(given).expect(given);
            assert_eq!((url.as_str(), fingerprint.is_some()), (address, pinned), "{given}");
        }
        assert!(read_url("ftp://talk.example").is_err());
        assert!(read_url("https://talk.example/invite#c&fp=short").is_err());
    }
}
