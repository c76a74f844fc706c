//! Reading a message in place. Nothing is copied, and no input is too odd: what cannot be read is an error.

use std::net::SocketAddr;

use super::attribute::read_xor_address;
use super::integrity::fingerprint;
use super::{
    ATTRIBUTE_HEADER_LEN, AttributeType, Class, HEADER_LEN, IntegrityKind, Key, MAGIC_COOKIE, Method,
    TransactionId, from_message_type, padding,
};

/// Why bytes are not a STUN message. None of these gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("the message ends within its header")]
    Short,
    #[error("the first two bits or the magic cookie are not those of STUN")]
    NotStun,
    #[error("the length field is no multiple of four or differs from the length of the message")]
    Length,
    #[error("an attribute ends beyond the message")]
    Attribute,
    #[error("the fingerprint is wrong or not at the end")]
    Fingerprint,
}

/// What a message is about, told before its attributes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub class: Class,
    pub method: Method,
}

impl Header {
    /// Reads the header of a message that takes up all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (header, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(ParseError::Short)?;
        let bits = u16::from_be_bytes([header[0], header[1]]);
        if bits & 0xC000 != 0 || header[4..8] != MAGIC_COOKIE {
            return Err(ParseError::NotStun);
        }
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !len.is_multiple_of(4) || len != body.len() {
            return Err(ParseError::Length);
        }
        let (class, method) = from_message_type(bits);
        Ok(Self { class, method })
    }
}

/// One attribute, where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub kind: AttributeType,
    pub value: &'a [u8],
    /// Where the value begins in the message.
    pub at: usize,
}

/// A whole message whose fingerprint, if it has one, is right. Whether it is authentic is for [`Self::is_signed_with`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    /// The attribute that signs it.
    integrity: Option<Integrity<'a>>,
    /// Where the attributes end that count: those after a signature are nobody's word (RFC 8489 §14.5, §14.6).
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Integrity<'a> {
    kind: IntegrityKind,
    /// Where the attribute begins.
    at: usize,
    value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message that takes up all of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = Header::parse(bytes)?;
        Self { bytes, header, integrity: None, end: bytes.len() }.read_signatures()
    }

    pub fn class(&self) -> Class {
        self.header.class
    }

    pub fn method(&self) -> Method {
        self.header.method
    }

    pub fn transaction_id(&self) -> TransactionId {
        TransactionId(self.bytes[8..HEADER_LEN].try_into().expect("a header has twelve bytes for it"))
    }

    /// The attributes that count, in order. One that comes again is here again (RFC 8489 §5: only the first is to be
    /// heard, which is what [`Self::attribute`] does).
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> {
        Attributes { bytes: &self.bytes[..self.end], next: HEADER_LEN }
    }

    /// The first attribute of a type.
    pub fn attribute(&self, kind: AttributeType) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// The value of the first attribute of a type.
    pub fn value(&self, kind: AttributeType) -> Option<&'a [u8]> {
        Some(self.attribute(kind)?.value)
    }

    /// The value of the first attribute of a type, if it is UTF-8.
    pub fn text(&self, kind: AttributeType) -> Option<&'a str> {
        std::str::from_utf8(self.value(kind)?).ok()
    }

    /// The address in the first attribute of a type; `Some(None)` if there is one that cannot be read.
    pub fn xor_address(&self, kind: AttributeType) -> Option<Option<SocketAddr>> {
        Some(self.read_xor_address(self.attribute(kind)?))
    }

    /// The address in an attribute of this message.
    pub fn read_xor_address(&self, attribute: Attribute<'_>) -> Option<SocketAddr> {
        read_xor_address(attribute.value, self.transaction_id())
    }

    /// Types of attributes that must be understood and are not, in order and with repetitions.
    pub fn unknown_attributes(&self) -> impl Iterator<Item = AttributeType> {
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(|kind| kind.is_required() && !kind.is_known())
    }

    /// True if there is something in the message that must be understood and is not.
    pub fn has_unknown_attributes(&self) -> bool {
        self.unknown_attributes().next().is_some()
    }

    /// How the message is signed. With both kinds it is the stronger one that counts (RFC 8489 §9.2.4).
    pub fn integrity(&self) -> Option<IntegrityKind> {
        Some(self.integrity?.kind)
    }

    /// True if the message is signed, and with this key. Takes as long for any wrong signature.
    pub fn is_signed_with(&self, key: &Key) -> bool {
        let Some(Integrity { kind, at, value }) = self.integrity else { return false };
        key.verifies(kind, self.bytes, at, value)
    }

    /// Goes through all attributes once: whether they are whole, which ones sign the message, and the fingerprint.
    fn read_signatures(mut self) -> Result<Self, ParseError> {
        let mut attributes = Attributes { bytes: self.bytes, next: HEADER_LEN };
        while let Some(Attribute { kind, value, at }) = attributes.next() {
            let begin = at - ATTRIBUTE_HEADER_LEN;
            match kind {
                AttributeType::FINGERPRINT => {
                    let is_last = attributes.next == self.bytes.len();
                    if !is_last || value != fingerprint(&self.bytes[..begin]) {
                        return Err(ParseError::Fingerprint);
                    }
                }
                AttributeType::MESSAGE_INTEGRITY if self.integrity.is_none() => {
                    self.sign(IntegrityKind::Sha1, begin, value);
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256
                    if self.integrity() != Some(IntegrityKind::Sha256) =>
                {
                    self.sign(IntegrityKind::Sha256, begin, value);
                }
                _ => {}
            }
        }
        if attributes.next == self.bytes.len() { Ok(self) } else { Err(ParseError::Attribute) }
    }

    fn sign(&mut self, kind: IntegrityKind, at: usize, value: &'a [u8]) {
        self.integrity = Some(Integrity { kind, at, value });
        self.end = self.end.min(at);
    }
}

