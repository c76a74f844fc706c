//! `banter invite`: invites, from the machine itself.

use std::collections::BTreeMap;

use banter_protocol::rest::CreateInvite;
use clap::Subcommand;

use super::flags::{self, FolderFlags};
use super::{folder, print};
use crate::ambient;
use crate::ports::Ports;
use crate::service::invites::{self, Destination};
use crate::store;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an invite link with which people can register
    Create {
        /// How many people may register with it: 1 to 1000
        #[arg(long, value_name = "N", default_value_t = invites::DEFAULT_USES)]
        max_uses: i64,
        /// How long it lasts: 60 seconds to 30 days
        #[arg(long, value_name = "SECONDS", default_value_t = invites::DEFAULT_LIFETIME.as_secs() as i64)]
        expires_in: i64,
        #[command(flatten)]
        folder: FolderFlags,
    },
}

pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Create { max_uses, expires_in, folder: flags } = command;
    let raw = flags.raw_config();
    let (data, database) = folder::open(&raw)?;
    let settings: BTreeMap<_, _> = folder::block_on(database.read(|tx| store::settings::all(tx)))??;
    let config = flags::resolve(&raw, &settings)?;
    let base = match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        // Others on the network replace the name by this machine's address, which the server prints at its start.
        None => format!("http://localhost:{}", Ports::read(&data).map_or(config.port, |ports| ports.http)),
    };
    // Whose certificate is found there, ours or a proxy's, nobody knows from here.
    let to = Destination { base, fingerprint: None };
    let request = CreateInvite { max_uses: Some(max_uses), expires_in_seconds: Some(expires_in) };
    let (now, mut rng) = (ambient::now().wall, ambient::rng());
    let created = folder::block_on(invites::create(&database, None, request, &to, now, &mut rng))??;
    database.close();
    print(&format!("{}\n", created.url))
}
