//! A server that runs for a check only: on the ports of the configuration, and with nothing of the data.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ambient;
use crate::app::App;
use crate::config::{ApiKeyPair, Config, TlsConfig};
use crate::data_dir::DataDir;
use crate::ports::Ports;
use crate::service::secrets;
use crate::store::Database;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Trial {
    folder: PathBuf,
    ports: Ports,
    api_key: ApiKeyPair,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Trial {
    /// Starts it. Nobody is told of what happens in it, and no authority is asked for a certificate.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("banter-doctor-{}", std::process::id()));
        let started = Self::start_in(folder.clone(), config).await;
        if started.is_err() {
            remove(&folder);
        }
        started
    }

    async fn start_in(folder: PathBuf, config: &Config) -> anyhow::Result<Self> {
        let data = DataDir::create(&folder).context("making a folder for the time of the check")?;
        let database = Database::open(&data.database())?;
        let api_key = {
            let mut rng = ambient::rng();
            ApiKeyPair { key: secrets::api_key(&mut rng), secret: secrets::api_secret(&mut rng) }
        };
        let tls = match &config.tls {
            TlsConfig::Auto(_) => TlsConfig::SelfSigned,
            other => other.clone(),
        };
        let config = Config {
            data_dir: folder.clone(),
            api_keys: vec![api_key.clone()],
            webhooks: Default::default(),
            metrics: Default::default(),
            tls,
            ..config.clone()
        };
        let app = App::start(config, data.clone(), database).await?;
        let ports = Ports::read(&data).context("the server does not say which ports it has")?;
        let (stop, stopped) = oneshot::channel::<()>();
        // Whoever drops the other end wants it to end as well.
        let serving = tokio::spawn(app.run_until(async { drop(stopped.await) }));
        Ok(Self { folder, ports, api_key, stop, serving })
    }

    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    pub fn api_key(&self) -> &ApiKeyPair {
        &self.api_key
    }

    /// Ends it and leaves nothing behind.
    pub async fn end(self) {
        let _ = self.stop.send(());
        let _ = timeout(PATIENCE, self.serving).await;
        remove(&self.folder);
    }
}

fn remove(folder: &std::path::Path) {
    // Under the folder for temporary files, which is swept out anyway.
    let _ = std::fs::remove_dir_all(folder);
}
