//! `banter-load`: rooms full of bots on any LiveKit-compatible server, and what they cost it.
#![expect(clippy::print_stdout, reason = "it is a command-line program")]

mod args;
mod bare;
mod bot;
mod connection;
mod crowd;
mod histogram;
mod incoming;
mod media;
mod microphone;
mod process;
mod progress;
mod report;
mod run;
mod sdp;
mod signal;
mod speech;
mod stamp;
mod tally;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::sync::watch::{Receiver, channel};

use crate::args::Args;
use crate::report::{Comparison, Document, Report, page};
use crate::run::{Server, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    args.check()?;
    let mut runs = Vec::new();
    let finished = measure(&args, &interrupted(), &mut runs).await;
    let comparison = args.compare_url.as_ref().and_then(|_| Comparison::of(&runs));
    if let Some(comparison) = &comparison {
        println!("{}", comparison.to_table());
    }
    let document = Document {
        version: env!("CARGO_PKG_VERSION"),
        arguments: &args,
        runs: &runs,
        comparison: comparison.as_ref(),
    };
    if let Some(file) = &args.json {
        write(file, &serde_json::to_vec_pretty(&document)?)?;
    }
    if let Some(file) = &args.html {
        write(file, page(&document).as_bytes())?;
    }
    finished?;
    let has_failed = runs.iter().any(|run| run.failed > 0);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures each server as often as that is asked for, and tells what came of it; what is measured before an error is kept.
async fn measure(args: &Args, stop: &Receiver<bool>, runs: &mut Vec<Report>) -> anyhow::Result<()> {
    let first = Server { url: args.url.clone(), pid: args.server_pid };
    let second = args.compare_url.clone().map(|url| Server { url, pid: args.compare_pid });
    for _ in 0..if second.is_some() { args.turns } else { 1 } {
        for server in [Some(&first), second.as_ref()].into_iter().flatten() {
            if *stop.borrow() {
                return Ok(());
            }
            let outcome = run(args, server, stop).await?;
            let report = Report::of(args, server.url.as_str(), &outcome);
            println!("{}", report.to_table());
            runs.push(report);
        }
    }
    Ok(())
}

/// True once Ctrl-C was pressed. The second time it ends the program.
fn interrupted() -> Receiver<bool> {
    let (stopping, stop) = channel(false);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if stopping.send_replace(true) {
                std::process::exit(130);
            }
        }
    });
    stop
}

fn write(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, content).with_context(|| format!("{} cannot be written", file.display()))
}
