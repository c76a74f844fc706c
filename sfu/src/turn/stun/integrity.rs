//! Keys, message integrity and fingerprints (RFC 8489 §9.2.2, §14.5 to §14.7).

use aws_lc_rs::{constant_time, digest, hmac};
use md5::{Digest as _, Md5};

use super::{ATTRIBUTE_HEADER_LEN, AttributeType, HEADER_LEN};

/// What a CRC-32 is combined with, so that it differs from that of a protocol inside (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// How a password becomes a key (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    Md5,
    Sha256,
}

impl PasswordAlgorithm {
    /// As it stands in PASSWORD-ALGORITHM: a number and no parameters (RFC 8489 §14.12).
    pub fn to_bytes(self) -> [u8; 4] {
        match self {
            Self::Md5 => [0, 1, 0, 0],
            Self::Sha256 => [0, 2, 0, 0],
        }
    }
}

/// Which of the two attributes signs a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityKind {
    Sha1,
    Sha256,
}

impl IntegrityKind {
    pub(super) fn attribute(self) -> AttributeType {
        match self {
            Self::Sha1 => AttributeType::MESSAGE_INTEGRITY,
            Self::Sha256 => AttributeType::MESSAGE_INTEGRITY_SHA256,
        }
    }

    /// Bytes of a value that is not cut.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// True for lengths that a value may have: only SHA-256 may be cut (RFC 8489 §14.6).
    fn allows(self, len: usize) -> bool {
        match self {
            Self::Sha1 => len == self.len(),
            Self::Sha256 => (16..=self.len()).contains(&len) && len.is_multiple_of(4),
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

/// What a user's messages are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of long-term credentials (RFC 8489 §9.2.2, §18.5.1). Realm and password are taken to be as the profile
    /// `OpaqueString` leaves them (RFC 8265 §4.2): anything that is printable ASCII is.
    pub fn long_term(algorithm: PasswordAlgorithm, username: &str, realm: &str, password: &str) -> Self {
        let parts = [username, ":", realm, ":", password];
        match algorithm {
            PasswordAlgorithm::Md5 => {
                let mut hash = Md5::new();
                parts.iter().for_each(|part| hash.update(part));
                Self(hash.finalize().to_vec())
            }
            PasswordAlgorithm::Sha256 => {
                let mut hash = digest::Context::new(&digest::SHA256);
                parts.iter().for_each(|part| hash.update(part.as_bytes()));
                Self(hash.finish().as_ref().to_vec())
            }
        }
    }

    /// The key of short-term credentials is the password (RFC 8489 §9.1.1).
    #[cfg(test)]
    pub(super) fn short_term(password: &str) -> Self {
        Self(password.as_bytes().to_vec())
    }

    /// Signs what stands in `message` before the attribute that begins at `at` and has a value of `value_len` bytes:
    /// the message's length field is taken to end with that attribute.
    pub(super) fn sign(&self, kind: IntegrityKind, message: &[u8], at: usize, value_len: usize) -> hmac::Tag {
        let counted = (at + ATTRIBUTE_HEADER_LEN + value_len - HEADER_LEN) as u16;
        let mut context = hmac::Context::with_key(&hmac::Key::new(kind.algorithm(), &self.0));
        context.update(&message[..2]);
        context.update(&counted.to_be_bytes());
        context.update(&message[4..at]);
        context.sign()
    }

    /// True if `value` is this key's signature of what stands in `message` before `at`. Takes as long for any wrong one.
    pub(super) fn verifies(&self, kind: IntegrityKind, message: &[u8], at: usize, value: &[u8]) -> bool {
        if !kind.allows(value.len()) {
            return false;
        }
        let tag = self.sign(kind, message, at, value.len());
        constant_time::verify_slices_are_equal(&tag.as_ref()[..value.len()], value).is_ok()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// The value of FINGERPRINT for the parts of a message that stand before it, its length field already counting it.
pub(super) fn fingerprint(before: &[u8]) -> [u8; 4] {
    (crc32fast::hash(before) ^ FINGERPRINT_XOR).to_be_bytes()
}
