//! What happens to two units that share rooms, and their clients, in any order: see `sfu/src/fuzzing/history.rs`.
#![no_main]

use banter_sfu::fuzzing::span_ops;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| span_ops(data));
