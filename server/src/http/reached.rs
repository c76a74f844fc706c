//! How a client reached the server: links and socket addresses in answers follow it, and origins are held against it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use url::{Origin, Url};

use super::AppState;
use crate::listener::OverTls;
use crate::signal::ClientAddress;
use crate::tls::{Fingerprint, Trust};

/// What the operator says about the way to this server.
#[derive(Clone, Debug, Default)]
pub struct Site {
    public_url: Option<Url>,
    trusted_proxies: Vec<IpNet>,
    trust: Trust,
}

impl Site {
    /// Forwarding headers are believed only when they come from one of `trusted_proxies`.
    pub fn new(public_url: Option<Url>, trusted_proxies: Vec<IpNet>, trust: Trust) -> Self {
        Self { public_url, trusted_proxies, trust }
    }

    pub fn trust(&self) -> Trust {
        self.trust
    }

    pub fn public_url(&self) -> Option<&Url> {
        self.public_url.as_ref()
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}

/// The address in the client's own eyes.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The client's address, as far as trusted proxies vouch for it.
    pub client: IpAddr,
    /// The client speaks TLS, to us or to a proxy in front of us.
    pub secure: bool,
    /// The client is known to speak plain HTTP, which of one behind a proxy that says nothing is not known.
    pub plain: bool,
    /// The client speaks TLS to us, with nothing in between.
    shaken: bool,
    /// `host[:port]`
    authority: String,
    site: Arc<Site>,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Reached {
    fn new(site: Arc<Site>, hop: Hop, host: Option<&str>, headers: &HeaderMap) -> Self {
        let peer = hop.peer;
        let proxied = site.trusts(peer);
        let forwarded = |name| if proxied { last_value(headers, name) } else { None };
        let authority = forwarded(FORWARDED_HOST)
            .or(host)
            .and_then(|text| text.parse::<Authority>().ok())
            .map_or_else(|| "localhost".to_owned(), |authority| authority.as_str().to_ascii_lowercase());
        let client = if proxied { client(&site, headers).unwrap_or(peer) } else { peer };
        let forwarding = [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO];
        let shaken = hop.over_tls && forwarding.into_iter().all(|name| forwarded(name).is_none());
        let proto = forwarded(FORWARDED_PROTO);
        let secure = match proto {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None if hop.over_tls => true,
            // TLS ends here, and this has come without it and from no proxy of ours.
            None if site.trust != Trust::Plain && !proxied => false,
            // A proxy that says nothing: its public address tells, if it is the one that was used.
            None => site
                .public_url
                .as_ref()
                .is_some_and(|url| url.scheme() == "https" && same_authority(url, &authority)),
        };
        let plain = !secure && (proto.is_some() || !proxied);
        Self { client: client.to_canonical(), secure, plain, shaken, authority, site }
    }

    /// `http://host:port`, without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.site.public_url {
            // A page that came by TLS may not open sockets without.
            Some(url) if url.scheme() == "https" || !self.secure => {
                url.as_str().trim_end_matches('/').to_owned()
            }
            _ if self.secure => format!("https://{}", self.authority),
            _ => format!("http://{}", self.authority),
        }
    }

    /// The address at which a client that came without TLS should come back with it.
    pub fn https_url(&self) -> String {
        match &self.site.public_url {
            Some(url) if url.scheme() == "https" => url.as_str().trim_end_matches('/').to_owned(),
            _ => format!("https://{}", self.authority),
        }
    }

    /// What a link to [`Self::base_url`] should say of the certificate that is found there. `None` where an authority
    /// vouches for it, and where it may be that of a proxy.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let same = |url: &Url| same_authority(url, &self.authority);
        match self.site.trust {
            Trust::Fingerprint(fingerprint)
                if self.shaken && self.site.public_url.as_ref().is_none_or(same) =>
            {
                Some(fingerprint)
            }
            _ => None,
        }
    }

    /// The same address for WebSockets: `ws://…` or `wss://…`.
    pub fn ws_url(&self) -> String {
        // http → ws, https → wss
        self.base_url().replacen("http", "ws", 1)
    }

    /// The address in the client's URL, if it is one and not a name.
    pub fn host_address(&self) -> Option<IpAddr> {
        let authority = self.authority.parse::<Authority>().ok()?;
        authority.host().trim_matches(['[', ']']).parse().ok()
    }

    /// Whether a page of `origin` is one of ours. Its scheme is not compared: behind a silent proxy ours is unknown.
    pub fn is_own_origin(&self, origin: &str) -> bool {
        let Ok(url) = Url::parse(origin) else { return false };
        let Origin::Tuple(..) = url.origin() else { return false };
        same_authority(&url, &self.authority)
            || self.site.public_url.as_ref().is_some_and(|public| public.origin() == url.origin())
    }
}

