//! Redundant audio (RFC 2198): one packet that carries a frame and copies of those before it.

use super::header::{ExtSeq, RtpTime};
use crate::PayloadType;

/// Bytes of the header of a copied frame.
pub const COPY_HEADER_LEN: usize = 4;
/// The longest frame that can be copied: ten bits say how long it is.
pub const MAX_COPY_LEN: usize = 1_023;
const MORE_BLOCKS: u8 = 0x80;

/// Why a payload is not RED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedError {
    #[error("the payload ends within its block headers")]
    Headers,
    #[error("the blocks are longer than the payload")]
    Blocks,
}

/// A RED payload, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Red<'a> {
    /// Four bytes for each redundant block.
    headers: &'a [u8],
    /// The redundant blocks, one after the other.
    blocks: &'a [u8],
    pub primary: Block<'a>,
}

/// One encoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub payload_type: PayloadType,
    pub payload: &'a [u8],
}

/// A copy of an earlier frame, as if it had come in a packet of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered<'a> {
    pub index: ExtSeq,
    pub timestamp: RtpTime,
    pub block: Block<'a>,
}

/// A frame to be copied: how many ticks before the packet's own it was, up to 14 bits, and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    pub earlier_by: u32,
    pub len: usize,
}

/// Writes the headers of a payload with these copies, oldest first, all of one payload type; returns their length. The
/// copied frames come next, and the packet's own frame last.
///
/// # Panics
/// When `out` is too short, or a length or a distance needs more bits than it has.
pub fn write_headers(
    out: &mut [u8],
    payload_type: PayloadType,
    copies: impl Iterator<Item = Copied>,
) -> usize {
    let mut at = 0;
    for Copied { earlier_by, len } in copies {
        assert!(earlier_by < 1 << 14 && len <= MAX_COPY_LEN, "a copy is recent and short");
        let word = 1 << 31 | u32::from(payload_type.0) << 24 | earlier_by << 10 | len as u32;
        out[at..at + COPY_HEADER_LEN].copy_from_slice(&word.to_be_bytes());
        at += COPY_HEADER_LEN;
    }
    out[at] = payload_type.0;
    at + 1
}

/// Gives all blocks of a payload that [`Red::parse`] accepts another payload type.
pub fn rename_blocks(payload: &mut [u8], payload_type: PayloadType) {
    let mut at = 0;
    while let Some(first) = payload.get_mut(at) {
        let more = *first & MORE_BLOCKS;
        *first = more | payload_type.0;
        if more == 0 {
            return;
        }
        at += COPY_HEADER_LEN;
    }
}

impl<'a> Red<'a> {
    pub fn parse(payload: &'a [u8]) -> Result<Self, RedError> {
        let (mut headers_len, mut blocks_len) = (0, 0);
        let payload_type = loop {
            let rest = payload.get(headers_len..).ok_or(RedError::Headers)?;
            match *rest {
                [first, ..] if first & MORE_BLOCKS == 0 => break PayloadType(first),
                [_, _, high, low, ..] => {
                    blocks_len += usize::from(high & 0x03) << 8 | usize::from(low);
                    headers_len += COPY_HEADER_LEN;
                }
                _ => return Err(RedError::Headers),
            }
        };
        let (headers, rest) = payload.split_at(headers_len);
        let (blocks, primary) = rest[1..].split_at_checked(blocks_len).ok_or(RedError::Blocks)?;
        Ok(Self { headers, blocks, primary: Block { payload_type, payload: primary } })
    }

