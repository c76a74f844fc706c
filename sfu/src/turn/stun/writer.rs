//! Writing a message at the end of nothing: attribute after attribute, the length field always right.

use std::net::SocketAddr;

use super::attribute::{MAX_ADDRESS_LEN, write_xor_address};
use super::integrity::fingerprint;
use super::{
    AttributeType, Class, ErrorCode, Family, HEADER_LEN, IntegrityKind, Key, MAGIC_COOKIE, Method,
    TransactionId, message_type, padding,
};

/// A message in the making, in a buffer of the caller's, which is whole after each step.
///
/// ```
/// # use banter_sfu::turn::stun::{AttributeType, Class, Message, Method, TransactionId, Writer};
/// let mut buffer = Vec::new();
/// Writer::new(&mut buffer, Class::Request, Method::Refresh, TransactionId([1; 12]))
///     .attribute(AttributeType::LIFETIME, &[0; 4])
///     .fingerprint();
/// let message = Message::parse(&buffer).unwrap();
/// assert_eq!(message.value(AttributeType::LIFETIME), Some(&[0; 4][..]));
/// ```
///
/// # Panics
/// Any step, when the message would be longer than its length field can say: 65,535 bytes of attributes.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    id: TransactionId,
}

impl<'b> Writer<'b> {
    /// Begins a message in place of what is in `out`.
    pub fn new(out: &'b mut Vec<u8>, class: Class, method: Method, id: TransactionId) -> Self {
        out.clear();
        out.extend(message_type(class, method));
        out.extend([0, 0]);
        out.extend(MAGIC_COOKIE);
        out.extend(id.0);
        Self { out, id }
    }

    /// Adds an attribute and its padding.
    pub fn attribute(self, kind: AttributeType, value: &[u8]) -> Self {
        let len = u16::try_from(value.len()).expect("an attribute of ours fits a message");
        self.out.extend(kind.0.to_be_bytes());
        self.out.extend(len.to_be_bytes());
        self.out.extend(value);
        self.out.extend(&[0; 3][..padding(value.len())]);
        let end = self.out.len();
        self.count(end)
    }

    /// Adds an address, hidden from those who rewrite addresses (RFC 8489 §14.2).
    pub fn xor_address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let mut value = [0; MAX_ADDRESS_LEN];
        let len = write_xor_address(&mut value, address, self.id);
        self.attribute(kind, &value[..len])
    }

    /// Adds ERROR-CODE without a phrase: the number says it, and an answer to a stranger is to be short.
    pub fn error(self, code: ErrorCode) -> Self {
        let [class, number] = code.to_bytes();
        self.attribute(AttributeType::ERROR_CODE, &[0, 0, class, number])
    }

    /// Adds ADDRESS-ERROR-CODE (RFC 8656 §18.12).
    pub fn address_error(self, family: Family, code: ErrorCode) -> Self {
        let [class, number] = code.to_bytes();
        self.attribute(AttributeType::ADDRESS_ERROR_CODE, &[family.to_byte(), 0, class, number])
    }

    /// Signs what has been written so far.
    pub fn integrity(self, key: &Key, kind: IntegrityKind) -> Self {
        let tag = key.sign(kind, self.out, self.out.len(), kind.len());
        self.attribute(kind.attribute(), tag.as_ref())
    }

    /// Adds the checksum that ends a message.
    pub fn fingerprint(self) -> Self {
        let len = self.out.len();
        // The length field counts the attribute before its value can be known (RFC 8489 §14.7).
        let writer = self.count(len + 8);
        let value = fingerprint(writer.out);
        writer.attribute(AttributeType::FINGERPRINT, &value)
    }

    /// Lets the length field say that the message ends at `end`.
    fn count(self, end: usize) -> Self {
        let len = u16::try_from(end - HEADER_LEN).expect("a message of ours fits its length field");
        self.out[2..4].copy_from_slice(&len.to_be_bytes());
        self
    }
}
