//! The driver: sockets, threads and the clock. The only part of the crate with any of the three.

mod backlog;
mod batch;
mod channel;
mod gauges;
mod handle;
mod handover;
mod pending;
mod relay;
mod room;
mod start;
mod steer;
mod streams;
mod worker;

pub use batch::{MediaSocket, ReceiveBatch, Received, SocketCounters};
pub use gauges::MediaCounters;
pub use handle::{
    Command, ConnectionMode, ConnectionQuality, DataKind, Event, FailReason, JoinError, JoinSpec,
    MediaHandle, MediaPath, NegotiationError, OfferOutcome, PathKind, PeerConnection, Permissions, Quality,
    Reach, Speaker, TrackFormat, TrackSpec,
};
pub use room::RoomHandle;
pub use start::{Media, MediaConfig, RelayConfig, StartError, start};
pub use streams::{Accepted, StreamCounters};
