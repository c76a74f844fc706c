//! The data folder as the commands beside `serve` use it.

use anyhow::Context;

use crate::config::{Complaint, InvalidConfig, RawConfig};
use crate::data_dir::{self, DataDir};
use crate::store::Database;

/// Opens the data folder that the configuration names, and makes it if it is missing: accounts can be added before the
/// first start.
pub fn open(raw: &RawConfig) -> anyhow::Result<(DataDir, Database)> {
    let path = path(raw)?;
    let folder = DataDir::create(&path)
        .with_context(|| format!("the data folder {} is not usable", path.display()))?;
    let database = Database::open(&folder.database())?;
    Ok((folder, database))
}

/// Whether there is a database where the configuration says.
pub fn exists(raw: &RawConfig) -> bool {
    raw.data_dir().is_some_and(|path| data_dir::database_in(&path).exists())
}

fn path(raw: &RawConfig) -> Result<std::path::PathBuf, InvalidConfig> {
    let mut complaints = raw.complaints().to_vec();
    match raw.data_dir() {
        Some(path) if complaints.is_empty() => Ok(path),
        Some(_) => Err(InvalidConfig(complaints)),
        None => {
            complaints.push(Complaint("the folder for the data is not known; give --data-dir".to_owned()));
            Err(InvalidConfig(complaints))
        }
    }
}

/// Runs a command's own little piece of async work.
pub fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("the runtime could not be started")?.block_on(work))
}
