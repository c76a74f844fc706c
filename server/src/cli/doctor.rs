//! `banter doctor`: whether this machine has what a server needs, and whether each path leads to it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::Context;
use banter_client::driver::{ApiError, Credential, Server, Trust};
use banter_protocol::rest::TestPath;
use clap::Args;
use url::Url;

use super::checkup::{self, Progress};
use super::flags::{self, AllFlags};
use super::folder as opened;
use crate::checkup::address::{self, Place};
use crate::checkup::{
    Finding, Report, Verdict, certificate, clock, folder, limits, network, paths, ports, router,
};
use crate::config::{ApiKeyPair, Config, RawConfig, TlsConfig};
use crate::data_dir::DataDir;
use crate::ports::Ports;
use crate::trial::Trial;
use crate::{addresses, ambient, external, store};

const NTP_SERVERS: &str = "pool.ntp.org:123,time.cloudflare.com:123";

#[derive(Debug, Args)]
pub struct Command {
    /// Print one JSON document, and nothing else on the standard output
    #[arg(long)]
    json: bool,
    /// Time servers to hold the clock against; off asks nobody
    #[arg(long, value_name = "HOST:PORT,…", default_value = NTP_SERVERS)]
    ntp_servers: String,
    #[command(flatten)]
    flags: AllFlags,
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let raw = command.flags.raw_config();
    // What is wrong with the settings is said before anything else is looked at.
    let config = flags::resolve(&raw, &BTreeMap::new())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime could not be started")?;
    let progress = Progress::new(command.json);
    let examined = runtime.block_on(examine(&raw, config, &servers(&command.ntp_servers), &progress));
    progress.done();
    checkup::show(&Report { program: "doctor", findings: examined? }, command.json)
}

fn servers(text: &str) -> Vec<String> {
    let named = text.split(',').map(str::trim).filter(|server| !server.is_empty() && *server != "off");
    named
        .map(|server| if server.contains(':') { server.to_owned() } else { format!("{server}:123") })
        .collect()
}

async fn examine(
    raw: &RawConfig,
    config: Config,
    ntp_servers: &[String],
    progress: &Progress,
) -> anyhow::Result<Vec<Finding>> {
    let data = DataDir::as_it_is(&config.data_dir);
    let state = folder::look(&config.data_dir);
    let mut findings = vec![
        folder::judge(&config.data_dir, &state),
        folder::judge_space(folder::free_space(&config.data_dir)),
    ];
    let has_data = matches!(state, folder::State::Writable { .. }) && opened::exists(raw);
    let config = if has_data { with_settings(raw).await? } else { config };

    let running = Ports::read(&data).filter(Ports::is_alive);
    let files = limits::open_files(running.as_ref().map(|ports| ports.pid));
    findings.push(limits::judge_open_files(files));
    findings.push(limits::judge_receive_buffer(limits::receive_buffer()));
    findings.push(network::judge(&network::interfaces()));
    progress.looking_at("the clock");
    findings.push(clock::check(ntp_servers).await);
    findings.push(certificate::check(&config, &data, ambient::now().wall));
    progress.looking_at("the public address");
    let place = place(&config).await;
    findings.push(address::check_public_url(config.public_url.as_ref(), &place).await);
    findings.push(address::judge_public_ip(&config.public_ip, &place));
    if let Some((ports, forwarding)) =
        running.as_ref().and_then(|ports| Some((ports, ports.forwarding.as_ref()?)))
    {
        findings.push(router::judge(forwarding, ports.outside));
    }

    let free = match &running {
        Some(ports) => ports::judge_running(ports),
        None => ports::check_free(&config),
    };
    let are_free = free.result != Verdict::Fail;
    findings.push(free);
    let hindrance = match () {
        () if !folder::is_usable(&state) => Some("the data folder is not usable"),
        () if !are_free => Some("the server cannot start on these ports"),
        () if !limits::is_enough_for_tests(limits::open_files(None)) => Some("too few files may be open"),
        () => None,
    };
    match hindrance {
        Some(why) => findings.extend(TestPath::ALL.map(|path| paths::skipped(path, why))),
        None => findings.extend(try_server(&config, running, &place, progress).await),
    }
    Ok(findings)
}

/// What was given over what is kept with the data.
async fn with_settings(raw: &RawConfig) -> anyhow::Result<Config> {
    let (_, database) = opened::open(raw)?;
    let settings = database.read(|tx| store::settings::all(tx)).await?;
    database.close();
    Ok(flags::resolve(raw, &settings)?)
}

async fn place(config: &Config) -> Place {
    let own = addresses::reachable(Ipv6Addr::UNSPECIFIED.into());
    let external = match own.iter().any(external::is_public) {
        true => None,
        false => external::ask_all(&config.stun_servers).await,
    };
    Place { own, external }
}