    /// The earlier frames, oldest first, given index and timestamp of the packet that brought them. RFC 2198 does not
    /// say which packets they were first sent in; senders copy the packets right before, and empty blocks are gaps.
    pub fn recover(self, index: ExtSeq, timestamp: RtpTime) -> impl Iterator<Item = Recovered<'a>> {
        let (headers, _) = self.headers.as_chunks::<COPY_HEADER_LEN>();
        let mut blocks = self.blocks;
        headers.iter().enumerate().filter_map(move |(at, &[payload_type, o0, o1, low])| {
            let len = usize::from(o1 & 0x03) << 8 | usize::from(low);
            let payload;
            (payload, blocks) = blocks.split_at(len);
            let earlier_by = u32::from(o0) << 6 | u32::from(o1) >> 2;
            let before = (headers.len() - at) as u64;
            Some(Recovered {
                index: ExtSeq(index.0.checked_sub(before)?),
                timestamp: timestamp.wrapping_add(earlier_by.wrapping_neg()),
                block: Block { payload_type: PayloadType(payload_type & !MORE_BLOCKS), payload },
            })
            .filter(|recovered| !recovered.block.payload.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPUS: PayloadType = PayloadType(111);

    #[test]
    fn a_lone_primary_block_costs_one_byte() {
        let red = Red::parse(b"\x6Fopus").unwrap();
        assert_eq!(red.primary, Block { payload_type: OPUS, payload: b"opus" });
        assert_eq!(red.recover(ExtSeq(5), RtpTime(0)).count(), 0);
    }

    #[test]
    fn earlier_frames_come_back_with_their_places() {
        let payload = red(&[(1920, b"older"), (960, b"old")], b"new");
        let red = Red::parse(&payload).unwrap();
        assert_eq!(red.primary.payload, b"new");
        let frames: Vec<_> = red.recover(ExtSeq(65_537), RtpTime(960)).collect();
        let frame = |index, timestamp: u32, payload| Recovered {
            index: ExtSeq(index),
            timestamp: RtpTime(timestamp),
            block: Block { payload_type: OPUS, payload },
        };
        assert_eq!(frames, [frame(65_535, 960u32.wrapping_sub(1920), b"older"), frame(65_536, 0, b"old")]);
    }

    #[test]
    fn empty_blocks_and_what_precedes_the_stream_are_left_out() {
        let payload = red(&[(2880, b"before"), (1920, b""), (960, b"old")], b"new");
        let red = Red::parse(&payload).unwrap();
        let frames: Vec<_> = red.recover(ExtSeq(2), RtpTime(5000)).map(|frame| frame.block.payload).collect();
        assert_eq!(frames, [b"old"]);
    }

    #[test]
    fn the_largest_offset_and_length_are_read() {
        let payload = red(&[(0x3FFF, &[7; 1023])], &[]);
        let red = Red::parse(&payload).unwrap();
        let frame = red.recover(ExtSeq(1), RtpTime(0x4000)).next().unwrap();
        assert_eq!((frame.timestamp, frame.block.payload.len()), (RtpTime(1), 1023));
    }

    #[test]
    fn what_is_written_is_read_and_can_be_renamed() {
        let mut payload = [0; 40];
        let copies = [Copied { earlier_by: 1920, len: 5 }, Copied { earlier_by: 960, len: 3 }];
        let len = write_headers(&mut payload, OPUS, copies.into_iter());
        payload[len..len + 11].copy_from_slice(b"olderoldnew");
        let payload = &mut payload[..len + 11];
        assert_eq!(payload, red(&[(1920, b"older"), (960, b"old")], b"new"));
        rename_blocks(payload, PayloadType(96));
        let red = Red::parse(payload).unwrap();
        assert_eq!(red.primary, Block { payload_type: PayloadType(96), payload: b"new" });
        let types = red.recover(ExtSeq(9), RtpTime(9999)).map(|frame| frame.block.payload_type);
        assert_eq!(types.collect::<Vec<_>>(), [PayloadType(96); 2]);
    }

    #[test]
    fn truncated_payloads_are_named() {
        let payload = red(&[(960, b"old")], b"");
        assert_eq!(Red::parse(&[]).unwrap_err(), RedError::Headers);
        for len in 1..5 {
            assert_eq!(Red::parse(&payload[..len.min(4)]).unwrap_err(), RedError::Headers);
        }
        for len in 5..8 {
            assert_eq!(Red::parse(&payload[..len]).unwrap_err(), RedError::Blocks);
        }
        assert!(Red::parse(&payload).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), index: u64) {
            if let Ok(red) = Red::parse(&bytes) {
                let copied: usize =
                    red.recover(ExtSeq(index), RtpTime(0)).map(|frame| frame.block.payload.len()).sum();
                prop_assert!(copied + red.primary.payload.len() < bytes.len());
            }
        }
    }

    fn red(earlier: &[(u32, &[u8])], primary: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (offset, block) in earlier {
            let word = 1 << 31 | u32::from(OPUS.0) << 24 | offset << 10 | block.len() as u32;
            payload.extend(word.to_be_bytes());
        }
        payload.push(OPUS.0);
        payload.extend(earlier.iter().flat_map(|(_, block)| *block));
        payload.extend(primary);
        payload
    }
}
