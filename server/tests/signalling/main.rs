//! The signalling doors from outside: real sockets, real media workers on loopback, and a client that knows nothing but
//! the wire.
#![expect(clippy::disallowed_methods, reason = "tokens are made for the time of the test")]

mod client;
mod doors;
mod refusals;
mod resume;
mod server;
mod sessions;
