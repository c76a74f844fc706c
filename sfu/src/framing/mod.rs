//! Messages in a stream of bytes: TURN's own (RFC 8656 §12.5, RFC 8489 §6.2.2) and any datagrams with their length before
//! them (RFC 4571), as ICE over TCP has them. Also what a new connection is for, told by its first bytes.

mod opening;

pub use opening::{OPENING_LEN, Opening, opening};

/// Longest message that is taken from a stream. Who announces a longer one is not worth the memory.
pub const MAX_FRAME_LEN: usize = 16 * 1024;

/// Where messages end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// STUN messages and padded ChannelData, which say how long they are.
    Turn,
    /// Two bytes of length before each.
    Rfc4571,
}

/// Why no further message can be found in a stream. It is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a message of {len} bytes is announced, more than {MAX_FRAME_LEN}")]
    TooLong { len: usize },
    #[error("what follows is neither STUN nor ChannelData")]
    Unknown,
}

/// The two bytes that go before a datagram in a stream (RFC 4571 §2); `None` if it is longer than [`MAX_FRAME_LEN`].
pub fn rfc4571_header(len: usize) -> Option<[u8; 2]> {
    (len <= MAX_FRAME_LEN).then_some((len as u16).to_be_bytes())
}

/// One connection's way from bytes to messages. It holds the beginning of one message at most.
///
/// ```
/// # use banter_sfu::framing::{Deframer, Framing};
/// let mut deframer = Deframer::new(Framing::Rfc4571);
/// let mut read = *b"\0\x03one\0\x03t";
/// let mut input = &mut read[..];
/// assert_eq!(deframer.next_frame(&mut input), Ok(Some(&mut b"one".to_owned()[..])));
/// assert_eq!(deframer.next_frame(&mut input), Ok(None));
/// let mut read = *b"wo";
/// assert_eq!(deframer.next_frame(&mut &mut read[..]), Ok(Some(&mut b"two".to_owned()[..])));
/// ```
#[derive(Debug)]
pub struct Deframer {
    framing: Framing,
    /// The beginning of a message, from its first byte.
    partial: Vec<u8>,
    /// `partial` was handed out whole.
    is_taken: bool,
}

/// Where a message is in the bytes that begin with it.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// What goes before it and is no part of it.
    header: usize,
    message: usize,
    padding: usize,
}

impl Extent {
    fn total(self) -> usize {
        self.header + self.message + self.padding
    }
}

impl Deframer {
    pub fn new(framing: Framing) -> Self {
        Self { framing, partial: Vec::new(), is_taken: false }
    }

    /// The next message, without padding, of what has come so far. Call with the bytes of one read until it returns
    /// `None`; `input` is empty then, and the rest of a message comes with the next read. A message that lies in one read
    /// is not copied. After an error the stream is of no use.
    pub fn next_frame<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
    ) -> Result<Option<&'a mut [u8]>, FrameError> {
        if std::mem::take(&mut self.is_taken) {
            self.partial.clear();
        }
        loop {
            if self.partial.is_empty() {
                let Some(extent) = self.extent(input)?.filter(|extent| extent.total() <= input.len()) else {
                    break;
                };
                let frame = take(input, extent.total());
                if extent.message > 0 {
                    return Ok(Some(&mut frame[extent.header..extent.header + extent.message]));
                }
            } else if let Some(extent) = self.complete(input)? {
                if extent.message > 0 {
                    self.is_taken = true;
                    return Ok(Some(&mut self.partial[extent.header..extent.header + extent.message]));
                }
                self.partial.clear();
            } else {
                return Ok(None);
            }
        }
        self.partial.extend_from_slice(take(input, input.len()));
        Ok(None)
    }

    /// Bytes of a message that is not whole.
    pub fn held(&self) -> usize {
        if self.is_taken { 0 } else { self.partial.len() }
    }

    /// Moves as much of the input as belongs to the message that has begun; tells where it is once it is whole.
    fn complete(&mut self, input: &mut &mut [u8]) -> Result<Option<Extent>, FrameError> {
        loop {
            let extent = self.extent(&self.partial)?;
            // Without its header nobody knows how long it is.
            let wanted = extent.map_or(self.header_len(), Extent::total);
            let missing = wanted.saturating_sub(self.partial.len());
            if let (0, Some(extent)) = (missing, extent) {
                return Ok(Some(extent));
            }
            if input.is_empty() {
                return Ok(None);
            }
            self.partial.extend_from_slice(take(input, missing.min(input.len())));
        }
    }

    /// Bytes by which a message's length can be known.
    fn header_len(&self) -> usize {
        match self.framing {
            Framing::Turn => 4,
            Framing::Rfc4571 => 2,
        }
    }

    /// Where the message is with which `bytes` begin; `None` if too little of it is there.
    fn extent(&self, bytes: &[u8]) -> Result<Option<Extent>, FrameError> {
        let extent = match (self.framing, bytes) {
            (Framing::Turn, [0x50..=0xFF, ..]) => return Err(FrameError::Unknown),
            (Framing::Turn, &[kind, _, high, low, ..]) => turn_extent(kind, [high, low]),
            (Framing::Rfc4571, &[high, low, ..]) => {
                Extent { header: 2, message: usize::from(u16::from_be_bytes([high, low])), padding: 0 }
            }
            (Framing::Turn | Framing::Rfc4571, _) => return Ok(None),
        };
        if extent.message > MAX_FRAME_LEN {
            return Err(FrameError::TooLong { len: extent.message });
        }
        Ok(Some(extent))
    }
}

