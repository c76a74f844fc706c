//! ICE over TCP (RFC 6544): a stream to the server, each datagram in a frame (RFC 4571).

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use banter_sfu::framing::{Deframer, Framing, rfc4571_header};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// More than this is not kept for a server that does not read: late sound is worth nothing.
const MAX_UNSENT: usize = 64 * 1024;

#[derive(Debug)]
pub struct Stream {
    io: TcpStream,
    pub remote: SocketAddr,
    deframer: Deframer,
    unsent: Vec<u8>,
}

impl Stream {
    pub fn open(remote: SocketAddr) -> io::Result<Self> {
        let io = TcpStream::connect(remote)?;
        // Frames are small, and none is to wait for the next.
        let _ = io.set_nodelay(true);
        Ok(Self { io, remote, deframer: Deframer::new(Framing::Rfc4571), unsent: Vec::new() })
    }

    /// Sends a datagram, or keeps it for as long as the stream is not open or its buffer is full.
    pub fn send(&mut self, datagram: &[u8]) {
        let Some(header) = rfc4571_header(datagram.len()) else { return };
        if self.unsent.len() + datagram.len() <= MAX_UNSENT {
            self.unsent.extend(header);
            self.unsent.extend(datagram);
        }
        self.flush();
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.io.write(&self.unsent) {
                Ok(written @ 1..) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not open yet, full, or broken, of which ICE will hear.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Reads once, and hands each datagram that has come whole to `take`; false when nothing was there.
    pub fn receive(&mut self, mut take: impl FnMut(&mut [u8])) -> bool {
        let mut buffer = [0; 16 * 1024];
        let Ok(len @ 1..) = self.io.read(&mut buffer) else { return false };
        let mut input = &mut buffer[..len];
        while let Ok(Some(datagram)) = self.deframer.next_frame(&mut input) {
            take(datagram);
        }
        true
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.io.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.io.deregister(registry)
    }
}
