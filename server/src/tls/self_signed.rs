//! The certificate that this program makes for itself on its first run and keeps for good: apps know it by its fingerprint.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::crypto::CryptoProvider;

use super::{Certificate, CertificateError, folder};
use crate::data_dir::{self, DataDir};

#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    #[error("{} cannot be read: {source}; make it readable, or delete it to have a new certificate made", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} {source}; restore it, or delete it to have a new certificate made", .path.display())]
    Broken { path: PathBuf, source: CertificateError },
    #[error("{} cannot be written: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no certificate could be made: {0}; choose another source with --tls")]
    Make(#[from] rcgen::Error),
}

/// The certificate of an earlier run, whatever names it has, or else a new one for `names` (host names and addresses).
pub fn load_or_make(
    data: &DataDir,
    names: &[String],
    provider: &CryptoProvider,
) -> Result<Certificate, SelfSignedError> {
    let path = folder(data).join("self-signed.pem");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            let text = make(names)?.into_bytes();
            keep(&path, &text).map_err(|source| SelfSignedError::Write { path: path.clone(), source })?;
            text
        }
        Err(source) => return Err(SelfSignedError::Read { path, source }),
    };
    Certificate::from_pem(&text, &text, provider).map_err(|source| SelfSignedError::Broken { path, source })
}

/// Key and certificate, one after the other, in PEM.
fn make(names: &[String]) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Banter, self-signed");
    // The second date says that it does not expire (RFC 5280 §4.1.2.5). The first is far in the past for machines whose
    // clock is wrong.
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(9999, 12, 31));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(format!("{}{}", key.serialize_pem(), params.self_signed(&key)?.pem()))
}

fn keep(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        data_dir::create_private(folder)?;
    }
    data_dir::write_private(path, text)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn the_first_run_makes_one_and_the_next_ones_keep_it() {
        let (_temporary, data) = data();
        let made = load(&data, &["localhost", "192.168.1.5", "::1"]).expect("made");
        let kept = load(&data, &["elsewhere.example"]).expect("kept");
        assert_eq!(made.fingerprint(), kept.fingerprint());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
            let folder = folder(&data);
            assert_eq!((mode(&folder), mode(&folder.join("self-signed.pem"))), (0o700, 0o600));
        }
    }

    #[test]
    fn a_broken_one_is_not_replaced_in_silence() {
        let (_temporary, data) = data();
        load(&data, &["localhost"]).expect("made");
        let path = folder(&data).join("self-signed.pem");
        std::fs::write(&path, "nothing").expect("writable");
        let error = load(&data, &["localhost"]).expect_err("broken").to_string();
        assert!(error.contains("self-signed.pem") && error.contains("delete it"), "{error}");
    }

    fn load(data: &DataDir, names: &[&str]) -> Result<Certificate, SelfSignedError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        load_or_make(data, &names, &default_provider())
    }

    fn data() -> (tempfile::TempDir, DataDir) {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let data = DataDir::create(&temporary.path().join("data")).expect("a data folder");
        (temporary, data)
    }
}
