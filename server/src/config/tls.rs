//! Where the certificate comes from.

use std::path::PathBuf;

use super::raw::Complaint;
use super::{Check, keys, parse};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Plain HTTP only, behind a proxy for one.
    Off,
    /// Made on the first run.
    SelfSigned,
    /// Given by the operator, in PEM.
    Files { certificate: PathBuf, key: PathBuf },
}

/// The words for the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    SelfSigned,
    Files,
}

impl Check<'_> {
    pub(super) fn tls(&mut self) -> TlsConfig {
        let mode = self.value(&keys::TLS, parse::tls_mode);
        let path = |text: &str| Ok((!text.is_empty()).then(|| PathBuf::from(text)));
        let files = (self.value(&keys::TLS_CERT, path), self.value(&keys::TLS_KEY, path));
        match (mode, files) {
            (TlsMode::Files, (Some(certificate), Some(key))) => TlsConfig::Files { certificate, key },
            (TlsMode::Files, _) => {
                self.complain("tls is \"files\", so both are needed: tls_cert and tls_key");
                TlsConfig::Off
            }
            (TlsMode::SelfSigned, (Some(_), _) | (_, Some(_))) if self.raw.given(&keys::TLS).is_none() => {
                self.complain("tls_cert and tls_key have no effect without --tls files; give that as well");
                TlsConfig::SelfSigned
            }
            (TlsMode::SelfSigned, _) => TlsConfig::SelfSigned,
            (TlsMode::Off, _) => TlsConfig::Off,
        }
    }

    fn complain(&mut self, text: &str) {
        self.complaints.push(Complaint(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Key;
    use super::super::{Config, RawConfig};
    use super::*;

    #[test]
    fn a_certificate_is_made_unless_something_else_is_said() {
        assert_eq!(tls(&[]), Ok(TlsConfig::SelfSigned));
        assert_eq!(tls(&[(&keys::TLS, "off")]), Ok(TlsConfig::Off));
        let files = [(&keys::TLS, "files"), (&keys::TLS_CERT, "c.pem"), (&keys::TLS_KEY, "k.pem")];
        let expected = TlsConfig::Files { certificate: "c.pem".into(), key: "k.pem".into() };
        assert_eq!(tls(&files), Ok(expected));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(tls(&[(&keys::TLS, "on")]).is_err());
        assert!(tls(&[(&keys::TLS, "files"), (&keys::TLS_CERT, "c.pem")]).is_err());
        assert!(tls(&[(&keys::TLS_CERT, "c.pem"), (&keys::TLS_KEY, "k.pem")]).is_err());
        let kept = [(&keys::TLS, "off"), (&keys::TLS_CERT, "c.pem"), (&keys::TLS_KEY, "k.pem")];
        assert_eq!(tls(&kept), Ok(TlsConfig::Off));
    }

    fn tls(flags: &[(&'static Key, &str)]) -> Result<TlsConfig, String> {
        let given = flags.iter().map(|(key, text)| (*key, (*text).to_owned()));
        let raw = RawConfig::default().with_flags([(&keys::DATA_DIR, "/data".to_owned())]).with_flags(given);
        Config::try_from(&raw).map(|config| config.tls).map_err(|error| error.to_string())
    }
}
