//! The TCP door of the media plane: accepts streams, waits for what they begin with, and gives each to the worker that it
//! is for.

use std::io;
use std::time::Duration;

use banter_sfu::net::{Accepted, MediaHandle};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::listener::{ACCEPT_PAUSE, Gate, ended};

/// For the first message of a stream, from when it was accepted.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest first message: a STUN request has some hundred bytes.
const MAX_FIRST_MESSAGE: usize = 2048;

/// Accepts streams until `ending` is true.
pub async fn keep(listener: TcpListener, media: MediaHandle, gate: Gate, mut ending: watch::Receiver<bool>) {
    let mut arrivals = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut ending) => break,
            Some(_) = arrivals.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match gate.admit(peer.ip()) {
                Some(place) => {
                    let media = media.clone();
                    arrivals.spawn(async move {
                        if let Err(error) = admit(stream, Box::new(place), &media).await {
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

async fn admit(
    mut stream: TcpStream,
    place: Box<dyn std::any::Any + Send>,
    media: &MediaHandle,
) -> io::Result<()> {
    let early = tokio::time::timeout(FIRST_MESSAGE_TIMEOUT, first_frame(&mut stream)).await??;
    let socket = stream.into_std()?;
    let unknown = |_| io::Error::other("it begins with nothing that a session here waits for");
    media.adopt(Accepted { socket, early, place }).map_err(unknown)
}

/// What a stream begins with, up to the end of its first frame (RFC 4571) at least.
async fn first_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut early = Vec::with_capacity(MAX_FIRST_MESSAGE);
    loop {
        if let Some((len, rest)) = early.split_first_chunk::<2>()
            && rest.len() >= usize::from(u16::from_be_bytes(*len))
        {
            return Ok(early);
        }
        let room = (MAX_FIRST_MESSAGE - early.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut early).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
