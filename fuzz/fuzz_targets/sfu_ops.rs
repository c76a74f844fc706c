//! What happens to a unit and its clients, in any order: see `sfu/src/fuzzing/history.rs`.
#![no_main]

use banter_sfu::fuzzing::sfu_ops;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sfu_ops(data));
