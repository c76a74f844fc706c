//! `banter serve`: the server, until a signal ends it.

use std::collections::BTreeMap;

use anyhow::Context;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::flags::{self, AllFlags};
use super::{folder, print};
use crate::app::App;
use crate::tls::Reload;
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
        let signals = Signals::catch()?;
        let settings = first_run::prepare_settings(&database).await?;
        let config = flags::resolve(&raw, &settings)?;
        let app = App::start(config, data, database).await?;
        print(&app.welcome().await?)?;
        let reload = app.reload();
        app.run_until(signals.stop(reload)).await
    })
}

/// What an operator says to a program that runs, from the moment it is caught.
#[cfg(unix)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

#[cfg(unix)]
impl Signals {
    fn catch() -> anyhow::Result<Self> {
        let caught = |kind| signal(kind).context("signals cannot be caught");
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hang_up: caught(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP has certificates looked at again.
    async fn stop(mut self, reload: Reload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => reload.request(),
            }
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn catch() -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Waits for Ctrl+C. Nobody can ask for a reload.
    async fn stop(self, _: Reload) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
