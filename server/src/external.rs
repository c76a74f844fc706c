//! The address at which a router in front shows this machine to the internet, learned from STUN servers (RFC 8489 §12).
//!
//! Without it only those who come in by that address find the media ports: whoever comes by a name, or through a proxy, is
//! told addresses of the network at home.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use banter_sfu::net::MediaHandle;
use banter_sfu::turn::stun::{AttributeType, Class, Message, Method, TransactionId, Writer};
use rand::RngExt;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::ambient;
use crate::listener::ended;

/// Between two questions: providers change addresses at night, and it costs one datagram.
const INTERVAL: Duration = Duration::from_secs(600);
/// The same where nobody has answered yet.
const RETRY: Duration = Duration::from_secs(60);
/// For the name and for each attempt.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;
const MAX_ANSWER: usize = 576;

/// Keeps the media plane informed until `ending` is true. Not being able to is no fault: a server may have no internet.
pub async fn follow(
    servers: Vec<String>,
    own: Vec<IpAddr>,
    media: MediaHandle,
    mut ending: watch::Receiver<bool>,
) {
    if servers.is_empty() || own.iter().any(is_public) {
        return;
    }
    let mut known = None;
    loop {
        let learned = tokio::select! {
            learned = ask_all(&servers) => learned,
            () = ended(&mut ending) => return,
        };
        if let Some(address) = learned.filter(|address| known != Some(*address)) {
            info!(%address, "a router in front of this machine has this address: the voice ports have to be forwarded there");
            media.set_external(&[IpAddr::V4(address)]);
            known = Some(address);
        }
        let pause = if known.is_some() { INTERVAL } else { RETRY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ended(&mut ending) => return,
        }
    }
}

/// The answer of the first server that gives one.
pub async fn ask_all(servers: &[String]) -> Option<Ipv4Addr> {
    for server in servers {
        let address = match timeout(PATIENCE, lookup_host(server)).await {
            Ok(Ok(mut addresses)) => addresses.find(SocketAddr::is_ipv4),
            Ok(Err(_)) | Err(_) => None,
        };
        match address {
            Some(address) => {
                if let Some(learned) = ask(address).await {
                    return Some(learned);
                }
            }
            None => debug!(server, "no such STUN server is found"),
        }
    }
    None
}

async fn ask(server: SocketAddr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = TransactionId(ambient::rng().random());
    let mut question = Vec::new();
    Writer::new(&mut question, Class::Request, Method::Binding, id).fingerprint();
    for _ in 0..ATTEMPTS {
        socket.send(&question).await.ok()?;
        if let Ok(Some(learned)) = timeout(PATIENCE, answer(&socket, id)).await {
            return Some(learned);
        }
    }
    debug!(%server, "a STUN server does not answer");
    None
}

async fn answer(socket: &UdpSocket, id: TransactionId) -> Option<Ipv4Addr> {
    let mut bytes = [0; MAX_ANSWER];
    loop {
        let len = socket.recv(&mut bytes).await.ok()?;
        let Ok(message) = Message::parse(&bytes[..len]) else { continue };
        if message.transaction_id() != id || message.class() != Class::Success {
            continue;
        }
        match message.xor_address(AttributeType::XOR_MAPPED_ADDRESS).flatten()?.ip().to_canonical() {
            IpAddr::V4(address) => return Some(address),
            IpAddr::V6(_) => return None,
        }
    }
}

/// Whether it is an IPv4 address that the internet knows.
pub fn is_public(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xC0 == 64; // RFC 6598
            !(address.is_private() || address.is_loopback() || address.is_link_local() || is_shared)
        }
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_the_internets() {
        for (text, public) in [
            ("192.168.1.5", false),
            ("10.0.0.1", false),
            ("172.20.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("2001:db8::1", false),
            ("203.0.113.7", true),
            ("::ffff:203.0.113.7", true),
        ] {
            assert_eq!(is_public(&text.parse().expect("an address")), public, "{text}");
        }
    }

    #[tokio::test]
    async fn only_the_answer_to_the_question_is_believed() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = server.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut bytes = [0; MAX_ANSWER];
            let (len, from) = server.recv_from(&mut bytes).await.expect("a question");
            let id = Message::parse(&bytes[..len]).expect("a message").transaction_id();
            let reply = |id, class, mapped: &str| {
                let mut out = Vec::new();
                Writer::new(&mut out, class, Method::Binding, id)
                    .xor_address(AttributeType::XOR_MAPPED_ADDRESS, mapped.parse().expect("an address"));
                out
            };
            for datagram in [
                b"junk".to_vec(),
                reply(TransactionId([1; 12]), Class::Success, "203.0.113.1:4"),
                reply(id, Class::Error, "203.0.113.2:4"),
                reply(id, Class::Success, "203.0.113.9:4"),
            ] {
                server.send_to(&datagram, from).await.expect("sent");
            }
        });
        assert_eq!(ask(address).await, Some(Ipv4Addr::new(203, 0, 113, 9)));
    }
}
