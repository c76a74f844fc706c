//! What a connection speaks, told by the bytes that it begins with: HTTP, TLS, and two protocols of media may share one port.

use banter_sfu::framing::Framing;

use crate::tls;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Tls,
    Http,
    Media(Framing),
}

/// It speaks nothing that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it begins with neither HTTP, nor TLS, nor a STUN message")]
pub struct Unknown;

/// In every STUN message (RFC 8489 §5), four bytes after its beginning.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// A STUN request begins with a type below 0x0400, a frame of RFC 4571 with a length below 2,048: the upper byte of both.
const MEDIA: std::ops::RangeInclusive<u8> = 0..=7;
/// So many bytes decide in any case.
const DECISIVE: usize = 10;

/// Tells what a connection speaks by all that has come of it so far; `None` before it can be known. Text may be anything that
/// an HTTP server would answer, if only to refuse it.
pub fn sort(bytes: &[u8]) -> Result<Option<Opening>, Unknown> {
    let cookie_at = |at: usize| bytes.get(at..at + COOKIE.len()) == Some(&COOKIE);
    match bytes.first() {
        None => Ok(None),
        Some(&tls::FIRST_BYTE) => Ok(Some(Opening::Tls)),
        Some(first) if !MEDIA.contains(first) => Ok(Some(Opening::Http)),
        // TURN's messages lie in a stream as they are, ICE's datagrams after their lengths.
        Some(_) if cookie_at(4) => Ok(Some(Opening::Media(Framing::Turn))),
        Some(_) if cookie_at(6) => Ok(Some(Opening::Media(Framing::Rfc4571))),
        Some(_) if bytes.len() < DECISIVE => Ok(None),
        Some(_) => Err(Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BINDING: [u8; 10] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 7, 7];

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    #[test]
    fn each_protocol_is_known_by_its_first_bytes() {
        let media = |framing| Ok(Some(Opening::Media(framing)));
        assert_eq!(sort(&[0x16, 3, 1]), Ok(Some(Opening::Tls)));
        assert_eq!(sort(b"G"), Ok(Some(Opening::Http)));
        assert_eq!(sort(b"\r\nGET / HTTP/1.1\r\n"), Ok(Some(Opening::Http)));
        assert_eq!(sort(&BINDING), media(Framing::Turn));
        assert_eq!(sort(&[&[0, 3, 0, 8], &BINDING[4..]].concat()), media(Framing::Turn));
        assert_eq!(sort(&framed(&BINDING)), media(Framing::Rfc4571));
        assert_eq!(sort(&[0; 10]), Err(Unknown));
        assert_eq!(sort(&[]), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_known_stays_so_and_ten_bytes_decide(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(any::<u8>(), 12).prop_map(|rest| [&BINDING[..], &rest].concat()),
                prop::collection::vec(any::<u8>(), 12).prop_map(|rest| framed(&[&BINDING[..], &rest].concat())),
            ],
        ) {
            let mut known = Ok(None);
            for end in 0..=bytes.len() {
                let sorted = sort(&bytes[..end]);
                if known != Ok(None) {
                    prop_assert_eq!(sorted, known);
                }
                known = sorted;
            }
            prop_assert!(bytes.len() < DECISIVE || known != Ok(None));
        }
    }
}
