//! The little that LiveKit's signalling needs around the messages of `livekit-protocol`: framing, and the join request
//! that travels inside a URL.

use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{JoinRequest, WrappedJoinRequest};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest join request after decompression, in bytes.
pub const MAX_JOIN_REQUEST: usize = 1 << 20;

/// One WebSocket message. The kind of the last one received decides how to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Protobuf.
    Binary(Vec<u8>),
    /// The same message in proto3's JSON.
    Text(String),
}

/// How messages are written on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Binary,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("not the expected protobuf message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum JoinRequestError {
    #[error("join_request is not base64url: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("join_request is not the expected message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("join_request cannot be decompressed: {0}")]
    Gzip(#[from] std::io::Error),
    #[error("join_request has an unknown compression: {0}")]
    Compression(i32),
    #[error("join_request is larger than {MAX_JOIN_REQUEST} bytes")]
    TooLarge,
}

impl Frame {
    pub fn encode<M: Message + Serialize>(message: &M, framing: Framing) -> Result<Self, FrameError> {
        Ok(match framing {
            Framing::Binary => Self::Binary(message.encode_to_vec()),
            Framing::Json => Self::Text(serde_json::to_string(message)?),
        })
    }

    /// Reads a message. Fields and variants that this version does not know are left out.
    pub fn decode<M: Message + Default + DeserializeOwned>(&self) -> Result<M, FrameError> {
        Ok(match self {
            Self::Binary(bytes) => M::decode(bytes.as_slice())?,
            Self::Text(text) => serde_json::from_str(text)?,
        })
    }

    pub fn framing(&self) -> Framing {
        match self {
            Self::Binary(_) => Framing::Binary,
            Self::Text(_) => Framing::Json,
        }
    }
}

/// Reads the `join_request` parameter: base64url, with or without padding, of a possibly compressed message.
pub fn decode_join_request(parameter: &str) -> Result<JoinRequest, JoinRequestError> {
    let wrapped = WrappedJoinRequest::decode(BASE64URL.decode(parameter)?.as_slice())?;
    let bytes = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => gunzip(&wrapped.join_request)?,
        Err(_) => return Err(JoinRequestError::Compression(wrapped.compression)),
    };
    if bytes.len() > MAX_JOIN_REQUEST {
        return Err(JoinRequestError::TooLarge);
    }
    Ok(JoinRequest::decode(bytes.as_slice())?)
}

/// Reads base64url with or without padding: clients differ.
pub const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn gunzip(compressed: &[u8]) -> Result<Vec<u8>, JoinRequestError> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a bomb is told from a request of exactly the limit.
    GzDecoder::new(compressed).take(MAX_JOIN_REQUEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use livekit_protocol::{Ping, SignalRequest, SignalResponse, signal_request, signal_response};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_survive_both_framings() {
        let message = signal_request::Message::PingReq(Ping { timestamp: 1 << 50, rtt: 3 });
        let request = SignalRequest { message: Some(message) };
        for framing in [Framing::Binary, Framing::Json] {
            let frame = Frame::encode(&request, framing).expect("it encodes");
            assert_eq!(frame.framing(), framing);
            assert_eq!(frame.decode::<SignalRequest>().expect("it decodes"), request);
        }
    }

    #[test]
    fn json_is_camel_case_with_large_numbers_as_text() {
        let response = SignalResponse { message: Some(signal_response::Message::Pong(1 << 53)) };
        let frame = Frame::encode(&response, Framing::Json).expect("it encodes");
        assert_eq!(frame, Frame::Text(r#"{"pong":"9007199254740992"}"#.into()));
    }

    #[test]
    fn unknown_variants_and_fields_are_left_out() {
        // Field 999, a length-delimited value of one byte.
        let unknown = Frame::Binary(vec![0xba, 0x3e, 0x01, 0x00]);
        assert_eq!(unknown.decode::<SignalRequest>().expect("it decodes").message, None);
        let unknown = Frame::Text(r#"{"teleport":{"to":"mars"}}"#.into());
        assert_eq!(unknown.decode::<SignalRequest>().expect("it decodes").message, None);
    }

    #[test]
    fn join_request_is_read_in_every_wrapping() {
        let request = JoinRequest { metadata: "hello".into(), ..JoinRequest::default() };
        let plain = wrap(Compression::None, request.encode_to_vec());
        let zipped = wrap(Compression::Gzip, gzip(&request.encode_to_vec()));
        for parameter in [&plain, &zipped] {
            assert_eq!(decode_join_request(parameter).expect("with padding"), request);
            let unpadded = parameter.trim_end_matches('=');
            assert_eq!(decode_join_request(unpadded).expect("without padding"), request);
        }
    }

    #[test]
    fn a_decompression_bomb_is_refused() {
        let request = JoinRequest { metadata: "a".repeat(MAX_JOIN_REQUEST), ..JoinRequest::default() };
        let bomb = wrap(Compression::Gzip, gzip(&request.encode_to_vec()));
        assert!(matches!(decode_join_request(&bomb), Err(JoinRequestError::TooLarge)));
    }

    #[test]
    fn broken_wrappings_say_what_is_broken() {
        assert!(matches!(decode_join_request("%%%"), Err(JoinRequestError::Base64(_))));
        assert!(matches!(decode_join_request("_____w"), Err(JoinRequestError::Protobuf(_))));
        let not_gzip = wrap(Compression::Gzip, b"plain".to_vec());
        assert!(matches!(decode_join_request(&not_gzip), Err(JoinRequestError::Gzip(_))));
        let wrapped = WrappedJoinRequest { compression: 9, join_request: Vec::new() };
        let odd = BASE64URL.encode(wrapped.encode_to_vec());
        assert!(matches!(decode_join_request(&odd), Err(JoinRequestError::Compression(9))));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*") {
            let _ = Frame::Binary(bytes).decode::<SignalRequest>();
            let _ = Frame::Text(text.clone()).decode::<SignalRequest>();
            let _ = decode_join_request(&text);
        }
    }

    fn wrap(compression: Compression, join_request: Vec<u8>) -> String {
        let wrapped = WrappedJoinRequest { compression: compression.into(), join_request };
        BASE64URL.encode(wrapped.encode_to_vec())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }
}
