//! Signalling frames of both kinds and the join request inside a URL: nothing panics, whatever a client sends.
#![no_main]

use banter_protocol::signal::{Frame, Framing, decode_join_request};
use libfuzzer_sys::fuzz_target;
use livekit_protocol::SignalRequest;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = Frame::Binary(data.to_vec()).decode::<SignalRequest>() {
        let again = Frame::encode(&request, Framing::Binary).expect("protobuf holds every message");
        assert_eq!(again.decode::<SignalRequest>().expect("what is written can be read"), request);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Frame::Text(text.to_owned()).decode::<SignalRequest>();
        let _ = decode_join_request(text);
    }
});
