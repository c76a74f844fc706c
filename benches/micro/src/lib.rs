//! What the benchmarks share: a peer that connects to the real media plane, and a room of them, without a network and with one.

mod assembly;
pub mod burst;
mod hall;
mod peer;
pub mod stage;

pub use assembly::Assembly;
pub use hall::{Hall, core_config, join_spec, track_spec};
pub use peer::{AUDIO_LEVEL_ID, OPUS, Peer, SPEAKER_SSRC, Section, opus_packet};
