//! A certificate in files of the operator's, read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use tokio::sync::watch;

use super::resolver::Resolver;
use super::{Certificate, CertificateError, Reload};
use crate::ambient;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Files {
    /// The chain in PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// Its key in PEM, not encrypted.
    pub key: PathBuf,
}

/// When both files were written and how long they are, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([Option<(SystemTime, u64)>; 2]);

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("the TLS file {} cannot be read: {source}; look at its path and its permissions", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the TLS key {} {source}", .path.display())]
    Key { path: PathBuf, source: CertificateError },
    #[error("the TLS certificate {} {source}", .path.display())]
    Certificate { path: PathBuf, source: CertificateError },
}

impl Files {
    pub fn load(&self, provider: &CryptoProvider) -> Result<Certificate, FilesError> {
        let chain = read(&self.certificate)?;
        let key = read(&self.key)?;
        Certificate::from_pem(&chain, &key, provider).map_err(|source| match source {
            CertificateError::NoKey | CertificateError::Mismatch => {
                FilesError::Key { path: self.key.clone(), source }
            }
            source => FilesError::Certificate { path: self.certificate.clone(), source },
        })
    }

    pub fn stamp(&self) -> Stamp {
        Stamp([&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    std::fs::read(path).map_err(|source| FilesError::Read { path: path.to_path_buf(), source })
}

/// Shows what is in the files whenever they change or the operator asks, until `ending`. What cannot be used changes
/// nothing.
pub async fn follow(
    files: Files,
    seen: Stamp,
    resolver: Arc<Resolver>,
    provider: Arc<CryptoProvider>,
    reload: Reload,
    mut ending: watch::Receiver<bool>,
) {
    let mut seen = seen;
    loop {
        let asked = tokio::select! {
            () = reload.requested() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
            _ = ending.wait_for(|ending| *ending) => return,
        };
        // Before the files are read: what is written meanwhile is found the next time.
        let stamp = files.stamp();
        if !asked && stamp == seen {
            continue;
        }
        seen = stamp;
        match files.load(&provider) {
            Ok(certificate) => {
                certificate.warn_of_expiry(ambient::now().wall);
                tracing::info!(fingerprint = %certificate.fingerprint(), "TLS certificate read again");
                resolver.replace(certificate);
            }
            Err(error) => tracing::warn!(%error, "TLS certificate not replaced; the one before stays"),
        }
    }
}
