//! The numbers of attributes and errors, and the addresses that attributes hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};

/// The type of an attribute (RFC 8489 §14, RFC 8656 §18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(pub u16);

impl AttributeType {
    pub const USERNAME: Self = Self(0x0006);
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    pub const ERROR_CODE: Self = Self(0x0009);
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000A);
    pub const CHANNEL_NUMBER: Self = Self(0x000C);
    pub const LIFETIME: Self = Self(0x000D);
    pub const XOR_PEER_ADDRESS: Self = Self(0x0012);
    pub const DATA: Self = Self(0x0013);
    pub const REALM: Self = Self(0x0014);
    pub const NONCE: Self = Self(0x0015);
    pub const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    pub const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    pub const EVEN_PORT: Self = Self(0x0018);
    pub const REQUESTED_TRANSPORT: Self = Self(0x0019);
    pub const DONT_FRAGMENT: Self = Self(0x001A);
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001C);
    pub const PASSWORD_ALGORITHM: Self = Self(0x001D);
    pub const USERHASH: Self = Self(0x001E);
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    pub const RESERVATION_TOKEN: Self = Self(0x0022);
    pub const ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8000);
    pub const ADDRESS_ERROR_CODE: Self = Self(0x8001);
    pub const PASSWORD_ALGORITHMS: Self = Self(0x8002);
    pub const FINGERPRINT: Self = Self(0x8028);

    /// True if a message may not be acted on by who does not know this attribute (RFC 8489 §14).
    pub fn is_required(self) -> bool {
        self.0 < 0x8000
    }

    /// True if this codec has a name for it.
    pub fn is_known(self) -> bool {
        matches!(self.0, 0x06 | 0x08..=0x0A | 0x0C | 0x0D | 0x12..=0x1A | 0x1C..=0x1E | 0x20 | 0x22)
            || matches!(self.0, 0x8000..=0x8002 | 0x8028)
    }
}

/// Why a request is refused (RFC 8489 §14.8, RFC 8656 §19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    BadRequest = 400,
    Unauthenticated = 401,
    Forbidden = 403,
    UnknownAttribute = 420,
    AllocationMismatch = 437,
    StaleNonce = 438,
    FamilyNotSupported = 440,
    WrongCredentials = 441,
    TransportNotSupported = 442,
    PeerFamilyMismatch = 443,
    QuotaReached = 486,
    InsufficientCapacity = 508,
}

impl ErrorCode {
    /// Hundreds and the rest, as ERROR-CODE and ADDRESS-ERROR-CODE have it in their last two bytes.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        let code = self as u16;
        [(code / 100) as u8, (code % 100) as u8]
    }
}

/// The family of an address (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As it stands in attributes.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            _ => None,
        }
    }

    /// As it stands in attributes.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

/// The longest address attribute's value, one with an IPv6 address.
pub(in crate::turn) const MAX_ADDRESS_LEN: usize = 20;

/// Reads an XOR-MAPPED-ADDRESS or its like (RFC 8489 §14.2).
pub(super) fn read_xor_address(value: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let (&[_, family, port_high, port_low], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([port_high ^ MAGIC_COOKIE[0], port_low ^ MAGIC_COOKIE[1]]);
    let ip = match Family::from_byte(family)? {
        Family::V4 => {
            let mut octets: [u8; 4] = address.try_into().ok()?;
            xor_with_mask(&mut octets, id);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        Family::V6 => {
            let mut octets: [u8; 16] = address.try_into().ok()?;
            xor_with_mask(&mut octets, id);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value of an XOR-MAPPED-ADDRESS or its like at the beginning of `out` and returns its length.
///
/// # Panics
/// When `out` is shorter than the value: [`MAX_ADDRESS_LEN`] is always enough.
pub(in crate::turn) fn write_xor_address(out: &mut [u8], address: SocketAddr, id: TransactionId) -> usize {
    let [port_high, port_low] = address.port().to_be_bytes();
    let head = [0, Family::of(address).to_byte(), port_high ^ MAGIC_COOKIE[0], port_low ^ MAGIC_COOKIE[1]];
    out[..4].copy_from_slice(&head);
    let len = match address.ip() {
        IpAddr::V4(ip) => {
            out[4..8].copy_from_slice(&ip.octets());
            8
        }
        IpAddr::V6(ip) => {
            out[4..20].copy_from_slice(&ip.octets());
            20
        }
    };
    xor_with_mask(&mut out[4..len], id);
    len
}

/// The magic cookie, and for what lies beyond it the transaction id.
fn xor_with_mask(octets: &mut [u8], id: TransactionId) {
    for (octet, mask) in octets.iter_mut().zip(MAGIC_COOKIE.iter().chain(&id.0)) {
        *octet ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_survive_the_way_there_and_back(ip: IpAddr, port: u16, id: [u8; 12]) {
            let (address, id) = (SocketAddr::new(ip, port), TransactionId(id));
            let mut value = [0; MAX_ADDRESS_LEN];
            let len = write_xor_address(&mut value, address, id);
            prop_assert_eq!(read_xor_address(&value[..len], id), Some(address));
        }
    }

    #[test]
    fn an_address_of_the_wrong_length_or_family_is_none() {
        let id = TransactionId([0; 12]);
        for value in [
            &[][..],
            &[0, 1, 0, 0],
            &[0, 1, 0, 0, 1, 2, 3],
            &[0, 3, 0, 0, 1, 2, 3, 4],
            &[0, 1, 0, 0, 1, 2, 3, 4, 5],
        ] {
            assert_eq!(read_xor_address(value, id), None);
        }
    }
}
