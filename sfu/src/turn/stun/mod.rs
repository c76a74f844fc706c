//! STUN messages (RFC 8489), read in place and written into a buffer that is used again.
//!
//! The checks of ICE are read by its own crate, `is`; this codec has what TURN needs and that one lacks: long-term
//! credentials, both kinds of message integrity, and a write path without an allocation per message.

mod attribute;
mod integrity;
mod message;
#[cfg(test)]
mod vectors;
mod writer;

pub use attribute::{AttributeType, ErrorCode, Family};
pub(super) use attribute::{MAX_ADDRESS_LEN, write_xor_address};
pub use integrity::{IntegrityKind, Key, PasswordAlgorithm};
pub use message::{Attribute, Header, Message, ParseError};
pub use writer::Writer;

/// Bytes before the first attribute (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;
/// What tells STUN from what else shares its port (RFC 8489 §5).
pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// Type and length before the value of an attribute (RFC 8489 §14).
pub const ATTRIBUTE_HEADER_LEN: usize = 4;

/// What an answer repeats of its request (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What a message is in its transaction (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// What a message is about: STUN's one method, TURN's, and any other by its number (RFC 8656 §17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
    Other(u16),
}

impl Method {
    /// Of the twelve bits that stand for it.
    fn from_bits(bits: u16) -> Self {
        match bits {
            0x001 => Self::Binding,
            0x003 => Self::Allocate,
            0x004 => Self::Refresh,
            0x006 => Self::Send,
            0x007 => Self::Data,
            0x008 => Self::CreatePermission,
            0x009 => Self::ChannelBind,
            other => Self::Other(other),
        }
    }

    fn to_bits(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
            Self::Other(bits) => bits & 0xFFF,
        }
    }
}

/// Class and method out of a message's first two bytes; the class lies in bits 4 and 8 (RFC 8489 §5).
fn from_message_type(bits: u16) -> (Class, Method) {
    let class = match (bits & 0x0100 != 0, bits & 0x0010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    };
    let method = bits & 0x000F | (bits & 0x00E0) >> 1 | (bits & 0x3E00) >> 2;
    (class, Method::from_bits(method))
}

/// A message's first two bytes.
pub(super) fn message_type(class: Class, method: Method) -> [u8; 2] {
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    let method = method.to_bits();
    (class | method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2).to_be_bytes()
}

/// Bytes that bring a value to a multiple of four (RFC 8489 §14).
pub(super) fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn message_types_are_those_of_the_registry() {
        assert_eq!(message_type(Class::Request, Method::Binding), [0x00, 0x01]);
        assert_eq!(message_type(Class::Error, Method::Allocate), [0x01, 0x13]);
        assert_eq!(message_type(Class::Indication, Method::Send), [0x00, 0x16]);
        assert_eq!(message_type(Class::Indication, Method::Data), [0x00, 0x17]);
        assert_eq!(message_type(Class::Success, Method::ChannelBind), [0x01, 0x09]);
    }

    proptest! {
        #[test]
        fn every_message_type_is_its_class_and_method(bits in 0u16..0x4000) {
            let (class, method) = from_message_type(bits);
            prop_assert_eq!(message_type(class, method), bits.to_be_bytes());
        }
    }
}
