//! A client of a Banter server without a screen or a sound card: it tries each path that the server offers, with real ICE,
//! DTLS, SRTP and TURN, and tells what it found.
//!
//! The cores are values, like those of `banter-sfu`: [`session`] is one participant (LiveKit's signalling above, str0m's
//! WebRTC below), [`turn`] a TURN client, [`measure`] what is sent and what is made of what arrives. They read no clock and
//! open no socket. [`driver`] does both: start reading at [`driver::Server::test`].
//!
//! What came of a path is data ([`report`]); what it means to people is said elsewhere.

pub mod driver;
pub mod measure;
pub mod report;
pub mod session;
pub mod turn;
