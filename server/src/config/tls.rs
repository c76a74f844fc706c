//! Where the certificate comes from.

use std::path::PathBuf;

use url::{Host, Url};

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
    /// Obtained from an authority.
    Auto(AcmeConfig),
}

/// How to obtain a certificate (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// Never empty.
    pub domains: Vec<String>,
    /// Where the authority may write to.
    pub email: Option<String>,
    /// The address of the authority's directory, https.
    pub directory: Url,
    /// Where HTTP-01 is answered beside the port of everything else; 0 is any free port.
    pub http_port: u16,
}

/// The words for the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    SelfSigned,
    Files,
    Auto,
}

impl Check<'_> {
    pub(super) fn tls(&mut self, public_url: Option<&Url>) -> TlsConfig {
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
            (TlsMode::Auto, _) => TlsConfig::Auto(self.acme(public_url)),
            (TlsMode::Off, _) => TlsConfig::Off,
        }
    }

    fn acme(&mut self, public_url: Option<&Url>) -> AcmeConfig {
        let mut domains = self.value(&keys::ACME_DOMAINS, parse::domains);
        if let (true, Some(Host::Domain(host))) = (domains.is_empty(), public_url.and_then(Url::host)) {
            domains.push(host.to_owned());
        }
        // What was given and is wrong has been complained about.
        if domains.is_empty() && self.raw.given(&keys::ACME_DOMAINS).is_none() {
            self.complain(
                "tls is \"auto\", so a domain is needed: give acme_domains, or a public_url with a name",
            );
        }
        AcmeConfig {
            domains,
            email: self.value(&keys::ACME_EMAIL, parse::email),
            directory: self.value(&keys::ACME_DIRECTORY, parse::https_url),
            http_port: self.value(&keys::ACME_HTTP_PORT, parse::port),
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
    fn an_authority_is_asked_for_domains() {
        let auto = |key: &'static Key, text: &str| tls(&[(&keys::TLS, "auto"), (key, text)]);
        let domains = |outcome: Result<TlsConfig, String>| match outcome {
            Ok(TlsConfig::Auto(acme)) => acme.domains,
            other => panic!("{other:?}"),
        };
        let several = auto(&keys::ACME_DOMAINS, "Talk.example.org, b.example.org");
        assert_eq!(domains(several), ["talk.example.org", "b.example.org"]);
        assert_eq!(domains(auto(&keys::PUBLIC_URL, "https://talk.example.org:7880")), ["talk.example.org"]);
        for refused in ["*.example.org", "192.0.2.1", "localhost", "a b"] {
            let error = auto(&keys::ACME_DOMAINS, refused).expect_err(refused);
            assert_eq!(error.matches("\n  - ").count(), 1, "{error}");
        }
        assert!(auto(&keys::PUBLIC_URL, "https://192.0.2.1").is_err());
        assert!(
            auto(&keys::ACME_EMAIL, "ada@example.org")
                .is_err_and(|error| error.contains("a domain is needed"))
        );
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
