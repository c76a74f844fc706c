//! `banter serve`: the server, until a signal ends it.

use std::collections::BTreeMap;

use anyhow::Context;

use super::flags::{self, AllFlags};
use super::{folder, print};
use crate::app::App;
use crate::{first_run, telemetry};

pub fn run(flags: AllFlags) -> anyhow::Result<()> {
    let raw = flags.raw_config();
    // Everything given by hand is checked before the data folder is touched, and once more with the settings in it.
    let config = flags::resolve(&raw, &BTreeMap::new())?;
    telemetry::start(&config.log);
    for warning in raw.warnings() {
        tracing::warn!("{warning}");
    }
    let (data, database) = folder::open(&raw)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("control")
        .build()
        .context("the runtime could not be started")?;
    runtime.block_on(async {
        let settings = first_run::prepare_settings(&database).await?;
        let config = flags::resolve(&raw, &settings)?;
        let app = App::start(config, data, database).await?;
        print(&app.welcome().await?)?;
        app.run_until(stop_signal()).await
    })
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}
