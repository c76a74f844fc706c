//! The join request of a URL: base64url around protobuf around gzip around protobuf. The target puts the wrapping on,
//! so that what is found is not lost in it. Nothing panics, and whatever the wrapping, the request is the same.
#![no_main]

use std::io::Write;

use banter_protocol::signal::{BASE64URL, Frame, Framing, decode_join_request};
use base64::Engine as _;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{JoinRequest, WrappedJoinRequest};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    let plain = Frame::Binary(bytes.to_vec()).decode::<JoinRequest>().ok();
    match kind % 3 {
        0 => assert_eq!(decode_join_request(&wrap(Compression::None, bytes.to_vec())).ok(), plain),
        1 => assert_eq!(decode_join_request(&wrap(Compression::Gzip, gzip(bytes))).ok(), plain),
        // The wrapping itself, and what claims to be compressed.
        _ => {
            let _ = decode_join_request(&BASE64URL.encode(bytes));
            let _ = decode_join_request(&wrap(Compression::Gzip, bytes.to_vec()));
        }
    }
});

fn wrap(compression: Compression, join_request: Vec<u8>) -> String {
    let wrapped = WrappedJoinRequest { compression: compression.into(), join_request };
    let Ok(Frame::Binary(bytes)) = Frame::encode(&wrapped, Framing::Binary) else {
        unreachable!("protobuf holds every message")
    };
    BASE64URL.encode(bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}
