//! The command line: one file per command.

mod checkup;
mod config;
mod doctor;
mod flags;
mod folder;
mod invite;
mod probe;
mod serve;
mod user;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::StartError;
use crate::bind::BindError;
use crate::config::InvalidConfig;
use flags::AllFlags;

/// Self-hosted voice channels in one program.
///
/// Without a command, `banter` serves.
#[derive(Debug, Parser)]
#[command(name = "banter", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: AllFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop (SIGTERM or Ctrl+C)
    #[command(after_help = EXIT_CODES)]
    Serve(#[command(flatten)] AllFlags),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Manage accounts, also while the server runs
    #[command(subcommand)]
    User(user::Command),
    /// Invite people, also while the server runs
    #[command(subcommand)]
    Invite(invite::Command),
    /// Look at everything that a server needs on this machine, and try each path to it
    #[command(after_help = checkup::EXIT_CODES)]
    Doctor(doctor::Command),
    /// Try each path from this machine to a server elsewhere
    #[command(after_help = probe::AFTER_HELP)]
    Probe(probe::Command),
    /// Print the description of the REST API (OpenAPI 3.1, JSON)
    Openapi,
}

const EXIT_CODES: &str = "\
Values are taken from the first of: flag, environment, file, settings (kept with the data), default.

Exit codes: 0 ended on request, 1 failed, 2 wrong use or configuration, 3 a port is in use.";

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;
const PORT_IN_USE: u8 = 3;

/// Runs the command that the arguments ask for and reports failures on the standard error output.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(flags)) => serve::run(flags),
        Some(Command::Config(command)) => config::run(command),
        Some(Command::User(command)) => user::run(command),
        Some(Command::Invite(command)) => invite::run(command),
        Some(Command::Doctor(command)) => return checkup::exit(doctor::run(command)),
        Some(Command::Probe(command)) => return checkup::exit(probe::run(command)),
        Some(Command::Openapi) => print(&crate::openapi()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `{:#}` puts the causes after the failure, on one line.
            let _ = writeln!(std::io::stderr(), "banter: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<InvalidConfig>() {
        WRONG_USE
    } else if matches!(error.downcast_ref(), Some(StartError::Bind(BindError::PortInUse(_)))) {
        PORT_IN_USE
    } else {
        FAILED
    }
}

/// Writes to the standard output. A reader that has gone away (`banter user list | head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        let cli = Cli::try_parse_from(["banter", "--port", "0", "--dev"]).expect("parses");
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["banter", "serve", "--port", "0", "--dev=false"]).expect("parses");
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }
}
