//! RED payloads: nothing panics, and the blocks never overlap or exceed the payload.
#![no_main]

use banter_sfu::rtp::red::Red;
use banter_sfu::rtp::{ExtSeq, RtpTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&index, payload)) = data.split_first() else { return };
    let Ok(red) = Red::parse(payload) else { return };
    let mut total = red.primary.payload.len();
    let mut latest = None;
    for earlier in red.recover(ExtSeq(u64::from(index)), RtpTime(0)) {
        assert!(earlier.index < ExtSeq(u64::from(index)) && latest < Some(earlier.index));
        latest = Some(earlier.index);
        total += earlier.block.payload.len();
    }
    assert!(total < payload.len());
});
