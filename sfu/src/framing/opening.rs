//! What a new connection to a shared TCP port is for, told by its first bytes.

use crate::turn::stun::MAGIC_COOKIE;

/// Bytes by which every opening can be told.
pub const OPENING_LEN: usize = 10;

/// TLS records of a handshake begin with it, and with the major version that all of SSL 3 to TLS 1.3 have there
/// (RFC 8446 §5.1).
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];
const BINDING_REQUEST: u16 = 0x0001;
/// The shortest STUN message, which is longer than any type of a request is as a number.
const STUN_HEADER_LEN: u16 = 20;
/// HTTP's methods (RFC 9110 §9, RFC 5789), and the beginning of HTTP/2 (RFC 9113 §3.4).
const HTTP: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PRI * ",
];

/// Who wants what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Tls,
    Http,
    /// A STUN binding request with its length before it: ICE over TCP (RFC 6544).
    Rfc4571,
    /// A STUN request as it is: TURN.
    Turn,
    /// Too few bytes to say; never with [`OPENING_LEN`] of them.
    More,
    /// Nothing that is spoken here.
    Junk,
}

/// Tells what a connection is for by the bytes that have come so far.
pub fn opening(bytes: &[u8]) -> Opening {
    let Some(&first) = bytes.first() else { return Opening::More };
    match first {
        0x16 => begins_with(&TLS_HANDSHAKE, bytes, Opening::Tls),
        b'A'..=b'Z' => http(bytes),
        0x00..=0x3F => stun(bytes),
        _ => Opening::Junk,
    }
}

/// `then` if all of `expected` is there, [`Opening::More`] if it may still come.
fn begins_with(expected: &[u8], bytes: &[u8], then: Opening) -> Opening {
    if bytes.starts_with(expected) {
        then
    } else if expected.starts_with(bytes) {
        Opening::More
    } else {
        Opening::Junk
    }
}

fn http(bytes: &[u8]) -> Opening {
    let verdicts = HTTP.map(|method| begins_with(method, bytes, Opening::Http));
    [Opening::Http, Opening::More]
        .into_iter()
        .find(|verdict| verdicts.contains(verdict))
        .unwrap_or(Opening::Junk)
}

/// A length cannot be the type of a request, nor the other way round: the one is 20 at least, the other less.
fn stun(bytes: &[u8]) -> Opening {
    let &[high, low, ref rest @ ..] = bytes else { return Opening::More };
    let word = u16::from_be_bytes([high, low]);
    if word == 0 {
        return Opening::Junk;
    }
    if word < STUN_HEADER_LEN {
        return rest.get(2..).map_or(Opening::More, |rest| begins_with(&MAGIC_COOKIE, rest, Opening::Turn));
    }
    let is_binding = begins_with(&BINDING_REQUEST.to_be_bytes(), rest, Opening::Rfc4571);
    match (is_binding, rest.get(4..)) {
        (Opening::Rfc4571, Some(rest)) => begins_with(&MAGIC_COOKIE, rest, Opening::Rfc4571),
        (Opening::Rfc4571, None) => Opening::More,
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALLOCATE: &[u8] = &[0x00, 0x03, 0x00, 0x24, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3];
    const CHECK: &[u8] = &[0x00, 0x54, 0x00, 0x01, 0x00, 0x40, 0x21, 0x12, 0xA4, 0x42, 1];

    #[test]
    fn the_first_bytes_tell_what_a_connection_is_for() {
        for (bytes, expected) in [
            (&b"\x16\x03\x01\x02\x00"[..], Opening::Tls),
            (b"GET /rtc HTTP/1.1\r\n", Opening::Http),
            (b"OPTIONS * HTTP/1.1\r\n", Opening::Http),
            (b"PRI * HTTP/2.0\r\n", Opening::Http),
            (ALLOCATE, Opening::Turn),
            (&[0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42], Opening::Turn),
            (CHECK, Opening::Rfc4571),
            (b"", Opening::More),
            (b"\x16", Opening::More),
            (b"P", Opening::More),
            (&ALLOCATE[..7], Opening::More),
            (&CHECK[..9], Opening::More),
            (b"\x16\x02", Opening::Junk),
            (b"SSH-2.0-OpenSSH", Opening::Junk),
            (b"GETS", Opening::Junk),
            (&[0, 0, 0, 0], Opening::Junk),
            (&[0x00, 0x03, 0x00, 0x24, 1], Opening::Junk),
            (&[0x00, 0x54, 0x01, 0x01], Opening::Junk),
            (&[0x40, 0x00], Opening::Junk),
            (&[0x80, 0x6F], Opening::Junk),
        ] {
            assert_eq!(opening(bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_what_was_told(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let mut told = Opening::More;
            for len in 0..=bytes.len() {
                let now = opening(&bytes[..len]);
                prop_assert!(told == Opening::More || told == now);
                told = now;
            }
            prop_assert!(bytes.len() < OPENING_LEN || told != Opening::More);
        }

        #[test]
        fn every_beginning_of_a_good_opening_asks_for_more_or_knows(len in 0usize..11) {
            for (whole, expected) in [(ALLOCATE, Opening::Turn), (CHECK, Opening::Rfc4571)] {
                prop_assert!([Opening::More, expected].contains(&opening(&whole[..len])));
            }
        }
    }
}
