//! The media plane of Banter: one value, [`Sfu`], that takes datagrams and commands and yields datagrams and events.
//!
//! Everything outside `net/` is sans-IO: it opens no socket, reads no clock and draws no ambient randomness.
//! It knows neither HTTP nor LiveKit's protobuf messages; participants, tracks and rooms are keys that the control
//! plane chose, and the few texts that must appear in SDP (stream and track ids) are labels handed in with them.

mod key;
pub mod net;
mod outbox;
pub mod rtp;
pub mod sdp;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod transport;

pub use key::{Mid, ParticipantKey, PayloadType, RoomKey, Ssrc, TrackKey};
pub use outbox::{Outbox, Transmit};
