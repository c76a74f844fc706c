//! What clients, the media plane and the server API do to a room, in any order: see `server/src/signal/room/history.rs`.
#![no_main]

use banter_server::fuzzing::room_ops;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| room_ops(data));
