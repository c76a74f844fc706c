//! The TCP doors of the media plane: accepts streams, waits for what they begin with, and gives each to a worker.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use banter_sfu::framing::Framing;
use banter_sfu::net::{Accepted, MediaHandle};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::listener::{ACCEPT_PAUSE, Gate, ended};
use crate::sorting::{Opening, Unknown, sort};

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

    async fn admit(&self, mut stream: TcpStream, place: Box<dyn Any + Send>) -> io::Result<()> {
        let Self { media, framing, tls, .. } = self;
        match tls {
            None => {
                let opening = Early { framing: *framing, bytes: Vec::new() }.completed(&mut stream).await?;
                hand_over(media, stream, None, opening, place)
            }
            Some(config) => {
                let mut stream = TlsAcceptor::from(config.clone()).accept(stream).await?;
                let opening = Early { framing: *framing, bytes: Vec::new() }.completed(&mut stream).await?;
                let (stream, tls) = stream.into_inner();
                hand_over(media, stream, Some(Box::new(tls)), opening, place)
            }
        }
    }
}

/// What has been read of a stream before it goes to its worker.
#[derive(Debug)]
pub struct Early {
    pub framing: Framing,
    pub bytes: Vec<u8>,
}

impl Early {
    /// Reads a stream of media until it is known what it speaks and its first message is there.
    pub async fn of(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let read = async {
            let mut bytes = Vec::with_capacity(MAX_FIRST_MESSAGE);
            loop {
                match sort(&bytes).map_err(io::Error::other)? {
                    Some(Opening::Media(framing)) => return Self { framing, bytes }.completed(stream).await,
                    Some(Opening::Http | Opening::Tls) => return Err(io::Error::other(Unknown)),
                    None => read_more(stream, &mut bytes).await?,
                }
            }
        };
        timeout(FIRST_MESSAGE_TIMEOUT, read).await?
    }

    /// Reads up to the end of the first message at least. That is a STUN message, whatever the framing.
    async fn completed(mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        while len_of_first(&self.bytes, self.framing).is_none_or(|len| self.bytes.len() < len) {
            read_more(stream, &mut self.bytes).await?;
        }
        Ok(self)
    }
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    let room = MAX_FIRST_MESSAGE.saturating_sub(bytes.len()) as u64;
    match stream.take(room).read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Gives a stream to the worker that it is for, with its place among its address's connections.
pub fn hand_over(
    media: &MediaHandle,
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    early: Early,
    place: Box<dyn Any + Send>,
) -> io::Result<()> {
    let Early { framing, bytes: early } = early;
    let socket = stream.into_std()?;
    let unknown = |_| io::Error::other("it begins with nothing that a session here waits for");
    media.adopt(Accepted { socket, tls, framing, early, place }).map_err(unknown)
}

/// Bytes of the first message; `None` before it can be known.
fn len_of_first(bytes: &[u8], framing: Framing) -> Option<usize> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)));
    match framing {
        Framing::Rfc4571 => Some(2 + word(0)?),
        Framing::Turn => Some(20 + word(2)?),
    }
}
