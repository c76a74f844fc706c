//! The addresses that people and clients are told of: do they lead here?

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

use super::{Finding, Verdict};

const PATIENCE: Duration = Duration::from_secs(4);

/// What is known of this machine's place in the network.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub own: Vec<IpAddr>,
    /// That of a router in front, as a STUN server sees it.
    pub external: Option<Ipv4Addr>,
}

impl Place {
    /// Whether an address is one of this machine or of its router; `None` if nobody knows.
    pub fn leads_here(&self, address: IpAddr) -> Option<bool> {
        let address = address.to_canonical();
        if self.own.contains(&address) || self.external.map(IpAddr::V4) == Some(address) {
            return Some(true);
        }
        let has_public = self.own.iter().any(crate::external::is_public);
        (self.external.is_some() || has_public && address.is_ipv4()).then_some(false)
    }

    fn describe(&self) -> String {
        let own: Vec<String> =
            self.own.iter().filter(|own| !own.is_loopback()).map(IpAddr::to_string).collect();
        match self.external {
            Some(external) => format!("{} (a router in front has {external})", own.join(", ")),
            None => own.join(", "),
        }
    }
}

/// The name in the public URL, looked up.
pub async fn check_public_url(url: Option<&Url>, place: &Place) -> Finding {
    let Some(url) = url else {
        let detail = "none is set: people use this machine's own addresses";
        return finding("public_url", "Public address", Verdict::Ok, detail);
    };
    let found = match url.host() {
        Some(Host::Ipv4(address)) => Ok(vec![address.into()]),
        Some(Host::Ipv6(address)) => Ok(vec![address.into()]),
        Some(Host::Domain(name)) => {
            let found = timeout(PATIENCE, lookup_host((name, 0))).await;
            let found = found.map_err(|_| "the name server does not answer".to_owned());
            found
                .and_then(|found| found.map_err(|error| error.to_string()))
                .map(|found| found.map(|at| at.ip()).collect())
        }
        None => Err("it has no host".to_owned()),
    };
    judge_public_url(url, &found, place)
}

fn judge_public_url(url: &Url, found: &Result<Vec<IpAddr>, String>, place: &Place) -> Finding {
    let finding = |verdict, detail: String| finding("public_url", "Public address", verdict, detail);
    let shown = url.as_str().trim_end_matches('/');
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            return finding(Verdict::Fail, format!("{shown} is not found: {error}"))
                .because("the name has no record in the DNS yet, or is misspelled")
                .fix("make an A or AAAA record for it, or correct --public-url");
        }
    };
    let list = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let leads = found.iter().map(|address| place.leads_here(*address));
    match leads.max() {
        Some(Some(true)) => finding(Verdict::Ok, format!("{shown} is {list}")),
        Some(Some(false)) => finding(
            Verdict::Warn,
            format!("{shown} is {list}, which is not this machine: {}", place.describe()),
        )
        .because("the address has changed, or a proxy elsewhere passes on to here")
        .fix("unless there is such a proxy, correct the DNS record or --public-url"),
        Some(None) | None => {
            finding(Verdict::Warn, format!("{shown} is {list}; nobody can say whether that is here"))
                .because(
                    "this machine's public address is not known: no STUN server answers (--stun-servers)",
                )
                .fix("compare it with the address of your router")
        }
    }
}

/// The addresses of `--public-ip`.
pub fn judge_public_ip(advertised: &[IpAddr], place: &Place) -> Finding {
    let finding = |verdict, detail: String| finding("public_ip", "Public IP", verdict, detail);
    if advertised.is_empty() {
        let external = place.external.map(|external| format!(", and {external} of a router in front"));
        return finding(Verdict::Ok, format!("this machine's own addresses{}", external.unwrap_or_default()));
    }
    let list =
        |addresses: &[&IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let of = |verdict| {
        advertised.iter().filter(|address| place.leads_here(**address) == verdict).collect::<Vec<_>>()
    };
    let (wrong, unknown) = (of(Some(false)), of(None));
    if !wrong.is_empty() {
        return finding(
            Verdict::Fail,
            format!("{} does not lead here: this machine has {}", list(&wrong), place.describe()),
        )
        .because("the public address has changed, or it was mistyped: clients look for voice where it is not")
        .fix("correct --public-ip, or leave it out: the address of a router is learned by itself");
    }
    if !unknown.is_empty() {
        return finding(
            Verdict::Warn,
            format!("{}, of which nobody can say whether it leads here", list(&unknown)),
        )
        .because("this machine's public address is not known: no STUN server answers (--stun-servers)")
        .fix("compare it with the address of your router");
    }
    finding(Verdict::Ok, list(&advertised.iter().collect::<Vec<_>>()))
}

fn finding(check: &'static str, name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding::new(check, name, verdict, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(own: &[&str], external: Option<&str>) -> Place {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let external = external.map(|text| text.parse().expect("an address"));
        Place { own: own.iter().map(|text| address(text)).collect(), external }
    }

    fn advertised(text: &str, place: &Place) -> Verdict {
        judge_public_ip(&[text.parse().expect("an address")], place).result
    }

    #[test]
    fn an_advertised_address_leads_here_or_not_or_nobody_knows() {
        let home = place(&["192.168.1.5", "127.0.0.1"], Some("203.0.113.1"));
        assert_eq!(advertised("203.0.113.1", &home), Verdict::Ok);
        assert_eq!(advertised("192.168.1.5", &home), Verdict::Ok);
        assert_eq!(advertised("203.0.113.9", &home), Verdict::Fail);
        let alone = place(&["192.168.1.5"], None);
        assert_eq!(advertised("203.0.113.9", &alone), Verdict::Warn);
        let public = place(&["203.0.113.4"], None);
        assert_eq!(advertised("203.0.113.9", &public), Verdict::Fail);
        assert_eq!(judge_public_ip(&[], &alone).result, Verdict::Ok);
    }

    #[test]
    fn a_public_url_is_held_against_this_machine() {
        let url = Url::parse("https://talk.example/").expect("a URL");
        let home = place(&["192.168.1.5"], Some("203.0.113.1"));
        let verdict = |found: Result<Vec<IpAddr>, String>| judge_public_url(&url, &found, &home).result;
        assert_eq!(verdict(Ok(vec!["203.0.113.1".parse().expect("an address")])), Verdict::Ok);
        assert_eq!(verdict(Ok(vec!["203.0.113.9".parse().expect("an address")])), Verdict::Warn);
        assert_eq!(verdict(Err("no such name".into())), Verdict::Fail);
    }
}
