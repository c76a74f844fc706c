//! Data channels of an authentic peer that means harm: see `sfu/src/transport/data/fuzzing.rs`.
#![no_main]

use banter_sfu::fuzzing::dcep;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| dcep(data));
