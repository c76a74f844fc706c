//! A LiveKit server's configuration file: there is a configuration of ours, or a complaint.
#![no_main]

use banter_server::fuzzing::livekit_config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| livekit_config(text));
