//! What a datagram is, told by its first bytes (RFC 7983 §7, RFC 5761 §4).

/// The protocols that share one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
    Stun,
    Dtls,
}

/// Tells the protocol of a datagram; `None` for what no peer of ours sends.
///
/// Audio is asked for first: a speaker sends fifty RTP packets for every one of anything else.
#[inline]
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    let (&first, rest) = datagram.split_first()?;
    match first {
        // Payload types 64 to 95 with the marker bit are RTCP packet types 192 to 223 (RFC 5761 §4).
        128..=191 => match rest.first()? {
            192..=223 => Some(Kind::Rtcp),
            _ => Some(Kind::Rtp),
        },
        0..=3 => Some(Kind::Stun),
        20..=63 => Some(Kind::Dtls),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        assert_eq!(kind(&[0x80, 111, 0, 0]), Some(Kind::Rtp));
        assert_eq!(kind(&[0x90, 0x80 | 111, 0, 0]), Some(Kind::Rtp));
        assert_eq!(kind(&[0x81, 201, 0, 7]), Some(Kind::Rtcp));
        assert_eq!(kind(&[0x00, 0x01]), Some(Kind::Stun));
        assert_eq!(kind(&[22, 254, 253]), Some(Kind::Dtls));
        assert_eq!(kind(&[0x40, 0x00]), None);
        assert_eq!(kind(&[]), None);
        assert_eq!(kind(&[0x80]), None);
    }
}
