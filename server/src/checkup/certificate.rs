//! The certificate that the server shows.

use banter_protocol::rest::UnixMillis;
use url::{Host, Url};

use super::{Finding, Verdict};
use crate::config::{Config, TlsConfig};
use crate::data_dir::DataDir;
use crate::tls::{self, Certificate};

const DAY: i64 = 24 * 3600 * 1000;
/// Authorities' certificates are renewed a month before they expire.
const SOON: i64 = 14;

/// What is known of a certificate of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It cannot be used; the text says why and what to do.
    Unusable(String),
    Usable {
        from: UnixMillis,
        until: UnixMillis,
        names_host: Option<bool>,
    },
}

pub fn check(config: &Config, folder: &DataDir, now: UnixMillis) -> Finding {
    let host = config.public_url.as_ref().and_then(host);
    match &config.tls {
        TlsConfig::Off => {
            let behind_proxy = config.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
            judge_off(behind_proxy)
        }
        TlsConfig::SelfSigned => {
            finding(Verdict::Ok, "this server's own: browsers warn once, apps know it by its fingerprint")
        }
        TlsConfig::Auto(_) | TlsConfig::Files { .. } => {
            let known = match tls::found(&config.tls, folder) {
                Ok(None) => return finding(Verdict::Skip, "none yet; it is obtained while the server runs"),
                Ok(Some(certificate)) => known(&certificate, host.as_deref()),
                Err(error) => Known::Unusable(error.to_string()),
            };
            judge(&known, host.as_deref(), now)
        }
    }
}

fn known(certificate: &Certificate, host: Option<&str>) -> Known {
    Known::Usable {
        from: certificate.validity.from,
        until: certificate.validity.until,
        names_host: host.map(|host| certificate.covers(&[host.to_owned()])),
    }
}

fn judge(known: &Known, host: Option<&str>, now: UnixMillis) -> Finding {
    let (from, until, names_host) = match known {
        Known::Unusable(why) => {
            return finding(Verdict::Fail, why.clone())
                .because("chain and key are not what the server needs: PEM, the chain with the server's certificate first, the key to it")
                .fix("give the files that were made together with --tls-cert and --tls-key");
        }
        Known::Usable { from, until, names_host } => (from.0, until.0, *names_host),
    };
    let days = (until - now.0).div_euclid(DAY);
    let renew = "renew it; the server reads the files again when they change";
    if now.0 > until {
        return finding(Verdict::Fail, format!("expired {} days ago", -days))
            .because("whatever renews it does not work, or its files are not those of --tls-cert")
            .fix(renew)
            .measured("days_left", days);
    }
    if now.0 < from {
        return finding(Verdict::Fail, "not valid yet")
            .because("this machine's clock is slow, or the certificate is meant for later")
            .fix("look at the line about the clock");
    }
    if names_host == Some(false) {
        return finding(Verdict::Fail, format!("it is not for {}", host.unwrap_or("the public address")))
            .because("the public address has another name than the certificate")
            .fix("get a certificate for that name, or change --public-url");
    }
    if days < SOON {
        return finding(Verdict::Warn, format!("expires in {days} days"))
            .because("whatever renews it has not done so yet")
            .fix(renew)
            .measured("days_left", days);
    }
    finding(Verdict::Ok, format!("valid for {days} days")).measured("days_left", days)
}

fn judge_off(behind_proxy: bool) -> Finding {
    if behind_proxy {
        return finding(Verdict::Skip, "a proxy in front has it (--tls off)");
    }
    finding(Verdict::Warn, "none (--tls off)")
        .because("browsers give the microphone only to pages from https:// or localhost")
        .fix("leave out --tls off, or put a proxy with TLS in front and name it with --public-url https://…")
}

fn finding(verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding::new("certificate", "Certificate", verdict, detail)
}

fn host(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn of(from_days: i64, until_days: i64, names_host: Option<bool>) -> Finding {
        let at = |days| UnixMillis(NOW.0 + days * DAY);
        judge(
            &Known::Usable { from: at(from_days), until: at(until_days), names_host },
            Some("talk.example"),
            NOW,
        )
    }

    #[test]
    fn expired_early_and_foreign_certificates_fail() {
        assert_eq!(of(-10, 60, Some(true)).result, Verdict::Ok);
        assert_eq!(of(-10, 60, None).result, Verdict::Ok);
        assert_eq!(of(-10, 5, None).result, Verdict::Warn);
        assert_eq!(
            (of(-90, -3, None).result, of(-90, -3, None).detail.as_str()),
            (Verdict::Fail, "expired 3 days ago")
        );
        assert_eq!(of(1, 60, None).result, Verdict::Fail);
        let foreign = of(-10, 60, Some(false));
        assert_eq!((foreign.result, foreign.detail.as_str()), (Verdict::Fail, "it is not for talk.example"));
        assert_eq!(judge(&Known::Unusable("no PEM".into()), None, NOW).result, Verdict::Fail);
    }

    #[test]
    fn without_tls_a_proxy_is_needed() {
        assert_eq!(judge_off(false).result, Verdict::Warn);
        assert_eq!(judge_off(true).result, Verdict::Skip);
    }
}
