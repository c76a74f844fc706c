//! `banter-load`: rooms full of bots on any LiveKit-compatible server, and what they cost it.
#![expect(clippy::print_stdout, reason = "it is a command-line program")]

mod args;
mod bot;
mod connection;
mod crowd;
mod histogram;
mod media;
mod process;
mod report;
mod sdp;
mod signal;
mod speech;
mod stamp;
mod tally;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::sync::watch;

use crate::args::Args;
use crate::crowd::Server;
use crate::report::{Document, Report, to_comparison};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    args.check()?;
    let (stopping, stop) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopping.send_replace(true);
        }
    });
    let first = Server { url: args.url.clone(), pid: args.server_pid };
    let second = args.compare_url.clone().map(|url| Server { url, pid: args.compare_pid });
    let mut reports = Vec::new();
    for _ in 0..if second.is_some() { args.turns } else { 1 } {
        for server in [Some(&first), second.as_ref()].into_iter().flatten() {
            let outcome = crowd::run(&args, server, &stop).await?;
            let report = Report::of(server.url.as_str(), &outcome);
            println!("{}", report.to_table());
            reports.push(report);
        }
        if *stop.borrow() {
            break;
        }
    }
    if second.is_some() {
        let firsts: Vec<&Report> = reports.iter().step_by(2).collect();
        let seconds: Vec<&Report> = reports.iter().skip(1).step_by(2).collect();
        println!("{}", to_comparison(&firsts, &seconds));
    }
    if let Some(file) = &args.json {
        let document = serde_json::to_vec_pretty(&Document::new(&args, &reports))?;
        std::fs::write(file, document).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let has_failed = reports.iter().any(|report| report.failed > 0);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
