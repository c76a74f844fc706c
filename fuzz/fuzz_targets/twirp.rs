//! Bodies of RoomService calls and their answers: both encodings say the same.
#![no_main]

use banter_server::fuzzing::twirp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| twirp(data));
