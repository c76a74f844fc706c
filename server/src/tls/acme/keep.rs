//! What is kept in the data folder from one run to the next: the account, and the certificate with its key.

use std::io;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use rustls::crypto::CryptoProvider;
use serde::{Deserialize, Serialize};

use crate::data_dir::{self, DataDir};
use crate::tls::{Certificate, folder};

/// The two files.
#[derive(Clone, Debug)]
pub struct Keep {
    folder: PathBuf,
}

/// An account, and where it is one.
#[derive(Serialize, Deserialize)]
pub struct KeptAccount {
    pub directory: String,
    pub email: Option<String>,
    pub credentials: AccountCredentials,
}

#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}", .path.display())]
pub struct KeepError {
    path: PathBuf,
    source: io::Error,
}

impl Keep {
    pub fn new(data: &DataDir) -> Self {
        Self { folder: folder(data) }
    }

    /// The account at this authority. One that is missing or damaged is made anew.
    pub fn account(&self, directory: &str) -> Option<KeptAccount> {
        let kept: KeptAccount = serde_json::from_slice(&std::fs::read(self.account_file()).ok()?).ok()?;
        (kept.directory == directory).then_some(kept)
    }

    pub fn write_account(&self, account: &KeptAccount) -> Result<(), KeepError> {
        if self.account(&account.directory).is_none() {
            // It may be another authority's. Often there is none.
            let _ = std::fs::remove_file(self.certificate_file());
        }
        let text = serde_json::to_vec(account).expect("texts become JSON");
        self.write(&self.account_file(), &text)
    }

    /// After the authority has said that it does not know it.
    pub fn forget_account(&self) {
        // It may not have been written.
        let _ = std::fs::remove_file(self.account_file());
    }

    /// The certificate of this authority for these domains. One that is missing, damaged or for something else is
    /// obtained anew.
    pub fn certificate(
        &self,
        directory: &str,
        domains: &[String],
        provider: &CryptoProvider,
    ) -> Option<Certificate> {
        self.account(directory)?;
        let text = std::fs::read(self.certificate_file()).ok()?;
        let certificate = Certificate::from_pem(&text, &text, provider).ok()?;
        certificate.covers(domains).then_some(certificate)
    }

    /// Takes the key and the chain, one after the other, in PEM.
    pub fn write_certificate(&self, pem: &str) -> Result<(), KeepError> {
        self.write(&self.certificate_file(), pem.as_bytes())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), KeepError> {
        data_dir::create_private(&self.folder)
            .and_then(|()| data_dir::write_private(path, content))
            .map_err(|source| KeepError { path: path.to_path_buf(), source })
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("acme-account.json")
    }

    fn certificate_file(&self) -> PathBuf {
        self.folder.join("acme.pem")
    }
}
