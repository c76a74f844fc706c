//! What clients with valid credentials ask of a TURN server, in any order: see `sfu/src/fuzzing/turn.rs`.
#![no_main]

use banter_sfu::fuzzing::turn_ops;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| turn_ops(data));
