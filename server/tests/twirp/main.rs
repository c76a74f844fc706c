//! LiveKit's server API from outside: the real program, asked over HTTP in both encodings, with participants on real
//! sockets.
#![expect(clippy::disallowed_methods, reason = "tests wait for real processes in real time")]

mod calls;
#[path = "../signalling/client.rs"]
#[expect(dead_code, reason = "shared with the tests of signalling")]
mod client;
mod moves;
mod participants;
#[path = "../rest/program.rs"]
#[expect(dead_code, reason = "shared with the tests of the REST API")]
mod program;
mod refusals;
mod rooms;
#[path = "../rest/server.rs"]
#[expect(dead_code, reason = "shared with the tests of the REST API")]
mod server;
