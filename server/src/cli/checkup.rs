//! What `banter doctor` and `banter probe` have in common: trying the paths, and showing what was found.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use banter_client::driver::{ApiError, Credential, Server};
use banter_protocol::rest::{ConnectionTest, TestPath, UnixMillis};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{FAILED, WRONG_USE, print};
use crate::ambient;
use crate::checkup::{Finding, Report, Verdict, paths};

pub const EXIT_CODES: &str = "\
Exit codes: 0 nothing fails (there may be warnings), 1 something fails, 2 wrong use, or it could not run.";

/// Clocks that differ by more have access tokens refused (their leeway is a minute).
const CLOCKS_APART_MS: u64 = 30_000;

/// What is being looked at, on a terminal, while it takes time.
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    pub fn new(json: bool) -> Self {
        Self { is_shown: !json && std::io::stderr().is_terminal() }
    }

    pub fn looking_at(&self, what: &str) {
        self.write(&format!("\r\x1b[K… {what}"));
    }

    pub fn done(&self) {
        self.write("\r\x1b[K");
    }

    fn write(&self, text: &str) {
        if self.is_shown {
            let mut stderr = std::io::stderr();
            // Whoever does not see it misses nothing.
            let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        }
    }
}

/// Prints a report, and says how the program is to end.
pub fn show(report: &Report, json: bool) -> anyhow::Result<ExitCode> {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&if json { report.to_json() } else { report.to_text(coloured) })?;
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// The exit code of a command that tells by it what it has found.
pub fn exit(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "banter: {error:#}");
        ExitCode::from(WRONG_USE)
    })
}

/// Tries the paths of a test that has been prepared, all at the same time, beginning with the WebSocket. `wanted` leaves
/// others out.
pub async fn try_paths(
    server: &Server,
    test: &ConnectionTest,
    wanted: &[TestPath],
    side: &paths::Side,
    progress: &Progress,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(first) = test.paths.first() {
        progress.looking_at("WebSocket");
        findings.push(paths::judge_web_socket(&server.ping(&first.receiver).await));
    }
    let offered = test.paths.iter().filter(|test| wanted.contains(&test.path));
    let mut under_way: FuturesUnordered<_> = offered.map(|test| server.test(test)).collect();
    let mut reports = Vec::new();
    progress.looking_at(&format!("{} paths, for a few seconds", under_way.len()));
    while let Some(report) = under_way.next().await {
        reports.push(report);
        progress.looking_at(&format!("{} paths, for a few seconds", under_way.len()));
    }
    findings.extend(wanted.iter().map(|path| match reports.iter().find(|report| report.path == *path) {
        Some(report) => paths::judge(report, side),
        None => paths::absent(*path, side),
    }));
    findings
}

/// Asks a server for a test. What came of that is a finding too.
pub async fn prepare(
    server: &Server,
    credential: &Credential,
    url: &str,
) -> (Finding, Result<ConnectionTest, ApiError>) {
    let prepared = server.prepare(credential).await;
    let finding = paths::judge_api(prepared.as_ref().map(|(_, took)| *took), url);
    (finding, prepared.map(|(test, _)| test))
}

/// The clock of this machine, held against the server's.
pub fn judge_clocks(server: UnixMillis) -> Finding {
    let apart = ambient::now().wall.0 - server.0;
    let finding =
        |verdict, detail: String| Finding::new("clock", "Clock", verdict, detail).measured("offset", apart);
    if apart.unsigned_abs() < CLOCKS_APART_MS {
        return finding(Verdict::Ok, "agrees with the server's".to_owned());
    }
    let side = if apart > 0 { "ahead of" } else { "behind" };
    finding(Verdict::Warn, format!("{} s {side} the server's", apart.unsigned_abs() / 1000))
        .because("one of the two is wrong; tokens that are made on the slower machine count as expired early")
        .fix("run banter doctor on the server, and switch time synchronization on here")
}