/// Who has opened the connection, and how.
#[derive(Clone, Copy, Debug)]
struct Hop {
    peer: IpAddr,
    over_tls: bool,
}

/// Compares host and port; the default port of the URL's scheme may be left out on either side.
fn same_authority(url: &Url, authority: &str) -> bool {
    let Ok(other) = Url::parse(&format!("{}://{authority}", url.scheme())) else { return false };
    url.host() == other.host() && url.port_or_known_default() == other.port_or_known_default()
}

/// The last address in `X-Forwarded-For` that is not a proxy of ours: what stands before it, anybody can claim.
fn client(site: &Site, headers: &HeaderMap) -> Option<IpAddr> {
    let lists: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    lists
        .iter()
        .rev()
        .flat_map(|list| list.rsplit(','))
        .map_while(|entry| entry.trim().parse::<IpAddr>().ok())
        .find(|address| !site.trusts(*address))
}

fn last_value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

impl<S: Sync> FromRequestParts<S> for Reached
where
    AppState: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        let over_tls = parts.extensions.get::<OverTls>().is_some_and(|over_tls| over_tls.0);
        // HTTP/2 has the host in the URI, HTTP/1.1 in a header.
        let host = match parts.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        };
        Ok(Self::new(AppState::from_ref(state).site, Hop { peer, over_tls }, host, &parts.headers))
    }
}