/// Tries each path: to the server that runs, or to one on these ports for as long as it takes.
async fn try_server(
    config: &Config,
    running: Option<Ports>,
    place: &Place,
    progress: &Progress,
) -> Vec<Finding> {
    if let Some(ports) = running {
        return match config.api_keys.first() {
            Some(pair) => try_at(config, &ports, pair, place, progress).await,
            None => {
                TestPath::ALL.map(|path| paths::skipped(path, "there is no API key in the settings")).into()
            }
        };
    }
    progress.looking_at("the server, which is started for it");
    match Trial::start(config).await {
        Ok(trial) => {
            let findings = try_at(config, trial.ports(), trial.api_key(), place, progress).await;
            progress.looking_at("the end of the server");
            trial.end().await;
            findings
        }
        Err(error) => vec![
            Finding::new("server", "Server", Verdict::Fail, format!("it does not start: {error:#}"))
                .because("what the text says")
                .fix("banter serve says the same, with more in its log"),
        ],
    }
}

async fn try_at(
    config: &Config,
    ports: &Ports,
    ApiKeyPair { key, secret }: &ApiKeyPair,
    place: &Place,
    progress: &Progress,
) -> Vec<Finding> {
    let credential = Credential::ApiKey { key: key.clone(), secret: secret.clone() };
    let side = paths::Side::Server(ports.clone());
    let mut findings = Vec::new();
    if let Some(url) = &config.public_url {
        progress.looking_at(url.as_str());
        let trust = match config.tls {
            TlsConfig::SelfSigned => Trust::Anything,
            TlsConfig::Off | TlsConfig::Files { .. } | TlsConfig::Auto(_) => Trust::Authorities,
        };
        let (finding, test) = match Server::new(url.clone(), trust) {
            Ok(server) => {
                let (finding, test) = checkup::prepare(&server, &credential, shown(url)).await;
                (finding, test.map(|test| (server, test)))
            }
            Err(error) => {
                let error = error.to_string();
                (
                    Finding::new("api", "Web address", Verdict::Skip, error.clone()),
                    Err(ApiError::NoAnswer(error)),
                )
            }
        };
        let finding = match &test {
            // Its own key cannot be wrong.
            Err(ApiError::Refused { status: 401, .. }) => finding
                .because("another Banter answers at the public address")
                .fix("look at what the address leads to, and at what is forwarded to this machine"),
            _ => finding,
        };
        findings.push(from_inside(finding, place));
        if let Ok((server, test)) = test {
            findings.extend(checkup::try_paths(&server, &test, &TestPath::ALL, &side, progress).await);
            return findings;
        }
    }
    let url = local_url(config, ports);
    let server = match Server::new(url.clone(), Trust::Anything) {
        Ok(server) => server,
        Err(error) => return vec![Finding::new("api", "Web address", Verdict::Skip, error.to_string())],
    };
    let (mut finding, test) = checkup::prepare(&server, &credential, shown(&url)).await;
    if let Err(ApiError::Refused { status: 401, .. }) = &test {
        finding = finding
            .because("the server that runs has another API key than these settings")
            .fix("give doctor the flags and variables that the server was started with");
    }
    if !findings.is_empty() {
        (finding.check, finding.name) = ("local_api", "Local address");
    }
    findings.push(finding);
    match test {
        Ok(test) => {
            findings.extend(checkup::try_paths(&server, &test, &TestPath::ALL, &side, progress).await)
        }
        Err(_) => {
            findings.extend(TestPath::ALL.map(|path| paths::skipped(path, "the web address does not work")));
        }
    }
    findings
}

/// Many routers do not let their own network in by their public address, so from here its silence says nothing.
fn from_inside(finding: Finding, place: &Place) -> Finding {
    if finding.result != Verdict::Fail || place.external.is_none() {
        return finding;
    }
    Finding { result: Verdict::Warn, ..finding }
        .because("many routers do not let their own network in by their public address; or the port is not forwarded")
        .fix("try it from another network: banter probe")
}

/// An address of this machine by which others come, if there is one.
fn local_url(config: &Config, ports: &Ports) -> Url {
    let reachable = config.bind.iter().flat_map(|bind| addresses::reachable(*bind));
    let own: Vec<IpAddr> = reachable.collect();
    let by_others = own.iter().find(|address| !address.is_loopback()).or(own.first());
    let host = match by_others {
        Some(IpAddr::V6(address)) => format!("[{address}]"),
        Some(IpAddr::V4(address)) => address.to_string(),
        None => "localhost".to_owned(),
    };
    Url::parse(&format!("http://{host}:{}", ports.http)).expect("a host and a port make an address")
}

fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_servers_have_a_port_and_may_be_none() {
        assert_eq!(servers("pool.ntp.org, 192.0.2.1:1123"), ["pool.ntp.org:123", "192.0.2.1:1123"]);
        assert!(servers("off").is_empty());
    }
}