/// Attributes from `next` on, for as long as they are whole.
struct Attributes<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next + ATTRIBUTE_HEADER_LEN;
        let &[kind_high, kind_low, len_high, len_low] =
            self.bytes.get(self.next..at)?.first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let value = self.bytes.get(at..at + len)?;
        let next = at + len + padding(len);
        if next > self.bytes.len() {
            return None;
        }
        self.next = next;
        Some(Attribute { kind: AttributeType(u16::from_be_bytes([kind_high, kind_low])), value, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::stun::Writer;
    use proptest::prelude::*;

    const ID: TransactionId = TransactionId([7; 12]);

    fn binding(build: impl FnOnce(Writer<'_>) -> Writer<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        build(Writer::new(&mut out, Class::Request, Method::Binding, ID));
        out
    }

    #[test]
    fn a3_the_length_field_is_a_multiple_of_four_and_the_rest_of_the_message() {
        let message = binding(|writer| writer.attribute(AttributeType::USERNAME, b"name"));
        assert!(Message::parse(&message).is_ok());
        for len in [3, 4, 5, 6, 7, 12] {
            let mut other = message.clone();
            other[3] = len;
            assert_eq!(Message::parse(&other).unwrap_err(), ParseError::Length);
        }
        assert_eq!(Message::parse(&message[..19]).unwrap_err(), ParseError::Short);
    }

    #[test]
    fn b12_a_message_without_the_magic_cookie_is_none() {
        let mut message = binding(|writer| writer);
        message[4..8].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(Message::parse(&message).unwrap_err(), ParseError::NotStun);
    }

    #[test]
    fn b3_wrong_fingerprint_is_dropped() {
        let message = binding(|writer| writer.attribute(AttributeType::USERNAME, b"name").fingerprint());
        assert!(Message::parse(&message).is_ok());
        // Its type and length are what makes the last attribute a fingerprint.
        let len = message.len();
        for at in (HEADER_LEN..len - 8).chain(len - 4..len) {
            let mut other = message.clone();
            other[at] ^= 0x01;
            assert!(Message::parse(&other).is_err(), "byte {at}");
        }
        let twice = binding(|writer| writer.fingerprint().fingerprint());
        assert_eq!(Message::parse(&twice).unwrap_err(), ParseError::Fingerprint);
        let not_last = binding(|writer| writer.fingerprint().attribute(AttributeType::USERNAME, b"name"));
        assert_eq!(Message::parse(&not_last).unwrap_err(), ParseError::Fingerprint);
    }

    #[test]
    fn b7_attributes_after_a_signature_do_not_count() {
        let key = Key::short_term("key");
        let message = binding(|writer| {
            writer
                .attribute(AttributeType::REALM, b"before")
                .integrity(&key, IntegrityKind::Sha1)
                .attribute(AttributeType::NONCE, b"between")
                .integrity(&key, IntegrityKind::Sha256)
                .attribute(AttributeType::USERNAME, b"after")
                .integrity(&Key::short_term("other"), IntegrityKind::Sha256)
                .fingerprint()
        });
        let message = Message::parse(&message).unwrap();
        assert_eq!(message.attributes().map(|attribute| attribute.value).collect::<Vec<_>>(), [b"before"]);
        assert_eq!(message.integrity(), Some(IntegrityKind::Sha256));
        assert!(message.is_signed_with(&key));
    }

    #[test]
    fn b8_only_the_first_of_a_repeated_attribute_counts() {
        let message = binding(|writer| {
            writer.attribute(AttributeType::REALM, b"first").attribute(AttributeType::REALM, b"second")
        });
        assert_eq!(Message::parse(&message).unwrap().value(AttributeType::REALM), Some(&b"first"[..]));
    }

    #[test]
    fn b9_padding_may_have_any_value() {
        let mut message = binding(|writer| writer.attribute(AttributeType::REALM, b"12345"));
        let len = message.len();
        message[len - 3..].copy_from_slice(&[0xFF, 0x00, 0x20]);
        assert_eq!(Message::parse(&message).unwrap().text(AttributeType::REALM), Some("12345"));
    }

    #[test]
    fn c8_a_sha256_signature_may_be_cut_to_sixteen_bytes() {
        let key = Key::short_term("key");
        let whole = binding(|writer| writer.attribute(AttributeType::REALM, b"name"));
        for len in [0, 4, 12, 15, 16, 18, 20, 24, 28, 32] {
            let tag = key.sign(IntegrityKind::Sha256, &whole, whole.len(), len);
            let value = &tag.as_ref()[..len];
            let message = binding(|writer| {
                writer
                    .attribute(AttributeType::REALM, b"name")
                    .attribute(AttributeType::MESSAGE_INTEGRITY_SHA256, value)
            });
            let message = Message::parse(&message).unwrap();
            assert_eq!(message.is_signed_with(&key), len >= 16 && len % 4 == 0, "{len} bytes");
        }
    }

    #[test]
    fn c14_a_signature_that_is_wrong_in_any_byte_or_cut_is_refused() {
        let key = Key::short_term("key");
        let message = binding(|writer| writer.integrity(&key, IntegrityKind::Sha1));
        assert!(Message::parse(&message).unwrap().is_signed_with(&key));
        for at in (8..HEADER_LEN).chain(HEADER_LEN + 4..message.len()) {
            let mut other = message.clone();
            other[at] ^= 0x80;
            assert!(!Message::parse(&other).unwrap().is_signed_with(&key), "byte {at}");
        }
        let cut = binding(|writer| writer.attribute(AttributeType::MESSAGE_INTEGRITY, &[0; 16]));
        assert!(!Message::parse(&cut).unwrap().is_signed_with(&key));
    }

    proptest! {
        #[test]
        fn g14_any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn g14_any_body_is_read_without_panic(
            bits in 0u16..0x4000,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let body = &body[..body.len() & !3];
            let mut bytes = bits.to_be_bytes().to_vec();
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend(MAGIC_COOKIE);
            bytes.extend([0; 12]);
            bytes.extend(body);
            if let Ok(message) = Message::parse(&bytes) {
                let values: usize = message.attributes().map(|attribute| attribute.value.len()).sum();
                prop_assert!(values <= body.len());
                message.is_signed_with(&Key::short_term("key"));
            }
        }

        #[test]
        fn what_is_written_is_read(
            values in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let own = |kind: u16| AttributeType(kind | 0x4000 & !0x8000);
            let message = binding(|writer| {
                values.iter().fold(writer, |writer, (kind, value)| writer.attribute(own(*kind), value)).fingerprint()
            });
            let message = Message::parse(&message);
            prop_assume!(message.is_ok() || values.iter().any(|(kind, _)| own(*kind) == AttributeType::FINGERPRINT));
            if let Ok(message) = message {
                let read: Vec<_> = message.attributes().map(|attribute| (attribute.kind, attribute.value)).collect();
                let written = values.iter().map(|(kind, value)| (own(*kind), &value[..]));
                prop_assert!(read[..values.len()].iter().copied().eq(written));
            }
        }
    }
}