/// Tells the routes behind it where the client is, for those that know nothing of proxies.
pub async fn note_client(reached: Reached, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ClientAddress(reached.client));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "203.0.113.9";

    #[test]
    fn answers_follow_the_address_that_was_used() {
        let reached = reach(Site::default(), STRANGER, "192.168.1.5:7880", &[]);
        assert_eq!(reached.base_url(), "http://192.168.1.5:7880");
        assert_eq!(reached.ws_url(), "ws://192.168.1.5:7880");
        assert!(!reached.secure);
    }

    #[test]
    fn a_public_url_goes_before() {
        let reached = reach(public(), STRANGER, "talk.example", &[]);
        assert_eq!(reached.ws_url(), "wss://talk.example");
        assert!(reached.secure);
        let lan = reach(public(), STRANGER, "192.168.1.5:7880", &[]);
        assert!(!lan.secure, "a Secure cookie would be lost on the LAN address");
    }

    #[test]
    fn strangers_cannot_forward() {
        let headers = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "evil.example"),
        ];
        let reached = reach(Site::default(), STRANGER, "h", &headers);
        assert_eq!(
            (reached.base_url().as_str(), reached.client.to_string().as_str()),
            ("http://h", STRANGER)
        );
        let reached = reach(Site::default(), "127.0.0.1", "h", &headers);
        assert_eq!(reached.base_url(), "https://evil.example", "loopback is a proxy of ours");
    }

    #[test]
    fn only_the_part_of_the_list_that_our_proxies_wrote_counts() {
        let site = Site::new(None, vec!["10.0.0.0/8".parse().expect("a network")], Trust::Plain);
        let headers = [("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2")];
        assert_eq!(reach(site, "10.0.0.1", "h", &headers).client.to_string(), STRANGER);
    }

    #[test]
    fn own_origins_are_told_from_others() {
        let reached = reach(Site::default(), STRANGER, "talk.example:7880", &[]);
        assert!(reached.is_own_origin("http://talk.example:7880"));
        assert!(!reached.is_own_origin("http://talk.example"));
        assert!(!reached.is_own_origin("http://evil.example:7880"));
        assert!(!reached.is_own_origin("null"));
        let reached = reach(Site::default(), STRANGER, "talk.example", &[]);
        assert!(reached.is_own_origin("https://talk.example"), "a proxy that says nothing");
        let reached = reach(public(), STRANGER, "inner:7880", &[]);
        assert!(reached.is_own_origin("https://talk.example"));
    }

    fn public() -> Site {
        Site::new(Url::parse("https://talk.example/").ok(), Vec::new(), Trust::Plain)
    }

    #[test]
    fn tls_to_this_server_is_secure_unless_its_proxy_says_otherwise() {
        let reached = shake(Site::default(), STRANGER, "10.0.0.5:7880", &[]);
        assert!(reached.secure && !reached.plain);
        assert_eq!(reached.ws_url(), "wss://10.0.0.5:7880");
        let site = Site { public_url: Url::parse("http://10.0.0.5:7880").ok(), ..Site::default() };
        assert_eq!(shake(site, STRANGER, "10.0.0.5:7880", &[]).ws_url(), "wss://10.0.0.5:7880");
        let headers = [("x-forwarded-proto", "http")];
        let reached = shake(Site::default(), "127.0.0.1", "h", &headers);
        assert!(!reached.secure && reached.plain);
        let site = Site { trust: Trust::Fingerprint(Fingerprint::of(b"abc")), ..public() };
        assert!(!reach(site, STRANGER, "talk.example", &[]).secure, "a Secure cookie would be lost");
    }

    #[test]
    fn links_carry_the_fingerprint_of_what_they_lead_to_only() {
        let fingerprint = Fingerprint::of(b"abc");
        let own = || Site { trust: Trust::Fingerprint(fingerprint), ..Site::default() };
        assert_eq!(shake(own(), STRANGER, "h:7880", &[]).fingerprint(), Some(fingerprint));
        assert_eq!(reach(own(), STRANGER, "h:7880", &[]).fingerprint(), None, "an http link");
        let forwarded = [("x-forwarded-for", STRANGER)];
        assert_eq!(shake(own(), "127.0.0.1", "h", &forwarded).fingerprint(), None, "a proxy's certificate");
        let site = || Site { trust: Trust::Fingerprint(fingerprint), ..public() };
        assert_eq!(shake(site(), STRANGER, "10.0.0.5:7880", &[]).fingerprint(), None, "elsewhere");
        assert_eq!(shake(site(), STRANGER, "talk.example", &[]).fingerprint(), Some(fingerprint));
        let site = Site { trust: Trust::Authority, ..Site::default() };
        assert_eq!(shake(site, STRANGER, "h", &[]).fingerprint(), None);
    }

    #[test]
    fn whether_a_client_speaks_plain_http_is_known_or_not() {
        let site = || Site { trust: Trust::Authority, ..public() };
        assert!(reach(site(), STRANGER, "talk.example", &[]).plain);
        assert!(!reach(site(), "127.0.0.1", "talk.example", &[]).plain, "a proxy that says nothing");
        assert!(reach(site(), "127.0.0.1", "talk.example", &[("x-forwarded-proto", "http")]).plain);
        assert!(!reach(site(), "127.0.0.1", "talk.example", &[("x-forwarded-proto", "https")]).plain);
    }

    fn reach(site: Site, peer: &str, host: &str, headers: &[(&'static str, &str)]) -> Reached {
        arrive(site, peer, false, host, headers)
    }

    fn shake(site: Site, peer: &str, host: &str, headers: &[(&'static str, &str)]) -> Reached {
        arrive(site, peer, true, host, headers)
    }

    fn arrive(
        site: Site,
        peer: &str,
        over_tls: bool,
        host: &str,
        headers: &[(&'static str, &str)],
    ) -> Reached {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        Reached::new(
            Arc::new(site),
            Hop { peer: peer.parse().expect("an address"), over_tls },
            Some(host),
            &headers,
        )
    }
}
