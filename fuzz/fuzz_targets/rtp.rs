//! RTP headers: nothing panics, and what is read can be written and read again.
#![no_main]

use banter_sfu::rtp::{AudioLevel, RtpView, ssrc};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let Ok(view) = RtpView::parse(packet) else { return };
    assert_eq!(ssrc(packet), Some(view.header.ssrc));
    for extension in view.extensions {
        assert_ne!(extension.id, 0);
        if view.extensions.get(extension.id) == Some(extension.value) {
            AudioLevel::from_extension(extension.value);
        }
        let mut written = [0; 64];
        if let Some(len) = view.header.write(&mut written, Some(extension)) {
            let again = RtpView::parse(&written[..len]).expect("what is written can be read");
            assert_eq!(again.header, view.header);
            assert_eq!(again.extensions.get(extension.id), Some(extension.value));
        }
    }
});
