//! The media plane of Banter: one value, [`Sfu`], that takes datagrams and commands and yields datagrams and events.
//!
//! Everything outside `net/` is sans-IO: it opens no socket, reads no clock and draws no ambient randomness.
//! It knows neither HTTP nor LiveKit's protobuf messages; participants, tracks and rooms are keys that the control
//! plane chose, and the few texts that must appear in SDP (stream and track ids) are labels handed in with them.
//!
//! Where to start: [`Sfu::handle_datagram`], then down the media path: `demux` (what is it, whose is it), `transport` (ICE,
//! DTLS), `rtp` (open), `room` (which publication), `forward` (one copy per subscriber), `rtp` (seal), [`Outbox`].
//! `control` and `negotiate` hold the commands, `data` the data channels, `report` RTCP and the speaker list, `quality`
//! what connections are like, `paths` what they travel by, `mirror` rooms across workers, `net` the driver.

mod allowance;
mod config;
mod connection;
mod control;
mod counters;
mod data;
mod demux;
mod forward;
pub mod framing;
#[cfg(any(test, all(fuzzing, feature = "sim")))]
pub mod fuzzing;
mod key;
mod mirror;
mod negotiate;
pub mod net;
mod outbox;
mod paths;
mod quality;
mod relayed;
mod report;
mod room;
pub mod rtp;
pub mod sdp;
mod sfu;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod timer;
pub mod transport;
pub mod turn;

pub use config::Config;
pub use counters::Counters;
pub use demux::{Kind as DatagramKind, kind as datagram_kind};
pub use key::{Mid, ParticipantKey, PayloadType, RoomKey, Ssrc, TrackKey};
pub use mirror::Mirrored;
pub use outbox::{Frames, Outbox, Transmit};
pub use room::LoudestSpeakers;
pub use sfu::Sfu;
