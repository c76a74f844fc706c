//! The data channel establishment protocol (RFC 8832): the two messages that open a channel in-band.

use std::time::Duration;

use super::data::{ChannelSpec, Reliability};

const DATA_CHANNEL_ACK: u8 = 0x02; // RFC 8832 §8.2.1
const DATA_CHANNEL_OPEN: u8 = 0x03; // RFC 8832 §8.2.1
const UNORDERED: u8 = 0x80; // RFC 8832 §5.1
const RELIABLE: u8 = 0x00;
const PARTIAL_RELIABLE_REXMIT: u8 = 0x01;
const PARTIAL_RELIABLE_TIMED: u8 = 0x02;

/// Longest label and protocol that are taken; RFC 8832 would allow 65,535 bytes.
const MAX_NAME_LEN: usize = 256;

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Open(ChannelSpec),
    Ack,
}

impl Message {
    /// Reads a message (RFC 8832 §5). `None` for anything else, and for names that are too long or no UTF-8.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match *bytes.first()? {
            DATA_CHANNEL_ACK => Some(Self::Ack),
            DATA_CHANNEL_OPEN => decode_open(bytes).map(Self::Open),
            _ => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ack => vec![DATA_CHANNEL_ACK],
            Self::Open(spec) => encode_open(spec),
        }
    }
}

fn decode_open(bytes: &[u8]) -> Option<ChannelSpec> {
    let (&[_, kind, _, _, p0, p1, p2, p3, l0, l1, n0, n1], names) = bytes.split_first_chunk::<12>()?;
    let parameter = u32::from_be_bytes([p0, p1, p2, p3]);
    let reliability = match kind & !UNORDERED {
        RELIABLE => Reliability::Full,
        PARTIAL_RELIABLE_REXMIT => Reliability::Retransmits(parameter),
        PARTIAL_RELIABLE_TIMED => Reliability::Lifetime(Duration::from_millis(parameter.into())),
        _ => return None,
    };
    let (label, names) = names.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
    let (protocol, _) = names.split_at_checked(u16::from_be_bytes([n0, n1]).into())?;
    if label.len() > MAX_NAME_LEN || protocol.len() > MAX_NAME_LEN {
        return None;
    }
    let label = std::str::from_utf8(label).ok()?.to_owned();
    Some(ChannelSpec { label, ordered: kind & UNORDERED == 0, reliability })
}

/// Without a protocol name, and of normal priority.
fn encode_open(spec: &ChannelSpec) -> Vec<u8> {
    const PRIORITY_NORMAL: u16 = 256; // RFC 8831 §6.4
    let (kind, parameter) = match spec.reliability {
        Reliability::Full => (RELIABLE, 0),
        Reliability::Retransmits(count) => (PARTIAL_RELIABLE_REXMIT, count),
        Reliability::Lifetime(lifetime) => {
            (PARTIAL_RELIABLE_TIMED, u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX))
        }
    };
    let order = if spec.ordered { 0 } else { UNORDERED };
    let label_len = u16::try_from(spec.label.len()).expect("our labels are short");
    let mut bytes = vec![DATA_CHANNEL_OPEN, kind | order];
    bytes.extend(PRIORITY_NORMAL.to_be_bytes());
    bytes.extend(parameter.to_be_bytes());
    bytes.extend(label_len.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(spec.label.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_browsers_open_of_an_unreliable_channel_is_understood() {
        let bytes = b"\x03\x81\x01\x00\x00\x00\x00\x00\x00\x06\x00\x00_lossy";
        let spec = ChannelSpec {
            label: "_lossy".to_owned(),
            ordered: false,
            reliability: Reliability::Retransmits(0),
        };
        assert_eq!(Message::decode(bytes), Some(Message::Open(spec.clone())));
        assert_eq!(Message::Open(spec).encode(), bytes);
    }

    #[test]
    fn names_that_are_too_long_are_refused() {
        let spec = ChannelSpec {
            label: "x".repeat(MAX_NAME_LEN + 1),
            ordered: true,
            reliability: Reliability::Full,
        };
        assert_eq!(Message::decode(&Message::Open(spec).encode()), None);
    }

    proptest! {
        #[test]
        fn open_round_trips(label in "\\PC{0,60}", ordered: bool, kind in 0..3u8, parameter: u32) {
            let reliability = match kind {
                0 => Reliability::Full,
                1 => Reliability::Retransmits(parameter),
                _ => Reliability::Lifetime(Duration::from_millis(parameter.into())),
            };
            let message = Message::Open(ChannelSpec { label, ordered, reliability });
            prop_assert_eq!(Message::decode(&message.encode()), Some(message));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::decode(&bytes);
        }
    }
}
