//! Asking STUN servers for the address that they see (RFC 8489 §12).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use banter_sfu::turn::stun::{AttributeType, Class, Message, Method, TransactionId, Writer};
use rand::RngExt;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;
use tracing::debug;

use crate::ambient;

/// For the name and for each attempt.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;
const MAX_ANSWER: usize = 576;

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

#[cfg(test)]
mod tests {
    use super::*;

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
