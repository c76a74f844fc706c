//! `banter config`: what is configured, and where.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Subcommand;

use super::flags::{self, AllFlags};
use super::{folder, print};
use crate::config::RawConfig;
use crate::config::keys::{self, Exposure};
use crate::store;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print each value with its origin: flag, environment, file, settings or default
    Show {
        /// Print the API secret as well, for LiveKit server SDKs
        #[arg(long)]
        secrets: bool,
        #[command(flatten)]
        flags: AllFlags,
    },
}

pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Show { secrets, flags } = command;
    let raw = flags.raw_config();
    // Looking must not leave anything behind, so a folder that does not exist yet stays so.
    let settings = if folder::exists(&raw) { read_settings(&raw)? } else { BTreeMap::new() };
    flags::resolve(&raw, &settings)?;
    for warning in raw.warnings() {
        let _ = writeln!(std::io::stderr(), "banter: {warning}");
    }
    print(&table(&raw.with_settings(&settings), secrets))
}

fn read_settings(raw: &RawConfig) -> anyhow::Result<BTreeMap<String, String>> {
    let (_, database) = folder::open(raw)?;
    let settings = folder::block_on(database.read(|tx| store::settings::all(tx)))?;
    database.close();
    Ok(settings?)
}

fn table(raw: &RawConfig, secrets: bool) -> String {
    let rows: Vec<[String; 3]> = keys::ALL
        .iter()
        .map(|key| {
            let given = raw.value(key);
            let value = match key.exposure {
                Exposure::Secret if !secrets && !given.text.is_empty() => "(shown with --secrets)".to_owned(),
                _ if **key == keys::DATA_DIR => {
                    raw.data_dir().map(|path| path.display().to_string()).unwrap_or_default()
                }
                _ => given.text.trim_end().replace('\n', ","),
            };
            [key.name.to_owned(), value, given.origin.to_string()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    rows.iter().map(|[name, value, origin]| format!("{name:names$}  {value:values$}  {origin}\n")).collect()
}
