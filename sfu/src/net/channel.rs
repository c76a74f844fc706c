//! A TCP connection, perhaps with TLS on it, that is read and written without waiting.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;

/// Reads and writes what is inside of the TLS, where there is one. [`Write::flush`] hands on what TLS still holds.
#[derive(Debug)]
pub(super) struct Channel {
    socket: Drained,
    tls: Option<Box<ServerConnection>>,
    /// What has been read last may not have been all that TLS holds.
    has_plaintext: bool,
    /// The end of the stream is there to be read, after whatever comes before it.
    is_ending: bool,
}

impl Channel {
    pub(super) fn new(socket: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        let socket = Drained { socket, is_empty: false };
        Self { socket, tls, has_plaintext: false, is_ending: false }
    }

    /// The poll has said something of the socket: perhaps that it has come to its end.
    pub(super) fn note(&mut self, is_ending: bool) {
        self.is_ending |= is_ending;
    }

    /// Whether another [`Read::read`] may give more before the poll says so. The last one has given something.
    pub(super) fn may_have_more(&self) -> bool {
        self.has_plaintext || self.is_ending || !self.socket.is_empty
    }
}

impl Read for Channel {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(bytes) };
        loop {
            match tls.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                decided => {
                    self.has_plaintext = decided.as_ref().is_ok_and(|count| *count == bytes.len());
                    return decided;
                }
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// A socket of which is known whether the last call has emptied it: that has given less than it had room for (epoll(7)).
#[derive(Debug)]
struct Drained {
    socket: TcpStream,
    is_empty: bool,
}

impl Read for Drained {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(bytes)?;
        self.is_empty = count < bytes.len();
        Ok(count)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            return self.socket.socket.write(bytes);
        }
        // What TLS has taken is as good as sent, so it is given more only when it has got rid of that.
        self.flush()?;
        let Some(tls) = &mut self.tls else { return Ok(0) };
        let count = tls.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket.socket)?;
            }
        }
        Ok(())
    }
}