/// A STUN message's length does not count its header, nor does that of ChannelData, which is padded (RFC 8656 §12.5).
fn turn_extent(kind: u8, len: [u8; 2]) -> Extent {
    let len = usize::from(u16::from_be_bytes(len));
    match kind {
        0x40.. => Extent { header: 0, message: 4 + len, padding: len.wrapping_neg() % 4 },
        _ => Extent { header: 0, message: 20 + len, padding: 0 },
    }
}

/// Takes the first bytes off the input.
fn take<'i>(input: &mut &'i mut [u8], len: usize) -> &'i mut [u8] {
    let (taken, rest) = std::mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that comes out when the stream is read in pieces of these lengths, the last one taking the rest.
    fn deframe(framing: Framing, stream: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut deframer = Deframer::new(framing);
        let mut frames = Vec::new();
        let mut rest = stream.to_vec();
        let mut rest = &mut rest[..];
        for &cut in cuts.iter().chain([&usize::MAX]) {
            let len = cut.min(rest.len());
            let mut read = take(&mut rest, len);
            while let Some(frame) = deframer.next_frame(&mut read)? {
                frames.push(frame.to_vec());
            }
            assert!(read.is_empty());
            assert!(deframer.held() <= MAX_FRAME_LEN + 3);
        }
        Ok(frames)
    }

    fn stun(body: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend([0x21, 0x12, 0xA4, 0x42]);
        message.extend([0; 12]);
        message.extend(body);
        message
    }

    fn channel_data(payload: &[u8]) -> Vec<u8> {
        [&[0x40, 0x01], &(payload.len() as u16).to_be_bytes()[..], payload].concat()
    }

    #[test]
    fn a4_pieces_and_several_messages_in_one_read_come_out_whole() {
        let messages = [stun(b"abcd"), channel_data(b"12345"), stun(b""), channel_data(b"")];
        let stream = [&messages[0][..], &messages[1], &[0; 3], &messages[2], &messages[3]].concat();
        assert_eq!(deframe(Framing::Turn, &stream, &[]).unwrap(), messages);
        let single = vec![1; stream.len()];
        assert_eq!(deframe(Framing::Turn, &stream, &single).unwrap(), messages);
    }

    #[test]
    fn a5_padding_of_channel_data_is_taken_away() {
        for len in 0..9 {
            let message = channel_data(&vec![7; len]);
            let mut stream = message.clone();
            stream.resize(message.len().next_multiple_of(4), 0xEE);
            stream.extend(stun(b""));
            assert_eq!(deframe(Framing::Turn, &stream, &[3]).unwrap(), [message, stun(b"")]);
        }
    }

    #[test]
    fn a6_a_longer_message_than_sixteen_kibibytes_is_an_error_before_it_is_there() {
        for framing in [Framing::Turn, Framing::Rfc4571] {
            let longest = match framing {
                Framing::Turn => MAX_FRAME_LEN - 4,
                Framing::Rfc4571 => MAX_FRAME_LEN,
            };
            let stream = |len: usize| {
                let len = (len as u16).to_be_bytes();
                match framing {
                    Framing::Turn => vec![0x40, 0, len[0], len[1]],
                    Framing::Rfc4571 => len.to_vec(),
                }
            };
            assert_eq!(deframe(framing, &stream(longest), &[]), Ok(vec![]));
            assert_eq!(
                deframe(framing, &stream(longest + 1), &[]),
                Err(FrameError::TooLong { len: MAX_FRAME_LEN + 1 })
            );
        }
        assert!(rfc4571_header(MAX_FRAME_LEN).is_some() && rfc4571_header(MAX_FRAME_LEN + 1).is_none());
    }

    #[test]
    fn a2_other_first_bits_end_a_stream() {
        for first in [0x50, 0x7F, 0x80, 0xC0, 0xFF] {
            assert_eq!(deframe(Framing::Turn, &[first], &[]), Err(FrameError::Unknown));
        }
    }

    #[test]
    fn empty_datagrams_say_nothing() {
        assert_eq!(deframe(Framing::Rfc4571, b"\0\0\0\x01a\0\0", &[1, 1]).unwrap(), [b"a"]);
    }

    proptest! {
        #[test]
        fn a4_any_cuts_give_the_same_messages(
            payloads in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 1..300)), 0..12),
            cuts in proptest::collection::vec(0usize..200, 0..60),
        ) {
            let mut stream = Vec::new();
            let mut messages = Vec::new();
            for (is_stun, payload) in &payloads {
                let message = if *is_stun { stun(payload) } else { channel_data(payload) };
                stream.extend(&message);
                if !is_stun {
                    stream.resize(stream.len() + message.len().wrapping_neg() % 4, 0);
                }
                messages.push(message);
            }
            prop_assert_eq!(deframe(Framing::Turn, &stream, &cuts).unwrap(), messages);
        }

        #[test]
        fn any_cuts_give_the_same_datagrams(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..12),
            cuts in proptest::collection::vec(0usize..200, 0..60),
        ) {
            let stream: Vec<u8> = datagrams
                .iter()
                .flat_map(|datagram| [&rfc4571_header(datagram.len()).unwrap()[..], datagram].concat())
                .collect();
            prop_assert_eq!(deframe(Framing::Rfc4571, &stream, &cuts).unwrap(), datagrams);
        }

        #[test]
        fn g14_any_stream_is_read_without_panic(
            stream in proptest::collection::vec(any::<u8>(), 0..2000),
            cuts in proptest::collection::vec(0usize..200, 0..30),
        ) {
            for framing in [Framing::Turn, Framing::Rfc4571] {
                prop_assert_eq!(deframe(framing, &stream, &cuts), deframe(framing, &stream, &[]));
            }
        }
    }
}
