//! The TCP doors of the media plane: accepts streams, waits for what they begin with, and gives each to a worker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use banter_sfu::framing::Framing;
use banter_sfu::net::{Accepted, MediaHandle};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::listener::{ACCEPT_PAUSE, Gate, ended};

/// For the first message of a stream, from when it was accepted, with the TLS handshake.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest first message: a STUN request has some hundred bytes.
const MAX_FIRST_MESSAGE: usize = 2048;

/// One door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    pub media: MediaHandle,
    pub gate: Gate,
    pub framing: Framing,
    pub tls: Option<Arc<ServerConfig>>,
}

impl Door {
    /// Accepts streams until `ending` is true.
    pub async fn keep(self, listener: TcpListener, mut ending: watch::Receiver<bool>) {
        let mut arrivals = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ended(&mut ending) => break,
                Some(_) = arrivals.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => match self.gate.admit(peer.ip()) {
                    Some(place) => {
                        let door = self.clone();
                        arrivals.spawn(async move {
                            let outcome =
                                timeout(FIRST_MESSAGE_TIMEOUT, door.admit(stream, Box::new(place))).await;
                            if let Err(error) = outcome.unwrap_or_else(|late| Err(late.into())) {
                                debug!(%peer, %error, "stream refused");
                            }
                        });
                    }
                    None => debug!(%peer, "stream refused: its address has too many"),
                },
                Err(error) => {
                    warn!(%error, "a stream could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&self, stream: TcpStream, place: Box<dyn std::any::Any + Send>) -> io::Result<()> {
        let framing = self.framing;
        let (stream, tls, early) = match &self.tls {
            None => {
                let mut stream = stream;
                let early = first_message(&mut stream, framing).await?;
                (stream, None, early)
            }
            Some(config) => {
                let mut stream = TlsAcceptor::from(config.clone()).accept(stream).await?;
                let early = first_message(&mut stream, framing).await?;
                let (stream, tls) = stream.into_inner();
                (stream, Some(Box::new(tls)), early)
            }
        };
        let unknown = |_| io::Error::other("it begins with nothing that a session here waits for");
        let socket = stream.into_std()?;
        self.media.adopt(Accepted { socket, tls, framing, early, place }).map_err(unknown)
    }
}

/// What a stream begins with, up to the end of its first message at least. That is a STUN message, whatever the framing.
async fn first_message(stream: &mut (impl AsyncRead + Unpin), framing: Framing) -> io::Result<Vec<u8>> {
    let mut early = Vec::with_capacity(MAX_FIRST_MESSAGE);
    while len_of_first(&early, framing).is_none_or(|len| early.len() < len) {
        let room = (MAX_FIRST_MESSAGE - early.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut early).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(early)
}

/// Bytes of the first message; `None` before it can be known.
fn len_of_first(bytes: &[u8], framing: Framing) -> Option<usize> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    match framing {
        Framing::Rfc4571 => Some(2 + word(0)?),
        Framing::Turn => Some(20 + word(2)?),
    }
}
